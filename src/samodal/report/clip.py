"""The small video inside a report: the frames without anything drawn on them, since the page draws the masks itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from samodal.drawing.video import FAST, VideoWriter

LONGEST_SIDE = 960
"""Pixels; larger frames are scaled down."""
BITS = 1_200_000
"""A second at most: with the outlines, a minute stays below 20 MB as base 64."""
ENCODING = FAST | {"crf": "28", "maxrate": str(BITS), "bufsize": str(BITS), "g": "24"}
"""A key frame every second or so, as people jump about in it."""
GREY = 96
"""Of the frames of a video that is no longer there."""


def page_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) in pixels of frames of (H, W) in the page; even, as H.264 wants them."""
    scale = min(1.0, LONGEST_SIDE / max(size))
    height, width = (max(2, round(n * scale / 2) * 2) for n in size)
    return height, width


class ReportClip:
    """Writes the small video, frame by frame.

    Args:
        path: of the file, *.mp4.
        size: (H, W) of the frames.
        fps: frames per second, where times do not tell.

    Attributes:
        shown: milliseconds in the file at which each frame is shown.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float):
        self.path, self.size, self.shown = path, page_size(size), []
        self._writer = VideoWriter(path, self.size, fps, ENCODING)
        self._start: float | None = None

    def add(self, image: np.ndarray | None, time: float) -> None:
        """Append a (H, W, 3) uint8 RGB frame, None for one that is not there, at `time` seconds of its source."""
        self._start = time if self._start is None else self._start
        if image is None:
            image = np.full((*self.size, 3), GREY, np.uint8)
        elif image.shape[:2] != self.size:
            image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
        self.shown.append(self._writer.write(image, time - self._start))

    def close(self) -> None:
        """Bring the file to its end."""
        self._writer.close()


def pictures_at(path: Path, times: Sequence[int], frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(frame, (h, w, 3) uint8 RGB) of some frames of a report's video, each found by the nearest key frame before it.

    Args:
        times: milliseconds at which each frame is shown.
        frames: which.
    """
    import av

    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        for frame in sorted(set(frames)):
            # Half a millisecond of doubt, as time bases differ.
            container.seek(int(times[frame] / 1000 / stream.time_base), stream=stream)
            for picture in container.decode(stream):
                if picture.time * 1000 >= times[frame] - 0.5:
                    yield frame, picture.to_ndarray(format="rgb24")
                    break
