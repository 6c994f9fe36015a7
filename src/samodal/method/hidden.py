"""Where a hidden instance is: motion from the points that can be believed, its last velocity where there are none.

This is the rule `motion: robust`; what the paper does instead is in `pipeline.py`.
"""

from collections.abc import Sequence

import numpy as np

from samodal.method.memory import Remembered
from samodal.method.motion import robust_motion
from samodal.method.rules import Rules

TOLERANCE = 0.1
"""Points agree within this many sides of the mask, and never need to agree better than two pixels."""
COVERED, OPEN = 0.5, 0.25
"""Reported instances hide a mask when they cover this share of it, and no longer when less than the second."""
BLEND = 0.25
"""Weight of the newest step in the speed of a hidden instance: its points jitter by more than it accelerates."""


def advance(
    one: Remembered, position: tuple | None, others: Sequence[np.ndarray], t: int, time: float, rules: Rules
) -> None:
    """Bring `shift`, `scale` and `speed` of a hidden instance from the frame before to frame t.

    Args:
        position: of its points as a tracker gives it; None where it has none.
        others: (H, W) bool, the visible masks of the other instances in this frame.
    """
    side = float(np.sqrt(one.anchor.amodal.area))
    if one.speed is None:
        one.speed = one.velocity()
    elapsed = t - one.told_t
    before = one.shift - (elapsed - 1) * one.speed  # when points last told it; since then it went on at its speed
    expected, one.believed = one.shift + one.speed, 0
    motion = None
    if position is not None:
        weights = believed(*position, others, rules)
        motion = robust_motion(one.start, position[0], weights, centre(one), max(2.0, TOLERANCE * side))
    if motion is None or _jumps(motion.shift - expected, elapsed, side, one.speed, rules):
        one.shift = expected
        return
    one.speed = one.speed + BLEND * ((motion.shift - before) / elapsed - one.speed)
    one.shift, one.scale, one.believed = motion.shift, motion.scale, int(motion.agreed.sum())
    one.told_t, one.told_s = t, time


def _jumps(off: np.ndarray, elapsed: int, side: float, speed: np.ndarray, rules: Rules) -> bool:
    """Whether an estimate is farther from going on at the last speed than the rule `jump` allows."""
    if rules.jump is None:
        return False
    return bool(np.linalg.norm(off) > elapsed * (rules.jump * side + np.linalg.norm(speed)))


def believed(
    xy: np.ndarray, visible: np.ndarray, confidence: np.ndarray, others: Sequence[np.ndarray], rules: Rules
) -> np.ndarray:
    """(N,) weights: the confidence of the points that can be believed, 0 for the others (rule `believe`)."""
    weights = np.where(confidence >= rules.believe, confidence, 0.0)
    if others and visible.any():
        height, width = others[0].shape
        finite = np.nan_to_num(xy, nan=-1.0)
        columns, rows = np.rint(finite.clip(-1, (width, height))).astype(int).T
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        for mask in others:
            stuck = np.zeros(len(xy), bool)
            stuck[inside] = mask[rows[inside], columns[inside]]
            weights[stuck & visible] = 0.0
    return weights


def centre(one: Remembered) -> np.ndarray:
    """(2,) the middle of the amodal box at the anchor, in pixels with integers at pixel centres."""
    x0, y0, x1, y1 = one.anchor.amodal.box
    return np.array([(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2])


def over_the_border(one: Remembered) -> bool:
    """Whether its moved box reaches over the image's border on a side towards which it has moved."""
    x0, y0, x1, y1 = one.anchor.amodal.box
    height, width = one.anchor.amodal.size
    half = one.scale * np.array([x1 - x0, y1 - y0]) / 2
    low, high = centre(one) + one.shift - half, centre(one) + one.shift + half
    return bool(((low < -1) & (one.shift < 0)).any() or ((high > (width, height)) & (one.shift > 0)).any())


def note_cover(one: Remembered, moved: np.ndarray, in_front: np.ndarray, time: float) -> None:
    """Keep whether reported instances hid it, and since when they no longer do.

    Args:
        moved: (H, W) bool, its mask in this frame.
        in_front: (H, W) bool, everything that is reported in it.
    """
    share = float(in_front[moved].mean()) if moved.any() else 0.0
    one.covered = one.covered or share >= COVERED
    if share >= OPEN:
        one.open_since = None
    elif one.covered and one.open_since is None:
        one.open_since = time


def is_lost(one: Remembered, time: float, rules: Rules) -> bool:
    """Whether nothing has told for `coast_s` where it is, or nothing has hidden it for `open_s` where it should be."""
    if rules.coast_s is not None and time - one.told_s > rules.coast_s:
        return True
    return rules.open_s is not None and one.open_since is not None and time - one.open_since > rules.open_s
