"""What mmtracking writes and reads: COCO-VID annotations, and results as nested lists.

Source: the test data of mmtracking (Apache-2.0). COCO-VID: images with `video_id` and `frame_id`, annotations
with `image_id` and `instance_id`. Results: `track_bboxes[frame][class]` rows (id, x0, y0, x1, y1, score) and
`track_masks[frame][class]` run lengths, frames of all videos one after the other.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from samodal.errors import InputError, shown
from samodal.files import read_json
from samodal.results.columns import VisibleColumns
from samodal.results.fields import FrameNumber, Id, category_names, objects, refuse_box_alone, value_of
from samodal.tracks import Clip


def is_coco_vid(content: object) -> bool:
    """Whether the content of a JSON file is COCO-VID."""
    images = content.get("images") if isinstance(content, dict) else None
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "video_id" in images[0]


def is_mmtracking_results(content: object) -> bool:
    """Whether the content of a JSON file is mmtracking's results."""
    return isinstance(content, dict) and "track_bboxes" in content


def read_coco_vid(path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The tracks of one video of a COCO-VID file.

    Args:
        name: chooses by the video's `name` where there are several.
        size: (H, W) of the video.
        length: number of its frames; None takes the file's.

    Raises:
        InputError: if there are boxes but no masks, no such video, or it is another video; if a value is damaged.
    """
    content = read_json(path)
    frames = _frames(content, name, path)
    names = category_names(content, path)
    if length is None:
        length = 1 + max(frames.values())
    columns = VisibleColumns(path, name, size, length)
    for where, annotation in objects(content, "annotations", path, "annotation") if "annotations" in content else ():
        image = value_of(annotation, "image_id", Id, where)
        if image not in frames:
            continue
        if not annotation.get("segmentation"):
            refuse_box_alone(annotation, "'segmentation'", where)
        number = value_of(annotation, "category_id", Id | None, where, None)
        columns.add(
            value_of(annotation, "instance_id", Id, where),
            names.get(number, f"class {number}"),
            frames[image],
            value_of(annotation, "segmentation", list | dict | None, where),
            where=where,
        )
    return replace(columns.clip(), info={"numbered": True})


def read_mmtracking_results(path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The tracks of a results file of one video; classes are named by their index, as it has no names.

    Raises:
        InputError: if it has another number of frames, or boxes without masks; if a value is damaged, or a score
            outside [0, 1].
    """
    content = read_json(path)
    if content.get("track_masks") is None:
        raise InputError(f"{path}: boxes but no masks ('track_masks'); masks are needed")
    boxes, masks = (value_of(content, column, list, str(path)) for column in ("track_bboxes", "track_masks"))
    if length is not None and len(boxes) != length:
        raise InputError(
            f"{path}: results of {len(boxes)} frames but the video has {length}; were they made on another video?"
        )
    columns = VisibleColumns(path, name, size, len(boxes))
    for t, classes in enumerate(_pairs(boxes, masks, str(path))):
        for kind, pair in enumerate(_pairs(*classes, f"{path}: frame {t}")):
            for row, code in _pairs(*pair, f"{path}: frame {t}, class {kind}"):
                if not isinstance(row, list) or len(row) != 6:
                    raise InputError(
                        f"{path}: frame {t}, class {kind}: expected rows (id, x0, y0, x1, y1, score), got {shown(row)}"
                    )
                columns.add(row[0], f"class {kind}", t, code, row[5])
    return columns.clip()


def _pairs(boxes: Any, masks: Any, where: str) -> Iterator[tuple[Any, Any]]:
    """The entries of two lists side by side."""
    if not isinstance(boxes, list) or not isinstance(masks, list) or len(boxes) != len(masks):
        raise InputError(
            f"{where}: 'track_bboxes' and 'track_masks' do not match, or are no lists; was the file cut off?"
        )
    return zip(boxes, masks, strict=True)


def _frames(content: dict, name: str, path: Path) -> dict[Id, int]:
    """The frame of each image of the one video, or of that which is named so."""
    frames: dict[Id, dict[Id, int]] = {}
    for where, image in objects(content, "images", path, "image"):
        video, key = value_of(image, "video_id", Id, where), value_of(image, "id", Id, where)
        if key in frames.setdefault(video, {}):
            raise InputError(f"{where}: a second image has this id")
        frames[video][key] = value_of(image, "frame_id", FrameNumber, where)
    if len(frames) == 1:
        return next(iter(frames.values()))
    videos = objects(content, "videos", path, "video") if "videos" in content else ()
    names = {value_of(video, "name", Id | None, where, None): video.get("id") for where, video in videos}
    if name not in names:
        some = ", ".join(list(map(str, names))[:4])
        raise InputError(f"{path}: holds {len(frames)} videos ({some}, …) but none named {name!r}")
    key = value_of({"id": names[name]}, "id", Id, f"{path}: video {name!r}")
    if key not in frames:
        raise InputError(f"{path}: video {name!r}: no image of it")
    return frames[key]
