"""A front end that sees smaller frames: visible results at half the resolution, as in the supplement (tables 5, 6)."""

from dataclasses import replace

import cv2
import numpy as np

from samodal.method.checks import reported
from samodal.parts import VisSession
from samodal.tracks import VisibleInstance


class Scaled:
    """Any session that works on pixels, on frames of another size; its masks come back at the frame's own size.

    It is not told what became of a frame (`learn`): those masks are of another size than its own.

    Args:
        session: of any front end that reads the frames.
        scale: size of the frames that it sees, in shares of their own, above 0.
    """

    def __init__(self, session: VisSession, scale: float):
        self._session, self._scale = session, scale

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        height, width = frame.shape[:2]
        small = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
        method = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        visible = reported(self._session, cv2.resize(frame, small, interpolation=method), t)
        masks = [
            cv2.resize(v.mask.decode().view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
            for v in visible
        ]
        return [replace(v, mask=mask) for v, mask in zip(visible, masks, strict=True) if mask.any()]

    def reset(self) -> None:
        self._session.reset()
