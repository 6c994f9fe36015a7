"""What the network sees of one object: crops of all its frames at one scale (facts/datasets_metrics.md 3.1)."""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal.savos.config import PATCH


def enlarged_box(mask: np.ndarray, factor: float) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) in whole pixel borders: the box of a (H, W) mask, `factor` times as long, within the image."""
    corners = []
    for axis, length in ((0, mask.shape[1]), (1, mask.shape[0])):
        places = np.flatnonzero(mask.any(axis=axis))
        start, end = int(places[0]), int(places[-1]) + 1
        middle, half = (start + end) / 2, factor * (end - start) / 2
        corners.append((max(0, round(middle - half)), min(length, round(middle + half))))
    (x0, x1), (y0, y1) = corners
    return x0, y0, x1, y1


def crop(maps: Sequence[np.ndarray], boxes: np.ndarray, areas: Sequence[int]) -> np.ndarray:
    """Crops (T, C, 64, 128) float32 of T maps (H, W, C), all scaled alike and padded with 0s to the right and below.

    The crop of the frame with the largest visible mask fills the patch; what is larger in others is cut off.

    Args:
        boxes: (T, 4) whole numbers, (x0, y0, x1, y1) in pixel borders.
        areas: T numbers of visible pixels.
    """
    x0, y0, x1, y1 = boxes[int(np.argmax(areas))]
    scale_y, scale_x = PATCH[0] / (y1 - y0), PATCH[1] / (x1 - x0)
    patches = np.zeros((len(maps), *PATCH, maps[0].shape[-1]), np.float32)
    for patch, one, (x0, y0, x1, y1) in zip(patches, maps, boxes, strict=True):
        size = max(1, round((x1 - x0) * scale_x)), max(1, round((y1 - y0) * scale_y))
        scaled = cv2.resize(one[y0:y1, x0:x1], size, interpolation=cv2.INTER_LINEAR)[: PATCH[0], : PATCH[1]]
        patch[: scaled.shape[0], : scaled.shape[1]] = scaled.reshape(*scaled.shape[:2], -1)
    return patches.transpose(0, 3, 1, 2)
