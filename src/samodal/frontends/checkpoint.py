"""What front ends with a network share: their argument, models of transformers, and frames too large for the memory."""

import dataclasses
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from samodal.errors import InputError, nearest

Limits = TypeVar("Limits")


def parse(argument: str | None, vis: str, limits: Limits, needs: str = "", embedded: str = "") -> tuple[str, Limits]:
    """The checkpoint and the limits of CHECKPOINT[,LIMIT=VALUE…], or of LIMIT=VALUE… alone.

    Args:
        argument: what follows the front end's name.
        vis: that name.
        limits: a dataclass with the defaults; the values given replace them.
        needs: what to give where there is no checkpoint, for the message.
        embedded: shipped weights that are taken where no checkpoint is named, as in NAME:,LIMIT=VALUE.

    Raises:
        InputError: without a checkpoint, for an unknown limit, or a value that is no number of 0 or more.
    """
    checkpoint, *changes = (argument or "").split(",")
    if checkpoint.partition("=")[0] in limits.__dataclass_fields__ and "=" in checkpoint:  # without the comma
        checkpoint, changes = "", [checkpoint, *changes]
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
        if not 0 <= values[name] < math.inf:
            raise InputError(f"--vis {vis}: {name} must be a number of 0 or more, got {value!r}")
    return checkpoint, dataclasses.replace(limits, **values)


def without_words(argument: str | None) -> tuple[str, list[str]]:
    """CHECKPOINT[,LIMIT=VALUE…] as `parse` takes it, and the other pieces of an argument, which hold no "="."""
    checkpoint, *pieces = (argument or "").split(",")
    return ",".join([checkpoint, *(p for p in pieces if "=" in p)]), [p for p in pieces if "=" not in p]


def pretrained(architecture: Any, folder: Path, checkpoint: str, title: str, hint: str = "") -> Any:
    """A model of transformers with all its weights.

    Args:
        architecture: its class.
        folder: as transformers saves a model.
        checkpoint, title: what the user named and what it should be, for messages.
        hint: the end of the message where parameters are missing.

    Raises:
        InputError: if it cannot be loaded or lacks parameters, which transformers would fill with random values.
    """
    try:
        model, report = architecture.from_pretrained(folder, output_loading_info=True)
    except ImportError:  # the caller says what to install
        raise
    except Exception as error:  # transformers, torch and safetensors raise anything for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{checkpoint}: transformers cannot load it ({reason})") from error
    # The loss of a model holds parameters of its own, which files leave out.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("criterion."))
    if missing:
        raise InputError(f"{checkpoint}: {len(missing)} parameters of {title} are missing, as {missing[0]}{hint}")
    return model


@contextmanager
def fitting(frame: np.ndarray, where: str, device: Any) -> Iterator[None]:
    """Turn the error of a GPU or a CPU whose memory is full into an InputError with the way out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        full = re.search(r"out of memory|not enough memory|can't allocate memory", str(error))
        if full is None and not isinstance(error, MemoryError):
            raise
        raise InputError(
            f"{where} of {frame.shape[1]}x{frame.shape[0]} (width x height) does not fit into the memory of {device}; "
            "make the video smaller, or give --device cpu or a smaller checkpoint"
        ) from None
