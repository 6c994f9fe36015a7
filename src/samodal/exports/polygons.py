"""Outlines of masks as polygons, for tools that have no masks."""

from __future__ import annotations

import cv2
import numpy as np

from samodal.masks import Mask
from samodal.rle import Rle, union

SMALLEST = 4
"""Pixels of a part that gets a polygon; smaller ones are specks."""
FARTHEST = 1.0
"""Pixels between an outline and its polygon at most; for small masks a 50th of their side."""


def polygons(mask: Mask) -> list[np.ndarray]:
    """The outline of each part of a mask, largest part first, with holes filled and corners that matter alone.

    Returns:
        (N, 2) float64 x and y of corners, on the edges of pixels: a pixel at column 0 reaches from 0 to 1.
    """
    height, width = mask.shape
    # Pixels of twice the size overlap by their edges, so that their outlines run along these.
    grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    for row in range(3):
        for column in range(3):
            grid[row : row + 2 * height : 2, column : column + 2 * width : 2] |= mask.inside
    outlines, _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    tolerance = 2 * min(FARTHEST, mask.side / 50)
    parts = sorted(outlines, key=cv2.contourArea, reverse=True)
    large = [part for n, part in enumerate(parts) if n == 0 or cv2.contourArea(part) >= 4 * SMALLEST]
    reduced = [(cv2.approxPolyDP(part, tolerance, True), part) for part in large]
    return [(few if len(few) > 2 else part)[:, 0] / 2.0 + (mask.x, mask.y) for few, part in reduced]


def drawn(parts: list[np.ndarray], size: tuple[int, int]) -> Rle:
    """The mask that polygons stand for in a frame of (H, W)."""
    return Rle.from_coco([part.ravel().tolist() for part in parts], size)


def pixels_lost(mask: Mask, parts: list[np.ndarray]) -> int:
    """Number of pixels in which a mask and its polygons differ."""
    again = drawn(parts, mask.size)
    return 2 * union([again, mask.rle]).area - again.area - mask.area
