"""YouTube-VIS JSON: truth, results as GenVIS and VITA write them, and our own tracks.json.

Source: https://youtube-vos.org/dataset/vis, and the results that GenVIS and VITA write. Truth is an object with
`videos`, `categories` and `annotations`, whose `segmentations` hold run lengths, polygons or null for each frame;
results are a list of `{video_id, category_id, segmentations, score}`. GenVIS and VITA write a mask for every frame,
which has no pixel where the object is absent; it is read as None. Our tracks.json is of the form of truth with amodal
`segmentations` and `track_id`, `visible_segmentations`, `states`, `scores` and `score` beside them.
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from samodal.categories import CATEGORIES
from samodal.columns import Column, present
from samodal.errors import InputError, shown
from samodal.files import named, read_json, read_mask
from samodal.results import tracks_json
from samodal.results.columns import VisibleColumns, frame_names
from samodal.results.fields import (
    FrameNumber,
    Id,
    Share,
    Side,
    category_names,
    check_frames,
    is_crowd,
    objects,
    refuse_box_alone,
    value_of,
)
from samodal.tracks import Clip, State, Track


def is_youtube_vis(content: object) -> bool:
    """Whether the content of a JSON file is truth, or ours, in this form."""
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        return False
    first = content["annotations"][:1]
    return "videos" in content and all(isinstance(entry, dict) and "segmentations" in entry for entry in first)


def is_results(content: object) -> bool:
    """Whether the content of a JSON file is a list of results, which may be empty."""
    return isinstance(content, list) and (
        not content or (isinstance(content[0], dict) and "segmentations" in content[0])
    )


def category_name(number: Id | None) -> str:
    """The class name of an id in a file that names none: AmodalSynthDrive's, else "class 5"."""
    return CATEGORIES.get(number, f"class {number}")


def named_category(entry: dict, names: dict[Id, str], where: str) -> str:
    """The class name of an entry of a file with these names."""
    number = value_of(entry, "category_id", Id | None, where, None)
    return names.get(number) or category_name(number)


def read_results(path: Path, name: str, size: tuple[int, int], length: int | None, video_id: int | None = None) -> Clip:
    """The tracks of one video in a results file; a track's id is its index in the whole list.

    Args:
        name: of the clip.
        size: (H, W) of the video.
        length: number of its frames; None takes the file's.
        video_id: which results; may be None where all are of one video. GenVIS counts from 1 in the order of
            sorted names.

    Raises:
        InputError: if it holds several videos and none was chosen, or the chosen one is not the video; if a value is
            damaged, or a score outside [0, 1].
    """
    content = read_json(path)
    ids = [value_of(entry, "video_id", Id, f"{path}: result {i}") for i, entry in enumerate(content)]
    held = sorted(set(ids), key=lambda key: (isinstance(key, str), key))
    if video_id is None and len(held) > 1:
        raise InputError(
            f"{path}: results of {len(held)} videos ({held[0]} to {held[-1]}); choose by video_id for {name}"
        )
    if video_id is not None and video_id not in held:
        raise InputError(f"{path}: no results of video {video_id}; there are {held[:5]}")
    columns = VisibleColumns(path, name, size, length)
    for key, entry in enumerate(content):
        if video_id is not None and ids[key] != video_id:
            continue
        where = f"{path}: result {key}"
        masks = _masks(entry, "segmentations", columns.length, where)
        score = value_of(entry, "score", Share, where, None)
        category = category_name(value_of(entry, "category_id", Id | None, where, None))
        columns.length = len(masks)
        for t, mask in enumerate(masks):
            columns.add(key, category, t, mask, score)
    return columns.clip()


def check_length(masks: Sized, length: int | None, where: str) -> None:
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
    names, videos = category_names(content, path), videos_of(content, path)
    tracks: dict[Id, list[Track]] = {key: [] for key in videos}
    for where, entry in objects(content, "annotations", path, "annotation"):
        key = value_of(entry, "video_id", Id | None, where, None)
        if key in videos:
            tracks[key].append(_track(entry, videos[key], names, where))
    clips = {}
    for key, video in videos.items():
        if video.name in clips:
            raise InputError(f"{path}: video {key}: two videos are named {video.name!r}")
        info = value_of(content, "info", dict | None, str(path), None) or {}
        with named(str(path)):
            clips[video.name] = Clip(video.name, video.size, video.frames, tuple(tracks[key]), video.labelled, info)
    return clips


@dataclass(frozen=True)
class ListedVideo:
    """A video that a file lists.

    Attributes:
        id: its number in the file.
        name: see `video_name`.
        size: (H, W) in pixels.
        frames: names of its files; an index of six digits where it names none.
        labelled: which frames have truth, None for all.
    """

    id: Id
    name: str
    size: tuple[int, int]
    frames: tuple[str, ...]
    labelled: tuple[int, ...] | None = None


def videos_of(content: dict, path: Path) -> dict[Id, ListedVideo]:
    """The `videos` of a file by id.

    Raises:
        InputError: if an id is there twice, or a value is missing or damaged.
    """
    videos: dict[Id, ListedVideo] = {}
    for where, entry in objects(content, "videos", path, "video"):
        key = value_of(entry, "id", Id, where)
        if key in videos:
            raise InputError(f"{where}: a second video has this id")
        size = value_of(entry, "height", Side, where), value_of(entry, "width", Side, where)
        names = value_of(entry, "file_names", tuple[str, ...] | None, where, None)
        length = value_of(entry, "length", FrameNumber | None, where, None)
        if not names and length is None:
            raise InputError(f"{where}: neither length nor file_names, so that its number of frames is not known")
        if names and length not in (None, len(names)):
            raise InputError(f"{where}: {len(names)} file_names, but its length is {length}")
        value_of(entry, "name", Id | None, where, None)
        frames = tuple(names) if names else frame_names(check_frames(length or 0, 1, where))
        videos[key] = ListedVideo(
            key, video_name(entry), size, frames, _frame_numbers(entry, "labelled", len(frames), where)
        )
    return videos


def video_name(video: dict) -> str:
    """Its `name`, else the folder of its files, else its id."""
    if video.get("name"):
        return str(video["name"])
    names = video.get("file_names") or [""]
    folder, slash, _ = names[0].replace("\\", "/").rpartition("/")
    return folder if slash else str(video["id"])


def _frame_numbers(entry: dict, name: str, length: int, where: str) -> tuple[int, ...] | None:
    """Frames of a video that a field lists, None where it is absent."""
    frames = value_of(entry, name, tuple[FrameNumber, ...] | None, where, None)
    if frames and not (all(a < b for a, b in pairwise(frames)) and frames[-1] < length):
        raise InputError(f"{where}: {name} must be ascending numbers of its {length} frames, got {shown(frames)}")
    return None if frames is None else tuple(frames)


def spread(entry: dict, video: ListedVideo, where: str) -> dict:
    """An entry with a value for every frame, also where it names its `frames` (`samodal.results.tracks_json`).

    Raises:
        InputError: if these are no frames of the video, or a column has another number of values.
    """
    frames = _frame_numbers(entry, "frames", len(video.frames), where)
    if frames is None:
        return entry
    columns = {}
    for name in tracks_json.COLUMNS:
        values = value_of(entry, name, list, where)
        if len(values) != len(frames):
            raise InputError(f"{where}: {name!r} must have a value for each of {len(frames)} frames: a damaged file?")
        columns[name] = Column(len(video.frames), dict(zip(frames, values, strict=True)))
    return entry | columns


def _track(entry: dict, video: ListedVideo, names: dict[Id, str], where: str) -> Track:
    entry = spread(entry, video, where)
    masks = read_column(entry, "segmentations", video, where)
    both = "visible_segmentations" in entry
    absent = Column(len(masks))
    states = per_frame(entry, "states", Literal[*map(str, State)], video, where) or absent
    return Track(
        id=value_of(entry, "track_id" if "track_id" in entry else "id", Id, where),
        category=named_category(entry, names, where),
        score=value_of(entry, "score", Share, where, None),
        visible=read_column(entry, "visible_segmentations", video, where) if both else masks,
        amodal=masks if both else absent,
        states=Column(len(masks), {t: State(state) for t, state in states.items()}),
        scores=per_frame(entry, "scores", Share, video, where) or absent,
        crowd=is_crowd(entry, where),
    )


def per_frame(entry: dict, name: str, hint: Any, video: ListedVideo, where: str) -> Column | None:
    """A value, or None, for each frame; None alone where the entry has no such list, or an empty one.

    Raises:
        InputError: if their number is another one, or a value is not of the type `hint`.
    """
    values = entry.get(name)
    if not isinstance(values, Column):
        values = value_of(entry, name, list | None, where, None)
    if not values:
        return None
    if len(values) != len(video.frames):
        raise InputError(f"{where}: {len(values)} {name} but the video has {len(video.frames)} frames")
    return Column(
        len(values), {t: value_of({name: value}, name, hint, f"{where}, frame {t}") for t, value in present(values)}
    )


def read_column(entry: dict, name: str, video: ListedVideo, where: str) -> Column:
    """The masks of one entry, one per frame, checked against its video.

    Raises:
        InputError: if their number or a size differs, or there are boxes alone.
    """
    masks = _masks(entry, name, len(video.frames), where)
    return Column(len(masks), {t: read_mask(mask, video.size, f"{where}, frame {t}") for t, mask in present(masks)})


def _masks(entry: dict, name: str, length: int | None, where: str) -> Sequence[Any]:
    """A column of a file as it is there."""
    masks = entry.get(name)
    if not isinstance(masks, Column):
        masks = value_of(entry, name, list, where)
    check_length(masks, length, where)
    if name == "segmentations" and not any(mask for _, mask in present(masks)):
        refuse_box_alone(entry, repr(name), where)
    return masks
