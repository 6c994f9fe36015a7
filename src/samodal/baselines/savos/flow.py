"""Optical flow between the frames of a clip; the authors used FlowNet2, here it is OpenCV's DIS."""

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

LIMIT = 10**9
"""Bytes of flow that are kept at most."""
_LEAST_SIDE = 16  # OpenCV refuses smaller frames, or reads and writes past their memory


class FlowMemory:
    """Observes flow, and may keep it for the next method over the same frames.

    Args:
        remember: whether to; at most `LIMIT` bytes are kept, those of the newest pairs of frames.
    """

    def __init__(self, remember: bool = False):
        self.remember = remember
        self._known: dict[tuple[bytes, bytes], np.ndarray] = {}

    def observe(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(forward, reverse) flow of T (H, W, 3) uint8 RGB frames, each (T, H, W, 2) float32, pixels right and down.

        Forward goes from frame t to t + 1, and its last is the last but one again. Reverse goes from t to t - 1, and
        its first is the second again, as the released code repeats them. A single frame has none: zeros.
        """
        greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
        if len(greys) == 1:
            still = np.zeros((1, *greys[0].shape, 2), np.float32)
            return still, still
        digests = [hashlib.blake2b(grey, digest_size=16).digest() if self.remember else b"" for grey in greys]
        frames = list(zip(greys, digests, strict=True))
        forward = [self._dense(*pair) for pair in zip(frames, frames[1:], strict=False)]
        reverse = [self._dense(*pair) for pair in zip(frames[1:], frames, strict=False)]
        return np.stack([*forward, forward[-1]]), np.stack([reverse[0], *reverse])

    def _dense(self, start: tuple[np.ndarray, bytes], end: tuple[np.ndarray, bytes]) -> np.ndarray:
        """Flow from a (H, W) uint8 image to another, by a fresh DIS: it depends on nothing before."""
        key = (start[1], end[1])
        if self.remember and key in self._known:
            return self._known[key]
        (height, width), small = start[0].shape, min(start[0].shape) < _LEAST_SIDE
        images = [_enlarged(image) if small else image for image in (start[0], end[0])]
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*images, None)
        flow = np.ascontiguousarray(flow[:height, :width]) if small else flow
        if self.remember:
            self._known[key] = flow
            while len(self._known) * flow.nbytes > LIMIT:
                del self._known[next(iter(self._known))]
        return flow


def _enlarged(image: np.ndarray) -> np.ndarray:
    """A (H, W) image, its last row and column repeated down and right up to the least size that has flow."""
    missing = [(0, max(0, _LEAST_SIDE - side)) for side in image.shape]
    return np.pad(image, missing, mode="edge")


def observe_flow(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Flow of the frames of a clip, see `FlowMemory.observe`; nothing is kept."""
    return FlowMemory().observe(images)
