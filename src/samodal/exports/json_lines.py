"""Large JSON files written entry by entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TextIO

from samodal.files import text_of


def write_list(file: TextIO, values: Iterable[Any]) -> None:
    """Write a list, an entry a line, none of which is held in memory with the others."""
    comma = "[\n"
    for value in values:
        file.write(comma + text_of(value))
        comma = ",\n"
    file.write("[]" if comma == "[\n" else "\n]")


def write_object(file: TextIO, values: dict[str, Any]) -> None:
    """Write an object; of its values, those that are no list, object or text are written entry by entry."""
    comma = "{"
    for name, value in values.items():
        file.write(f"{comma}{text_of(name)}:")
        if isinstance(value, dict | list | str | int):
            file.write(text_of(value))
        else:
            write_list(file, value)
        comma = ","
    file.write("}")
