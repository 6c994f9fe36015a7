"""Selectors: where to put the point prompts of an instance, from its visible mask alone.

Source: paper, supplement A and section 5 (Table 4). Points are pixels of the visible mask, so all labels
are positive. None of them reads amodal truth, which the released loaders fall back to when nothing is visible.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal.method.prompts.depth import depth_inside
from samodal.method.prompts.prompt import Prompt


class RandomPoints:
    """K uniformly random visible pixels, with replacement beyond the first as in the released loaders.

    Args:
        count: K.
    """

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, neighbours: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Prompt:
        return Prompt(points=_draw(mask, self.count, rng))


class ErodedPoints:
    """A random pixel of the visible mask eroded by an n x n square, so that it keeps off the border.

    Falls back to the un-eroded mask where erosion leaves nothing. Points beyond the first come from the
    un-eroded mask, as in the released loaders (facts 4.3).

    Args:
        footprint: n in pixels; 3 and 7 are the paper's.
        count: K.
    """

    def __init__(self, footprint: int = 7, count: int = 1):
        self.footprint = footprint
        self.count = count

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, neighbours: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Prompt:
        square = np.ones((self.footprint, self.footprint), np.uint8)
        # What lies outside the frame counts as inside the mask, as scikit-image's erosion does.
        eroded = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        first = _draw(eroded.astype(bool) if eroded.any() else mask, 1, rng)
        return Prompt(points=np.concatenate([first, _draw(mask, self.count - 1, rng)]))


class CenterPoint:
    """The visible pixel farthest from the mask's border: deterministic, and never on an ambiguous edge.

    K > 1 adds the farthest pixels from the border and from the points already taken.
    """

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, neighbours: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Prompt:
        depth, (x0, y0) = depth_inside(mask)
        points = []
        for _ in range(self.count):
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            points.append((x + x0, y + y0))
            rows, columns = np.indices(depth.shape)
            depth = np.minimum(depth, np.hypot(rows - y, columns - x).astype(np.float32))
        return Prompt(points=np.array(points, np.float32))


def _draw(mask: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) float32 random pixels of a non-empty mask, as (x, y)."""
    inside = np.flatnonzero(mask)
    y, x = np.unravel_index(inside[rng.integers(0, len(inside), size=count)], mask.shape)
    return np.stack([x, y], axis=1).astype(np.float32)
