"""Scalabel JSON, the form of BDD100K's masks: run lengths where there are some, else polygons.

A file is a list of frames, or an object with `frames`; a frame has `name`, `videoName`, `frameIndex` and
`labels`; a label has `id`, `category`, and `rle` or `poly2d`. Crowd labels are read, and marked as crowds.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.files import field, read_json
from samodal.results.columns import VisibleColumns
from samodal.tracks import Clip

_STEPS = np.linspace(0, 1, 9)[1:, None]


def is_scalabel(content: object) -> bool:
    """Whether the content of a JSON file has this form."""
    frames = content.get("frames") if isinstance(content, dict) else content
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "labels" in frames[0]


def video_names(content: dict | list) -> list[str | None]:
    """Names of the videos that a file holds, None for one without a name."""
    return list(dict.fromkeys(frame.get("videoName") for frame in _frames(content)))


def read_scalabel_clip(path: Path, name: str | None, size: tuple[int, int] | None) -> Clip:
    """The tracks of a video, on the frames that the file has of it, under their names.

    Args:
        name: its `videoName`.
        size: (H, W) of its frames, taken where the file says none: in `config.imageSize`, or in run lengths.

    Raises:
        InputError: if nothing says the size, or the file is damaged.
    """
    content = read_json(path)
    frames = [frame for frame in _frames(content) if frame.get("videoName") == name]
    said = _size(content, frames) or size
    if said is None:
        raise InputError(f"{path}: does not say the size of its frames, and it is not known from elsewhere")
    order = np.argsort([_index(frame, position) for position, frame in enumerate(frames)], kind="stable")
    clip = read_scalabel(path, name or path.stem, said, None)
    names = tuple(str(frames[i].get("name", f"{t:06d}")) for t, i in enumerate(order))
    return replace(clip, frames=names)


def _size(content: dict | list, frames: list[dict]) -> tuple[int, int] | None:
    said = (content.get("config") or {}).get("imageSize") if isinstance(content, dict) else None
    if said:
        return int(said["height"]), int(said["width"])
    sizes = [label["rle"]["size"] for frame in frames for label in frame.get("labels") or [] if label.get("rle")]
    return (int(sizes[0][0]), int(sizes[0][1])) if sizes else None


def _frames(content: dict | list) -> list[dict]:
    return content["frames"] if isinstance(content, dict) else content


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
    frames = _of_video(_frames(content), name, path)
    indices = [_index(frame, position) for position, frame in enumerate(frames)]
    if length is None or len(frames) == length:
        order = np.argsort(indices, kind="stable")
        length = len(frames)
        indices = np.argsort(order, kind="stable").tolist()
    columns = VisibleColumns(path, name, size, length)
    for t, frame in zip(indices, frames, strict=True):
        for label in frame.get("labels") or []:
            where = f"{path}: frame {frame.get('name', t)}"
            key = field(label, "id", where)
            mask = label.get("rle") or [_outline(part) for part in label.get("poly2d") or []]
            score = label.get("score")
            attributes = label.get("attributes") or {}
            crowd = bool(attributes.get("crowd") or attributes.get("Crowd"))
            columns.add(_plain(key), str(field(label, "category", where)), t, mask, score, crowd)
    return columns.clip()


def _of_video(frames: list[dict], name: str, path: Path) -> list[dict]:
    names = {frame.get("videoName") for frame in frames}
    if len(names) <= 1:
        return frames
    if name not in names:
        some = ", ".join(sorted(map(str, names))[:4])
        raise InputError(f"{path}: holds several videos ({some}, …) but none named {name!r}")
    return [frame for frame in frames if frame.get("videoName") == name]


def _index(frame: dict, position: int) -> int:
    index = frame.get("frameIndex", frame.get("index"))
    return position if index is None else int(index)


def _plain(key: int | str) -> int | str:
    return int(key) if isinstance(key, str) and key.isdigit() else key


def _outline(part: dict) -> list[float]:
    """A polygon as [x, y, x, y, …]; a vertex of type C is a control point of a cubic curve."""
    vertices = np.asarray(part["vertices"], float)
    types = part.get("types") or "L" * len(vertices)
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
