"""What the followed points of a hidden instance tell the filter: the sides of its box, and how surely."""

from __future__ import annotations

import numpy as np

from samodal.masks import Mask
from samodal.method.motion import Motion

POINTS = 0.03
"""Standard deviation in sides of what all points may be off by together: they are not on all of the thing."""
TURNED = 0.1
"""Standard deviation of the scale of the width, or of the height, beside that of the whole, before points tell it: what
turns grows wider or narrower, not higher."""
LEAST_NOISE = 0.5
"""Pixels: no point is followed better."""


def sides_told(
    motion: Motion, start: np.ndarray, now: np.ndarray, anchor: Mask, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(4,) left, top, right and lower side of the box of an amodal mask, and (4,) their variance.

    Args:
        motion: that most points agree on, of the middle of the anchor's box.
        start, now: (N, 2) where the points were at the anchor, and are.
        anchor: the amodal mask at the start.
        expected: (4,) sides whose size is taken where points tell none.
    """
    centre, side = anchor.centre - 0.5, anchor.side
    start, now = start - centre, now - centre
    before, after = start[motion.agreed], now[motion.agreed]
    # The points that agree are those with small errors: how noisy they are, all of them tell.
    rest = np.linalg.norm(now - motion.shift - motion.scale * start, axis=1)
    noise = max(float(np.nanmedian(rest)), LEAST_NOISE) ** 2
    shift, half = motion.shift, (expected[2:] - expected[:2]) / 2
    variance = np.full(2, noise / len(before) + (POINTS * side) ** 2)
    if motion.scaled:
        middle, there = before.mean(axis=0), after.mean(axis=0)
        known = noise / TURNED**2
        spread = ((before - middle) ** 2).sum(axis=0)
        scales = (((before - middle) * (after - there)).sum(axis=0) + known * motion.scale) / (spread + known)
        shift, half = there - scales * middle, scales * (np.array(anchor.shape[::-1]) - 1) / 2
        doubt = noise / spread.sum() + noise / (spread + known)
        variance += doubt * middle**2 + (doubt + POINTS**2) * side**2 / 4
    # Two sides together tell the centre.
    return np.concatenate([centre + shift - half, centre + shift + half]), np.tile(2 * variance, 2)
