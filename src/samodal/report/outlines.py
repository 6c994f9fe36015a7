"""Masks as outlines in the pixels of the page, packed in pieces that the page unpacks when it needs them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import IO

import cv2
import numpy as np

from samodal.files import text_of
from samodal.masks import Mask
from samodal.tracks import FrameResult

PIECE = 96
"""Frames of a piece."""
COARSENESS = 0.6
"""Pixels by which an outline may leave its mask."""
GZIP = 31
"""What zlib calls a window of 32 kB in the form of gzip, which browsers unpack."""
BYTES = 45_000
"""Of a second of the video at most, compressed; outlines get coarser where there would be more."""


class Outlines:
    """Writes the outlines of frame after frame.

    Args:
        file: open for text; each piece is a line of base 64.
        scale: from pixels of the frame to those of the page.
    """

    def __init__(self, file: IO[str], scale: float):
        self._file, self._scale = file, scale
        self._coarseness, self._spent, self.pieces = COARSENESS, 0, 0
        self._begin()

    def _begin(self) -> None:
        self._packer, self._packed, self._frames = zlib.compressobj(6, wbits=GZIP), bytearray(), 0

    def add(self, result: FrameResult, numbers: Mapping[int | str, int], states: Mapping[int | str, int]) -> None:
        """Append a frame.

        Args:
            numbers, states: of each instance of the frame by id: the place of its track, and the code of its state.
        """
        entries = []
        for instance in result.instances:
            key, visible = instance.id, instance.visible
            whole = self._drawn(instance.amodal)
            part = 0 if visible is not None and visible == instance.amodal else self._drawn(visible)
            hiders = [[numbers[other], round(100 * share)] for other, share in result.hidden_by[key]]
            entries.append([numbers[key], states[key], whole, part, hiders])
        # Packed at once: of masks with many parts the lists of all frames of a piece are hundreds of megabytes.
        self._packed += self._packer.compress(f"{',' if self._frames else '['}{text_of(entries)}".encode())
        self._frames += 1
        if self._frames == PIECE:
            self.flush(result.time)

    def flush(self, seconds: float) -> None:
        """Write the piece that is begun; `seconds` of the video are told by then."""
        if not self._frames:
            return
        packed = self._packed + self._packer.compress(b"]") + self._packer.flush()
        self._spent += len(packed)
        self._coarseness = COARSENESS * max(1.0, 2 * self._spent / (BYTES * max(seconds, 1.0)) - 1)
        self._file.write(base64.b64encode(packed).decode() + "\n")
        self.pieces += 1
        self._begin()

    def _drawn(self, mask: Mask | None) -> list[list[int]]:
        """Closed outlines, holes included: x, y of the first point, then steps from point to point."""
        if not mask:
            return []
        mask = mask.clipped()
        contours, _ = cv2.findContours(
            mask.inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1, offset=(int(mask.x), int(mask.y))
        )
        drawn = []
        for contour in contours:
            points = cv2.approxPolyDP(np.float32(contour) * np.float32(self._scale), self._coarseness, True)
            points = np.rint(points[:, 0]).astype(int)
            if len(points) > 2 or len(contours) == 1:
                drawn.append(np.concatenate([points[:1], np.diff(points, axis=0)]).ravel().tolist())
        return drawn


def durations(times: Sequence[float], fps: float) -> list[float]:
    """Seconds for which each frame is shown; the last as long as the one before."""
    steps = [max(0.0, after - before) for before, after in pairwise(times)]
    return [*steps, steps[-1] if steps else 1 / fps]
