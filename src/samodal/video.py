"""Videos as frames: a folder of pictures, a file, a camera or stream, a data set's clip, arrays.

Times come from the source's own timestamps, so that variable frame rates stay right. Frames are turned
upright by the rotation flag of the file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.files import image_size, read_image
from samodal.parts import Frame, Video
from samodal.tracks import Clip

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
STREAMS = ("rtsp://", "rtmp://", "http://", "https://", "udp://", "tcp://")


def open_video(source: str | Path) -> Video:
    """Open what a user names: a video file, a folder of frames, `camera:0`, or a stream's URL.

    Raises:
        InputError: if there is nothing there, or nothing that can be read as video.
    """
    text = str(source)
    if text.startswith("camera:"):
        return StreamVideo.open(f"/dev/video{text.removeprefix('camera:')}", name=text.replace(":", ""), live="v4l2")
    if text.startswith(STREAMS):
        return StreamVideo.open(text, name="stream", live="")
    path = Path(source)
    if path.is_dir():
        return FolderVideo.open(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a video file, a folder of frames, camera:N or a URL")
    if path.suffix.lower() in PICTURES:
        return FolderVideo(path.stem, [path], image_size(path), source=text)
    return StreamVideo.open(text, name=path.stem)


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
    """Pictures of one folder in the order of their names, at a constant rate (KITTI's and AmodalSynthDrive's 10 Hz)."""

    name: str
    files: Sequence[Path]
    size: tuple[int, int]
    fps: float = 10.0
    truth: Clip | None = None
    source: str = ""

    @classmethod
    def open(cls, folder: Path) -> "FolderVideo":
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
        if not files:
            raise InputError(f"{folder}: no pictures ({', '.join(PICTURES)}) in this folder{_pictures_below(folder)}")
        return cls(folder.name, files, image_size(files[0]), source=str(folder))

    @property
    def length(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        for t, file in enumerate(self.files):
            image = read_image(file)
            check_size(str(file), t, image, self.size)
            yield Frame(t, t / self.fps, image, file.name)


def _pictures_below(folder: Path) -> str:
    """The end of a message where pictures lie one folder deeper."""
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        if count := sum(file.suffix.lower() in PICTURES for file in below.iterdir()):
            return f"; its subfolder {below.name} has {count} pictures: give that"
    return ""


@dataclass
class StreamVideo(NoDataSet):
    """Anything PyAV decodes. A live source has no length and is read once."""

    name: str
    size: tuple[int, int]
    fps: float
    length: int | None
    source: str
    live: str | None = None
    truth: Clip | None = None

    @classmethod
    def open(cls, source: str, name: str, live: str | None = None) -> "StreamVideo":
        """Read the first frame and the header. `live`: the input format of a live source, "" to let PyAV find out."""
        with _container(source, live) as container:
            stream = _video_stream(container, source)
            first = next(_decoded(container, stream, source), None)
            if first is None:
                raise InputError(f"{source}: an empty video, no frame could be decoded")
            fps = float(stream.average_rate or stream.guessed_rate or 10)
            length = None if live is not None else stream.frames or None
            return cls(name, _upright(first).shape[:2], fps, length, source, live)

    def __iter__(self) -> Iterator[Frame]:
        with _container(self.source, self.live) as container:
            stream = _video_stream(container, self.source)
            start, before = None, 0.0
            for t, frame in enumerate(_decoded(container, stream, self.source)):
                image = _upright(frame)
                check_size(self.source, t, image, self.size)
                time = t / self.fps if frame.time is None else float(frame.time)
                start = time if start is None else start
                before = max(before, time - start)  # damaged files have times that go back
                yield Frame(t, before, image, f"{t:06d}")


@dataclass
class Excerpt:
    """The frames A:B of a video; t stays that of the whole video, so that results on disk still fit."""

    video: Video
    first: int
    end: int | None

    # Not __getattr__ for all of them: it asks for `video` while that is not set yet, as on unpickling.
    @property
    def name(self) -> str:
        return self.video.name

    @property
    def size(self) -> tuple[int, int]:
        return self.video.size

    @property
    def fps(self) -> float:
        return self.video.fps

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
        return max(0, min(self.end or self.video.length, self.video.length) - self.first)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.video:
            if self.end is not None and frame.t >= self.end:
                return
            if frame.t >= self.first:
                yield frame


def excerpt(video: Video, frames: str | None) -> Video:
    """`A:B` of a video, either end may be left out; None: all of it."""
    if frames is None:
        return video
    try:
        first, end = ((int(part) if part else None) for part in frames.split(":"))
    except ValueError:
        raise InputError(f"--frames {frames}: expected A:B with A and B frame numbers, as in 0:100 or 50:") from None
    cut = Excerpt(video, first or 0, end)
    if cut.length == 0 or (end is not None and end <= (first or 0)):
        raise InputError(f"--frames {frames}: no frame of {video.source} lies there; it has {video.length} frames")
    return cut


def renumber(frame: Frame, t: int) -> Frame:
    """The same frame with another index."""
    return replace(frame, t=t)


def check_size(source: str, t: int, image: np.ndarray, size: tuple[int, int]) -> None:
    """Raise InputError where a frame has another size than the first one."""
    if image.shape[:2] != tuple(size):
        raise InputError(
            f"{source}: frame {t} is {image.shape[1]}x{image.shape[0]} but the video began with {size[1]}x{size[0]} "
            "(width x height); split the video where its size changes"
        )


def _container(source: str, live: str | None):
    try:
        import av
        from av.error import FFmpegError, InvalidDataError
    except ImportError as error:
        raise InputError(f"{source}: reading video files needs PyAV; install it with: pip install av") from error
    try:
        container = av.open(source, format=live or None, metadata_errors="replace")
    except InvalidDataError as error:
        raise InputError(f"{source}: no video or folder of pictures, or damaged at its start") from error
    except (FFmpegError, OSError) as error:
        raise InputError(f"{source}: cannot be opened as video ({error})") from error
    if container.format.name == "tty":  # ffmpeg takes any .txt for the picture of a terminal
        raise InputError(f"{source}: no video or folder of pictures, but text")
    return container


def _video_stream(container, source: str):
    if not container.streams.video:
        raise InputError(f"{source}: holds no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _decoded(container, stream, source: str) -> Iterator:
    from av.error import FFmpegError

    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except FFmpegError as error:
        raise InputError(f"{source}: damaged after frame {count - 1} ({error})") from error


def _upright(frame) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned by the file's rotation flag, which PyAV gives in degrees counterclockwise."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4))
