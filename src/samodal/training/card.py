"""The model card beside a checkpoint: what it is, what it cost, how good it is and how to make it again."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from samodal.outputs import writing
from samodal.training.engine import Engine

LOG_LINES = 12
"""Lines of the log's end that a card shows."""


def hardware(device: torch.device) -> str:
    """The machine in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"


def commit() -> str:
    """The commit of this project's code, with "-dirty" where tracked files have changed since.

    $SAMODAL_COMMIT where the tree was copied without its history; "unknown" for an installed package, whatever other
    repository its folder lies in.
    """
    if os.environ.get("SAMODAL_COMMIT"):
        return os.environ["SAMODAL_COMMIT"]
    root = Path(__file__).resolve().parents[3]  # above src/samodal/training
    top, _, head = _git(root, "rev-parse", "--show-toplevel", "HEAD").partition("\n")
    project = root / "pyproject.toml"
    if not head or Path(top) != root or 'name = "samodal"' not in project.read_text(encoding="utf-8"):
        return "unknown"
    return head + ("-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, empty where it fails."""
    try:
        ran = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def command() -> str:
    """The command line that is running, without the folders that the program lies in."""
    program = Path(sys.argv[0]).name
    return " ".join(["samodal" if program in ("__main__.py", "app.py") else program, *sys.argv[1:]])


def peak_memory(device: torch.device) -> float:
    """Highest GPU memory of this process so far in GB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0


def facts_of(engine: Engine, **more: Any) -> dict[str, Any]:
    """How a checkpoint was made, as every card has it, with what a task adds."""
    settings, progress = engine.settings, engine.progress
    return {
        "name": settings.name, "command": command(), "commit": commit(), "seed": settings.seed,
        "hardware": hardware(engine.device), "peak_memory_gb": peak_memory(engine.device), "steps": progress.step,
        "minutes": progress.seconds / 60, "history": progress.history,
        "parameters": sum(p.numel() for p in engine.network.parameters()), "optimised": engine.optimised, **more,
        "settings": dataclasses.asdict(settings),
    }  # fmt: skip


def write_card(
    engine: Engine, facts: dict[str, Any], what: str, *, data: str, cost: str, parts: dict[str, str], use: str = ""
) -> None:
    """Write facts as JSON and a text as Markdown beside a checkpoint.

    Args:
        facts: from `facts_of`.
        what: the first paragraph.
        data: what was learned from, after the data set's name.
        cost: what was done, before the machine's name.
        parts: by heading; the config, where facts have one, the settings and the end of the log follow them.
        use: what is added to `samodal run drive.mp4`; empty leaves the line out.
    """
    points = [
        f"data: {facts['settings']['data']}: {data}; seed {facts['seed']}",
        f"cost: {cost} on {facts['hardware']}, {facts['peak_memory_gb']:.1f} GB of GPU memory",
        f"made by `{facts['command']}` at commit {facts['commit']}",
        *([f"use: `samodal run drive.mp4 {use}`"] if use else []),
    ]
    log = engine.log_file.read_text(encoding="utf-8").splitlines() if engine.log_file.exists() else []
    ends = {name.capitalize(): _yaml(facts[name]) for name in ("config", "settings") if name in facts}
    ends["End of the log"] = "```\n" + "\n".join(log[-LOG_LINES:]) + "\n```"
    about = "\n".join([f"# {facts['name']}", "", what, "", *(f"* {point}" for point in points)])
    blocks = [about, *(f"## {title}\n\n{text}" for title, text in (parts | ends).items())]
    for suffix, text in ((".json", json.dumps(facts, indent=1)), (".md", "\n\n".join(blocks))):
        with writing(engine.checkpoint.with_suffix(suffix)) as partial:
            partial.write_text(text + "\n", encoding="utf-8")


def described(kind: str, parameters: int, init: str, note: str = "") -> str:
    """The first paragraph of the card of a network: its kind and size, and where its weights come from."""
    origin = (
        f"trained on from {init}, whose licence holds"
        if init
        else "all trained from random weights by us: no released weights are in it, and it has our licence"
    )
    return f"A {kind} of {parameters:,} parameters, {origin}.{note and f' {note}'}"


def held_out_clips(settings: Any) -> str:
    """What is measured on, in words."""
    return getattr(settings, "val", "") or (
        f"the last {settings.held_out} clips of the data, which were not trained on"
    )


def table(about: str, metrics: dict[str, dict[str, float | int | None]], unknown: str = "not known") -> str:
    """Measurements below what they are: a column for each data set, a row for each measurement of the first."""
    if not any(metrics.values()):
        return "Not measured."
    columns = list(metrics.values())
    head = "| |" + "".join(f" {name} |" if name else " |" for name in metrics)
    rows = [f"| {name} | " + " | ".join(_number(c[name], unknown) for c in columns) + " |" for name in columns[0]]
    return "\n".join([f"{about}\n", head, "|---" * (1 + len(columns)) + "|", *rows])


def _yaml(values: dict[str, Any]) -> str:
    return "```yaml\n" + "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items()) + "\n```"


def _number(value: float | int | None, unknown: str) -> str:
    if value is None:
        return unknown
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
