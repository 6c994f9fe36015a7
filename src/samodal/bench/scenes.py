"""Drawn scenes: so many visible instances, and so many that were visible once and are hidden behind them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from samodal.masks import Mask
from samodal.tracks import VisibleInstance

SHOWN = 9
"""Frames in which all are visible, before those to be hidden are."""


class Scene:
    """Ellipses in rows, and behind them others that show a rim of theirs in the first frames alone.

    Args:
        size: (H, W) of the frames.
        visible, hidden: how many instances.

    Attributes:
        image: (H, W, 3) uint8.
        front: (H, W) bool of each visible instance, in order.
    """

    def __init__(self, size: tuple[int, int], visible: int, hidden: int):
        self.size, height, width = size, *size
        columns = math.ceil(math.sqrt(visible * width / height))
        cell = width / columns, height / math.ceil(visible / columns)
        radii = 0.32 * cell[0], 0.32 * cell[1]
        middles = [((n % columns + 0.5) * cell[0], (n // columns + 0.5) * cell[1]) for n in range(visible)]
        self.front = [self._ellipse(middle, radii) for middle in middles]
        taken = np.logical_or.reduce(self.front)
        self._behind = []
        for n in range(hidden):
            (x, y), angle = middles[n % visible], 2.4 * (n // visible)  # around the one in front, turn by turn
            moved = x + 0.25 * radii[0] * math.cos(angle), y + 0.25 * radii[1] * math.sin(angle)
            rim = self._ellipse(moved, radii) & ~taken
            taken |= rim
            self._behind.append(rim)
        noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
        self.image = cv2.GaussianBlur(noise, (0, 0), 3)

    def frames(self, count: int) -> Iterator[list[VisibleInstance]]:
        """What a front end reports: `SHOWN` frames in which all are visible, then `count` frames of the scene."""
        for t in range(SHOWN + count):
            masks = self.front + (self._behind if t < SHOWN else [])
            yield [VisibleInstance(n, "car", 0.9, Mask.of(mask)) for n, mask in enumerate(masks) if mask.any()]

    def _ellipse(self, middle: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        return ((columns - middle[0]) / radii[0]) ** 2 + ((rows - middle[1]) / radii[1]) ** 2 <= 1
