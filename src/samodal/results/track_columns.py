"""Columns of a track as JSON, gathered row by row: a track may be as long as its video, and its masks may be large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, BinaryIO

from samodal.files import text_of

ROWS = 32
"""Of a track that are in memory at a time."""
IN_MEMORY = 1 << 20
"""Bytes of a column from which it waits on disk."""


class TrackColumns:
    """Turns rows into columns, which a file of JSON has one after another. Use it in a `with` statement.

    Args:
        names: of the columns, in the order of a row's values.
        folder: for files without a name, which end with the block.
    """

    def __init__(self, names: Sequence[str], folder: Path):
        self._files = {name: SpooledTemporaryFile(IN_MEMORY, dir=folder) for name in names}

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows, of which a few are read at a time."""
        rows = iter(rows)
        while some := list(islice(rows, ROWS)):
            for file, values in zip(self._files.values(), zip(*some, strict=True), strict=True):
                file.write(b"," * bool(file.tell()) + text_of(values)[1:-1].encode())

    def write(self, file: BinaryIO) -> None:
        """Append the columns to a file, as what follows earlier values of an object."""
        for name, column in self._files.items():
            file.write(f",{text_of(name)}:[".encode())
            column.seek(0)
            copyfileobj(column, file)
            file.write(b"]")

    def __enter__(self) -> TrackColumns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
