"""frames.jsonl: the result of a run, one flushed line per finished frame.

The first line is a header (schema version, clip, size, settings), every further one a frame. A run that was
interrupted leaves a file whose last line may be cut; everything before it is read. `frames.schema.json` beside
this module describes both kinds of line.
"""

import base64
import json
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.files import field, read_mask, read_text
from samodal.masks import Mask
from samodal.outputs import cannot_write
from samodal.rle import LARGEST_SIDE, Rle
from samodal.tracks import Clip, FrameResult, Instance, State, clip_from_results

SCHEMA = 2
"""Version of frames.jsonl that is written. 2 has who hides whom, and what a segmenter says beside its mask."""
READABLE = (1, 2)
"""Versions that are read."""


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
        InputError: on opening or writing, if the disk refuses, and for a line that differs from the one that stands
            there; lines written before stay readable.
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
        self.path, self.details = Path(path), details
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

    def write(self, result: FrameResult, name: str | None = None) -> None:
        """Append one frame; `name` is its file name where it has one."""
        instances = [_to_json(instance, result.hidden_by[instance.id], self.details) for instance in result.instances]
        line = {"t": result.t, "time": round(result.time, 6), "name": name, "instances": instances}
        self._line(line | {"cut": True} if result.cut else line)

    def skip(self) -> bytes:
        """Pass over a line that stands in the file already, and give it."""
        line = self._file.readline()
        self.position, self._number = self.position + len(line), self._number + 1
        return line

    def _line(self, value: dict) -> None:
        line = (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode()
        if self.position < self._end:
            if self.skip() != line:
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
    if not values or "schema" not in values[0]:
        raise InputError(f"{path}: no header in the first line; is this a frames.jsonl?")
    header = values[0]
    if header["schema"] not in READABLE:
        raise InputError(f"{path}: schema {header['schema']}, this version reads 1 and 2; update samodal")
    size = (int(header["size"][0]), int(header["size"][1]))
    results = tuple(_frame(value, size, f"{path}, line {n}") for n, value in enumerate(values[1:], start=2))
    names = tuple(value.get("name") or f"{value['t']:06d}" for value in values[1:])
    return Frames(header["clip"], size, header["settings"], results, names, complete=not lines[-1])


def read_line(line: bytes, size: tuple[int, int], where: str) -> FrameResult:
    """The result of one line that is no header; see `read_frames`."""
    (value,) = _parse([line.decode()], Path(where))
    return _frame(value, size, where)


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
        expected_iou=value.get("expected_iou"),
        beyond=_from_canvas(value.get("beyond"), size, where),
        spread=None if value.get("box_spread") is None else np.array(value["box_spread"], np.float32),
        hypotheses=_hypotheses(value.get("hypotheses"), size, where),
        confidence=_unpacked(value.get("confidence"), where),
    )


def _hypotheses(masks: list | None, size: tuple[int, int], where: str) -> tuple[Mask, Mask, Mask] | None:
    if masks is None:
        return None
    read = [read_mask(mask, size, f"{where}, hypotheses") for mask in masks]
    small, given, large = (Mask.nowhere(size) if mask is None else Mask.of(mask) for mask in read)
    return small, given, large


def _canvas(mask: Mask) -> dict:
    """A mask that may lie partly outside the frame, on a canvas of its own whose first pixel is x0, y0 of the frame."""
    return {"x0": int(mask.x), "y0": int(mask.y)} | Mask(mask.shape, 0, 0, mask.inside).to_coco()


def _from_canvas(value: dict | None, size: tuple[int, int], where: str) -> Mask | None:
    if value is None:
        return None
    where = f"{where}, beyond"
    x0, y0, canvas = _place(value, where)
    mask = read_mask({"size": canvas, "counts": field(value, "counts", where)}, canvas, where)
    return None if mask is None else Mask(size, x0, y0, mask.decode())


def _place(value: dict, where: str) -> tuple[int, int, tuple[int, int]]:
    """Column and row in the frame of a cut-out's first pixel, and its (height, width)."""
    x0, y0, size = (field(value, name, where) for name in ("x0", "y0", "size"))
    numbers = [x0, y0, *size] if isinstance(size, list) else [x0, y0]
    if len(numbers) != 4 or not all(type(n) is int for n in numbers) or not 1 <= min(size) <= max(size) <= LARGEST_SIDE:
        raise InputError(f"{where}: expected whole x0 and y0 and a size [height, width], got {str(numbers)[:60]}")
    return x0, y0, (size[0], size[1])


def _packed(confidence: Confidence) -> dict:
    """A cut-out of probabilities: its rows of bytes, compressed by zlib, in base 64."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(confidence.values).tobytes())).decode("ascii")
    size = [int(n) for n in confidence.values.shape]
    return {"x0": int(confidence.x), "y0": int(confidence.y), "size": size, "zlib": data}


def _unpacked(value: dict | None, where: str) -> Confidence | None:
    if value is None:
        return None
    where = f"{where}, confidence"
    x0, y0, (h, w) = _place(value, where)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(field(value, "zlib", where)), h * w)
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


def _array(points: list | None) -> np.ndarray | None:
    if points is None:
        return None
    return np.array(points, dtype=np.float32).reshape(-1, 2)  # None becomes nan
