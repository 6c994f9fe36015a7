"""Rows of tracks on disk: what comes frame by frame is gathered by track, and memory holds places alone."""

from __future__ import annotations

import json
from array import array
from collections.abc import Hashable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from samodal.outputs import make_folder


class Spool:
    """JSON values by key in the order in which they came. Use it in a `with` statement.

    Args:
        folder: made where it is missing; the file in it has no name and ends with the process.
    """

    def __init__(self, folder: Path):
        make_folder(folder)
        self._file = TemporaryFile(dir=folder)
        self._places: dict[Hashable, array] = {}

    def add(self, key: Hashable, value: Any) -> None:
        """Append a value to those of a key."""
        self._places.setdefault(key, array("Q")).append(self._file.tell())
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def values(self, key: Hashable) -> Iterator[Any]:
        """The values of a key; nothing is added afterwards."""
        for place in self._places[key]:
            self._file.seek(place)
            yield json.loads(self._file.readline())

    def __iter__(self) -> Iterator[Any]:
        """Keys, in the order of their first values."""
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
