"""What mmtracking writes and reads: COCO-VID annotations, and results as nested lists.

Source: the test data of mmtracking (Apache-2.0). COCO-VID: images with `video_id` and `frame_id`, annotations
with `image_id` and `instance_id`. Results: `track_bboxes[frame][class]` rows (id, x0, y0, x1, y1, score) and
`track_masks[frame][class]` run lengths, frames of all videos one after the other.
"""

from dataclasses import replace
from pathlib import Path

from samodal.errors import InputError
from samodal.files import field, read_json
from samodal.results.columns import VisibleColumns
from samodal.tracks import Clip


def is_coco_vid(content: object) -> bool:
    """Whether the content of a JSON file is COCO-VID."""
    images = content.get("images") if isinstance(content, dict) else None
    return bool(images) and "video_id" in images[0]


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
        InputError: if there are boxes but no masks, no such video, or it is another video.
    """
    content = read_json(path)
    video = _video(content, name, path)
    images = {image["id"]: image for image in content["images"] if image["video_id"] == video}
    names = {category["id"]: category["name"] for category in content.get("categories", [])}
    if length is None:
        length = 1 + max(int(image["frame_id"]) for image in images.values())
    columns = VisibleColumns(path, name, size, length)
    for annotation in content.get("annotations", []):
        image = images.get(annotation.get("image_id"))
        if image is None:
            continue
        where = f"{path}: annotation {annotation.get('id')}"
        if "segmentation" not in annotation:
            raise InputError(f"{where}: a box but no mask; masks are needed ('segmentation')")
        columns.add(
            field(annotation, "instance_id", where),
            names.get(annotation.get("category_id"), f"class {annotation.get('category_id')}"),
            int(image["frame_id"]),
            annotation["segmentation"],
        )
    return replace(columns.clip(), info={"numbered": True})


def read_mmtracking_results(path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The tracks of a results file of one video; classes are named by their index, as it has no names.

    Raises:
        InputError: if it has another number of frames, or boxes without masks.
    """
    content = read_json(path)
    boxes, masks = content["track_bboxes"], content.get("track_masks")
    if masks is None:
        raise InputError(f"{path}: boxes but no masks ('track_masks'); masks are needed")
    if length is not None and len(boxes) != length:
        raise InputError(
            f"{path}: results of {len(boxes)} frames but the video has {length}; were they made on another video?"
        )
    columns = VisibleColumns(path, name, size, len(boxes))
    try:
        for t, classes in enumerate(zip(boxes, masks, strict=True)):
            for kind, (rows, codes) in enumerate(zip(*classes, strict=True)):
                for row, code in zip(rows, codes, strict=True):
                    columns.add(int(row[0]), f"class {kind}", t, code, float(row[5]))
    except InputError:
        raise
    except (ValueError, TypeError, IndexError):
        raise InputError(f"{path}: 'track_bboxes' and 'track_masks' do not match; was the file cut?") from None
    return columns.clip()


def _video(content: dict, name: str, path: Path) -> int:
    videos = {image["video_id"] for image in content["images"]}
    if len(videos) == 1:
        return videos.pop()
    names = {video.get("name"): video["id"] for video in content.get("videos", [])}
    if name not in names:
        some = ", ".join(list(map(str, names))[:4])
        raise InputError(f"{path}: holds {len(videos)} videos ({some}, …) but none named {name!r}")
    return names[name]
