"""Boxes of detectors and trackers without masks: MOTChallenge and KITTI text, COCO and COCO-video (TAO) JSON.

Sources: MOTChallenge's devkit (Milan et al. 2016, "MOT16", table 4 and its text); KITTI's tracking devkit, readme.txt,
"Data Format Description"; COCO's and TAO's formats of results (cocodataset.org/#format-results, taodataset.org).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from samodal.checks import Between
from samodal.errors import InputError, shown
from samodal.files import parse_json, read_text
from samodal.results.fields import FrameNumber, Id, Share, value_of

MOT_CLASSES = {
    1: "pedestrian", 2: "rider", 3: "car", 4: "bicycle", 5: "motorbike", 6: "non motorized vehicle",
    7: "person", 8: "distractor", 9: "occluder", 10: "occluder", 11: "occluder", 12: "reflection", 13: "crowd",
}  # fmt: skip
"""MOTChallenge's; 2 is "person on vehicle" there, and 7 "static person"."""
COCO_CLASSES = dict.fromkeys(range(1, 91), "thing") | {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 7: "train", 8: "truck",
}  # fmt: skip
KITTI_CLASSES = {"person_sitting": "person"}
"""Types that have another name elsewhere."""
_SCORED = 18
"""Values of a line of KITTI with a score at its end."""
_Coordinate = Annotated[float, Between(-1e6, 1e6)]
_Side = Annotated[float, Between(0, 1e6)]
_MOT = "'frame,id,left,top,width,height' and then conf, class and visibility, or conf,-1,-1,-1"
_KITTI = "'frame track type truncated occluded alpha x0 y0 x1 y1 …'"
_JSON = "a list of {image_id, category_id, bbox, score}"


@dataclass(frozen=True)
class FoundBox:
    """What a detector or tracker found in a frame.

    Attributes:
        category: class name; None where the file does not say.
        score: in [0, 1]; None where the file does not say.
        corners: x0, y0, x1, y1 in pixels of the frame, pixel edges; it may reach over the border.
        id: that the tracker gave; None of a detector.
    """

    category: str | None
    score: float | None
    corners: tuple[float, float, float, float]
    id: int | str | None


@dataclass
class BoxesOfFrames:
    """The boxes of a video.

    Attributes:
        path: the file.
        first: number of the video's first frame, as the form counts; None where the form does not say.
        frames: boxes by the frame's number, in the file's order.
        tracked: whether they have ids; None without any box.
    """

    path: Path
    first: int | None
    frames: dict[int, list[FoundBox]] = field(default_factory=dict)
    tracked: bool | None = None
    _ids: set[tuple[int, int | str]] = field(default_factory=set)

    def add(self, frame: int, box: FoundBox, where: str) -> None:
        """Add a box; one without an area is left out.

        Raises:
            InputError: for an id that is in the frame already, or a box with an id among boxes without, and vice versa.
        """
        tracked = box.id is not None
        if self.tracked not in (None, tracked):
            raise InputError(
                f"{where}: {'an' if tracked else 'no'} id, unlike the boxes before; give all an id, or none"
            )
        self.tracked = tracked
        if tracked and (frame, box.id) in self._ids:
            raise InputError(f"{where}: id {box.id} is in frame {frame} twice; ids must be unique within a frame")
        self._ids.add((frame, box.id))
        x0, y0, x1, y1 = box.corners
        if x0 < x1 and y0 < y1:
            self.frames.setdefault(frame, []).append(box)


def read_boxes(path: Path, video_id: int | None = None) -> BoxesOfFrames:
    """The boxes of one video from a file whose form is found by its content.

    Args:
        video_id: chooses the video in COCO-video results of several.

    Raises:
        InputError: if the form is unknown, or an entry is damaged.
    """
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        return _of_json(path, parse_json(text, str(path)), video_id)
    lines = [(f"{path}, line {n}", line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    values = lines[0][1].split() if lines else []
    if len(values) > 2 and "," not in lines[0][1] and values[2][0].isalpha():
        return _of_kitti(path, lines)
    return _of_mot(path, lines)


def _of_mot(path: Path, lines: list[tuple[str, str]]) -> BoxesOfFrames:
    boxes = BoxesOfFrames(path, first=1)
    for where, line in lines:
        values = line.strip().rstrip(",").split("," if "," in line else None)
        read = _numbers("frame id left top width height conf class".split(), values)
        if not 6 <= len(values) <= 10 or any(isinstance(value, str) for value in read.values()):
            raise InputError(f"{where}: expected {_MOT}, got {shown(line.strip())}; masks are for --vis file:")
        # Ten values end with a place in the world, which in the image is -1,-1,-1.
        if len(values) == 10 and any(_number(value) != -1 for value in values[7:]):
            raise InputError(
                f"{where}: values 8 to 10 of 10 are a place in the world, expected -1,-1,-1; a class is value 8 of 9"
            )
        if read["frame"] == 0:
            raise InputError(f"{where}: frame 0, but MOTChallenge counts frames from 1; add 1 to all of them")
        frame, key = (
            value_of(read, "frame", FrameNumber, where),
            value_of(read, "id", Annotated[int, Between(-1)], where),
        )
        kind = value_of(read, "class", int, where, -1)
        box = FoundBox(
            None if kind == -1 else _class_of(kind, MOT_CLASSES, where, "MOTChallenge's 1 to 13, or -1"),
            None if read.get("conf") == -1 else value_of(read, "conf", Share, where, None),
            _corners(*(value_of(read, name, _Coordinate, where) for name in ("left", "top")),
                     *(value_of(read, name, _Side, where) for name in ("width", "height"))),
            None if key == -1 else key,
        )  # fmt: skip
        boxes.add(frame, box, where)
    return boxes


def _of_kitti(path: Path, lines: list[tuple[str, str]]) -> BoxesOfFrames:
    boxes = BoxesOfFrames(path, first=0)
    for where, line in lines:
        values = line.split()
        if values[2:3] == ["DontCare"]:
            continue
        if not 10 <= len(values) <= _SCORED or not values[2][0].isalpha():
            raise InputError(f"{where}: expected {_KITTI}, got {shown(line.strip())}")
        read = _numbers("frame track type truncated occluded alpha x0 y0 x1 y1".split(), values)
        if len(values) == _SCORED:
            read["score"] = _number(values[-1])
        frame = value_of(read, "frame", FrameNumber, where)
        key = value_of(read, "track", Annotated[int, Between(-1)], where)
        x0, y0, x1, y1 = (value_of(read, name, _Coordinate, where) for name in ("x0", "y0", "x1", "y1"))
        if x1 < x0 or y1 < y0:
            raise InputError(f"{where}: expected a box of x0 <= x1 and y0 <= y1, got {x0:g} {y0:g} {x1:g} {y1:g}")
        score = value_of(read, "score", Share, where, None)
        category = KITTI_CLASSES.get(values[2].lower(), values[2])
        # The last column and row belong to the box.
        boxes.add(frame, FoundBox(category, score, (x0, y0, x1 + 1, y1 + 1), None if key == -1 else key), where)
    return boxes


def _of_json(path: Path, content: Any, video_id: int | None) -> BoxesOfFrames:
    if not isinstance(content, list):
        raise InputError(f"{path}: expected {_JSON}, found an object; masks and truth are for --vis file:")
    boxes = BoxesOfFrames(path, first=None)
    for where, entry in _of_video(path, content, video_id):
        kind = value_of(entry, "category_id", int, where)
        category = _class_of(kind, COCO_CLASSES, where, "COCO's 1 to 90")
        x, y, width, height = value_of(entry, "bbox", tuple[_Coordinate, _Coordinate, _Side, _Side], where)
        key = value_of(entry, "track_id", Id | None, where, None)
        box = FoundBox(
            category, value_of(entry, "score", Share, where), _corners(x, y, width, height), None if key == -1 else key
        )
        boxes.add(value_of(entry, "image_id", FrameNumber, where), box, where)
    return boxes


def _of_video(path: Path, content: list, video_id: int | None) -> list[tuple[str, Any]]:
    """(where, entry) of each box of the video."""
    entries = [(f"{path}: box at place {n}", entry) for n, entry in enumerate(content)]
    videos = [value_of(entry, "video_id", Id | None, where, None) for where, entry in entries]
    several = set(videos)
    if len(several) > 1 and video_id not in several:
        known = ", ".join(sorted(map(str, several))[:6])
        raise InputError(f"{path}: boxes of several videos ({known}), none of them {video_id}; give one file a video")
    return [entry for entry, video in zip(entries, videos, strict=True) if len(several) == 1 or video == video_id]


def _class_of(kind: int, table: dict[int, str], where: str, known: str) -> str:
    if kind not in table:
        zero = "; do they count from 0? Add 1, and what is missing among COCO's" if kind == 0 else ""
        raise InputError(f"{where}: unknown class {shown(kind)}, expected one of {known}{zero}")
    return table[kind]


def _corners(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left, top, left + width, top + height


def _numbers(names: list[str], values: list[str]) -> dict[str, Any]:
    """Values by name, numbers where they are any."""
    return {name: _number(value) for name, value in zip(names, values, strict=False)}


def _number(text: str) -> float | str:
    """A number in plain digits; anything else stays the text that it is, for a message."""
    try:
        return float(text) if text.isascii() and "_" not in text else text
    except ValueError:
        return text
