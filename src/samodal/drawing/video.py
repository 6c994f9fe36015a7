"""Writing video files."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.outputs import cannot_write

_MILLISECOND = Fraction(1, 1000)
_LONGEST_SIDE = 16384  # of H.264
_LONGEST = 21_600_000  # ms that a frame is shown at most; files of this kind cannot hold much more than a day
FAST = {
    "preset": "ultrafast",
    "x264-params": "cabac=1:deblock=1:8x8dct=1:mbtree=0:rc-lookahead=10:bframes=1",
    "threads": "1",
}
"""Half the time of "superfast" for files as large and as good: what this preset leaves out and is cheap is put back.
With more threads the file would depend on how many cores there are, and might differ from run to run. So it did with
`mbtree`, which reads memory that nothing was written to where a side is no multiple of 16."""
ENCODING = FAST | {"crf": "26"}
_CHROMA = np.rint(128 + (np.arange(256) - 128) * 224 / 255).astype(np.uint8)
"""A video's values of Cb and Cr, 16 to 240, of those from 0 to 255."""


class VideoWriter:
    """An H.264 file that browsers play. Odd sizes are padded by one pixel, which H.264's 4:2:0 needs.

    Args:
        path: of the file, *.mp4.
        size: (H, W) of the frames.
        fps: frames per second, used where a frame's own time is not later than the one before.
        encoding: options of libx264.

    Raises:
        InputError: if the frames are too large for H.264, or the file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, encoding: dict[str, str] = ENCODING):
        import av

        if max(size) > _LONGEST_SIDE:
            raise InputError(
                f"{path}: {size[1]}x{size[0]} pixels (width x height), but a video has {_LONGEST_SIDE} on a side at "
                "most; give --no-overlay"
            )
        self.path, self.size = path, size
        # FFmpeg takes what stands before a colon for a protocol.
        self._container = av.open(f"file:{path}", "w", options={"movflags": "+faststart"})
        # Frames keep their own times: a video of variable rate stays in step with its source.
        self._stream = self._container.add_stream("libx264", rate=max(1, round(fps)))
        self._stream.codec_context.time_base = self._stream.time_base = _MILLISECOND
        self._stream.height, self._stream.width = (n + n % 2 for n in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = dict(encoding)
        self._last, self._step = -1, max(1, round(1000 / fps))

    def write(self, image: np.ndarray, time: float) -> int:
        """Append a (H, W, 3) uint8 RGB frame that is shown from `time`, seconds from the start.

        Returns:
            from which millisecond of the file it is shown.
        """
        import av

        rows, columns = (n % 2 for n in self.size)
        if rows or columns:
            image = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(_planes(image), "yuv420p")
        shown = round(time * 1000)
        self._last = min(shown, self._last + _LONGEST) if shown > self._last else self._last + self._step
        frame.pts, frame.time_base = self._last, _MILLISECOND
        self._mux(frame)
        return self._last

    def _mux(self, frame) -> None:
        from av.error import FFmpegError

        try:
            for packet in self._stream.encode(frame):
                if packet.duration in (None, 0):
                    packet.duration = self._step
                self._container.mux(packet)
        except (FFmpegError, OSError) as error:
            raise cannot_write(self.path, error) from None

    def close(self) -> None:
        """Bring the file to its end.

        Raises:
            InputError: if the disk refuses.
        """
        from av.error import FFmpegError

        try:
            self._mux(None)
        finally:
            try:
                self._container.close()
            except (FFmpegError, OSError) as error:
                raise cannot_write(self.path, error) from None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *failure) -> None:
        self.close()


def _planes(image: np.ndarray) -> np.ndarray:
    """(3 H / 2, W) uint8 in 4:2:0, Y, U and V in turn, of a (H, W, 3) uint8 RGB picture of even sides.

    In two steps of OpenCV, as FFmpeg's own takes twice the time. U and V are of the mean of four pixels.
    """
    height, width = image.shape[:2]
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    means = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    _, red, blue = cv2.split(cv2.cvtColor(means, cv2.COLOR_RGB2YCrCb))
    for plane, values in zip(planes[height:].reshape(2, -1), (blue, red), strict=True):
        plane[:] = cv2.LUT(values, _CHROMA).ravel()
    return planes
