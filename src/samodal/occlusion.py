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
    wholes = {n: mask.clipped() for n, mask in enumerate(amodal) if mask}
    shown = {n: mask for n, mask in enumerate(visible) if mask}
    found: list[list[tuple[int, float]]] = [[] for _ in amodal]
    if not wholes or not shown:
        return found
    # Most pairs are apart: their boxes tell without a look at a pixel.
    boxes, seen = (
        np.array([mask.box for mask in wholes.values()])[:, None],
        np.array([mask.box for mask in shown.values()]),
    )
    low, high = np.maximum(boxes[..., :2], seen[:, :2]), np.minimum(boxes[..., 2:], seen[:, 2:])
    for (n, whole), areas in zip(wholes.items(), (high - low).clip(0).prod(axis=2).tolist(), strict=True):
        least = max(LEAST_PIXELS, LEAST_SHARE * whole.area)
        if others := [other for other, area in zip(shown, areas, strict=True) if area >= least and other != n]:
            found[n] = _hiders_of(whole, visible[n], {other: shown[other] for other in others}, least)
    return found


def _hiders_of(amodal: Mask, own: Mask | None, others: dict[int, Mask], least: float) -> list[tuple[int, float]]:
    """Which of other visible masks cover at least so many pixels of an amodal one, outside of its own visible one."""
    if own and amodal.area - amodal.overlap(own) < least:
        return []
    hidden = amodal.minus(own) if own else amodal
    covered = [(n, hidden.overlap(visible)) for n, visible in others.items()]
    return sorted(((n, count / amodal.area) for n, count in covered if count >= least), key=lambda edge: -edge[1])
