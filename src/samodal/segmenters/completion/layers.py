"""Crops around instances and what a completer is told of them, the same for training and prediction.

Coordinates are pixel edges: pixel n of a frame reaches from n to n + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from samodal.masks import Mask
from samodal.shapes import convex_hull, in_front

CONTRADICTED = 0.1
"""Share of the visible mask outside an earlier shape, and of the shape where nothing hides it, that is put up with."""
LEVEL = 0.05
"""Two stand level where their bottom edges differ by no more than this share of the taller one's height."""
LARGE, BLOCK = 128 * 160, 32
"""Weights above which a product goes by blocks of so many new pixels."""
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
        to: (n, 1) numbers of the new pixels.
        pixels: (m,) numbers of the old pixels.

    Returns:
        (n, m) or (N, n, m) weights.
    """
    reach = step.clip(1.0)
    centre = first + step * (to + 0.5) - 0.5
    # What a triangle sums up to over whole pixels, those before its middle and those after it.
    after = centre % 1
    before = 1 - after
    total = sum(n - (n * d + n * (n - 1) / 2) / reach for d in (after, before) for n in ((reach - d) // 1 + 1,))
    return (1 - abs(centre - pixels) / reach).clip(0) / total


def weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n, k) float32 `weights @ values` of (n, m) `filters` and (m, k) values.

    A new pixel is made of few old ones. In large products, blocks of new pixels are multiplied with the old pixels that
    they are made of alone.
    """
    if weights.size < LARGE:
        return weights @ values
    result = np.zeros((len(weights), values.shape[1]), np.float32)
    for start in range(0, len(weights), BLOCK):
        block = slice(start, start + BLOCK)
        used = np.flatnonzero(weights[block].any(axis=0))
        if len(used):
            taken = slice(used[0], used[-1] + 1)
            np.matmul(weights[block, taken], values[taken], out=result[block])
    return result


def resampled(mask: Mask, crop: Crop, size: int) -> np.ndarray:
    """(size, size) float32 in [0, 1]: how much of each pixel of a crop the mask covers."""
    to, (height, width) = np.arange(size, dtype=np.float32)[:, None], mask.shape
    step = np.float32(crop.side / size)
    down = filters(np.float32(crop.y - mask.y), step, to, np.arange(height, dtype=np.float32))
    across = filters(np.float32(crop.x - mask.x), step, to, np.arange(width, dtype=np.float32))
    return (weighted(down, mask.inside.astype(np.float32)) @ across.T).clip(0, 1)


def spread(values: np.ndarray, crop: Crop) -> tuple[int, int, np.ndarray]:
    """What (S, S) values of a crop are in the frame: column and row of the first pixel, and (h, w) float32."""
    size = len(values)
    x, y = int(np.floor(crop.x)), int(np.floor(crop.y))
    to = np.arange(int(np.ceil(crop.side)) + 1, dtype=np.float32)[:, None]
    step, pixels = np.float32(size / crop.side), np.arange(size, dtype=np.float32)
    down, across = (filters(np.float32((near - edge) * size / crop.side), step, to, pixels)
                    for near, edge in ((y, crop.y), (x, crop.x)))  # fmt: skip
    return x, y, weighted(down, values @ across.T)


def inside(crop: Crop, size: int, frame: tuple[int, int]) -> np.ndarray:
    """(size, size) float32: how much of each pixel of a crop lies inside a frame of (H, W) pixels."""
    edges = np.arange(size + 1) * crop.side / size
    rows, columns = (np.diff((edge + edges).clip(0, end)) * size / crop.side
                     for edge, end in ((crop.y, frame[0]), (crop.x, frame[1])))  # fmt: skip
    return np.outer(rows, columns).astype(np.float32)


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
    return in_front(mask, convex_hull(mask), other)


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
    own = resampled(visible, crop, size)
    seen = {
        "visible": own,
        "front": np.minimum(_sum(front, crop, size), 1 - own),
        "behind": np.minimum(_sum(behind, crop, size), 1 - own),
        "inside": inside(crop, size, visible.size),
    }
    shape = _sum([] if earlier is None else [earlier], crop, size)
    return seen | {"earlier": shape if agrees(shape, **seen) else np.zeros_like(shape)}


def agrees(shape: np.ndarray, visible: np.ndarray, front: np.ndarray, behind: np.ndarray, inside: np.ndarray) -> bool:
    """Whether an earlier shape can be that of an instance: what is visible lies within it, and something may hide the
    rest. All are (S, S) float32 in [0, 1].
    """
    whole, seen = float(shape.sum()), float(visible.sum())
    outside = float((visible * (1 - shape)).sum())
    open_to_view = float((shape * (1 - np.minimum(visible + front + behind, 1)) * inside).sum())
    return outside <= CONTRADICTED * seen and open_to_view <= CONTRADICTED * whole


def _sum(masks: Sequence[Mask], crop: Crop, size: int) -> np.ndarray:
    total = np.zeros((size, size), np.float32)
    for mask in masks:
        total += resampled(mask, crop, size)
    return total.clip(0, 1)
