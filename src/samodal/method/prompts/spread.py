"""Points spread over a visible mask, for following."""

import cv2
import numpy as np

from samodal.masks import Mask

FILLED = 0.3
"""Share of the square around a point that must be of its mask."""
RIM = 2
"""Pixels from the mask's border to keep away from: the patch around a point there is half background."""


def spread_points(mask: Mask, first: np.ndarray, count: int) -> np.ndarray:
    """The given points, and others far from them and from each other.

    Args:
        mask: not empty.
        first: (K, 2) float32, kept as they are; where there are none, the deepest pixel takes their place.
        count: of all points; fewer where the mask has fewer pixels away from its border.

    Returns:
        (max(K, count) or fewer, 2) float32 x and y, the same for the same mask.
    """
    missing = count - len(first)
    if missing <= 0:
        return first
    depth = mask.depth()
    origin = (mask.x - 1, mask.y - 1)
    if not len(first):
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        first, missing = np.add([[column, row]], origin).astype(np.float32), missing - 1
    rows, columns = np.nonzero(depth > min(RIM, depth.max() / 2))
    candidates = (np.stack([columns, rows], axis=1) + origin).astype(np.float32)
    if len(candidates) > 4096:  # every so-manieth: spread as well, and far cheaper on a mask that fills the image
        candidates = candidates[:: len(candidates) // 4096 + 1]
    distance = np.full(len(candidates), np.inf, np.float32)
    for point in first:
        distance = np.minimum(distance, np.hypot(*(candidates - point).T))
    chosen = []
    for _ in range(missing):
        farthest = int(distance.argmax())
        if distance[farthest] < 1:
            break
        chosen.append(candidates[farthest])
        distance = np.minimum(distance, np.hypot(*(candidates - candidates[farthest]).T))
    return np.concatenate([first, np.array(chosen, np.float32).reshape(-1, 2)])


def matched(mask: Mask, points: np.ndarray, patch: int) -> np.ndarray:
    """Those of (N, 2) points around which the mask fills at least `FILLED` of a square of `patch` pixels.

    A tracker that matches squares follows what fills them: on the last sliver of a thing, that is what hides it.
    """
    (left, top, right, bottom), reach = mask.box, patch // 2 + 1
    inside = np.zeros((bottom - top + 2 * reach, right - left + 2 * reach), np.float32)
    inside[reach:-reach, reach:-reach] = mask.decode()[top:bottom, left:right]
    share = cv2.boxFilter(inside, -1, (patch, patch), borderType=cv2.BORDER_CONSTANT)
    columns, rows = (np.rint(points).astype(int) - [left - reach, top - reach]).T
    return points[share[rows.clip(0, len(share) - 1), columns.clip(0, share.shape[1] - 1)] >= FILLED]
