"""Columns of tracks: a value for each frame of a clip, None where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import eq
from typing import Any


class Column(Sequence):
    """Values in the frames of a clip, None in most: memory is taken for the others alone.

    It is equal to a tuple of the same values.

    Args:
        length: number of frames.
        values: by frame; a None counts as absent.
    """

    __slots__ = ("_length", "_values")

    def __init__(self, length: int, values: Mapping[int, Any] | None = None):
        self._length = length
        self._values = {t: value for t, value in (values or {}).items() if value is not None and t < length}

    def items(self) -> Iterable[tuple[int, Any]]:
        """(frame, value) where there is one, in no order."""
        return self._values.items()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return map(self._values.get, range(self._length))

    def __getitem__(self, t: int | slice) -> Any:
        places = range(self._length)[t]
        return self._values.get(places) if isinstance(places, int) else tuple(map(self._values.get, places))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column | tuple) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Column({self._length}, {self._values})"


def present(column: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    """(frame, value) of a column where there is a value."""
    return column.items() if isinstance(column, Column) else ((t, v) for t, v in enumerate(column) if v is not None)
