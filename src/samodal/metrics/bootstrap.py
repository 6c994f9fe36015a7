"""Intervals by resampling clips: the frames of a clip are not independent, so whole clips are drawn.

Matches are found once; a resample only weighs them by how often their clip was drawn. For the same clips and
seed every method sees the same draws, so that samples of two methods can be subtracted.
"""

from collections.abc import Sequence

import numpy as np

from samodal.metrics.ap import THRESHOLDS, Problem
from samodal.metrics.matching import find_matches
from samodal.metrics.profiles import Number
from samodal.metrics.regions import Regions


def draws(clips: Sequence[str], count: int, seed: int) -> np.ndarray:
    """(count, len(clips)) int, how often each clip was drawn; clips are taken in sorted order."""
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(clips), (count, len(clips)))
    return np.stack([np.bincount(row, minlength=len(clips)) for row in picked])


def interval(samples: np.ndarray) -> list[float] | None:
    """The central 95 %, None where no sample has a value."""
    samples = samples[np.isfinite(samples)]
    return [float(v) for v in np.percentile(samples, [2.5, 97.5])] if samples.size else None


def ap_samples(problem: Problem, number: Number, clips: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """A "precision" number under each of the (R, clips) weights; nan where its bin is empty."""
    thresholds = THRESHOLDS if number.iou is None else [number.iou]
    matches = find_matches(problem, problem.profile.bins[number.bin], thresholds, clips)
    return np.array([matches.precision(row) for row in weights])


def region_samples(
    regions: Regions, name: str, only_visible: bool, clips: Sequence[str], weights: np.ndarray
) -> np.ndarray:
    """A mean IoU under each of the (R, clips) weights; nan where nothing counts."""
    above, below = regions.rows(name, only_visible)
    position = {clip: i for i, clip in enumerate(clips)}
    index = np.array([position[clip] for clip in regions.clips], int)
    sums = [weights @ np.bincount(index, column, len(clips)) for column in (above, below)]
    return np.divide(*sums, out=np.full(len(weights), np.nan), where=sums[1] > 0)
