"""YouTube-VIS JSON for evaluation: what the files say of areas, occlusion and crowds is kept as it is."""

from pathlib import Path

from samodal.errors import InputError
from samodal.files import read_json
from samodal.results.entries import Annotated, Entry, without_doubles
from samodal.results.fields import Area, Id, Share, annotations_of, category_names, is_crowd, objects, value_of
from samodal.results.youtube_vis import (
    ListedVideo,
    is_results,
    is_youtube_vis,
    named_category,
    per_frame,
    read_column,
    spread,
    videos_of,
)


def read_video_truth(path: Path, masks: str = "amodal") -> Annotated:
    """Truth of videos; groups are video ids.

    Args:
        masks: "amodal" takes `segmentations`; "visible" takes `visible_segmentations` where a file has them.

    Raises:
        InputError: if the file is damaged, an id is there twice, or a column or a mask does not fit its video.
    """
    content = read_json(path)
    if not is_youtube_vis(content):
        raise InputError(f"{path}: expected YouTube-VIS 'videos' and 'annotations' with 'segmentations'")
    videos, classes = videos_of(content, path), category_names(content, path)
    entries = [_entry(annotation, videos, masks, classes, where) for where, annotation in annotations_of(content, path)]
    return Annotated(
        {key: video.size for key, video in videos.items()},
        {key: len(video.frames) for key, video in videos.items()},
        without_doubles(entries, path),
        {key: video.name for key, video in videos.items()},
        classes,
    )


def read_video_results(path: Path, truth: Annotated, masks: str = "amodal") -> list[Entry]:
    """Results on the videos of `truth`: a list by `video_id`, or our tracks.json, whose videos go by name.

    Raises:
        InputError: as for truth; also for a video that the truth does not have, or a score outside [0, 1].
    """
    content = read_json(path)
    videos = {
        key: ListedVideo(key, truth.clips[key], size, ("",) * truth.lengths[key]) for key, size in truth.sizes.items()
    }
    if is_results(content):
        classes = truth.categories
        entries = [_entry(result, videos, masks, classes, f"{path}: result {i}", i) for i, result in enumerate(content)]
        return without_doubles(entries, path)
    if not is_youtube_vis(content):
        raise InputError(f"{path}: expected a list of results with video_id and segmentations, or a tracks.json")
    classes = category_names(content, path)
    by_name = {name: key for key, name in truth.clips.items()}
    known = {}
    for key, video in videos_of(content, path).items():
        if video.name not in by_name:
            raise InputError(f"{path}: video {video.name!r} is not in the truth, which has {', '.join(by_name)[:80]}")
        known[key] = videos[by_name[video.name]]
    entries = [
        _entry(annotation, known, masks, classes, where)
        for where, annotation in objects(content, "annotations", path, "annotation")
    ]
    return without_doubles(entries, path)


def _entry(
    value: dict, videos: dict, masks: str, classes: dict[Id, str], where: str, index: int | None = None
) -> Entry:
    key = value_of(value, "video_id", Id, where)
    if key not in videos:
        raise InputError(f"{where}: video_id {key} is not in the truth; were the results made on other videos?")
    video = videos[key]
    value = spread(value, video, where)
    both = "visible_segmentations" in value
    visible = read_column(value, "visible_segmentations", video, where) if both else None
    column = visible if masks == "visible" and both else read_column(value, "segmentations", video, where)
    score = value_of(value, "score", Share, where, None)
    # Detections are measured anew, as the released evaluator does on loading them.
    areas = per_frame(value, "areas", Area, video, where) if masks == "amodal" and score is None else None
    name = "track_id" if "track_id" in value else "id"
    return Entry(
        group=video.id,
        id=value_of(value, name, Id | None, where, index),
        masks=column,
        visible=visible,
        areas=areas or (),
        occlusion=per_frame(value, "occlude_rate", Share, video, where),
        score=score,
        crowd=is_crowd(value, where),
        category=named_category(value, classes, where),
    )
