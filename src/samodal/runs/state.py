"""The state of a method at work as a file: numbers, texts, lists, dictionaries and arrays, and nothing that can run.

The file is a line of JSON, in which arrays are places in the bytes that follow it.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from samodal.outputs import writing

LEAVES = {int, float, str, bool, type(None)}
PLAIN = re.compile(r"[<>|][biuf][1248]")
"""Types of arrays: flags and numbers."""


def write_state(path: Path, state: dict) -> None:
    """Write a state in place of an older one.

    Raises:
        InputError: if it cannot be written.
        TypeError: for a value of another type.
    """
    arrays: list[np.ndarray] = []
    line = json.dumps(_coded(state, arrays), separators=(",", ":"))
    with writing(path) as partial, partial.open("wb") as file:
        file.write(line.encode() + b"\n")
        for array in arrays:
            file.write(array.tobytes())


def read_state(path: Path) -> dict | None:
    """What was written; None where there is nothing, or nothing that can be read."""
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        state, end = _decoded(json.loads(line), data)
        return state if end == len(data) and isinstance(state, dict) else None
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _coded(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value as JSON holds it; dictionaries as pairs, as their keys need not be texts."""
    if type(value) in LEAVES:  # nearly all values
        return value
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": [value.dtype.str, list(value.shape)]}
    if isinstance(value, np.generic):
        return _coded(np.asarray(value), arrays)
    if isinstance(value, dict):
        return {"pairs": [[_coded(key, arrays), _coded(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_coded(entry, arrays) for entry in value]}
    if isinstance(value, list | deque):
        return [_coded(entry, arrays) for entry in value]
    return value


def _decoded(value: Any, data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value again, and where in the bytes the arrays after it begin."""
    if isinstance(value, list):
        entries = []
        for entry in value:
            decoded, at = _decoded(entry, data, at)
            entries.append(decoded)
        return entries, at
    if not isinstance(value, dict):
        return value, at
    ((kind, content),) = value.items()
    if kind == "array":
        if not PLAIN.fullmatch(content[0]):  # NumPy reads other texts as expressions
            raise ValueError("an array of another type")
        dtype, shape = np.dtype(content[0]), tuple(content[1])
        end = at + dtype.itemsize * math.prod(shape)
        if end > len(data):
            raise ValueError("cut off")
        return np.frombuffer(data[at:end], dtype).reshape(shape).copy(), end
    entries, at = _decoded(content, data, at)
    return (tuple(entries) if kind == "tuple" else {key: entry for key, entry in entries}), at
