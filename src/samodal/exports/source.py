"""What is exported: the frames of a clip with their results, which can be read again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from samodal.errors import InputError
from samodal.files import read_json
from samodal.results.by_track import TrackKeys
from samodal.results.fields import value_of
from samodal.results.frames import UNFINISHED, FrameLines
from samodal.results.tracks_json import numbers_of
from samodal.tracks import FrameResult, Instance

FRAMES_PER_SECOND = 10.0
"""Of results that do not tell; that of folders of pictures."""


@dataclass(frozen=True)
class Shot:
    """One frame.

    Attributes:
        number: of the frame in its video or folder, from 0; where a run leaves out frames, numbers have gaps.
        name: of the frame's file, or its number as text.
        result: what is in it.
        instances: (id of the track, instance) of each.
    """

    number: int
    name: str
    result: FrameResult
    instances: tuple[tuple[int | str, Instance], ...]

    @property
    def file_name(self) -> str:
        """The name of a picture; frames of a video are named as `ffmpeg -start_number 0 %06d.jpg` names them."""
        return self.name if PurePath(self.name).suffix else f"{self.name}.jpg"


@dataclass(frozen=True)
class Track:
    """One instance through the clip, without its masks.

    Attributes:
        number: from 1, in the order of first frames.
        key: its id.
        category: class name.
    """

    number: int
    key: int | str
    category: str


@dataclass(frozen=True)
class Contents:
    """What a first reading tells.

    Attributes:
        tracks: by id.
        numbers: of the frames.
        file_names: of the frames.
        seconds: time of the last frame.
        lost: instances of frames that have no mask at all.
    """

    tracks: dict[int | str, Track]
    numbers: list[int]
    file_names: list[str]
    seconds: float
    lost: int

    @cached_property
    def categories(self) -> dict[str, int]:
        """{class name: number}, as in tracks.json."""
        return numbers_of(track.category for track in self.tracks.values())

    @property
    def end(self) -> int:
        """The number of the last frame, plus one."""
        return self.numbers[-1] + 1 if self.numbers else 0


@dataclass(frozen=True)
class Source:
    """The results of one clip.

    Attributes:
        name: of the clip.
        size: (H, W) of its frames in pixels.
        fps: frames per second.
        where: it was read from, for messages.
        read: gives (file name, result) of all frames, each time from the first on.
        video: what was run: a file or folder, or the clip's name.
        settings: of the run.
        notes: what is to be told of the source itself.
    """

    name: str
    size: tuple[int, int]
    fps: float
    where: str
    read: Callable[[], Iterable[tuple[str, FrameResult]]]
    video: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def shots(self) -> Iterator[Shot]:
        """The frames in their order."""
        keys = TrackKeys()
        for name, result in self.read():
            yield Shot(self._number(name, result), name, result, tuple(zip(keys.of(result), result, strict=True)))

    def _number(self, name: str, result: FrameResult) -> int:
        # Videos name frames by number; of a folder, whose rate is constant, the time tells it.
        return int(name) if name.isascii() and name.isdecimal() else round(result.time * self.fps)

    @cached_property
    def contents(self) -> Contents:
        """Tracks, frames and classes.

        Raises:
            InputError: where two frames have one number, or there is none.
        """
        tracks: dict[int | str, Track] = {}
        numbers, names, seconds, lost = [], [], 0.0, 0
        for shot in self.shots():
            if numbers and shot.number <= numbers[-1]:
                raise InputError(f"{self.where}: frame {shot.name} is not later than the frame before it, {names[-1]}")
            numbers.append(shot.number)
            names.append(shot.file_name)
            seconds = shot.result.time
            for key, instance in shot.instances:
                lost += not instance.amodal and not instance.visible
                if key not in tracks:
                    tracks[key] = Track(len(tracks) + 1, key, instance.category)
        if not numbers:
            raise InputError(f"{self.where}: no finished frame to export")
        return Contents(tracks, numbers, names, seconds, lost)


class Losses:
    """Counts what a format cannot hold, or holds otherwise."""

    def __init__(self, source: Source):
        self._counts: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self.add("instances of frames left out: they are lost and have no mask", source.contents.lost)

    def add(self, what: str, count: int = 1, of: int = 0) -> None:
        """Count some; `of` how many, where that tells more."""
        self._counts[what] += count
        self._totals[what] += of

    def lines(self) -> list[str]:
        """A line for each kind, with its number."""
        totals = {what: f" of {total:,}" for what, total in self._totals.items() if total}
        return [f"{count:,}{totals.get(what, '')} {what}" for what, count in self._counts.items() if count]


def of_run(path: str | Path) -> Source:
    """The results of a run: its folder, or a frames.jsonl.

    Raises:
        InputError: where there is none, or it is damaged.
    """
    path = Path(path)
    lines_path = path / "frames.jsonl" if path.is_dir() else path
    if path.is_dir() and not lines_path.exists() and (path / UNFINISHED / "frames.jsonl").exists():
        raise InputError(f"{path}: is not finished; run the same command again, or give {path / UNFINISHED}")
    lines = FrameLines(lines_path)
    fps = lines.settings.get("fps")
    if not isinstance(fps, int | float) or isinstance(fps, bool) or not 0 < fps < 1e6:
        fps = FRAMES_PER_SECOND
    video = lines.settings.get("source")
    record = lines_path.with_name("run.json")
    finished = not record.exists() or value_of(read_json(record), "complete", bool, str(record), True)
    return Source(
        lines.clip,
        lines.size,
        float(fps),
        str(lines_path),
        lambda: FrameLines(lines_path),
        video if isinstance(video, str) else lines.clip,
        lines.settings,
        () if finished else ("the run is not finished: these are its frames so far",),
    )
