"""YouTube-VIS JSON: truth, results as GenVIS and VITA write them, and our own tracks.json.

Source: https://youtube-vos.org/dataset/vis, and the results that GenVIS and VITA write. Truth is an object with
`videos`, `categories` and `annotations`, whose `segmentations` hold run lengths, polygons or null for each frame;
results are a list of `{video_id, category_id, segmentations, score}`. GenVIS and VITA write a mask for every frame,
which has no pixel where the object is absent; it is read as None. Our tracks.json is of the form of truth with amodal
`segmentations` and `track_id`, `visible_segmentations`, `states`, `scores` and `score` beside them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samodal.categories import CATEGORIES, CATEGORY_IDS
from samodal.errors import InputError
from samodal.files import field, read_json, read_mask, write_json
from samodal.results.columns import VisibleColumns, frame_names
from samodal.rle import Rle
from samodal.tracks import Clip, State, Track

SCHEMA = 1
"""Version of tracks.json; it changes when a reader of an older version would misread a newer file."""


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
    names = {category["id"]: category["name"] for category in content.get("categories", [])}
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
    folder, slash, _ = names[0].replace("\\", "/").rpartition("/")
    return folder if slash else str(video["id"])


def _frames(video: dict) -> tuple[str, ...]:
    names = video.get("file_names")
    return tuple(names) if names else frame_names(int(video["length"]))


def _labelled(video: dict) -> tuple[int, ...] | None:
    return tuple(video["labelled"]) if video.get("labelled") is not None else None


def _track(entry: dict, video: dict, names: dict[int, str], path: Path) -> Track:
    where = f"{path}: annotation {entry.get('id')}"
    masks = read_column(entry, "segmentations", video, where)
    both = "visible_segmentations" in entry
    absent = (None,) * len(masks)
    return Track(
        id=entry.get("track_id", entry.get("id")),
        category=names.get(entry.get("category_id")) or category_name(entry.get("category_id")),
        score=entry.get("score"),
        visible=read_column(entry, "visible_segmentations", video, where) if both else masks,
        amodal=masks if both else absent,
        states=tuple(State(state) if state else None for state in entry.get("states") or absent),
        scores=tuple(entry.get("scores") or absent),
    )


def read_column(entry: dict, name: str, video: dict, where: str) -> tuple[Rle | None, ...]:
    """The masks of one entry, one per frame, checked against its video.

    Raises:
        InputError: if their number or a size differs.
    """
    masks = field(entry, name, where)
    check_length(masks, video.get("length") or len(video.get("file_names", masks)), where)
    size = (int(video["height"]), int(video["width"]))
    return tuple(read_mask(mask, size, f"{where}, frame {t}") for t, mask in enumerate(masks))


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
