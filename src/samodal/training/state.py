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


def read_prepared(path: Path, made_from: dict[str, Any], key: str, mmap: bool = False) -> dict[str, Any]:
    """The tensors by name of a file of prepared data.

    Args:
        made_from: data and settings that it must have been made from.
        key: of its content.

    Raises:
        InputError: for a damaged file, or other data or settings, with the names that differ.
    """
    held = read_tensors(path, mmap)
    before, content = held.get("made_from"), held.get(key)
    if not isinstance(before, dict) or not isinstance(content, dict):
        raise InputError(f"{path}: holds no prepared data; delete it or name another file")
    names = [name for name in before | made_from if before.get(name) != made_from.get(name)]
    if names:
        changes = ", ".join(f"{name} was {before.get(name)!r} and is {made_from.get(name)!r}" for name in names)
        raise InputError(f"{path}: prepared with other settings: {changes}; delete it or name another file")
    return content


def checked_columns(path: Path, content: dict[str, Any], columns: dict[str, tuple[torch.dtype, str]]) -> dict[str, Any]:
    """The tensors that columns name, each of its type and shape.

    Args:
        columns: (type, sizes) by name, as (torch.float32, "NT2"); a letter stands for one size everywhere.

    Raises:
        InputError: where one is missing, or of another type or shape.
    """
    sizes = {digit: int(digit) for digit in "123456789"}
    for name, (dtype, letters) in columns.items():
        tensor = content.get(name)
        fitting = isinstance(tensor, torch.Tensor) and tensor.dtype == dtype and tensor.ndim == len(letters)
        if not fitting or any(sizes.setdefault(s, n) != n for s, n in zip(letters, tensor.shape, strict=True)):
            raise InputError(f"{path}: {name} is not what was prepared; {ANEW}")
    return {name: content[name] for name in columns}


def damaged(path: Path, error: Exception) -> InputError:
    """The error for a file of our own that cannot be used, with the way out."""
    reason, *_ = [*str(error).strip().splitlines(), ""]
    return InputError(f"{path}: damaged ({type(error).__name__}: {reason}); {ANEW}")


def replaced(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file in place of an older file, which stays whole until then."""
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    write(unfinished)
    unfinished.replace(path)
