"""Reading CVAT for video 1.1: what was exported by `samodal.exports.cvat` and corrected, or drawn by hand.

Tracks of one group are one instance; where shapes have the attribute `id`, it tells. A track whose label ends in
" (amodal)" has whole masks, any other visible ones. Polygons, masks and boxes of one kind in one frame are one mask.

Frames before the first shape and after the last are no frames of the result: nobody may have looked at them. Nor are
those between two shapes of a track that are no neighbours, where CVAT would interpolate; its own exports have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from samodal.errors import InputError, shown
from samodal.exports.cvat import WHOLE
from samodal.exports.source import FRAMES_PER_SECOND, Source
from samodal.files import read_mask
from samodal.results.fields import FrameNumber, Side, check_frames, is_number, value_of
from samodal.rle import Rle, union
from samodal.tracks import FrameResult, Instance, State

SHAPES = ("polygon", "mask", "box")
OTHERS = ("polyline", "points", "ellipse", "cuboid", "skeleton")


@dataclass
class _Drawn:
    """What is drawn of one instance in one frame."""

    visible: list[Rle] = field(default_factory=list)
    amodal: list[Rle] = field(default_factory=list)
    state: str = ""
    score: float | None = None


def read_cvat(path: Path, fps: float = FRAMES_PER_SECOND, names: list[str] | None = None) -> Source:
    """The tracks of a file.

    Args:
        fps: frames per second, which the file does not tell.
        names: of the pictures, in their order; None numbers them.

    Raises:
        InputError: if it is damaged, of another form, or has shapes that are no areas alone.
    """
    reader = _Reader(Path(path))
    parser = ElementTree.XMLParser(target=reader)
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                parser.feed(block)
        parser.close()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: no XML that can be read ({error}); was the file cut off?") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return reader.source(fps, names)


class _Reader:
    """Gathers instances as the elements of a file pass; an XML parser calls its methods."""

    def __init__(self, path: Path):
        self.path, self._open, self._text = path, [], ""
        self._meta: dict[str, str] = {}
        self._drawn: dict[int, dict[int | str, _Drawn]] = {}
        self._classes: dict[int | str, str] = {}
        self._track: dict[str, str] = {}
        self._shape: dict[str, str] | None = None
        self._shapes: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self._kinds: set[str] = set()
        self._skipped = self._end = 0
        self._first: int | None = None
        self._gaps: list[tuple[int, int]] = []

    def doctype(self, name: str, public: str, system: str) -> None:
        raise InputError(f"{self.path}: declares a document type, which files of CVAT do not")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag != "annotations":
            raise InputError(f"{self.path}: expected annotations of CVAT, found <{tag[:40]}>")
        if tag == "image":
            raise InputError(f"{self.path}: is CVAT for images; export the task as CVAT for video 1.1")
        self._open.append(tag)
        self._text = ""
        if tag == "track":
            self._track, self._shapes = attributes, []
        elif tag in SHAPES and "track" in self._open:
            self._shapes.append((tag, attributes, {}))
        elif tag == "attribute" and self._shapes:
            self._shape = attributes
        elif tag in OTHERS:
            self._skipped += 1

    def data(self, text: str) -> None:
        self._text += text

    def end(self, tag: str) -> None:
        self._open.pop()
        if tag == "attribute" and self._shape is not None and self._shapes:
            self._shapes[-1][2][self._shape.get("name", "")] = self._text.strip()
            self._shape = None
        elif tag == "track":
            self._add_track()
        elif self._open[-1:] in (["task"], ["job"], ["original_size"], ["meta"]):
            self._meta.setdefault(tag, self._text.strip())

    def close(self) -> None:
        """The end of the file."""

    def _add_track(self) -> None:
        where = f"{self.path}: track {shown(self._track.get('id', '?'))}"
        label = value_of(self._track, "label", str, where)
        kind = "amodal" if label.endswith(WHOLE) else "visible"
        self._kinds.add(kind)
        before: int | None = None
        for tag, attributes, told in self._shapes:
            frame = self._whole(attributes, "frame", where)
            place = f"{where}, frame {frame}"
            self._end = max(self._end, frame + 1)
            self._first = frame if self._first is None else min(self._first, frame)
            if before is not None and frame > before + 1:
                self._gaps.append((before + 1, frame))
            outside = attributes.get("outside") == "1"
            before = None if outside else frame
            if outside:
                continue
            mask = _mask(tag, attributes, self.size, place)
            key = self._key(told)
            drawn = self._drawn.setdefault(frame, {}).setdefault(key, _Drawn())
            self._classes.setdefault(key, label.removesuffix(WHOLE))
            if mask is not None:
                getattr(drawn, kind).append(mask)
            drawn.state = drawn.state or told.get("state", "")
            drawn.score = _score(told.get("confidence", "")) if drawn.score is None else drawn.score
        self._shapes = []

    def _key(self, told: dict[str, str]) -> int | str:
        text = told.get("id") or self._track.get("group_id") or f"track {self._track.get('id')}"
        return int(text) if is_number(text) and len(text) < 16 and str(int(text)) == text else text

    def _whole(self, values: dict[str, str], name: str, where: str, hint: Any = FrameNumber) -> int:
        text = values.get(name, "")
        return value_of({name: int(text) if is_number(text) else text}, name, hint, where)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the frames."""
        where = f"{self.path}, original_size"
        return self._whole(self._meta, "height", where, Side), self._whole(self._meta, "width", where, Side)

    def source(self, fps: float, names: list[str] | None) -> Source:
        """What was gathered."""
        if not self._drawn:
            raise InputError(f"{self.path}: no track in it has a shape of an area; draw polygons, masks or boxes")
        end = check_frames(self._end, len(self._classes), self.path)
        if names is not None and len(names) < end:
            raise InputError(f"{self.path}: has frame {end - 1}, but there are {len(names)} pictures")
        drawn = np.arange(end) >= (self._first or 0)
        for first, last in self._gaps:
            drawn[first:last] = False
        notes = [f"{self._skipped:,} shapes that are no areas: not read"] if self._skipped else []
        if self._gaps:
            count = int((~drawn[self._first :]).sum())
            notes.append(
                f"{count:,} frames between key frames left out: export them from CVAT, which interpolates them"
            )
        if self._kinds == {"visible"}:
            notes.append(f"no label ends in {WHOLE.strip()!r}: each mask is taken as visible and whole")
        name, video = self._meta.get("name") or self.path.stem, self._meta.get("source") or str(self.path)

        def read() -> Iterator[tuple[str, FrameResult]]:
            for frame in np.flatnonzero(drawn).tolist():
                instances = tuple(self._instance(key, drawn) for key, drawn in self._drawn.get(frame, {}).items())
                yield names[frame] if names else f"{frame:06d}", FrameResult(frame, frame / fps, instances)

        return Source(name, self.size, fps, str(self.path), read, video, notes=tuple(notes))

    def _instance(self, key: int | str, drawn: _Drawn) -> Instance:
        visible = union(drawn.visible) if drawn.visible else None
        amodal = union(drawn.amodal) if drawn.amodal else visible if self._kinds == {"visible"} else None
        state = drawn.state if drawn.state in list(State) else "visible" if visible else "hidden"
        return Instance(key, self._classes[key], drawn.score, State(state), visible, amodal)


def _score(text: str) -> float | None:
    with suppress(ValueError):
        return float(text) if 0 <= float(text) <= 1 else None
    return None


def _mask(tag: str, attributes: dict[str, str], size: tuple[int, int], where: str) -> Rle | None:
    if tag == "polygon":
        points = [_numbers(pair, ",", where) for pair in attributes.get("points", "").split(";")]
        return read_mask([[n for point in points for n in point]], size, where)
    if tag == "box":
        x0, y0, x1, y1 = (_numbers(attributes.get(name, ""), ",", where)[0] for name in ("xtl", "ytl", "xbr", "ybr"))
        return read_mask([[x0, y0, x1, y0, x1, y1, x0, y1]], size, where)
    return _from_rows(attributes, size, where)


def _numbers(text: str, separator: str, where: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(separator)]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{where}: expected coordinates, got {shown(text)}")
    return numbers


def _from_rows(attributes: dict[str, str], size: tuple[int, int], where: str) -> Rle | None:
    """A mask whose run lengths go along the rows of its box, outside first."""
    texts = {name: attributes.get(name, "") for name in ("left", "top", "width", "height")}
    runs = [part.strip() for part in attributes.get("rle", "").split(",")]
    if not all(map(is_number, [*texts.values(), *runs])) or max(map(len, [*texts.values(), *runs])) > 9:
        raise InputError(f"{where}: expected whole numbers as rle, left, top, width and height of a mask")
    left, top, width, height = map(int, texts.values())
    lengths = np.array(runs, np.int64)
    if left + width > size[1] or top + height > size[0] or not width or not height or lengths.sum() != width * height:
        raise InputError(f"{where}: the mask does not fill its box, or its box leaves the frame of {size[0]}x{size[1]}")
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = inside
    return Rle.encode(whole) if inside.any() else None
