"""`samodal evaluate`: score results against truth."""

import re
from pathlib import Path
from typing import Any

from samodal.settings import EvaluateSettings


def main(settings: EvaluateSettings) -> None:
    """Print a table of scores and write scores.json where asked for.

    Raises:
        InputError: if something is missing, damaged, or of other videos.
    """
    from samodal.files import write_json
    from samodal.metrics.evaluate import ScoringRules, evaluate
    from samodal.outputs import refuse_inputs

    rules = ScoringRules(
        profile=settings.profile,
        masks=settings.masks,
        scores=settings.scores,
        level=settings.level,
        clips=tuple(settings.clips.split(",")) if settings.clips else None,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    if settings.json:
        results = Path(settings.results)
        within = results.rglob("*.json*") if results.is_dir() else [results]
        refuse_inputs([Path(settings.json)], [*within, settings.truth, *re.split("[:,]", str(settings.truth))])
    scores = evaluate(settings.results, settings.truth, rules)
    print_scores(scores)
    if settings.json:
        write_json(Path(settings.json), scores, indent=2)
        print(f"scores written to {settings.json}")


def print_scores(scores: dict[str, Any]) -> None:
    """Print the content of a scores.json as a table, one column per level."""
    from rich.console import Console
    from rich.table import Table

    levels = ["image", "video"] if scores["level"] == "both" else [scores["level"]]
    parts = {
        name: scores[name] if scores["level"] == "both" else {levels[0]: scores[name]}
        for name in ("metrics", "counts", "intervals")
    }
    table = Table(title=f"{scores['settings']['masks']} masks, profile {scores['profile']}")
    table.add_column("")
    for level in levels:
        table.add_column(level, justify="right")
    for name in parts["metrics"][levels[0]]:
        cells = [_cell(parts["metrics"][level][name], parts["intervals"][level].get(name)) for level in levels]
        table.add_row(name, *cells)
    table.add_section()
    for name in parts["counts"][levels[0]]:
        table.add_row(name, *(str(parts["counts"][level][name]) for level in levels))
    console = Console()
    console.print(table)
    console.print(f"score of a detection: {scores['settings']['score_rule']}", highlight=False)
    console.print(f"prediction of an instance: {scores['settings']['pairing_rule']}", highlight=False)


def _cell(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    text = f"{value:.4f}"
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"
