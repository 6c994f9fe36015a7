"""frames.jsonl: the result of a run, one flushed line per finished frame.

The first line is a header (schema version, clip, size, settings), every further one a frame. A run that was
interrupted leaves a file whose last line may be cut; everything before it is read. `frames.schema.json` beside
this module describes both kinds of line.
"""

import json
import math
import numbers
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from samodal.errors import InputError, shown
from samodal.files import opened_text, parse_json
from samodal.outputs import cannot_write
from samodal.results.by_track import clip_from_results
from samodal.results.fields import FrameNumber, Side, value_of
from samodal.results.instances import from_json, to_json
from samodal.tracks import Clip, FrameResult, checked_score

SCHEMA = 2
"""Version of frames.jsonl that is written. 2 has who hides whom, and what a segmenter says beside its mask."""
READABLE = (1, 2)
"""Versions that are read."""
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def schema() -> dict:
    """The JSON Schema of one line."""
    return json.loads(files("samodal.results").joinpath("frames.schema.json").read_text(encoding="utf-8"))


UNFINISHED = "unfinished"
"""Folder in the folder of a run that holds what is not finished."""


def result_count(lines: Path) -> int:
    """Number of finished frames in a frames.jsonl; 0 where there is none."""
    try:
        with lines.open("rb") as file:
            return max(0, sum(line.endswith(b"\n") for line in file) - 1)
    except OSError:
        return 0


class FramesWriter:
    """Appends frame results to a file, each flushed as it is written. Use it in a `with` statement.

    Args:
        path: replaced where it is there already.
        clip: name of the clip.
        size: (H, W) of every frame.
        settings: of the run, anything that JSON can hold.
        details: write hypotheses and confidence, too, where a result has them.
        go_on: keep the lines that an interrupted run left; those that are written again are held against them, and
            `skip` passes over some.

    Attributes:
        position: bytes up to the end of the newest line.

    Raises:
        InputError: on opening or writing, if the disk refuses, a frame is none that `read_frames` reads, or a line
            differs from the one that stands there; lines written before stay readable.
    """

    def __init__(
        self,
        path: Path,
        clip: str,
        size: tuple[int, int],
        settings: dict | None = None,
        details: bool = False,
        go_on: bool = False,
    ):
        self.path, self.details, self._size, self._t = Path(path), details, tuple(size), None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab+" if go_on else "wb+")
            self._file.truncate(_end_of_lines(self._file))
            self._end = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
        except OSError as error:
            raise cannot_write(self.path, error) from None
        self.position, self._number = 0, 0
        self._line({"schema": SCHEMA, "clip": clip, "size": list(size), "settings": settings or {}})

    def write(self, result: FrameResult, name: str | None = None, more: dict[str, Any] | None = None) -> None:
        """Append one frame; `name` is its file name where it has one, `more` what its line holds besides."""
        check_result(result, self._size, self._t)
        self._t = result.t
        instances = [to_json(instance, result.hidden_by[instance.id], self.details) for instance in result.instances]
        line = {"t": int(result.t), "time": round(float(result.time), 6), "name": name, "instances": instances}
        self._line(line | ({"cut": True} if result.cut else {}) | (more or {}))

    def append(self, entry: dict[str, Any]) -> None:
        """Append a frame as its entry stands in another file of the same run, with another `t`."""
        self._line(entry)

    def skip(self) -> bytes:
        """Pass over the line of a frame that stands in the file already, and give it."""
        line = self._standing()
        self._t = self._number - 2  # the header is line 1, and frames of runs count from 0
        return line

    def _standing(self) -> bytes:
        line = self._file.readline()
        self.position, self._number = self.position + len(line), self._number + 1
        return line

    def _line(self, value: dict) -> None:
        line = (_ENCODER.encode(value) + "\n").encode()
        if self.position < self._end:
            if self._standing() != line:
                raise InputError(
                    f"{self.path}, line {self._number}: is not what this run gives; pictures, labels or a part have "
                    "changed since the run was interrupted; remove the folder to begin anew"
                )
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from None
        self.position += len(line)

    def close(self) -> None:
        """Close the file; every line is in it already."""
        self._file.close()

    def __enter__(self) -> "FramesWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end_of_lines(file: BinaryIO) -> int:
    """Bytes up to the end of the last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - (1 << 20))
        file.seek(begin)
        if (newline := file.read(end - begin).rfind(b"\n")) >= 0:
            return begin + newline + 1
        end = begin
    return 0


def check_result(result: FrameResult, size: tuple[int, int], before: int | None) -> None:
    """Refuse a frame for which `read_frames` would refuse the whole file.

    Args:
        size: (H, W) of every frame.
        before: t of the frame before; None for the first.

    Raises:
        InputError: says what of which instance.
    """
    where = f"frame {result.t}"
    if not isinstance(result.t, numbers.Integral):
        raise InputError(f"{where}: expected the index of a frame, from 0, got {shown(result.t)}")
    if before is not None and result.t != before + 1:
        raise InputError(f"{where}: comes after frame {before}; frames are written in order, none left out")
    if not isinstance(result.time, numbers.Real) or not math.isfinite(result.time):
        raise InputError(f"{where}: its time {result.time!r} is no number of seconds")
    ids = set()
    for instance in result.instances:
        key, place = instance.id, f"{where}, instance {shown(instance.id)}"
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError(f"{place}: expected an int or str as id, got {type(key).__name__}")
        if str(key) in ids:
            raise InputError(f"{place}: the id is there twice in one frame; ids must be unique")
        ids.add(str(key))
        if not isinstance(instance.category, str):
            raise InputError(f"{place}: expected a class name as text, got {shown(instance.category)}")
        if instance.score is not None:
            checked_score(instance.score, place)
        for mask in (instance.visible, instance.amodal):
            if mask is not None and mask.size != size:
                raise InputError(f"{place}: a mask of {mask.size} in frames of {size} (height, width)")


@dataclass(frozen=True)
class Frames:
    """The content of a frames.jsonl.

    Attributes:
        clip: name.
        size: (H, W).
        settings: of the run.
        results: of every complete line, in order.
        names: of the frames; an index of six digits where there was none.
        complete: False where the last line was cut off.
    """

    clip: str
    size: tuple[int, int]
    settings: dict
    results: tuple[FrameResult, ...]
    names: tuple[str, ...]
    complete: bool

    def tracks(self) -> Clip:
        """The same by track; the settings become the clip's info."""
        expected = range(len(self.results))
        if [result.t for result in self.results] != list(expected):
            raise InputError(f"clip {self.clip}: frames are missing or out of order; they must run from 0")
        return clip_from_results(self.clip, self.size, self.names, self.results, {"settings": self.settings})


class FrameLines:
    """A frames.jsonl of this or an earlier schema, read line by line, so that memory does not grow with its length.

    Iterating gives (name, result) of each complete line; a name is an index of six digits where there is none. Who
    hides whom is not read: it follows from the masks.

    Attributes:
        clip: name.
        size: (H, W).
        settings: of the run.
        complete: False where the last line was cut off; known after an iteration.

    Raises:
        InputError: if the file is missing, of another schema, or a line other than the last is damaged.
    """

    def __init__(self, path: Path):
        self.path, self.complete = Path(path), True
        self.clip, self.size, self.settings = _header(next(self._values(), None), self.path)

    def __iter__(self) -> Iterator[tuple[str, FrameResult]]:
        for number, value in islice(enumerate(self._values(), start=1), 1, None):
            where = f"{self.path}, line {number}"
            yield frame_name(value, where), _frame(value, self.size, where)

    def _values(self) -> Iterator[Any]:
        with opened_text(self.path) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    self.complete = False
                    return
                yield parse_json(line, f"{self.path}, line {number}")


def read_frames(path: Path) -> Frames:
    """The whole content of a frames.jsonl; a last line that was cut off is left out. See `FrameLines`."""
    lines = FrameLines(path)
    names, results = tuple(zip(*lines, strict=True)) or ((), ())
    return Frames(lines.clip, lines.size, lines.settings, results, names, lines.complete)


def read_line(line: bytes, size: tuple[int, int], where: str) -> FrameResult:
    """The result of one line that is no header; see `FrameLines`."""
    return _frame(parse_json(line, where), size, where)


def _header(value: Any, path: Path) -> tuple[str, tuple[int, int], dict]:
    """Clip, (H, W) and settings of the first line."""
    if not isinstance(value, dict) or "schema" not in value:
        raise InputError(f"{path}: no header in the first line; is this a frames.jsonl?")
    where = f"{path}, line 1"
    schema = value_of(value, "schema", int, where)
    if schema not in READABLE:
        raise InputError(f"{path}: schema {schema}, this version reads 1 and 2; update samodal")
    height, width = value_of(value, "size", tuple[Side, Side], where)
    return value_of(value, "clip", str, where), (height, width), value_of(value, "settings", dict, where)


def frame_name(value: dict, where: str) -> str:
    """The name of a frame's line, an index of six digits where it has none."""
    return value_of(value, "name", str | None, where, None) or f"{value_of(value, 't', FrameNumber, where):06d}"


def _frame(value: Any, size: tuple[int, int], where: str) -> FrameResult:
    instances = tuple(from_json(entry, size, where) for entry in value_of(value, "instances", list, where))
    ids = [instance.id for instance in instances]
    if len(set(ids)) != len(ids):
        twice = next(key for key in ids if ids.count(key) > 1)
        raise InputError(f"{where}: id {twice} is there twice in one frame")
    t, time = value_of(value, "t", FrameNumber, where), value_of(value, "time", float, where)
    return FrameResult(t, time, instances, value_of(value, "cut", bool, where, False))
