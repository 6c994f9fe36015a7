"""Optical flow between the frames of a clip; the authors used FlowNet2, here it is OpenCV's DIS."""

from collections.abc import Sequence

import cv2
import numpy as np


def observe_flow(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(forward, reverse) flow of T (H, W, 3) uint8 RGB frames, each (T, H, W, 2) float32, pixels right and down.

    Forward goes from frame t to t + 1 and its last is the one before again; reverse goes from t to t - 1 and its first
    is the second again (facts/datasets_metrics.md 2.3). A single frame has none: zeros.
    """
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    if len(greys) == 1:
        still = np.zeros((1, *greys[0].shape, 2), np.float32)
        return still, still
    pairs = list(zip(greys, greys[1:], strict=False))
    forward = [_dense(a, b) for a, b in pairs]
    reverse = [_dense(b, a) for a, b in pairs]
    return np.stack([*forward, forward[-1]]), np.stack([reverse[0], *reverse])


def _dense(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Flow from one (H, W) uint8 image to another, by a fresh DIS: it depends on nothing before."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(start, end, None)
