"""What front ends with a network have in common: their argument on the command line, and frames that are too large."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from samodal.errors import InputError, nearest

Limits = TypeVar("Limits")


def parse(argument: str | None, vis: str, limits: Limits, needs: str = "", embedded: str = "") -> tuple[str, Limits]:
    """The checkpoint and the limits of CHECKPOINT[,LIMIT=VALUE…].

    Args:
        argument: what follows the front end's name.
        vis: that name.
        limits: a dataclass with the defaults; the values given replace them.
        needs: what to give where there is no checkpoint, for the message.
        embedded: shipped weights that are taken where no checkpoint is named, as in NAME:,LIMIT=VALUE.

    Raises:
        InputError: without a checkpoint, for an unknown limit, or one that is no number.
    """
    checkpoint, *changes = (argument or "").split(",")
    checkpoint = checkpoint or embedded
    if not checkpoint:
        raise InputError(f"--vis {vis} needs a checkpoint: {needs}")
    values, known = {}, limits.__dataclass_fields__
    for change in changes:
        name, _, value = change.partition("=")
        if name not in known:
            raise InputError(f"--vis {vis}: unknown limit {name!r}{nearest(name, known)}")
        try:
            values[name] = type(known[name].default)(value)
        except ValueError:
            raise InputError(f"--vis {vis}: {name} must be a number, got {value!r}") from None
    return checkpoint, dataclasses.replace(limits, **values)


@contextmanager
def fitting(frame: np.ndarray, where: str, device: Any) -> Iterator[None]:
    """Turn what a GPU or a CPU says when its memory is full into an InputError with the way out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        said = re.search(r"out of memory|not enough memory|can't allocate memory", str(error))
        if said is None and not isinstance(error, MemoryError):
            raise
        raise InputError(
            f"{where} of {frame.shape[1]}x{frame.shape[0]} (width x height) does not fit into the memory of {device}; "
            "make the video smaller, or give --device cpu or a smaller checkpoint"
        ) from None
