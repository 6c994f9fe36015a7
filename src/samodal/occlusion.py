"""Who hides whom in a frame, and how much: amodal masks against the visible masks of other instances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samodal.masks import Mask

LEAST_SHARE = 0.005
"""Smaller shares of an amodal mask are left out: borders of masks that touch are uncertain by about as much."""
LEAST_PIXELS = 4
"""Fewer covered pixels are left out, for the same reason in small masks."""


def hiders(amodal: Sequence[Mask | None], visible: Sequence[Mask | None]) -> list[list[tuple[int, float]]]:
    """For each of N instances of a frame, those that hide it.

    An instance hides another where its visible mask covers pixels of the other's amodal mask that are not visible. Two
    instances may hide each other.

    Args:
        amodal, visible: N masks each; None or empty where there is none.

    Returns:
        N lists of (place among the N, share), largest share first, equal ones in order of place. The share is that of
        the covered pixels in the amodal mask, in (0, 1].
    """
    shown = [n for n, mask in enumerate(visible) if mask]
    boxes = np.array([visible[n].box for n in shown], int).reshape(-1, 4)
    return [_hiders_of(n, amodal[n], visible, shown, boxes) for n in range(len(amodal))]


def _hiders_of(
    place: int, amodal: Mask | None, visible: Sequence[Mask | None], shown: list[int], boxes: np.ndarray
) -> list[tuple[int, float]]:
    if not amodal:
        return []
    amodal = amodal.clipped()
    # Most pairs are apart: their boxes tell without a look at a pixel.
    low, high = np.maximum(boxes[:, :2], amodal.box[:2]), np.minimum(boxes[:, 2:], amodal.box[2:])
    least = max(LEAST_PIXELS, LEAST_SHARE * amodal.area)
    near = np.flatnonzero((high - low).clip(0).prod(axis=1) >= least)
    others, own = [shown[n] for n in near if shown[n] != place], visible[place]
    if not others or (own and amodal.area - amodal.overlap(own) < least):
        return []
    hidden = amodal.minus(own) if own else amodal
    covered = [(n, hidden.overlap(visible[n])) for n in others]
    return sorted(((n, count / amodal.area) for n, count in covered if count >= least), key=lambda edge: -edge[1])
