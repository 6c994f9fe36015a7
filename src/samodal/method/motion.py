"""How far a group of followed points has moved, when some of them follow something else.

The estimate is exhaustive, so it is deterministic and does not depend on the order of points: every displacement
of one point, and every translation with scale that two points fix, is tried, and the one that most points agree
with is refined on those that do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MOST_STRETCH = 2.0
"""A scale beyond this, or below its inverse, is an error: nothing seen on a road grows so fast while hidden."""
SCALE_POINTS = 5
"""Points that must agree before a scale is estimated: with fewer, noise of a pixel looks like growth."""


@dataclass(frozen=True, eq=False)
class Motion:
    """A translation and a uniform scale: `centre + shift + scale * (xy - centre)`.

    Attributes:
        shift: (2,) float, dx, dy of `centre` in pixels.
        scale: above 0; 1 where none could be told.
        agreed: (N,) bool, the points that it is made of.
        scaled: whether the scale could be told.
    """

    shift: np.ndarray
    scale: float
    agreed: np.ndarray
    scaled: bool = False


def median_velocity(centres: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """(2,) pixels a frame: the median slope between any two of (t, (2,) centre); zero of fewer than two.

    The median of all pairs (Theil and Sen), because masks of the frames in which the occluder comes are bad and
    throw the centre off in many steps in a row.
    """
    if len(centres) < 2:
        return np.zeros(2)
    times, places = np.array([t for t, _ in centres]), np.array([centre for _, centre in centres])
    i, j = _pairs(len(centres))
    return median((places[j] - places[i]) / (times[j] - times[i])[:, None])


def median(values: np.ndarray) -> np.ndarray:
    """The median along the first axis of finite values, at least one; np.median takes four times as long."""
    ordered = np.sort(values, axis=0)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


@lru_cache(maxsize=64)
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the earlier and the later of all pairs of so many, no neighbours where there are more than two."""
    return np.triu_indices(count, 2 if count > 2 else 1)


def robust_motion(
    start: np.ndarray, now: np.ndarray, weights: np.ndarray, centre: np.ndarray, tolerance: float
) -> Motion | None:
    """The motion that most points agree with.

    Args:
        start, now: (N, 2) where points were and are.
        weights: (N,) how much each is believed, at least 0; 0 leaves a point out.
        centre: (2,) the point whose displacement is `shift`.
        tolerance: pixels within which a point agrees.

    Returns:
        None where no point has a weight and finite coordinates, or those that agree have not more than half the weight.
    """
    start, now = np.asarray(start, float) - centre, np.asarray(now, float) - centre
    usable = (weights > 0) & np.isfinite(now).all(axis=1) & np.isfinite(start).all(axis=1)
    if not usable.any():
        return None
    weights = np.where(usable, weights, 0.0)
    # Where only translation can be told, the displacement is that of the points, wherever they lie.
    shifts = (now - start)[usable]
    shift, scale, agreed = _best(shifts, np.ones(len(shifts)), start, now, weights, tolerance)
    shift = np.average((now - start)[agreed], axis=0, weights=weights[agreed])
    scaled = False
    if usable.sum() >= SCALE_POINTS:
        stretched = _scaled(*_from_pairs(start[usable], now[usable]), start, now, weights, tolerance)
        if stretched is not None and weights[stretched[2]].sum() >= weights[agreed].sum():
            (shift, scale, agreed), scaled = stretched, True
    if weights[agreed].sum() <= weights.sum() / 2:
        return None
    return Motion(shift, scale, agreed, scaled)


Guess = tuple[np.ndarray, float, np.ndarray]
"""(2,) shift, scale, (N,) which points agree with them."""


def _scaled(
    shifts: np.ndarray, scales: np.ndarray, start: np.ndarray, now: np.ndarray, weights: np.ndarray, tolerance: float
) -> Guess | None:
    """The best translation with scale, refined; None where too few points agree or they lie too close."""
    if not len(shifts):
        return None
    _, _, agreed = _best(shifts, scales, start, now, weights, tolerance)
    if agreed.sum() < SCALE_POINTS:
        return None
    own = weights[agreed][:, None] / weights[agreed].sum()
    middle, there = (own * start[agreed]).sum(axis=0), (own * now[agreed]).sum(axis=0)
    before, after = start[agreed] - middle, now[agreed] - there
    spread = (own * before**2).sum()
    if spread < (2 * tolerance) ** 2:
        return None
    scale = float((own * before * after).sum() / spread)
    if not 1 / MOST_STRETCH <= scale <= MOST_STRETCH:
        return None
    return there - scale * middle, scale, agreed


def _from_pairs(start: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(G, 2) shifts and (G,) scales that carry a pair of points over, least squares, where they are plausible."""
    i, j = np.triu_indices(len(start), 1)
    before, after = start[j] - start[i], now[j] - now[i]
    length = (before * before).sum(axis=1)
    scales = np.divide((before * after).sum(axis=1), length, out=np.zeros(len(length)), where=length > 0)
    shifts = (now[i] + now[j]) / 2 - scales[:, None] * (start[i] + start[j]) / 2
    plausible = (scales >= 1 / MOST_STRETCH) & (scales <= MOST_STRETCH)
    return shifts[plausible], scales[plausible]


def _best(
    shifts: np.ndarray, scales: np.ndarray, start: np.ndarray, now: np.ndarray, weights: np.ndarray, tolerance: float
) -> Guess:
    """Of (G, 2) shifts with (G,) scales the one with the least truncated squared error; the first of equals."""
    residual = now - (shifts[:, None] + scales[:, None, None] * start)  # (G, N, 2)
    squared = np.where(weights > 0, np.nan_to_num(residual**2, nan=np.inf).sum(axis=2), np.inf)
    cost = (weights * np.minimum(squared, tolerance**2)).sum(axis=1)
    chosen = int(cost.argmin())
    return shifts[chosen], float(scales[chosen]), squared[chosen] <= tolerance**2
