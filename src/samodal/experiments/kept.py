"""Numbers kept in files beside what they were measured on: after an interruption, or by another table, they are taken
again unless those files have changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.files import field, read_json, write_json
from samodal.runs.inputs import same, stamp


def keep(file: Path, value: Any, inputs: Sequence[Path]) -> None:
    """Write a value, as JSON holds it, that was measured on files.

    Raises:
        InputError: if it cannot be written.
    """
    write_json(file, {"measured_on": stamp(inputs), "value": value})


def is_kept(file: Path, inputs: Sequence[Path]) -> bool:
    """Whether a file holds a value that was measured on these files as they are now."""
    try:
        return same(field(read_json(file), "measured_on", str(file)), inputs)
    except InputError:
        return False


def kept(file: Path) -> Any:
    """The value in a file."""
    return read_json(file)["value"]
