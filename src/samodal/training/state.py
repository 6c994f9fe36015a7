"""What a training leaves on disk for going on after an interruption, and who may take it up."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Protocol

import torch

from samodal.errors import InputError
from samodal.files import read_json, safe_name
from samodal.outputs import cannot_write, locked, make_folder, refuse_inputs, writing

Train = Callable[[Any], Any]
"""A function that trains by its settings."""

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
    make_folder(Path(settings.out))
    refuse_inputs([result_path(settings)], [getattr(settings, name, None) for name in ("init", "encoder")])
    for path in (state_path(settings, stage) for stage in stages or ("",)):
        if settings.resume and path.exists():
            read_state(path, settings, mmap=True)


def result_path(settings: Settings) -> Path:
    """The checkpoint that a training makes, beside its card: NAME.safetensors, NAME.json and NAME.md."""
    return Path(settings.out) / f"{settings.name}.safetensors"


def unfinished_path(settings: Settings) -> Path:
    """The checkpoint of a training that is not over: apart from that of a finished one, which its card tells."""
    result = result_path(settings)
    return result.with_name(f"{settings.name}.unfinished.safetensors") if _card(result).exists() else result


def _card(result: Path) -> Path:
    """What is written last of a training that is over."""
    return result.with_suffix(".md")


def publish(unfinished: Path, result: Path) -> None:
    """Let the checkpoint of a training that is over, and its card, take the place of an older one."""
    for suffix in (".safetensors", ".json", ".md") if unfinished != result else ():
        if (made := unfinished.with_suffix(suffix)).exists():
            os.replace(made, result.with_suffix(suffix))


def once(*stages: str, known: Callable[[Path, dict], Any] | None = None) -> Callable[[Train], Train]:
    """Of a function that trains by its settings: no other process trains under this name meanwhile, and what is
    finished is not trained again, unless `resume` is off.

    Args:
        stages: names of the training's stages, where it has several.
        known: what the function gives, of a checkpoint that is finished and the facts of its card; a line by default.
    """

    def guarded(train: Train) -> Train:
        @wraps(train)
        def run(settings: Settings) -> Any:
            if int(os.environ.get("LOCAL_RANK", "0")):  # of several processes the first holds the lock
                return train(settings)
            path = result_path(settings)
            with locked(path.with_name(f".{path.stem}.lock"), str(path)):
                facts = _finished(settings, stages)
                if facts is None:
                    return train(settings)
            text = f"{path}: is trained with these settings already; --no-resume trains anew"
            if known is None:
                return text
            print(text, flush=True)
            return known(path, facts)

        return run

    return guarded


def _finished(settings: Settings, stages: Sequence[str]) -> dict[str, Any] | None:
    """The facts of a training of this name that is over; None where there is none, or nothing may be taken up.

    Raises:
        InputError: if it had other settings, with the names that differ.
    """
    path = result_path(settings)
    begun = any(state_path(settings, stage).exists() for stage in stages or ("",))
    if not settings.resume or begun or not (path.exists() and _card(path).exists()):
        return None
    facts = read_json(path.with_suffix(".json"))
    before = facts.get("settings") if isinstance(facts, dict) else None
    if isinstance(before, dict):
        _refuse_changes(path, "a finished training", before, json.loads(json.dumps(dataclasses.asdict(settings))))
    return facts


def _refuse_changes(path: Path, what: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    names = [name for name in before | now if name not in HARMLESS and before.get(name) != now.get(name)]
    if names:
        changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
        raise InputError(
            f"{path}: {what} had other settings: {changes}; give the same settings, another --name, or --no-resume to "
            "start anew"
        )


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
    _refuse_changes(path, "the interrupted training", before, now)
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
    """Write a file in place of an older file, which stays whole until then.

    Raises:
        InputError: if it cannot be written, as on a full disk.
    """
    try:
        with writing(path) as unfinished:
            write(unfinished)
    except RuntimeError as error:  # torch's own, where the disk is full
        raise cannot_write(path, error) from None
