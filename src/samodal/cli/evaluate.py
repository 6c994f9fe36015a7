"""`samodal evaluate`: score results against truth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class EvaluateSettings:
    """Score results against truth: AP of images and videos, and mean IoUs of whole and hidden regions."""

    results: str = field(metadata={"positional": str})
    """Results file in YouTube-VIS or COCO form, a tracks.json, or a folder of runs with CLIP/tracks.json."""
    truth: str
    """Truth in the same form, or a data set: KIND:PATH, as asd:ROOT/val (samodal data check --help lists all kinds)."""
    profile: Literal["official", "strict"] = "official"
    """official: the published evaluation with its quirks. strict: every instance, fully hidden ones included."""
    masks: Literal["amodal", "visible"] = "amodal"
    """Which masks are scored."""
    json: str | None = None
    """Write the scores to this file."""
    scores: Literal["given", "ones"] = "given"
    """ones: every detection has score 1, so that AP does not depend on how well a method ranks."""
    level: Literal["auto", "image", "video"] = "auto"
    """auto: what the file holds; for a data set both."""
    clips: str | None = None
    """Only these clips of the truth, separated by commas; else all, and one without results has none found."""
    bootstrap: int = 0
    """Resamples over clips for 95 % intervals of the main numbers, such as 1000; 0 for none."""
    seed: int = 0
    """Of the bootstrap."""


def main(settings: EvaluateSettings) -> None:
    """Print a table of scores and write scores.json where asked for.

    Raises:
        InputError: if something is missing, damaged, or of other videos.
    """
    from samodal.files import write_json
    from samodal.metrics.evaluate import ScoringRules, evaluate

    rules = ScoringRules(
        profile=settings.profile,
        masks=settings.masks,
        scores=settings.scores,
        level=settings.level,
        clips=tuple(settings.clips.split(",")) if settings.clips else None,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
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
