"""Boxes against labelled boxes of whole objects, and what is left of a gain once the labels' slack is taken off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

_OUTWARD = np.array([-1, -1, 1, 1])


def box_ious(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """(N,) float64, the intersection over union of each box of one (N, 4) array with that of another; x1, y1 are one
    past the last pixel."""
    a, b = (np.asarray(boxes, float).reshape(-1, 4) for boxes in (a, b))
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    both = shared.clip(0).prod(axis=1)
    return both / ((a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - both)


def slack(boxes: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """(4,) float64: how far the true box reaches beyond each side, as a share of the box's width or height, in the
    median over objects of which nothing is hidden. Labels that are projections of 3-D boxes are looser than masks."""
    boxes, truth = (np.asarray(values, float).reshape(-1, 4) for values in (boxes, truth))
    return np.median((truth - boxes) * _OUTWARD / _sides(boxes), axis=0)


def widened(boxes: ArrayLike, share: Sequence[float] | np.ndarray, sizes: ArrayLike) -> np.ndarray:
    """(N, 4) float64: boxes with each side moved outwards by a share (4,) of their width or height, within images of
    (N, 2) heights and widths."""
    boxes, sizes = np.asarray(boxes, float).reshape(-1, 4), np.asarray(sizes, float).reshape(-1, 2)
    moved = boxes + _OUTWARD * np.asarray(share) * _sides(boxes)
    return moved.clip(0, np.tile(sizes[:, ::-1], 2))


def _sides(boxes: np.ndarray) -> np.ndarray:
    """(N, 4): width, height, width, height."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)
