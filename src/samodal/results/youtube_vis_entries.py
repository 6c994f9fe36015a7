"""YouTube-VIS JSON for evaluation: what the files say of areas, occlusion and crowds is kept as it is."""

from collections.abc import Sequence
from pathlib import Path

from samodal.errors import InputError
from samodal.files import field, read_json
from samodal.results.entries import Annotated, Entry
from samodal.results.youtube_vis import (
    category_names,
    is_results,
    is_youtube_vis,
    named_category,
    read_column,
    spread,
    video_name,
)


def read_video_truth(path: Path, masks: str = "amodal") -> Annotated:
    """Truth of videos; groups are video ids.

    Args:
        masks: "amodal" takes `segmentations`; "visible" takes `visible_segmentations` where a file has them.

    Raises:
        InputError: if the file is damaged, or a column or a mask does not fit its video.
    """
    content = read_json(path)
    if not is_youtube_vis(content):
        raise InputError(f"{path}: expected YouTube-VIS 'videos' and 'annotations' with 'segmentations'")
    videos = {field(video, "id", f"{path}: video"): video for video in content["videos"]}
    classes = category_names(content)
    entries = [
        _entry(annotation, videos, masks, classes, f"{path}: annotation {annotation.get('id')}")
        for annotation in content["annotations"]
    ]
    sizes = {key: (int(video["height"]), int(video["width"])) for key, video in videos.items()}
    lengths = {key: int(video.get("length") or len(video["file_names"])) for key, video in videos.items()}
    names = {key: video_name(video) for key, video in videos.items()}
    return Annotated(sizes, lengths, entries, names, classes)


def read_video_results(path: Path, truth: Annotated, masks: str = "amodal") -> list[Entry]:
    """Results on the videos of `truth`: a list by `video_id`, or our tracks.json, whose videos go by name.

    Raises:
        InputError: as for truth; also for a video that the truth does not have.
    """
    content = read_json(path)
    videos = {
        key: {"id": key, "height": size[0], "width": size[1], "length": truth.lengths[key]}
        for key, size in truth.sizes.items()
    }
    if is_results(content):
        return [
            _entry(result, videos, masks, truth.categories, f"{path}: result {i}", i)
            for i, result in enumerate(content)
        ]
    if not is_youtube_vis(content):
        raise InputError(f"{path}: expected a list of results with video_id and segmentations, or a tracks.json")
    by_name = {name: key for key, name in truth.clips.items()}
    known = {}
    for video in content["videos"]:
        name = video_name(video)
        if name not in by_name:
            raise InputError(f"{path}: video {name!r} is not in the truth, which has {', '.join(by_name)[:80]}")
        known[video["id"]] = videos[by_name[name]]
    classes = category_names(content)
    return [
        _entry(annotation, known, masks, classes, f"{path}: annotation {annotation.get('id')}")
        for annotation in content["annotations"]
    ]


def _entry(
    value: dict, videos: dict, masks: str, classes: dict[int, str], where: str, index: int | None = None
) -> Entry:
    key = field(value, "video_id", where)
    if key not in videos:
        raise InputError(f"{where}: video_id {key} is not in the truth; were the results made on other videos?")
    video = videos[key]
    value = spread(value, video, where)
    both = "visible_segmentations" in value
    visible = read_column(value, "visible_segmentations", video, where) if both else None
    column = visible if masks == "visible" and both else read_column(value, "segmentations", video, where)
    rates = value.get("occlude_rate")
    # Detections are measured anew, as the released evaluator does on loading them.
    areas = value.get("areas") if masks == "amodal" and value.get("score") is None else None
    return Entry(
        group=video["id"],
        id=value.get("track_id", value.get("id", index)),
        masks=column,
        visible=visible,
        areas=_plain(areas or ()),
        occlusion=None if rates is None else _plain(rates),
        score=value.get("score"),
        crowd=bool(value.get("iscrowd")),
        category=named_category(value, classes),
    )


def _plain(values: Sequence) -> Sequence:
    return tuple(values) if isinstance(values, list) else values
