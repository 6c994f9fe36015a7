"""Crops around instances and what a completer is told of them, the same for training and prediction.

Coordinates are pixel edges: pixel n of a frame reaches from n to n + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from samodal.masks import Mask
from samodal.shapes import convex_hull, in_front

CONTRADICTED = 0.1
"""Share of the visible mask outside an earlier shape, and of the shape where nothing hides it, that is put up with."""
LEVEL = 0.05
"""Two stand level where their bottom edges differ by no more than this share of the taller one's height."""
LARGE, BLOCK = 1_500_000, 16
"""Multiplications above which a product goes by blocks of so many new pixels, twice as many where pixels become
smaller."""
Array = TypeVar("Array")  # NumPy or torch


class Crop(NamedTuple):
    """A square of the frame.

    Attributes:
        x, y: of its upper left corner, in pixels of the frame; it may lie outside.
        side: in pixels of the frame.
    """

    x: float
    y: float
    side: float

    @classmethod
    def around(cls, box: Sequence[float], factor: float, least: float) -> Crop:
        """The square around the middle of a box (x0, y0, x1, y1), `factor` times its longer side, or `least`."""
        x0, y0, x1, y1 = box
        side = max(least, factor * max(x1 - x0, y1 - y0))
        return cls((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1."""
        return self.x, self.y, self.x + self.side, self.y + self.side

    def meets(self, mask: Mask) -> bool:
        """Whether the mask's box reaches into it."""
        return self.touches(mask.box)

    def touches(self, box: Sequence[float]) -> bool:
        """Whether a box (x0, y0, x1, y1) reaches into it."""
        x0, y0, x1, y1 = box
        return x0 < self.x + self.side and x1 > self.x and y0 < self.y + self.side and y1 > self.y


def filters(first: Any, step: Any, to: Array, pixels: Array) -> Array:
    """Weights by which pixels along an axis are resampled: a triangle, as wide as a new pixel where that is larger.

    What lies beyond the pixels counts as 0.

    Args:
        first: edge of the first new pixel, in old pixels; a scalar of NumPy, or (N, 1, 1).
        step: old pixels to a new pixel, as `first`.
        to: (n, 1) or (N, n, 1) numbers of the new pixels.
        pixels: (m,) or (N, 1, m) numbers of the old pixels.

    Returns:
        (n, m) or (N, n, m) weights.
    """
    reach = step.clip(1.0)
    centre = first + step * (to + 0.5) - 0.5
    # What a triangle sums up to over whole pixels, those before its middle and those after it.
    after = centre % 1
    before = 1 - after
    total = sum(n - (n * d + n * (n - 1) / 2) / reach for d in (after, before) for n in ((reach - d) // 1 + 1,))
    weights = abs(centre - pixels)
    weights /= -reach  # in place, as copies take longer than the sums
    weights += 1
    weights *= weights > 0
    weights /= total
    return weights


def weighted(weights: np.ndarray, values: np.ndarray, first: float, step: float, across: bool = False) -> np.ndarray:
    """(n, k) float32 `weights @ values` of (n, m) `filters`, made with this `first` and `step`, and (m, k) values.

    A new pixel is made of few old ones. In large products, blocks of new pixels are multiplied with the old pixels that
    they are made of alone.

    Args:
        across: for (k, n) of (k, m) values, their columns instead of their rows.
    """
    if weights.size * values.shape[0 if across else 1] < LARGE:
        return values @ weights.T if across else weights @ values
    count, reach, block = len(weights), max(step, 1.0), BLOCK if step > 1 else 2 * BLOCK
    result = np.zeros((len(values), count) if across else (count, values.shape[1]), np.float32)
    for start in range(0, count, block):
        end = min(start + block, count)
        low = max(math.floor(first + step * (start + 0.5) - 0.5 - reach), 0)
        high = min(math.ceil(first + step * (end - 0.5) - 0.5 + reach) + 1, weights.shape[1])
        part = weights[start:end, low : max(low, high)]
        if across:
            np.matmul(values[:, low : max(low, high)], part.T, out=result[:, start:end])
        else:
            np.matmul(part, values[low : max(low, high)], out=result[start:end])
    return result


class Sampler:
    """Weights that make the pixels of a crop of those of a part of the frame.

    Args:
        crop: of the frame.
        size: of the result in pixels.
        box: x0, y0, x1, y1 of the part in whole pixels. What lies too far from the crop to matter is left out.

    Attributes:
        x, y: column and row of the first pixel that matters.
        down, across: (size, h) and (size, w) `filters` of those that do.
    """

    def __init__(self, crop: Crop, size: int, box: Sequence[int]):
        reach = crop.side / size + 1
        (x0, y0, x1, y1), (left, top, right, bottom) = box, crop.box
        self.x, self.y = max(x0, math.floor(left - reach)), max(y0, math.floor(top - reach))
        width, height = min(x1, math.ceil(right + reach)) - self.x, min(y1, math.ceil(bottom + reach)) - self.y
        self._crop, self._step = crop, crop.side / size
        first = np.array([[[crop.y - self.y]], [[crop.x - self.x]]], np.float32)
        to, pixels = np.arange(size, dtype=np.float32)[:, None], np.arange(max(width, height, 0), dtype=np.float32)
        down, across = filters(first, np.float32(crop.side / size), to, pixels)
        self.down, self.across = down[:, : max(height, 0)], across[:, : max(width, 0)]

    def covered(self, mask: Mask) -> np.ndarray:
        """(size, size) float32 in [0, 1]: how much of each pixel of the crop a mask covers that lies in the part."""
        (x0, y0, x1, y1), (height, width) = mask.box, (self.down.shape[1], self.across.shape[1])
        # An earlier shape may lie beside the crop: then there is nothing between start and stop.
        rows = slice(min(max(y0 - self.y, 0), height), min(max(y1 - self.y, 0), height))
        columns = slice(min(max(x0 - self.x, 0), width), min(max(x1 - self.x, 0), width))
        here = mask.inside[
            rows.start + self.y - y0 : rows.stop + self.y - y0, columns.start + self.x - x0 : columns.stop + self.x - x0
        ]
        part = self.columns_of(self.rows_of(here.astype(np.float32), rows), columns)
        return np.minimum(part, 1, out=part)

    def rows_of(self, values: np.ndarray, rows: slice) -> np.ndarray:
        """(size, k) float32, rows of the crop, of (h, k) values of some of the rows that matter."""
        return weighted(self.down[:, rows], values, self._crop.y - self.y - rows.start, self._step)

    def columns_of(self, values: np.ndarray, columns: slice) -> np.ndarray:
        """(k, size) float32, columns of the crop, of (k, w) values of some of the columns that matter."""
        return weighted(self.across[:, columns], values, self._crop.x - self.x - columns.start, self._step, True)


def resampled(mask: Mask, crop: Crop, size: int) -> np.ndarray:
    """(size, size) float32 in [0, 1]: how much of each pixel of a crop the mask covers."""
    return Sampler(crop, size, mask.box).covered(mask)


def spread(values: np.ndarray, crop: Crop) -> tuple[int, int, np.ndarray]:
    """What (S, S) values of a crop are in the frame: column and row of the first pixel, and (h, w) float32."""
    size = len(values)
    x, y = math.floor(crop.x), math.floor(crop.y)
    to = np.arange(math.ceil(crop.side) + 1, dtype=np.float32)[:, None]
    step = size / crop.side
    first = np.array([[[y - crop.y]], [[x - crop.x]]], np.float32) * np.float32(step)
    down, across = filters(first, np.float32(step), to, np.arange(size, dtype=np.float32))
    wide = weighted(across, values, (x - crop.x) * step, step, across=True)
    return x, y, weighted(down, wide, (y - crop.y) * step, step)


def inside(crop: Crop, size: int, frame: tuple[int, int]) -> np.ndarray:
    """(size, size) float32: how much of each pixel of a crop lies inside a frame of (H, W) pixels."""
    x0, y0, x1, y1 = crop.box
    if min(x0, y0) >= 0 and x1 <= frame[1] and y1 <= frame[0]:
        return np.ones((size, size), np.float32)
    rows, columns = shares(crop, size, np.array([(0, 0, frame[1], frame[0])]))
    return np.multiply.outer(rows[0], columns[0])


def shares(crop: Crop, size: int, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each row and of each column of a crop lies in boxes.

    Args:
        corners: (N, 4) x0, y0, x1, y1 in pixels of the frame, pixel edges.

    Returns:
        (N, size) float32 each; the share of a pixel is the product of its row's and its column's.
    """
    edges = np.arange(size + 1) * crop.side / size
    low, high = corners[:, :2, None], np.maximum(corners[:, :2], corners[:, 2:])[..., None]
    covered = np.diff(np.stack([crop.x + edges, crop.y + edges]).clip(low, high)) * (size / crop.side)
    columns, rows = covered.astype(np.float32).swapaxes(0, 1)
    return rows, columns


def stands_in_front(other: Mask, mask: Mask, grounded: bool = True) -> bool:
    """Whether another visible mask is taken to be in front.

    On a road, what is nearer reaches lower in the picture. Of other things, and of two that stand level, the hulls say
    more than the bottom edges.

    Args:
        other, mask: visible masks, not empty.
        grounded: whether the instance of `mask` is known to stand on the road.
    """
    lower = other.box[3] - mask.box[3]
    height = max(m.box[3] - m.box[1] for m in (other, mask))
    if grounded and abs(lower) > LEVEL * height:
        return lower > 0
    # Hulls whose boxes lie apart do not reach into each other.
    return in_front(mask, convex_hull(mask), other) if mask.near(other) else lower > 0


def told(
    crop: Crop, size: int, visible: Mask, neighbours: Sequence[Mask] = (), earlier: Mask | None = None,
    grounded: bool = True,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What can be told of an instance, (size, size) float32 in [0, 1] each.

    Args:
        crop: of the frame.
        size: of the result in pixels.
        visible: the instance's visible mask.
        neighbours: visible masks of other instances; what the instance has itself is not theirs.
        earlier: an earlier amodal mask of the instance, moved to this frame.
        grounded: whether the instance is of a class that stands on the road; decides who is taken to be in front.
    """
    front: list[Mask] = []
    behind: list[Mask] = []
    for mask in neighbours:
        if crop.meets(mask):
            (front if stands_in_front(mask, visible, grounded) else behind).append(mask)
    shown = [visible, *front, *behind, *([] if earlier is None else [earlier])]
    boxes = np.array([mask.box for mask in shown])
    sampler = Sampler(crop, size, (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()))
    own = sampler.covered(visible)
    others = 1 - own
    seen = {
        "visible": own,
        "front": np.minimum(_sum(front, sampler), others),
        "behind": np.minimum(_sum(behind, sampler), others),
        "inside": inside(crop, size, visible.size),
    }
    shape = None if earlier is None else sampler.covered(earlier)
    known = shape is not None and agrees(shape, **seen)
    return seen | {"earlier": shape if known else np.zeros((size, size), np.float32)}


def agrees(shape: Array, visible: Array, front: Array, behind: Array, inside: Array) -> Any:
    """Whether an earlier shape can be that of an instance: what is visible lies within it, and something may hide the
    rest. All are (..., S, S) float32 in [0, 1] of NumPy or torch; a bool for each.
    """
    whole, seen, outside, open_to_view = (
        layer.sum((-2, -1))
        for layer in (
            shape, visible, visible * (1 - shape), shape * (1 - (visible + front + behind).clip(max=1)) * inside,
        )
    )  # fmt: skip
    return (outside <= CONTRADICTED * seen) & (open_to_view <= CONTRADICTED * whole)


def _sum(masks: Sequence[Mask], sampler: Sampler) -> np.ndarray:
    total = np.zeros((len(sampler.down), len(sampler.across)), np.float32)
    for mask in masks:
        total += sampler.covered(mask)
    return np.minimum(total, 1, out=total)
