"""frames.jsonl: the result of a run, one flushed line per finished frame.

The first line is a header (schema version, clip, size, settings), every further one a frame. A run that was
interrupted leaves a file whose last line may be cut; everything before it is read. `frames.schema.json` beside
this module describes both kinds of line.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType

import numpy as np

from samodal.errors import InputError
from samodal.files import cannot_write, field, read_mask, read_text
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, clip_from_results

SCHEMA = 1
"""Version of frames.jsonl; it changes when a reader of an older version would misread a newer file."""


def schema() -> dict:
    """The JSON Schema of one line."""
    return json.loads(files("samodal.results").joinpath("frames.schema.json").read_text(encoding="utf-8"))


class FramesWriter:
    """Appends frame results to a file, each flushed as it is written. Use it in a `with` statement.

    Args:
        path: replaced where it is there already.
        clip: name of the clip.
        size: (H, W) of every frame.
        settings: of the run, anything that JSON can hold.

    Raises:
        InputError: on opening or writing, if the disk refuses; lines written before stay readable.
    """

    def __init__(self, path: Path, clip: str, size: tuple[int, int], settings: dict | None = None):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self.path, error) from None
        self._line({"schema": SCHEMA, "clip": clip, "size": list(size), "settings": settings or {}})

    def write(self, result: FrameResult, name: str | None = None) -> None:
        """Append one frame; `name` is its file name where it has one."""
        instances = [_to_json(instance) for instance in result.instances]
        line = {"t": result.t, "time": round(result.time, 6), "name": name, "instances": instances}
        self._line(line | {"cut": True} if result.cut else line)

    def _line(self, value: dict) -> None:
        try:
            self._file.write(json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def close(self) -> None:
        """Close the file; every line is in it already."""
        self._file.close()

    def __enter__(self) -> "FramesWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


def read_frames(path: Path) -> Frames:
    """Read a frames.jsonl; a last line that was cut off is left out.

    Raises:
        InputError: if it is missing, of another schema, or a line other than the last is damaged.
    """
    lines = read_text(path).split("\n")
    values = _parse(lines[:-1], path)
    if not values or "schema" not in values[0]:
        raise InputError(f"{path}: no header in the first line; is this a frames.jsonl?")
    header = values[0]
    if header["schema"] != SCHEMA:
        raise InputError(f"{path}: schema {header['schema']}, this version reads {SCHEMA}; update samodal")
    size = (int(header["size"][0]), int(header["size"][1]))
    results = tuple(_frame(value, size, f"{path}, line {n}") for n, value in enumerate(values[1:], start=2))
    names = tuple(value.get("name") or f"{value['t']:06d}" for value in values[1:])
    return Frames(header["clip"], size, header["settings"], results, names, complete=not lines[-1])


def _parse(lines: Sequence[str], path: Path) -> list[dict]:
    values = []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not valid JSON ({error.msg})") from None
    return values


def _frame(value: dict, size: tuple[int, int], where: str) -> FrameResult:
    instances = tuple(_from_json(instance, size, where) for instance in field(value, "instances", where))
    ids = [instance.id for instance in instances]
    if len(set(ids)) != len(ids):
        twice = next(key for key in ids if ids.count(key) > 1)
        raise InputError(f"{where}: id {twice} is there twice in one frame")
    return FrameResult(field(value, "t", where), field(value, "time", where), instances, value.get("cut", False))


def _to_json(instance: Instance) -> dict:
    rate = instance.occlusion
    return {
        "id": instance.id,
        "category": instance.category,
        "score": None if instance.score is None else float(instance.score),
        "state": str(instance.state),
        "visible": _coded(instance.visible),
        "amodal": _coded(instance.amodal),
        "visible_box": _box(instance.visible),
        "amodal_box": _box(instance.amodal),
        "occlusion": None if rate is None else round(rate, 6),
        "points": _points(instance.points),
        "followed": _points(instance.followed),
        "frames_since_seen": int(instance.frames_since_seen),
        "seconds_since_seen": round(float(instance.seconds_since_seen), 6),
    }


def _from_json(value: dict, size: tuple[int, int], where: str) -> Instance:
    where = f"{where}: instance {value.get('id')}"
    return Instance(
        id=field(value, "id", where),
        category=field(value, "category", where),
        score=value.get("score"),
        state=State(field(value, "state", where)),
        visible=read_mask(value.get("visible"), size, where),
        amodal=read_mask(value.get("amodal"), size, where),
        points=_array(value.get("points")),
        followed=_array(value.get("followed")),
        frames_since_seen=value.get("frames_since_seen", 0),
        seconds_since_seen=value.get("seconds_since_seen", 0.0),
    )


def _coded(mask: Rle | None) -> dict | None:
    return None if mask is None else mask.to_coco()


def _box(mask: Rle | None) -> list[float] | None:
    return None if mask is None else [float(n) for n in mask.box]


def _points(points: np.ndarray | None) -> list[list[float | None]] | None:
    """Coordinates to a hundredth of a pixel; JSON has no nan, so a lost point is [null, null]."""
    if points is None:
        return None
    return [[round(v, 2) if math.isfinite(v) else None for v in xy] for xy in np.asarray(points).tolist()]


def _array(points: list | None) -> np.ndarray | None:
    if points is None:
        return None
    return np.array(points, dtype=np.float32).reshape(-1, 2)  # None becomes nan
