"""`samodal evaluate`: score results against truth."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samodal.settings import EvaluateSettings


def main(settings: EvaluateSettings) -> None:
    """Print a table of scores and write scores.json where asked for.

    Raises:
        InputError: if something is missing, damaged, or of other videos.
    """
    from samodal.errors import printable
    from samodal.files import write_json
    from samodal.metrics.evaluate import ScoringRules, evaluate
    from samodal.outputs import refuse_inputs

    rules = ScoringRules(
        profile=settings.profile,
        masks=settings.masks,
        scores=settings.scores,
        level=settings.level,
        clips=None if settings.clips is None else tuple(dict.fromkeys(settings.clips.split(","))),
        resamples=settings.bootstrap,
        seed=settings.seed,
        per_class=settings.per_class,
        identity=settings.identity,
    )
    if settings.json:
        results = Path(settings.results)
        within = results.rglob("*.json*") if results.is_dir() else [results]
        refuse_inputs([Path(settings.json)], [*within, settings.truth, *re.split("[:,]", str(settings.truth))])
    scores = evaluate(settings.results, settings.truth, rules)
    print_scores(scores)
    for note in scores.get("notes", []):
        print(f"samodal evaluate: {_printable(note)}", file=sys.stderr)
    if settings.json:
        write_json(Path(settings.json), scores, indent=2)
        print(f"scores written to {printable(settings.json)}")


def print_scores(scores: dict[str, Any]) -> None:
    """Print the content of a scores.json as a table, one column per level."""
    from rich.console import Console
    from rich.table import Table

    from samodal.metrics.evaluate import UNDEFINED

    levels = ["image", "video"] if scores["level"] == "both" else [scores["level"]]
    parts = {
        name: scores[name] if scores["level"] == "both" else {levels[0]: scores[name]}
        for name in ("metrics", "counts", "intervals", "per_class", "identity")
        if name in scores
    }
    table = Table(title=f"{scores['settings']['masks']} masks, profile {scores['profile']}")
    table.add_column("")
    for level in levels:
        table.add_column(level, justify="right")
    for name in parts["metrics"][levels[0]]:
        values = [parts["metrics"][level][name] for level in levels]
        intervals = [parts["intervals"][level].get(name) for level in levels]
        table.add_row(name, *(map(_cell, (None if n == UNDEFINED else n for n in values), intervals)))
    table.add_section()
    for name in parts["counts"][levels[0]]:
        table.add_row(name, *(str(parts["counts"][level][name]) for level in levels))
    table.add_section()
    for name, cells in _extra_rows(parts, levels):
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    console.print(f"score of a detection: {scores['settings']['score_rule']}", highlight=False)
    console.print(f"prediction of an instance: {scores['settings']['pairing_rule']}", highlight=False)


def _extra_rows(parts: dict[str, dict], levels: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Rows of class-aware AP and of identities, where they were wanted."""
    from rich.markup import escape

    classes = parts.get("per_class", {})
    if classes:
        first = classes[levels[0]]
        for number in first["mean"]:
            yield f"class-aware {number}", [_cell(classes[level]["mean"][number]) for level in levels]
        for name in first["classes"]:
            numbers = [classes[level]["classes"].get(name, {}).get("AP") for level in levels]
            yield f"AP of {escape(_printable(name))}", [_cell(number) for number in numbers]
    identities = [parts.get("identity", {}).get(level) for level in levels]
    for name in next(filter(None, identities), {}):
        values = [None if of_level is None else of_level[name] for of_level in identities]
        yield name, [str(value) if isinstance(value, int) else _cell(value) for value in values]


def _printable(text: str) -> str:
    """Names come from files: what would steer a terminal is written out."""
    return text if text.isprintable() else repr(text)


def _cell(value: float | None, interval: list[float] | None = None) -> str:
    if value is None:
        return "-"
    text = f"{value:.4f}"
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"
