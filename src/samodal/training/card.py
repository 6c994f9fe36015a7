"""The model card beside a checkpoint: what it is, what it cost, how good it is and how to make it again."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from samodal.cli.train import TrainSettings
    from samodal.training.clock import ClockLoop

LOG_LINES = 12
"""Lines of the log's end that a card shows."""
OURS = "all trained from random weights by us: no released weights are in it, and it has our licence"


@dataclass(frozen=True)
class Made:
    """What a training ended with.

    Attributes:
        steps: done.
        minutes: of training, validation included.
        counts: of the training data, as `Cache.counts`.
        parameters: of the whole model, and `trained` of it.
        peak_memory_gb: on the GPU, 0 on a CPU.
        metrics: of the kept checkpoint by "train", "val" and "test"; empty without validation or test data.
        history: of all validations.
        optimised: what `check_optimised` said.
    """

    steps: int
    minutes: float
    counts: dict[str, int]
    parameters: int
    trained: int
    peak_memory_gb: float
    metrics: dict[str, dict[str, float | None]]
    history: list[dict]
    optimised: str


def hardware(device: torch.device) -> str:
    """The machine in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"


def commit() -> str:
    """The commit of the code: $SAMODAL_COMMIT where the tree was copied without its history, "unknown" elsewhere."""
    if os.environ.get("SAMODAL_COMMIT"):
        return os.environ["SAMODAL_COMMIT"]
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def command() -> str:
    """The command line that is running, without the folders that the program lies in."""
    program = Path(sys.argv[0]).name
    return " ".join(["samodal" if program == "cli.py" else program, *sys.argv[1:]])


def peak_memory(device: torch.device) -> float:
    """Highest GPU memory of this process so far in GB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0


def origin_of(settings: Any, device: torch.device) -> dict[str, Any]:
    """How a checkpoint was made, as every card has it."""
    return {
        "name": settings.name, "command": command(), "commit": commit(), "seed": settings.seed,
        "hardware": hardware(device),
    }  # fmt: skip


def facts_of(settings: Any, network: nn.Module, config: dict, metrics: dict, **more: Any) -> dict[str, Any]:
    """What the card of a network says that was trained by the clock; `metrics` are of held-out clips."""
    device = next(network.parameters()).device
    return origin_of(settings, device) | {
        "peak_memory_gb": peak_memory(device), **more, "parameters": sum(p.numel() for p in network.parameters()),
        "held_out": metrics, "config": config, "settings": dataclasses.asdict(settings),
    }  # fmt: skip


def write(
    checkpoint: Path, facts: dict[str, Any], what: str, points: list[str], parts: dict[str, str], log: list[str]
) -> None:
    """Write facts as JSON and a text as Markdown beside a checkpoint.

    Args:
        facts: "name" and "settings" among them.
        what: the first paragraph.
        points: the list below it.
        parts: by heading; the settings and the log follow them.
        log: lines of its end.
    """
    about = [f"# {facts['name']}", "", what, "", *(f"* {point}" for point in points)]
    ends = {"Settings": yaml(facts["settings"]), "End of the log": "```\n" + "\n".join(log) + "\n```"}
    blocks = ["\n".join(about), *(f"## {title}\n\n{text}" for title, text in (parts | ends).items())]
    checkpoint.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    checkpoint.with_suffix(".md").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def made_by(facts: dict[str, Any]) -> str:
    """A point of the list."""
    return f"made by `{facts['command']}` at commit {facts['commit']}"


def yaml(values: dict[str, Any]) -> str:
    """A block of settings."""
    return "```yaml\n" + "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items()) + "\n```"


def held_out_table(about: str, metrics: dict[str, float | int | None]) -> str:
    """What was measured on held-out clips, below what it is."""
    if not metrics:
        return "Not measured."
    rows = [f"| {name} | {number(value, 'not known')} |" for name, value in metrics.items()]
    return f"{about}\n\n| | |\n|---|---|\n" + "\n".join(rows)


def number(value: float | int | None, unknown: str = "") -> str:
    """A number as a table has it."""
    if value is None:
        return unknown
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def log_end(log: Path) -> list[str]:
    """The last lines of a log file."""
    return log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if log.exists() else []


def write_trained(
    loop: ClockLoop, kind: str, counts: dict[str, int], metrics: dict, *, data: str, batch: str, measured: str,
    use: str, note: str = "",
) -> None:  # fmt: skip
    """Write the card of a network that one loop trained on clips, beside its checkpoint.

    Args:
        kind: of network.
        counts: of the training data, "clips" and "frames" among them.
        metrics: of held-out clips.
        data: what else the counts say, in words.
        batch: what a step saw.
        measured: what the metrics are.
        use: what is added to `samodal run drive.mp4`.
        note: a further sentence of the first paragraph.
    """
    settings, spent, config = loop.settings, loop.progress, loop.network.config.to_dict()
    facts = facts_of(
        settings, loop.network, config, metrics, **counts, steps=spent.step, minutes=spent.seconds / 60,
        history=spent.history,
    )  # fmt: skip
    origin = f"trained on from {settings.init}, whose licence holds" if settings.init else OURS
    points = [
        f"data: {settings.data}: {counts['clips']:,} clips, {counts['frames']:,} frames, {data}; seed {settings.seed}",
        f"cost: {spent.step:,} steps of {batch} in {facts['minutes']:.1f} min on {facts['hardware']}, "
        f"{facts['peak_memory_gb']:.1f} GB of GPU memory",
        made_by(facts),
        f"use: `samodal run drive.mp4 {use}`",
    ]
    source = settings.val or f"the last {settings.held_out} clips of the data, which were not trained on"
    parts = {"Held-out clips": held_out_table(f"On {source}{measured}", metrics), "Config": yaml(config)}
    what = f"A {kind} of {facts['parameters']:,} parameters, {origin}.{note and f' {note}'}"
    write(loop.checkpoint, facts, what, points, parts, log_end(loop.log_file))


def write_card(path: Path, settings: TrainSettings, made: Made, device: torch.device, log: Path) -> None:
    """Write the card of an amodal SAM as Markdown to `path`, and the same facts as JSON beside it."""
    facts = {
        **origin_of(settings, device), "recipe": settings.recipe, **dataclasses.asdict(made),
        "settings": dataclasses.asdict(settings),
    }  # fmt: skip
    counts = made.counts
    what = (
        f"An amodal SAM, stage `{settings.stage}`, tuned `{settings.tune}`: {made.parameters:,} parameters, "
        f"{made.trained:,} of them trained."
    )
    points = [
        f"recipe: {settings.recipe or 'none'}; starts from: {settings.init or 'random weights'}; seed {settings.seed}",
        f"data: {settings.data}: {counts['frames']:,} frames, {counts['instances']:,} instances "
        f"({counts['hidden']:,} fully hidden and {counts['too_small']:,} too small ones left out)",
        f"cost: {made.steps:,} steps in {made.minutes:.1f} minutes on {facts['hardware']}, "
        f"{made.peak_memory_gb:.1f} GB of GPU memory",
        made_by(facts),
    ]
    parts = {"Metrics": _metrics(settings, made.metrics), "Optimised parameters": f"```\n{made.optimised}\n```"}
    write(path, facts, what, points, parts, log_end(log))


def _metrics(settings: TrainSettings, metrics: dict[str, dict[str, float | None]]) -> str:
    if not metrics:
        return "Not measured."
    names = [k for k in ("train", "val", "test") if k in metrics]
    rows = [f"| {key} | " + " | ".join(number(metrics[k][key]) for k in names) + " |" for key in metrics[names[0]]]
    head = f"| | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
    return (
        "One centre point each; mean IoU per instance at the model's input size, without the union with "
        f"the visible mask. train: its first frames; val: all of {settings.val or 'nothing'}, which chose the "
        f"checkpoint; test: all of {settings.test or 'nothing'}.\n\n" + head + "\n".join(rows)
    )
