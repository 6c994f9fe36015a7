"""Scalabel JSON, the form of BDD100K's masks: run lengths where there are some, else polygons.

A file is a list of frames, or an object with `frames`; a frame has `name`, `videoName`, `frameIndex` and
`labels`; a label has `id`, `category`, and `rle` or `poly2d`. Crowd labels are read, and marked as crowds.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.files import read_json
from samodal.results.columns import VisibleColumns
from samodal.results.fields import FrameNumber, Id, Side, is_crowd, is_number, objects, refuse_box_alone, value_of
from samodal.tracks import Clip

_STEPS = np.linspace(0, 1, 9)[1:, None]


def is_scalabel(content: object) -> bool:
    """Whether the content of a JSON file has this form."""
    frames = content.get("frames") if isinstance(content, dict) else content
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "labels" in frames[0]


def video_names(path: Path) -> list[str | None]:
    """Names of the videos that a file holds, None for one without a name."""
    return list(dict.fromkeys(_video_of(*frame) for frame in _frames(read_json(path), path)))


def read_scalabel_clip(path: Path, name: str | None, size: tuple[int, int] | None) -> Clip:
    """The tracks of a video, on the frames that the file has of it, under their names.

    Args:
        name: its `videoName`.
        size: (H, W) of its frames, taken where the file says none: in `config.imageSize`, or in run lengths.

    Raises:
        InputError: if nothing says the size, or the file is damaged.
    """
    content = read_json(path)
    frames = [frame for frame in _frames(content, path) if _video_of(*frame) == name]
    size = _size(content, frames, path) or size
    if size is None:
        raise InputError(f"{path}: does not say the size of its frames, and it is not known from elsewhere")
    clip, order = _clip(path, name or path.stem, size, None, frames)
    names = (value_of(frame, "name", str | None, where, None) for where, frame in (frames[i] for i in order))
    return replace(clip, frames=tuple(name or f"{t:06d}" for t, name in enumerate(names)))


def _size(content: Any, frames: list[tuple[str, dict]], path: Path) -> tuple[int, int] | None:
    config = value_of(content, "config", dict | None, str(path), None) if isinstance(content, dict) else None
    known = value_of(config or {}, "imageSize", dict | None, f"{path}: config", None)
    if known:
        where = f"{path}: imageSize"
        return value_of(known, "height", Side, where), value_of(known, "width", Side, where)
    for where, frame in frames:
        for label in _labels(frame, where):
            coded = value_of(label, "rle", dict | None, where, None)
            if coded:
                height, width = value_of(coded, "size", tuple[Side, Side], f"{where}: rle")
                return height, width
    return None


def read_scalabel(path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The tracks of one video.

    Frame indices in such files may count from the start of a longer video: where the file has exactly as many
    frames as the video, they are taken in their order; else `frameIndex` is the frame.

    Args:
        name: of the clip; chooses by `videoName` where the file holds several videos.
        size: (H, W) of the video; masks must have it, polygons are drawn on it.
        length: number of its frames, None takes the file's.
    """
    frames = _of_video(_frames(read_json(path), path), name, path)
    return _clip(path, name, size, length, frames)[0]


def _clip(
    path: Path, name: str, size: tuple[int, int], length: int | None, frames: list[tuple[str, dict]]
) -> tuple[Clip, list[int]]:
    """The tracks in these frames, and the frames' places in the order of their indices."""
    indices = [_index(frame, position, where) for position, (where, frame) in enumerate(frames)]
    order = np.argsort(indices, kind="stable")
    numbered = length is not None and len(frames) != length
    if not numbered:
        length = len(frames)
        indices = np.argsort(order, kind="stable").tolist()
    columns = VisibleColumns(path, name, size, length)
    for t, (where, frame) in zip(indices, frames, strict=True):
        for label in _labels(frame, where):
            key = _plain(value_of(label, "id", Id, where))
            category = str(value_of(label, "category", Id, where))
            place = f"{path}: track {key}, frame {t}"
            attributes = value_of(label, "attributes", dict | None, place, None) or {}
            crowd = any(is_crowd(attributes, place, mark) for mark in ("crowd", "Crowd"))
            columns.add(key, category, t, _mask(label, place), label.get("score"), place, crowd)
    return replace(columns.clip(), info={"numbered": numbered}), order.tolist()


def _frames(content: Any, path: Path) -> list[tuple[str, dict]]:
    return list(objects(content if isinstance(content, dict) else {"frames": content}, "frames", path, "frame"))


def _labels(frame: dict, where: str) -> list:
    return value_of(frame, "labels", list | None, where, None) or []


def _video_of(where: str, frame: dict) -> str | None:
    name = value_of(frame, "videoName", Id | None, where, None)
    return None if name is None else str(name)


def _of_video(frames: list[tuple[str, dict]], name: str, path: Path) -> list[tuple[str, dict]]:
    videos = [_video_of(*frame) for frame in frames]
    if len(set(videos)) <= 1:
        return frames
    if name not in videos:
        some = ", ".join(sorted(set(map(str, videos)))[:4])
        raise InputError(f"{path}: holds several videos ({some}, …) but none named {name!r}")
    return [frame for frame, video in zip(frames, videos, strict=True) if video == name]


def _index(frame: dict, position: int, where: str) -> int:
    index = value_of(frame, "frameIndex" if "frameIndex" in frame else "index", FrameNumber | None, where, None)
    return position if index is None else index


def _plain(key: int | str) -> int | str:
    return int(key) if isinstance(key, str) and is_number(key) else key


def _mask(label: dict, where: str) -> dict | list | None:
    """Run lengths where a label has some, else its polygons.

    Raises:
        InputError: if it has neither, or a damaged polygon.
    """
    coded = value_of(label, "rle", dict | None, where, None)
    parts = value_of(label, "poly2d", list | None, where, None)
    if not coded and not parts:
        refuse_box_alone(label, "'rle' or 'poly2d'", where)
    if coded is None and parts is None:
        raise InputError(f"{where}: no mask; masks are needed ('rle' or 'poly2d')")
    return coded or [_outline(part, where) for part in parts or ()]


def _outline(part: Any, where: str) -> list[float]:
    """A polygon as [x, y, x, y, …]; a vertex of type C is a control point of a cubic curve."""
    vertices = np.array(value_of(part, "vertices", tuple[tuple[float, float], ...], where), float)
    types = value_of(part, "types", str | None, where, None) or "L" * len(vertices)
    if not len(vertices) or len(types) != len(vertices):
        raise InputError(f"{where}: {len(vertices)} vertices of a polygon, but {len(types)} types of them")
    points = [vertices[0]]
    i = 1
    while i < len(vertices):
        if types[i] == "C" and i + 1 < len(vertices):
            end = vertices[(i + 2) % len(vertices)]
            points.extend(_curve(points[-1], vertices[i], vertices[i + 1], end))
            i += 3
        else:
            points.append(vertices[i])
            i += 1
    return np.concatenate(points).tolist()


def _curve(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    u, v = _STEPS, 1 - _STEPS
    return v**3 * a + 3 * v**2 * u * b + 3 * v * u**2 * c + u**3 * d
