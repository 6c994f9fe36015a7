"""Scalabel JSON, the form of BDD100K's masks: run lengths where there are some, else polygons.

A file is a list of frames, or an object with `frames`; a frame has `name`, `videoName`, `frameIndex` and
`labels`; a label has `id`, `category`, and `rle` or `poly2d`. Crowd labels are kept like any other.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.files import read_json
from samodal.results.columns import VisibleColumns
from samodal.results.fields import FrameNumber, Id, is_number, objects, refuse_box_alone, value_of
from samodal.tracks import Clip

_STEPS = np.linspace(0, 1, 9)[1:, None]


def is_scalabel(content: object) -> bool:
    """Whether the content of a JSON file has this form."""
    frames = content.get("frames") if isinstance(content, dict) else content
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "labels" in frames[0]


def read_scalabel(path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The tracks of one video.

    Frame indices in such files may count from the start of a longer video: where the file has exactly as many
    frames as the video, they are taken in their order; else `frameIndex` is the frame.

    Args:
        name: of the clip; chooses by `videoName` where the file holds several videos.
        size: (H, W) of the video; masks must have it, polygons are drawn on it.
        length: number of its frames, None takes the file's.
    """
    content = read_json(path)
    frames = list(objects(content if isinstance(content, dict) else {"frames": content}, "frames", path, "frame"))
    frames = _of_video(frames, name, path)
    indices = [_index(frame, position, where) for position, (where, frame) in enumerate(frames)]
    numbered = length is not None and len(frames) != length
    if not numbered:
        order = np.argsort(indices, kind="stable")
        length = len(frames)
        indices = np.argsort(order, kind="stable").tolist()
    columns = VisibleColumns(path, name, size, length)
    for t, (where, frame) in zip(indices, frames, strict=True):
        for label in value_of(frame, "labels", list | None, where, None) or []:
            key = _plain(value_of(label, "id", Id, where))
            category = str(value_of(label, "category", Id, where))
            place = f"{path}: track {key}, frame {t}"
            columns.add(key, category, t, _mask(label, place), label.get("score"), place)
    return replace(columns.clip(), info={"numbered": numbered})


def _of_video(frames: list[tuple[str, dict]], name: str, path: Path) -> list[tuple[str, dict]]:
    videos = [value_of(frame, "videoName", Id | None, where, None) for where, frame in frames]
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
