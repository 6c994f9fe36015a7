"""What a training leaves on disk for going on after an interruption, and who may take it up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from samodal.errors import InputError
from samodal.files import safe_name

HARMLESS = frozenset(
    "out device workers resume compile save_minutes check_minutes log_every cache val_cache test test_cache".split()
)
"""Settings that may differ when a training goes on: they decide where and how fast it works, not what it learns."""

ANEW = "delete it to make it anew"


class Settings(Protocol):
    """What the settings of every task have; one of `minutes` and `steps` is 0."""

    data: str
    out: str
    name: str
    minutes: float
    steps: int
    lr: float
    seed: int
    device: str
    resume: bool
    save_minutes: float
    log_every: int


def check_resumable(settings: Settings, *stages: str) -> None:
    """Make the folder, and refuse to go on with a training of this name that had other settings.

    Before the data are read: the engine itself looks only after that.

    Raises:
        InputError: also for a name that cannot name files in the folder.
    """
    safe_name(settings.name, "--name")
    Path(settings.out).mkdir(parents=True, exist_ok=True)
    for path in (state_path(settings, stage) for stage in stages or ("",)):
        if settings.resume and path.exists():
            read_state(path, settings, mmap=True)


def state_path(settings: Settings, stage: str = "") -> Path:
    """Where the state of a training, or of a stage of it, is written."""
    return Path(settings.out) / ".".join(filter(None, (settings.name, stage, "state.pt")))


def read_state(path: Path, settings: Settings, mmap: bool = False) -> dict[str, Any]:
    """What an interrupted training left.

    Raises:
        InputError: for a damaged file, or for other settings, with the names that differ; see `HARMLESS`.
    """
    state = read_tensors(path, mmap)
    before, now = state.get("settings"), dataclasses.asdict(settings)
    if not isinstance(before, dict):
        raise InputError(f"{path}: not the state of a training; delete it, or give another --name")
    names = [name for name in before | now if name not in HARMLESS and before.get(name) != now.get(name)]
    if names:
        changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
        raise InputError(
            f"{path}: the interrupted training had other settings: {changes}; give the same settings, another --name, "
            "or --no-resume to start anew"
        )
    return state


def read_tensors(path: Path, mmap: bool = False) -> dict[str, Any]:
    """A dictionary that torch wrote; with `mmap`, tensors stay on disk until they are used.

    Raises:
        InputError: for a damaged file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # whatever the bytes of a damaged file lead torch to
        raise damaged(path, error) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged (expected a dictionary, found {type(content).__name__}); {ANEW}")
    return content


def damaged(path: Path, error: Exception) -> InputError:
    """The error for a file of our own that cannot be used, with the way out."""
    reason, *_ = [*str(error).strip().splitlines(), ""]
    return InputError(f"{path}: damaged ({type(error).__name__}: {reason}); {ANEW}")


def replaced(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file in place of an older file, which stays whole until then."""
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    write(unfinished)
    unfinished.replace(path)
