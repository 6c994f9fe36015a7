"""Videos as frames: a folder of pictures, a file, a camera or stream, a data set's clip, arrays.

Times come from the source's own timestamps, so that variable frame rates stay right. Frames are turned
upright by the orientation that the file states. Frames that cannot be used are told and left out, and the others keep
their numbers and times.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from samodal.decoding import Clock, Opened, stamps_of, upright
from samodal.errors import InputError
from samodal.parts import Frame, Video
from samodal.pictures import PICTURES, RARE_PICTURES, check_single, common_size, frames_in, read_image
from samodal.progress import notice
from samodal.remote import STREAMS, is_remote, local_path
from samodal.threads import readers, side_by_side
from samodal.tracks import Clip

MOST_IN_A_ROW = 10
"""Frames that are left out one after another before a video is refused; also how many of any, at least."""
MOST_OF_ALL = 0.1
"""Share of the frames so far that is left out before a video is refused."""
ENTERED_BEFORE = 32
"""Frames before the first one that is wanted at which a file is entered: some codecs show frames in another order."""
_LOOKED_AT = 9  # pictures whose sizes say what the size of a folder's frames is


def open_video(source: str | Path, strict: bool = False, fps: float | None = None) -> Video:
    """Open what a user names: a video file, also in object storage, a folder of frames, `camera:0`, or a stream's URL.

    Args:
        source: what is there as a file or folder is taken for it, whatever its name.
        strict: refuse a video with a frame or a timestamp that cannot be used. Otherwise such frames are told and left
            out, and such timestamps told and mended.
        fps: frames per second of a folder of pictures; None: 10.

    Raises:
        InputError: if there is nothing there, or nothing that can be read as video; also for `fps` with what has times
            of its own.
    """
    text = str(source)
    path = local_path(source)
    if fps is not None and not (_is_there(path) and path.is_dir()):
        raise InputError(f"{path}: --fps is for folders of pictures; this has times of its own")
    if not _is_there(path):
        if text.startswith("camera:"):
            device = f"/dev/video{text.removeprefix('camera:')}"
            return StreamVideo.open(device, text.replace(":", ""), live="v4l2", strict=strict)
        if text.startswith(STREAMS):
            return StreamVideo.open(text, "stream", live="", strict=strict)
        if is_remote(text):
            return StreamVideo.open(text, PurePosixPath(text).stem, strict=strict)
        raise InputError(f"{path}: no such file or folder; give a video file, a folder of frames, camera:N or a URL")
    if path.is_dir():
        return FolderVideo.open(path, strict, fps or FolderVideo.fps)
    if not path.is_file():
        raise InputError(f"{path}: a pipe or device, which cannot be read twice; give a file, camera:N or a URL")
    if path.suffix.lower() in PICTURES + RARE_PICTURES:
        return FolderVideo(path.stem, [path], check_single(path), source=text, strict=True)
    return StreamVideo.open(str(path), path.stem, strict=strict)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a null in it
        return False


class _LeftOut:
    """Counts the frames of a video that cannot be used, and refuses a video with too many."""

    def __init__(self, source: str, strict: bool):
        self._source, self._strict = source, strict
        self._count = self._in_a_row = 0

    def add(self, t: int, why: str) -> None:
        """Tell of frame t, and why it is left out.

        Raises:
            InputError: the reason, where the video is to be refused.
        """
        self._count, self._in_a_row = self._count + 1, self._in_a_row + 1
        if self._strict:
            raise InputError(why)
        if self._in_a_row > MOST_IN_A_ROW or self._count > max(MOST_IN_A_ROW, MOST_OF_ALL * (t + 1)):
            raise InputError(f"{why}; {self._count} of {t + 1} frames cannot be used, which is too many")
        notice(f"{why}; frame {t} is left out")

    def used(self) -> None:
        """A frame was used."""
        self._in_a_row = 0

    def end(self, frames: int) -> None:
        """Refuse a video of which half the frames, or more, were left out."""
        if 2 * self._count >= frames > 0:
            raise InputError(f"{self._source}: {self._count} of {frames} frames cannot be used, which is too many")


class NoDataSet:
    """What a video has that is part of no data set."""

    number = None
    detections = None


@dataclass
class ArrayVideo(NoDataSet):
    """Frames in memory, (T, H, W, 3) uint8 RGB at a constant rate."""

    name: str
    frames: np.ndarray
    fps: float = 10.0
    truth: Clip | None = None
    source: str = "array"

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[1:3]

    @property
    def length(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        for t, image in enumerate(self.frames):
            yield Frame(t, t / self.fps, image, f"{t:06d}")


@dataclass
class FolderVideo(NoDataSet):
    """Pictures of one folder at a constant rate (KITTI's and AmodalSynthDrive's 10 Hz).

    Attributes:
        numbers: of the frames, as the names of the pictures say; None where they say none.
    """

    name: str
    files: Sequence[Path]
    size: tuple[int, int]
    fps: float = 10.0
    truth: Clip | None = None
    source: str = ""
    numbers: tuple[int, ...] | None = None
    strict: bool = False

    @classmethod
    def open(cls, folder: Path, strict: bool = False, fps: float = 10.0) -> "FolderVideo":
        """The frames of a folder in the order of their numbers, of the size that most of the first ones have."""
        frames = frames_in(folder)
        if frames.foreign:
            notice(f"{frames.foreign[0]}: no frame, as it has no number and all others have; it is left out")
        size = common_size(frames.files[: 1 if strict else _LOOKED_AT])
        name = os.path.basename(os.path.abspath(folder)) or "frames"
        return cls(name, frames.files, size, fps, source=str(folder), numbers=frames.numbers, strict=strict)

    @property
    def length(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        left_out = _LeftOut(self.source, self.strict)
        images = side_by_side(self._read, self.files, readers())
        for t, (file, image) in enumerate(zip(self.files, images, strict=True)):
            if isinstance(image, InputError):
                left_out.add(t, str(image))
                continue
            left_out.used()
            yield Frame(t, t / self.fps, image, file.name)
        left_out.end(len(self.files))

    def _read(self, file: Path) -> np.ndarray | InputError:
        """The picture of a file, or why it is none."""
        try:
            return read_image(file, self.size, "but the video is {}; split the video where its size changes")
        except InputError as error:
            return error


@dataclass
class StreamVideo(NoDataSet):
    """Anything PyAV decodes. A live source has no length and is read once."""

    name: str
    size: tuple[int, int]
    fps: float
    source: str
    live: str | None = None
    truth: Clip | None = None
    strict: bool = False
    _length: int | None = field(default=None, init=False, repr=False)

    @classmethod
    def open(cls, source: str, name: str, live: str | None = None, strict: bool = False) -> "StreamVideo":
        """Read the first frame. `live`: the input format of a live source, "" to let PyAV find out."""
        with Opened(source, live) as opened:
            first = next((frame for frame in opened.frames() if not isinstance(frame, Exception)), None)
            if first is None:
                raise InputError(f"{source}: an empty video, no frame could be decoded")
            return cls(name, upright(first, source).shape[:2], opened.fps, source, live, strict=strict)

    @property
    def length(self) -> int | None:
        """Number of frames in the file, as its packets tell; None of a live source."""
        if self.live is None and self._length is None:
            with Opened(self.source) as opened:
                self._length = opened.count()
        return self._length

    def counted(self) -> int:
        """Number of frames as decoding finds it, which takes long: some packets hold no frame, or half a frame."""
        with Opened(self.source) as opened:
            self._length = sum(1 for _ in opened.frames())
        return self._length

    def __iter__(self) -> Iterator[Frame]:
        return self.starting_at(0)

    def starting_at(self, first: int) -> Iterator[Frame]:
        """The frames from `first` on, with the numbers and times that they have in the whole video.

        They are not decoded from the beginning where the file tells the time of each frame and can be entered at one;
        else earlier frames may come, too.
        """
        with Opened(self.source, self.live) as opened:
            clock, left_out = Clock(self.fps), _LeftOut(self.source, self.strict)
            stamps = stamps_of(self.source) if first > ENTERED_BEFORE and self.live is None else []
            t, passed, end = 0, 1, 0.0
            entered = first < len(stamps)
            if entered:
                clock.time(float(stamps[0] * opened.stream.time_base))
                opened.enter(stamps[first - ENTERED_BEFORE])
            for frame in opened.frames():
                if entered and not isinstance(frame, Exception):
                    t = bisect_left(stamps, frame.pts or 0)
                    passed = t  # of those before the first one, the clock knows what the file says
                    if t < first:
                        continue
                    entered = False
                if isinstance(frame, Exception):
                    if t:  # before the first frame nothing is counted, as no player shows anything
                        left_out.add(t, f"{self.source}: frame {t} cannot be decoded ({frame.strerror})")
                        t, passed = t + 1, passed + 1
                    continue
                time, why = clock.time(frame.time, passed)
                end = max(end, time, frame.time or 0.0)
                if why is not None and (self.strict or clock.mended == 1):
                    self._tell(f"frame {t}: {why}; the time goes on at {self.fps:g} frames a second")
                image = upright(frame, self.source)
                if image.shape[:2] == self.size:
                    left_out.used()
                    yield Frame(t, time, image, f"{t:06d}")
                else:
                    left_out.add(t, _other_size(self.source, t, image.shape, self.size))
                t, passed = t + 1, 1
            left_out.end(t)
            if self.live is None and not stamps and not clock.mended and (shortage := opened.shortage(end)):
                self._tell(f"its header states {shortage}; is the file cut off or damaged?")
            if clock.mended > 1:
                notice(f"{self.source}: {clock.mended} timestamps were mended")

    def _tell(self, what: str) -> None:
        if self.strict:
            raise InputError(f"{self.source}: {what}")
        notice(f"{self.source}: {what}")


def _other_size(source: str, t: int, other: tuple[int, ...], size: tuple[int, int]) -> str:
    return (
        f"{source}: frame {t} is {other[1]}x{other[0]} but the video began with {size[1]}x{size[0]} "
        "(width x height); split the video where its size changes"
    )


@dataclass
class Excerpt:
    """Every n-th of the frames A:B of a video; t stays that of the whole video, so that results on disk still fit."""

    video: Video
    first: int
    end: int | None
    stride: int = 1

    # Not __getattr__ for all of them: it asks for `video` while that is not set yet, as on unpickling.
    @property
    def name(self) -> str:
        return self.video.name

    @property
    def size(self) -> tuple[int, int]:
        return self.video.size

    @property
    def fps(self) -> float:
        return self.video.fps / self.stride

    @property
    def truth(self) -> Clip | None:
        return self.video.truth

    @property
    def source(self) -> str:
        return self.video.source

    @property
    def number(self) -> int | None:
        return self.video.number

    @property
    def detections(self) -> Clip | None:
        return self.video.detections

    @property
    def length(self) -> int | None:
        if self.video.length is None:
            return None
        return len(range(self.first, min(self.end or self.video.length, self.video.length), self.stride))

    def __iter__(self) -> Iterator[Frame]:
        video = self.video
        for frame in video.starting_at(self.first) if self.first and isinstance(video, StreamVideo) else video:
            if self.end is not None and frame.t >= self.end:
                return
            if frame.t >= self.first and (frame.t - self.first) % self.stride == 0:
                yield frame


def excerpt(video: Video, frames: str | None, stride: int = 1) -> Video:
    """`A:B` of a video, either end may be left out, None: all of it; and of these frames every n-th."""
    if frames is None and stride == 1:
        return video
    if not re.fullmatch(r"\d*:\d*", frames or ":"):
        stepped = " (every third frame: --stride 3)" if (frames or "").count(":") > 1 else ""
        raise InputError(
            f"--frames {frames!r}: expected A:B with A and B frame numbers from 0, as in 0:100 or 50:{stepped}"
        )
    first, end = ((int(part) if part else None) for part in (frames or ":").split(":"))
    cut = Excerpt(video, first or 0, end, stride)
    if cut.length == 0 or (end is not None and end <= (first or 0)):
        raise InputError(f"--frames {frames!r}: no frame of {video.source} lies there; it has {video.length} frames")
    return cut
