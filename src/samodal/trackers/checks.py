"""What point trackers are given: frames of one size, and saved states that can have been theirs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from samodal.checks import Array, Between, check_entries, fits
from samodal.errors import InputError, shown

Index = Annotated[int, Between(0, 1_000_000_000)]
Size = tuple[Annotated[int, Between(1, 1_000_000)], Annotated[int, Between(1, 1_000_000)]] | None
Points = Annotated[np.ndarray, Array("float32", (None, 2))]


def check_size(size: tuple[int, int], before: tuple[int, int] | None, t: int) -> None:
    """Refuse a frame whose size differs from the frames before.

    Args:
        size: (H, W) of frame t.
        before: (H, W) of the frames before; None where there are none.

    Raises:
        InputError: if the two differ.
    """
    if before not in (None, size):
        raise InputError(f"frame {t} is {size} and the ones before {before}; reset the tracker between videos")


def check_frames(frames: list[tuple], kind: Any, beside: Sequence[np.ndarray] = ()) -> None:
    """Check the saved frames of a tracker: numbers that ascend, then an array each, all of one type and shape.

    Args:
        kind: the type of the whole, as `samodal.checks.fits` knows it.
        beside: frames that are kept beside them, of the same type and shape.

    Raises:
        InputError: says what is wrong.
    """
    if not fits(frames, kind):
        raise InputError(f"state of the tracker: frames cannot be {shown(frames)}")
    numbers, arrays = [frame[:-1] for frame in frames], [*beside, *(frame[-1] for frame in frames)]
    ascending = all(a < b for pair in pairwise(numbers) for a, b in zip(*pair, strict=True))
    if not ascending or len({(array.dtype, array.shape) for array in arrays}) > 1 or not all(a.size for a in arrays):
        raise InputError("state of the tracker: its frames are not in order, or not of one size")


def check_groups(groups: Any, schema: dict[str, Any]) -> None:
    """Check the saved points of a tracker, by key.

    Args:
        schema: the type of each value of a group; what is an array there has an entry for each point.

    Raises:
        InputError: names the key.
    """
    if not isinstance(groups, dict):
        raise InputError(f"state of the tracker: groups cannot be {shown(groups)}")
    for key, group in groups.items():
        where = f"state of the tracker, points of {shown(key)}"
        check_entries(group, schema, where)
        if len({len(value) for name, value in group.items() if name in POINTWISE}) > 1:
            raise InputError(f"{where}: not as many of each")


POINTWISE = ("xy", "visible", "confidence", "steps")
"""Arrays of a group with an entry for each of its points."""
