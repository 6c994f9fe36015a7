"""frames.jsonl: the result of a run, one flushed line per finished frame.

The first line is a header (schema version, clip, size, settings), every further one a frame. A run that was
interrupted leaves a file whose last line may be cut; everything before it is read. `frames.schema.json` beside
this module describes both kinds of line.
"""

import base64
import json
import math
import numbers
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

import numpy as np

from samodal.checks import Between
from samodal.confidence import Confidence
from samodal.errors import InputError, shown
from samodal.files import cannot_write, parse_json, read_mask, read_text
from samodal.masks import Mask
from samodal.results.fields import FrameNumber, Id, Share, Side, value_of
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, checked_score, clip_from_results

SCHEMA = 2
"""Version of frames.jsonl that is written. 2 has who hides whom, and what a segmenter says beside its mask."""
READABLE = (1, 2)
"""Versions that are read."""
_FARTHEST = 4  # larger sides of the frame from its corner to what lies over its border


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
        details: write hypotheses and confidence, too, where a result has them.

    Raises:
        InputError: on opening or writing, if the disk refuses, or a frame is none that `read_frames` reads; lines
            written before stay readable.
    """

    def __init__(
        self, path: Path, clip: str, size: tuple[int, int], settings: dict | None = None, details: bool = False
    ):
        self.path, self.details, self._size, self._t = Path(path), details, tuple(size), None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self.path, error) from None
        self._line({"schema": SCHEMA, "clip": clip, "size": list(size), "settings": settings or {}})

    def write(self, result: FrameResult, name: str | None = None) -> None:
        """Append one frame; `name` is its file name where it has one."""
        check_result(result, self._size, self._t)
        self._t = result.t
        instances = [_to_json(instance, result.hidden_by[instance.id], self.details) for instance in result.instances]
        line = {"t": int(result.t), "time": round(float(result.time), 6), "name": name, "instances": instances}
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


def read_frames(path: Path) -> Frames:
    """Read a frames.jsonl of this or an earlier schema; a last line that was cut off is left out.

    Who hides whom is not read: it follows from the masks.

    Raises:
        InputError: if it is missing, of another schema, or a line other than the last is damaged.
    """
    lines = read_text(path).split("\n")
    values = _parse(lines[:-1], path)
    clip, size, settings = _header(values[0] if values else None, path)
    results, names = [], []
    for number, value in enumerate(values[1:], start=2):
        results.append(_frame(value, size, f"{path}, line {number}"))
        names.append(frame_name(value, f"{path}, line {number}"))
    return Frames(clip, size, settings, tuple(results), tuple(names), complete=not lines[-1])


def _parse(lines: Sequence[str], path: Path) -> list[Any]:
    return [parse_json(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


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
    instances = tuple(_from_json(entry, size, where) for entry in value_of(value, "instances", list, where))
    ids = [instance.id for instance in instances]
    if len(set(ids)) != len(ids):
        twice = next(key for key in ids if ids.count(key) > 1)
        raise InputError(f"{where}: id {twice} is there twice in one frame")
    t, time = value_of(value, "t", FrameNumber, where), value_of(value, "time", float, where)
    return FrameResult(t, time, instances, value_of(value, "cut", bool, where, False))


def _to_json(instance: Instance, hidden_by: Iterable[tuple[int | str, float]], details: bool) -> dict:
    rate, expected = instance.occlusion, instance.expected_iou
    values = {
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
        "hidden_by": [{"id": key, "share": round(share, 6)} for key, share in hidden_by],
        "expected_iou": None if expected is None else float(expected),
        "box_spread": None if instance.spread is None else [round(float(n), 2) for n in instance.spread],
        "beyond": _canvas(instance.beyond) if _reaches_further(instance) else None,
    }
    if not details:
        return values
    masks, confidence = instance.hypotheses, instance.confidence
    return values | {
        "hypotheses": None if masks is None else [_coded(mask) if mask else None for mask in masks],
        "confidence": None if confidence is None else _packed(confidence),
    }


def _reaches_further(instance: Instance) -> bool:
    """Whether the whole object has other pixels than the amodal mask, which ends at the border of the frame."""
    beyond, amodal = instance.beyond, instance.amodal
    if not beyond or not amodal:
        return bool(beyond)
    return beyond.box != amodal.box or not np.array_equal(beyond.inside, amodal.inside)


def _from_json(value: Any, size: tuple[int, int], where: str) -> Instance:
    key = value_of(value, "id", Id, f"{where}: an instance")
    where = f"{where}: instance {key}"
    spread = value_of(value, "box_spread", tuple[float, float, float, float] | None, where, None)
    return Instance(
        id=key,
        category=value_of(value, "category", str, where),
        score=value_of(value, "score", Share, where, None),
        state=State(value_of(value, "state", Literal[*map(str, State)], where)),
        visible=read_mask(value.get("visible"), size, where),
        amodal=read_mask(value.get("amodal"), size, where),
        points=_array(value, "points", where),
        followed=_array(value, "followed", where),
        frames_since_seen=value_of(value, "frames_since_seen", FrameNumber, where, 0),
        seconds_since_seen=value_of(value, "seconds_since_seen", float, where, 0.0),
        expected_iou=value_of(value, "expected_iou", Share, where, None),
        beyond=_from_canvas(value.get("beyond"), size, where),
        spread=None if spread is None else np.array(spread, np.float32),
        hypotheses=_hypotheses(value.get("hypotheses"), size, where),
        confidence=_unpacked(value.get("confidence"), size, where),
    )


def _hypotheses(masks: Any, size: tuple[int, int], where: str) -> tuple[Mask, Mask, Mask] | None:
    if masks is None:
        return None
    if not isinstance(masks, list) or len(masks) != 3:
        raise InputError(f"{where}, hypotheses: expected three masks, got {shown(masks)}")
    read = [read_mask(mask, size, f"{where}, hypotheses") for mask in masks]
    small, given, large = (Mask.nowhere(size) if mask is None else Mask.of(mask) for mask in read)
    return small, given, large


def _canvas(mask: Mask) -> dict:
    """A mask that may lie partly outside the frame, on a canvas of its own whose first pixel is x0, y0 of the frame."""
    return {"x0": int(mask.x), "y0": int(mask.y)} | Mask(mask.shape, 0, 0, mask.inside).to_coco()


def _from_canvas(value: Any, size: tuple[int, int], where: str) -> Mask | None:
    if value is None:
        return None
    where = f"{where}, beyond"
    x0, y0, canvas = _place(value, size, where)
    mask = read_mask({"size": canvas, "counts": value_of(value, "counts", str | list, where)}, canvas, where)
    return None if mask is None else Mask(size, x0, y0, mask.decode())


def _place(value: Any, size: tuple[int, int], where: str) -> tuple[int, int, tuple[int, int]]:
    """Column and row in a frame of (H, W) of a cut-out's first pixel, and its (height, width)."""
    farthest = _FARTHEST * max(size)
    near, side = Annotated[int, Between(-farthest, farthest)], Annotated[int, Between(1, farthest)]
    x0, y0 = value_of(value, "x0", near, where), value_of(value, "y0", near, where)
    height, width = value_of(value, "size", tuple[side, side], where)
    return x0, y0, (height, width)


def _packed(confidence: Confidence) -> dict:
    """A cut-out of probabilities: its rows of bytes, compressed by zlib, in base 64."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(confidence.values).tobytes())).decode("ascii")
    size = [int(n) for n in confidence.values.shape]
    return {"x0": int(confidence.x), "y0": int(confidence.y), "size": size, "zlib": data}


def _unpacked(value: Any, size: tuple[int, int], where: str) -> Confidence | None:
    if value is None:
        return None
    where = f"{where}, confidence"
    x0, y0, (h, w) = _place(value, size, where)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(value_of(value, "zlib", str, where)), h * w)
        return Confidence(x0, y0, np.frombuffer(data, np.uint8).reshape(h, w))
    except (TypeError, ValueError, zlib.error) as error:
        raise InputError(f"{where}: damaged ({error})") from None


def _coded(mask: Rle | None) -> dict | None:
    return None if mask is None else mask.to_coco()


def _box(mask: Rle | None) -> list[float] | None:
    return None if mask is None else [float(n) for n in mask.box]


def _points(points: np.ndarray | None) -> list[list[float | None]] | None:
    """Coordinates to a hundredth of a pixel; JSON has no nan, so a lost point is [null, null]."""
    if points is None:
        return None
    return [[round(v, 2) if math.isfinite(v) else None for v in xy] for xy in np.asarray(points).tolist()]


def _array(value: dict, name: str, where: str) -> np.ndarray | None:
    points = value_of(value, name, tuple[tuple[float | None, float | None], ...] | None, where, None)
    return None if points is None else np.array(points, np.float32).reshape(-1, 2)  # None becomes nan
