"""Writing video files."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.outputs import cannot_write

_MILLISECOND = Fraction(1, 1000)
_LONGEST_SIDE = 16384  # of H.264
_LONGEST = 21_600_000  # ms that a frame is shown at most; files of this kind cannot hold much more than a day
FAST = {"preset": "superfast", "x264-params": "mbtree=1:rc-lookahead=10:bframes=1", "threads": "1"}
"""Half the time of "veryfast" for files a tenth larger, as two things that this preset leaves out are cheap.
With more threads the file would depend on how many cores there are, and might differ from run to run."""
ENCODING = FAST | {"crf": "23"}


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
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
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
