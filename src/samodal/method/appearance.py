"""What an instance looks like: a small histogram of the colours of its visible pixels."""

from __future__ import annotations

import numpy as np

from samodal.masks import Mask

BINS = (8, 16, 16)
"""Of lightness, and of the two channels of colour."""
LEAST_PIXELS = 100
"""Visible pixels of which a histogram says something."""


def appearance(image: np.ndarray, mask: Mask) -> np.ndarray | None:
    """(2048,) float32 root of the share of pixels by colour, whose product with another is their likeness in [0, 1].

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: the visible pixels.

    Returns:
        None where these are too few to tell.
    """
    import cv2

    part = mask.clipped()
    if part.area < LEAST_PIXELS:
        return None
    inside, window = part.inside, np.ascontiguousarray(image[part.rows, part.columns])
    lab = cv2.cvtColor(window, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], inside.astype(np.uint8), list(BINS), [0, 256] * 3)
    counts = cv2.GaussianBlur(
        counts.reshape(BINS[0], -1), (1, 3), 0.6
    )  # light that changes moves pixels to the next bin
    return np.sqrt(counts / counts.sum()).ravel()


def alike(look: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """Likeness of two, in [0, 1]; None where one of them is not known."""
    return None if look is None or other is None else float(look @ other)
