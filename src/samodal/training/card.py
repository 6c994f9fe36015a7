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
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from samodal.commands.train import TrainSettings

LOG_LINES = 12
"""Lines of the log's end that a card shows."""


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


def write_card(path: Path, settings: TrainSettings, made: Made, device: torch.device, log: Path) -> None:
    """Write the card as Markdown to `path`, and the same facts as JSON beside it."""
    lines = log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if log.exists() else []
    facts = {
        "name": settings.name, "recipe": settings.recipe, "command": " ".join(sys.argv), "commit": commit(),
        "seed": settings.seed, "hardware": hardware(device), **dataclasses.asdict(made),
        "settings": dataclasses.asdict(settings),
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    path.write_text(_markdown(facts, lines), encoding="utf-8")


def _markdown(facts: dict, lines: list[str]) -> str:
    settings, counts = facts["settings"], facts["counts"]
    about = [
        f"# {facts['name']}",
        "",
        f"An amodal SAM, stage `{settings['stage']}`, tuned `{settings['tune']}`: {facts['parameters']:,} parameters, "
        f"{facts['trained']:,} of them trained.",
        "",
        f"* recipe: {facts['recipe'] or 'none'}; starts from: {settings['init'] or 'random weights'}; "
        f"seed {facts['seed']}",
        f"* data: {settings['data']}: {counts['frames']:,} frames, {counts['instances']:,} instances "
        f"({counts['hidden']:,} fully hidden and {counts['too_small']:,} too small ones left out)",
        f"* cost: {facts['steps']:,} steps in {facts['minutes']:.1f} minutes on {facts['hardware']}, "
        f"{facts['peak_memory_gb']:.1f} GB of GPU memory",
        f"* made by `{facts['command']}` at commit {facts['commit']}",
    ]
    blocks = ["\n".join(about), _metrics(settings, facts["metrics"])]
    blocks.append("## Optimised parameters\n\n```\n" + facts["optimised"] + "\n```")
    config = "\n".join(f"{k}: {json.dumps(v)}" for k, v in settings.items())
    blocks.append(f"## Settings\n\n```yaml\n{config}\n```")
    blocks.append("## End of the log\n\n```\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(blocks) + "\n"


def _metrics(settings: dict, metrics: dict[str, dict[str, float | None]]) -> str:
    if not metrics:
        return "## Metrics\n\nNot measured."
    names = [k for k in ("train", "val", "test") if k in metrics]
    rows = [f"| {key} | " + " | ".join(_number(metrics[k][key]) for k in names) + " |" for key in metrics[names[0]]]
    head = f"| | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
    return (
        "## Metrics\n\nOne centre point each; mean IoU per instance at the model's input size, without the union with "
        f"the visible mask. train: its first frames; val: all of {settings['val'] or 'nothing'}, which chose the "
        f"checkpoint; test: all of {settings['test'] or 'nothing'}.\n\n" + head + "\n".join(rows)
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
