"""Video files, cameras and streams, decoded by PyAV (FFmpeg)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from samodal.errors import InputError
from samodal.files import mistaken
from samodal.pictures import check_pixels
from samodal.remote import is_remote, opened

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.error import FFmpegError

LONGEST_GAP_S, LONGEST_GAP_FRAMES = 60.0, 100
"""A gap between two frames above both of these is a jump of the clock, not a pause."""
FPS = 10.0
"""Frames per second of a video that states none."""


class Opened:
    """A video that is open for reading; use it in a `with` statement.

    Args:
        source: path, device or URL, as messages name it.
        live: the format of a live source, "" to let FFmpeg find out; None: a file.

    Attributes:
        stream: the first video stream that is no cover picture.
        fps: frames per second, as the file states or FFmpeg guesses.

    Raises:
        InputError: if it cannot be opened or has no video.
    """

    def __init__(self, source: str, live: str | None = None):
        self.source = source
        self._container = _container(source, live)
        self.stream = _video_stream(self._container, source)
        self.stream.thread_type = "AUTO"
        self.fps = float(self.stream.average_rate or self.stream.guessed_rate or FPS)
        self._packets = 0

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *failure) -> None:
        self._container.close()

    def frames(self) -> Iterator[VideoFrame | FFmpegError]:
        """The frames in order, for one that cannot be decoded what is wrong with it."""
        from av.error import FFmpegError

        for packet in self.packets():
            if isinstance(packet, FFmpegError):
                yield packet
                continue
            try:
                frames = packet.decode()
            except FFmpegError as error:
                yield error
                continue
            yield from frames

    def packets(self) -> Iterator[Packet | FFmpegError]:
        """The packets in order, for a place that cannot be read what is wrong with it; reading goes on behind it."""
        from av.error import EOFError as End
        from av.error import FFmpegError

        packets, stuck = self._container.demux(self.stream), False
        while True:
            try:
                packet = next(packets, None)
            except End:
                return
            except FFmpegError as error:
                yield error
                if stuck:  # nothing was read since the last try
                    return
                packets, stuck = self._container.demux(self.stream), True
                continue
            if packet is None:
                return
            stuck = False
            self._packets += packet.dts is not None
            yield packet

    def enter(self, stamp: int) -> None:
        """Go on with the frame that is shown at so many ticks, or with one before it from which decoding can begin."""
        self._container.seek(stamp, stream=self.stream, backward=True)

    def shortage(self, seconds: float) -> str | None:
        """How much less the file held than its header states; None where it held about as much.

        Args:
            seconds: of its last frame, from the start of the file or of the first frame, whichever is more.
        """
        if "mp4" in self._container.format.name:
            index = getattr(self.stream, "index_entries", ())  # without what an edit list cuts; not in PyAV 14
            missing = len(index) - self._packets
            return f"{missing} frames more than are there" if missing > 0 else None
        stated = self._stated()
        return f"{stated:.1f} s, its frames end after {seconds:.1f} s" if 0.9 * stated - 1 > seconds else None

    def _stated(self) -> float:
        """Seconds of the video as the header states them, 0 where it does not; sound may last longer."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", self.stream.metadata.get("DURATION", "")):  # Matroska
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        return (self._container.duration or 0) / 1e6 if len(self._container.streams) == 1 else 0.0

    def count(self) -> int:
        """Number of frames as the packets tell, without decoding: headers may say 0, or too much."""
        hides = self.stream.codec_context.name == "vp8"  # some of its packets only help to decode others
        packets = (packet for packet in self.packets() if not isinstance(packet, Exception))
        return sum(
            1
            for packet in packets
            if packet.size and not packet.is_discard and not (hides and not memoryview(packet)[0] & 0x10)
        )


class Clock:
    """Times of frames that always ascend, in seconds from the first frame on.

    A stamp that is missing, not later than the one before, or far beyond it, is replaced: the frame comes 1 / fps after
    the one before, and the file's clock goes on from there.

    Attributes:
        mended: number of stamps replaced.
    """

    def __init__(self, fps: float):
        self._step, self._start, self._last, self._shift = 1 / fps, None, None, 0.0
        self.mended = 0

    def time(self, stamp: float | None, passed: int = 1) -> tuple[float, str | None]:
        """The time of the next frame, and what was wrong with its stamp, None where it is right.

        Args:
            stamp: seconds, None where the file has none.
            passed: number of frames since the last call, those left out included.
        """
        if self._last is None:
            self._start, self._last = stamp, 0.0
            return 0.0, None
        step = passed * self._step
        if stamp is None:
            self._last += step
            return self._last, None
        since = stamp - (self._start or 0.0)
        limit = self._last + max(LONGEST_GAP_S, LONGEST_GAP_FRAMES * step)
        for shift in (0.0, self._shift):
            if self._last < since + shift <= limit:
                self._shift, self._last = shift, since + shift
                return self._last, None
        before = self._last - self._shift
        self._last += step
        self._shift = self._last - since
        self.mended += 1
        return self._last, f"its clock {_move(since - before)} from {before:.3f} to {since:.3f} s"


def _move(seconds: float) -> str:
    return "stands still" if abs(seconds) < 1e-6 else "goes back" if seconds < 0 else "jumps"


def stamps_of(source: str) -> list[int]:
    """When each frame of a file is shown, in ticks of its stream, ascending, without decoding any.

    Empty where that cannot be told so: stamps that are missing, twice, or to be mended; frames that are not shown.
    """
    with Opened(source) as opened:
        tick, clock, stamps = opened.stream.time_base, Clock(opened.fps), []
        for packet in opened.packets():
            if isinstance(packet, Exception) or packet.is_discard or (packet.size and packet.pts is None):
                return []
            stamps += [packet.pts] if packet.size and packet.pts is not None else []
    stamps.sort()
    return [] if any(clock.time(float(stamp * tick))[1] for stamp in stamps) else stamps


def upright(frame: VideoFrame, source: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned and mirrored as the file's display matrix says, to the nearest quarter turn.

    Source: FFmpeg, libavutil/display.h: a pixel at (x, y) is shown at (a x + c y, b x + d y).

    Raises:
        InputError: if it is too large.
    """
    check_pixels((frame.height, frame.width), source)
    image, matrix = frame.to_ndarray(format="rgb24"), frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = (float(n) for n in np.frombuffer(matrix, np.int32)[:5])
        if abs(b) > abs(a):
            image, a, d = image.swapaxes(0, 1), c, b
        image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def _container(source: str, live: str | None) -> InputContainer:
    try:
        import av
        from av.error import EOFError as End
        from av.error import FFmpegError, InvalidDataError
    except ImportError as error:
        raise InputError(f"{source}: reading video files needs PyAV; install it with: pip install av") from error
    # FFmpeg takes what stands before a colon for a protocol, and needs the bytes of names that are no UTF-8.
    place: Any = source if live is not None else "file:" + os.path.abspath(source)
    if live is None and is_remote(source):
        place = opened(source)
    try:
        container = av.open(place, format=live or None, metadata_errors="replace")
    except (InvalidDataError, End) as error:
        kind = mistaken(source, packed=True) if live is None else None
        what = f"it is {kind}" if kind else "or damaged or cut off"
        raise InputError(f"{source}: no video or folder of pictures, {what}") from error
    except (FFmpegError, OSError) as error:
        raise InputError(f"{source}: cannot be opened as video ({error.strerror or error})") from error
    if container.format.name == "tty":  # ffmpeg takes any .txt for the picture of a terminal
        container.close()
        raise InputError(f"{source}: no video or folder of pictures, but text")
    return container


def _video_stream(container: InputContainer, source: str) -> Any:
    from av.stream import Disposition

    cover = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        what = "only a cover picture, no video" if container.streams.video else "no video stream"
        container.close()
        raise InputError(f"{source}: holds {what}")
    return streams[0]
