"""Writing files so that a full disk or a missing folder is one line and never a half-written file."""

import json
import os
from pathlib import Path
from typing import Any

from samodal.errors import InputError


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error for a file that could not be written."""
    return InputError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or choose another folder"
    )


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a JSON file in one step: an interrupted or failed write leaves the file that was there before.

    Raises:
        InputError: if it cannot be written, as on a full disk.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=indent, allow_nan=False, separators=None if indent else (",", ":"))
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(path, error) from None
