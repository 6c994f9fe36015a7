"""YouTube-VIS JSON: truth, results as GenVIS and VITA write them, and our own tracks.json.

Source: https://youtube-vos.org/dataset/vis, and the results that GenVIS and VITA write. Truth is an object with
`videos`, `categories` and `annotations`, whose `segmentations` hold run lengths, polygons or null for each frame;
results are a list of `{video_id, category_id, segmentations, score}`. GenVIS and VITA write a mask for every frame,
which has no pixel where the object is absent; it is read as None. Our tracks.json is of the form of truth with amodal
`segmentations` and `track_id`, `visible_segmentations`, `states`, `scores` and `score` beside them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samodal.categories import CATEGORIES
from samodal.columns import Column, present
from samodal.errors import InputError
from samodal.files import field, read_json, read_mask
from samodal.results import tracks_json
from samodal.results.columns import VisibleColumns, frame_names
from samodal.tracks import Clip, State, Track


def is_youtube_vis(content: object) -> bool:
    """Whether the content of a JSON file is truth, or ours, in this form."""
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        return False
    annotations = content["annotations"]
    return "videos" in content and (not annotations or "segmentations" in annotations[0])


def is_results(content: object) -> bool:
    """Whether the content of a JSON file is a list of results, which may be empty."""
    return isinstance(content, list) and (
        not content or (isinstance(content[0], dict) and "segmentations" in content[0])
    )


def category_name(number: int) -> str:
    """The class name of an id in a file that names none: AmodalSynthDrive's, else "class 5"."""
    return CATEGORIES.get(number, f"class {number}")


def category_names(content: dict) -> dict[int, str]:
    """Class names by number, as a file has them."""
    return {category["id"]: category["name"] for category in content.get("categories", [])}


def named_category(entry: dict, names: dict[int, str]) -> str:
    """The class name of an entry of a file with these names."""
    return names.get(entry.get("category_id")) or category_name(entry.get("category_id"))


def read_results(path: Path, name: str, size: tuple[int, int], length: int | None, video_id: int | None = None) -> Clip:
    """The tracks of one video in a results file; a track's id is its index in the whole list.

    Args:
        name: of the clip.
        size: (H, W) of the video.
        length: number of its frames; None takes the file's.
        video_id: which results; may be None where all are of one video. GenVIS counts from 1 in the order of
            sorted names.

    Raises:
        InputError: if it holds several videos and none was chosen, or the chosen one is not the video.
    """
    content = read_json(path)
    present = sorted({field(entry, "video_id", f"{path}: result {i}") for i, entry in enumerate(content)})
    if video_id is None and len(present) > 1:
        raise InputError(
            f"{path}: results of {len(present)} videos ({present[0]} to {present[-1]}); choose by video_id for {name}"
        )
    if video_id is not None and video_id not in present:
        raise InputError(f"{path}: no results of video {video_id}; there are {present[:5]}")
    columns = VisibleColumns(path, name, size, length)
    for key, entry in enumerate(content):
        if video_id is not None and entry["video_id"] != video_id:
            continue
        where = f"{path}: result {key}"
        masks = field(entry, "segmentations", where)
        check_length(masks, columns.length, where)
        columns.length = len(masks)
        for t, mask in enumerate(masks):
            columns.add(key, category_name(entry.get("category_id")), t, mask, entry.get("score"))
    return columns.clip()


def check_length(masks: list, length: int | None, where: str) -> None:
    """Refuse a column of another number of frames."""
    if length is not None and len(masks) != length:
        raise InputError(
            f"{where}: {len(masks)} masks but the video has {length} frames; were the results made on another video?"
        )


def read_clips(path: Path) -> dict[str, Clip]:
    """All videos of truth or of our tracks.json, by name.

    `segmentations` are taken as amodal where `visible_segmentations` stand beside them, as visible elsewhere.

    Raises:
        InputError: if the file is damaged, a mask or a column does not fit its video, or an id is there twice.
    """
    content = read_json(path)
    if not is_youtube_vis(content):
        raise InputError(f"{path}: expected YouTube-VIS 'videos' and 'annotations' with 'segmentations'")
    names = category_names(content)
    clips = {}
    for video in content["videos"]:
        where = f"{path}: video {video.get('id')}"
        tracks = tuple(
            _track(entry, video, names, path)
            for entry in content["annotations"]
            if entry.get("video_id") == field(video, "id", where)
        )
        name = video_name(video)
        if name in clips:
            raise InputError(f"{where}: two videos are named {name!r}")
        size = (int(field(video, "height", where)), int(field(video, "width", where)))
        try:
            clips[name] = Clip(name, size, _frames(video), tracks, _labelled(video), content.get("info", {}))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return clips


def video_name(video: dict) -> str:
    """Its `name`, else the folder of its files, else its id."""
    if video.get("name"):
        return str(video["name"])
    names = video.get("file_names") or [""]
    folder, slash, _ = names[0].rpartition("/")
    return folder if slash else str(video["id"])


def _frames(video: dict) -> tuple[str, ...]:
    names = video.get("file_names")
    return tuple(names) if names else frame_names(int(video["length"]))


def _labelled(video: dict) -> tuple[int, ...] | None:
    return tuple(video["labelled"]) if video.get("labelled") is not None else None


def spread(entry: dict, video: dict, where: str) -> dict:
    """An entry with a value for every frame, also where it names its `frames` (`samodal.results.tracks_json`).

    Raises:
        InputError: if these are no frames of the video, or a column has another number of values.
    """
    frames = entry.get("frames")
    if frames is None:
        return entry
    length = int(field(video, "length", where))
    rising = isinstance(frames, list) and all(type(t) is int and 0 <= t < length for t in frames)
    if not rising or any(a >= b for a, b in zip(frames, frames[1:], strict=False)):
        raise InputError(f"{where}: 'frames' must be rising frame numbers below {length}, got {str(frames)[:60]}")
    columns = {}
    for name in tracks_json.COLUMNS:
        if not isinstance(values := field(entry, name, where), list) or len(values) != len(frames):
            raise InputError(f"{where}: {name!r} must have a value for each of {len(frames)} frames: a damaged file?")
        columns[name] = Column(length, dict(zip(frames, values, strict=True)))
    return entry | columns


def _track(entry: dict, video: dict, names: dict[int, str], path: Path) -> Track:
    where = f"{path}: annotation {entry.get('id')}"
    entry = spread(entry, video, where)
    masks = read_column(entry, "segmentations", video, where)
    both = "visible_segmentations" in entry
    absent = Column(len(masks))
    states, scores = (present(_column(entry, name, masks, where)) for name in ("states", "scores"))
    return Track(
        id=entry.get("track_id", entry.get("id")),
        category=named_category(entry, names),
        score=entry.get("score"),
        visible=read_column(entry, "visible_segmentations", video, where) if both else masks,
        amodal=masks if both else absent,
        states=Column(
            len(masks), {t: State(state) for t, state in present(_column(entry, "states", masks, where)) if state}
        ),
        scores=Column(len(masks), dict(present(_column(entry, "scores", masks, where)))),
        crowd=bool(entry.get("iscrowd")),
    )


def _column(entry: dict, name: str, masks: Column, where: str) -> Sequence[Any]:
    """A column of values that an entry may lack."""
    values = entry.get(name) or Column(len(masks))
    check_length(values, len(masks), where)
    return values


def read_column(entry: dict, name: str, video: dict, where: str) -> Column:
    """The masks of one entry, one per frame, checked against its video.

    Raises:
        InputError: if their number or a size differs.
    """
    masks = field(entry, name, where)
    check_length(masks, video.get("length") or len(video.get("file_names", masks)), where)
    size = (int(video["height"]), int(video["width"]))
    read = {t: read_mask(mask, size, f"{where}, frame {t}") for t, mask in present(masks)}
    return Column(len(masks), read)
