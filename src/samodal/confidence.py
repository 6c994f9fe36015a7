"""How sure a segmenter is of every pixel, cut out to where it looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Confidence:
    """The probability of each pixel that the object covers it; outside the cut-out it is 0.

    Attributes:
        x, y: column and row in the frame of the first value; the cut-out may reach over the border of the frame.
        values: (h, w) uint8, 0 to 255 for probabilities from 0 to 1.
    """

    x: int
    y: int
    values: np.ndarray

    @classmethod
    def of(cls, x: int, y: int, probabilities: np.ndarray) -> Confidence:
        """Of (h, w) float probabilities in [0, 1]; they are kept to 1/255."""
        return cls(x, y, np.rint(np.clip(probabilities, 0, 1) * 255).astype(np.uint8))

    def whole(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) float32 probabilities of a frame of that size; what lies outside the frame is lost."""
        height, width = size
        (h, w), whole = self.values.shape, np.zeros(size, np.float32)
        x0, y0, x1, y1 = max(self.x, 0), max(self.y, 0), min(self.x + w, width), min(self.y + h, height)
        if x0 < x1 and y0 < y1:
            whole[y0:y1, x0:x1] = self.values[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x] / np.float32(255)
        return whole
