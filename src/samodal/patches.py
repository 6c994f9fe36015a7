"""A mask as the rectangle that it fills: moving it costs nothing, and comparing two touches only what they share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from samodal.masks import Rle


@dataclass(frozen=True, eq=False)
class Patch:
    """A (H, W) mask cut out to its box; the box may reach over the frame's border, or lie outside.

    Attributes:
        x, y: column and row of its top left pixel in the frame.
        mask: (h, w) bool.
    """

    x: int
    y: int
    mask: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> "Patch":
        """Cut out a (H, W) bool mask."""
        rows = np.flatnonzero(mask.any(axis=1))
        if not len(rows):
            return cls(0, 0, mask[:0, :0])
        columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return cls(x, y, mask[y : rows[-1] + 1, x : columns[-1] + 1].copy())

    @classmethod
    def decode(cls, rle: Rle) -> "Patch":
        return cls.of(rle.decode())

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def side(self) -> float:
        """Root of the area, pixels."""
        return float(np.sqrt(self.area))

    @property
    def centre(self) -> np.ndarray:
        """(2,) x and y of the middle of its box, as `Remembered.see` takes it."""
        height, width = self.mask.shape
        return np.array([self.x + width / 2, self.y + height / 2])

    def moved(self, shift: np.ndarray) -> "Patch":
        """Moved by (dx, dy), rounded to whole pixels."""
        dx, dy = (int(v) for v in np.rint(shift))
        return Patch(self.x + dx, self.y + dy, self.mask)

    def within(self, size: tuple[int, int]) -> "Patch":
        """Without what lies outside a frame of (H, W) pixels."""
        height, width = size
        top, left = max(-self.y, 0), max(-self.x, 0)
        cut = self.mask[top : max(height - self.y, 0), left : max(width - self.x, 0)]
        return Patch(max(self.x, 0), max(self.y, 0), cut)

    def way_to(self, other: "Patch") -> np.ndarray:
        """(2,) the least move after which its box holds that of `other`; where that is larger, their middles meet."""
        (height, width), (h, w) = self.mask.shape, other.mask.shape
        below = np.array([self.x - other.x, self.y - other.y])
        above = np.array([other.x + w - self.x - width, other.y + h - self.y - height])
        return np.where((below > 0) & (above > 0), (above - below) / 2, np.maximum(above, 0) - np.maximum(below, 0))

    def overlap(self, other: "Patch") -> int:
        """Number of pixels that two patches share."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.mask.shape[1], other.x + other.mask.shape[1])
        bottom = min(self.y + self.mask.shape[0], other.y + other.mask.shape[0])
        if left >= right or top >= bottom:
            return 0
        own = self.mask[top - self.y : bottom - self.y, left - self.x : right - self.x]
        return int(
            np.count_nonzero(own & other.mask[top - other.y : bottom - other.y, left - other.x : right - other.x])
        )

    def covered(self, mask: np.ndarray) -> int:
        """Number of its pixels that a (H, W) mask covers; the patch must lie within the frame."""
        height, width = self.mask.shape
        return int(np.count_nonzero(self.mask & mask[self.y : self.y + height, self.x : self.x + width]))
