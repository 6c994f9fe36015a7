"""YouTube-VIS JSON: truth, results as GenVIS and VITA write them, and our own tracks.json.

Source: https://youtube-vos.org/dataset/vis, and the results that GenVIS and VITA write. Truth is an object with
`videos`, `categories` and `annotations`, whose `segmentations` hold run lengths, polygons or null for each frame;
results are a list of `{video_id, category_id, segmentations, score}`. GenVIS and VITA write a mask for every frame,
which has no pixel where the object is absent; it is read as None. Our tracks.json is of the form of truth with amodal
`segmentations` and `track_id`, `visible_segmentations`, `states`, `scores` and `score` beside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from samodal.categories import CATEGORIES, CATEGORY_IDS
from samodal.errors import InputError, shown
from samodal.files import named, read_json, read_mask, write_json
from samodal.results.columns import VisibleColumns, frame_names
from samodal.results.fields import (
    FrameNumber,
    Id,
    Share,
    Side,
    category_names,
    check_frames,
    objects,
    refuse_box_alone,
    value_of,
)
from samodal.rle import Rle
from samodal.tracks import Clip, State, Track

SCHEMA = 1
"""Version of tracks.json; it changes when a reader of an older version would misread a newer file."""


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
    present = sorted(set(ids), key=lambda key: (isinstance(key, str), key))
    if video_id is None and len(present) > 1:
        raise InputError(
            f"{path}: results of {len(present)} videos ({present[0]} to {present[-1]}); choose by video_id for {name}"
        )
    if video_id is not None and video_id not in present:
        raise InputError(f"{path}: no results of video {video_id}; there are {present[:5]}")
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
        videos[key] = ListedVideo(key, video_name(entry), size, frames, _labelled(entry, len(frames), where))
    return videos


def video_name(video: dict) -> str:
    """Its `name`, else the folder of its files, else its id."""
    if video.get("name"):
        return str(video["name"])
    names = video.get("file_names") or [""]
    folder, slash, _ = names[0].replace("\\", "/").rpartition("/")
    return folder if slash else str(video["id"])


def _labelled(video: dict, length: int, where: str) -> tuple[int, ...] | None:
    frames = value_of(video, "labelled", tuple[FrameNumber, ...] | None, where, None)
    if frames and not (all(a < b for a, b in pairwise(frames)) and frames[-1] < length):
        raise InputError(f"{where}: labelled must be ascending numbers of its {length} frames, got {shown(frames)}")
    return None if frames is None else tuple(frames)


def _track(entry: dict, video: ListedVideo, names: dict[Id, str], where: str) -> Track:
    masks = read_column(entry, "segmentations", video, where)
    both = "visible_segmentations" in entry
    absent = (None,) * len(masks)
    states = per_frame(entry, "states", Literal[*map(str, State)], video, where)
    number = value_of(entry, "category_id", Id | None, where, None)
    return Track(
        id=value_of(entry, "track_id" if "track_id" in entry else "id", Id, where),
        category=names.get(number) or category_name(number),
        score=value_of(entry, "score", Share, where, None),
        visible=read_column(entry, "visible_segmentations", video, where) if both else masks,
        amodal=masks if both else absent,
        states=tuple(State(state) if state else None for state in states or absent),
        scores=per_frame(entry, "scores", Share, video, where) or absent,
    )


def per_frame(entry: dict, name: str, hint: Any, video: ListedVideo, where: str) -> tuple | None:
    """A value, or None, for each frame; None alone where the entry has no such list, or an empty one.

    Raises:
        InputError: if their number is another one, or a value is not of the type `hint`.
    """
    values = value_of(entry, name, list | None, where, None)
    if not values:
        return None
    if len(values) != len(video.frames):
        raise InputError(f"{where}: {len(values)} {name} but the video has {len(video.frames)} frames")
    for t, value in enumerate(values):
        if value is not None:
            value_of({name: value}, name, hint, f"{where}, frame {t}")
    return tuple(values)


def read_column(entry: dict, name: str, video: ListedVideo, where: str) -> tuple[Rle | None, ...]:
    """The masks of one entry, one per frame, checked against its video.

    Raises:
        InputError: if their number or a size differs, or there are boxes alone.
    """
    masks = _masks(entry, name, len(video.frames), where)
    return tuple(read_mask(mask, video.size, f"{where}, frame {t}") for t, mask in enumerate(masks))


def _masks(entry: dict, name: str, length: int | None, where: str) -> list:
    """A column of a file as it is there."""
    masks = value_of(entry, name, list, where)
    check_length(masks, length, where)
    if name == "segmentations" and not any(masks):
        refuse_box_alone(entry, repr(name), where)
    return masks


def write_tracks(path: Path, clips: Clip | Iterable[Clip], info: dict | None = None) -> None:
    """Write tracks.json, or truth of the same form: it replaces an older file in one step.

    Args:
        clips: one or several; video and annotation ids are counted from 1.
        info: settings and whatever else should be known; "schema" is added.

    Raises:
        InputError: if the file cannot be written.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    numbers = _numbers(clips)
    annotations: list[dict] = []
    for video_id, clip in enumerate(clips, start=1):
        for track in clip.tracks:
            annotations.append(_annotation(track, len(annotations) + 1, video_id, numbers[track.category]))
    content = {
        "info": {"schema": SCHEMA, **(info if info is not None else clips[0].info if clips else {})},
        "videos": [_video(clip, video_id) for video_id, clip in enumerate(clips, start=1)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }
    write_json(path, content)


def _numbers(clips: list[Clip]) -> dict[str, int]:
    """Class ids: AmodalSynthDrive's where it has the class, else from 101 in the order of names."""
    names = sorted({track.category for clip in clips for track in clip.tracks})
    others = [name for name in names if name not in CATEGORY_IDS]
    return {name: CATEGORY_IDS.get(name) or 101 + others.index(name) for name in names}


def _video(clip: Clip, video_id: int) -> dict[str, Any]:
    video = {
        "id": video_id,
        "name": clip.name,
        "height": clip.size[0],
        "width": clip.size[1],
        "length": len(clip),
        "file_names": list(clip.frames),
    }
    if clip.labelled is not None:
        video["labelled"] = list(clip.labelled)
    return video


def _annotation(track: Track, number: int, video_id: int, category_id: int) -> dict[str, Any]:
    rates = [track.occlusion(t) for t in range(len(track.amodal))]
    return {
        "id": number,
        "track_id": track.id,
        "video_id": video_id,
        "category_id": category_id,
        "score": track.score,
        "iscrowd": 0,
        "segmentations": [_coded(mask) for mask in track.amodal],
        "visible_segmentations": [_coded(mask) for mask in track.visible],
        "areas": [mask.area if mask else None for mask in track.amodal],
        "bboxes": [_box(mask) for mask in track.amodal],
        "occlude_rate": [None if rate is None else round(rate, 6) for rate in rates],
        "states": [None if state is None else str(state) for state in track.states],
        "scores": list(track.scores),
    }


def _coded(mask: Rle | None) -> dict | None:
    return None if mask is None else mask.to_coco()


def _box(mask: Rle | None) -> list[float] | None:
    if mask is None:
        return None
    x0, y0, x1, y1 = mask.box
    return [x0, y0, x1 - x0, y1 - y0]
