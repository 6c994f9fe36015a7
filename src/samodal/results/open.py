"""Opening whatever file holds the visible tracks of a video."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from samodal.columns import Column, present
from samodal.errors import InputError
from samodal.files import mistaken, named, read_json
from samodal.results import frames, kitti_mots, mmtracking, scalabel, youtube_vis
from samodal.tracks import Clip

KNOWN = (
    "YouTube-VIS results or truth (.json), KITTI MOTS or PointTrack (.txt, or a folder of .png), "
    "Scalabel (.json), mmtracking (.json), frames.jsonl"
)


def open_visible(
    path: str | Path, clip_name: str, size: tuple[int, int], length: int | None, video_id: int | None = None
) -> Clip:
    """The visible tracks of one video from a file or folder whose form is found by suffix and content.

    Args:
        clip_name: names the result; chooses the video where the file names several.
        size: (H, W) of the video, which the masks must have.
        length: number of its frames, which the file must agree with; None for a stream.
        video_id: chooses the video in a results list of several, which names none (GenVIS counts from 1).

    Raises:
        InputError: if the form is unknown, or the file is damaged or of another video.
    """
    path = Path(path)
    if path.is_dir():
        return kitti_mots.read_kitti_pictures(path, clip_name, size, length)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return kitti_mots.read_kitti_text(path, clip_name, size, length)
    if suffix == ".jsonl":
        lines = frames.read_frames(path)
        with named(str(path)):
            clip = lines.tracks()
        return _fitting(clip, path, clip_name, size, length)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if suffix != ".json":
        kind = mistaken(path, packed=True)
        raise InputError(f"{path}: unknown form{f' ({kind})' if kind else ''}; known are {KNOWN}")
    return _open_json(path, clip_name, size, length, video_id)


def _open_json(path: Path, name: str, size: tuple[int, int], length: int | None, video_id: int | None) -> Clip:
    content = read_json(path)
    if youtube_vis.is_results(content):
        return youtube_vis.read_results(path, name, size, length, video_id)
    if scalabel.is_scalabel(content):
        return scalabel.read_scalabel(path, name, size, length)
    if mmtracking.is_mmtracking_results(content):
        return mmtracking.read_mmtracking_results(path, name, size, length)
    if mmtracking.is_coco_vid(content):
        return mmtracking.read_coco_vid(path, name, size, length)
    if youtube_vis.is_youtube_vis(content):
        clips = youtube_vis.read_clips(path)
        if name not in clips and len(clips) != 1:
            raise InputError(f"{path}: holds {len(clips)} videos ({', '.join(list(clips)[:4])}) but no {name!r}")
        clip = clips[name] if name in clips else next(iter(clips.values()))
        return _fitting(clip, path, name, size, length)
    if _per_image(content):
        raise InputError(
            f"{path}: masks of single images have no identity through a video, and boxes alone are for --vis boxes:; "
            f"known are {KNOWN}"
        )
    raise InputError(f"{path}: unknown form; known are {KNOWN}")


def _per_image(content: object) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and ("image_id" in first or "images" in first)


def _fitting(clip: Clip, path: Path, name: str, size: tuple[int, int], length: int | None) -> Clip:
    """The clip under the video's name, its visible columns alone, if it is of this video or an excerpt of it."""
    places = None if length is None or len(clip) == length else _excerpt_of(clip, length)
    if places is not None:
        clip = _whole(clip, places, length)
    if clip.size != tuple(size) or (length is not None and len(clip) != length):
        raise InputError(
            f"{path}: masks of {clip.size[0]}x{clip.size[1]} (height x width) in {len(clip)} frames, but the video "
            f"has {size[0]}x{size[1]} in {length} frames; were the results made on another video?"
        )
    tracks = tuple(
        replace(track, amodal=Column(len(clip)), states=Column(len(clip)))
        for track in clip.tracks
        if any(track.visible)
    )
    return Clip(name, clip.size, clip.frames, tracks, info=clip.info)


def _whole(clip: Clip, places: Sequence[int], length: int) -> Clip:
    """The clip of a whole video of which it has some frames."""

    def spread(column: Sequence) -> Column:
        return Column(length, {places[t]: value for t, value in present(column)})

    tracks = tuple(
        replace(track, **{name: spread(getattr(track, name)) for name in ("visible", "amodal", "states", "scores")})
        for track in clip.tracks
    )
    return Clip(clip.name, clip.size, tuple(f"{t:06d}" for t in range(length)), tracks, info=clip.info)


def _excerpt_of(clip: Clip, length: int) -> Sequence[int] | None:
    """The frames of a video of this length that our own result of `--frames` or `--stride` is of; None for others."""
    settings = clip.info.get("settings", clip.info)
    part, stride = settings.get("frames"), settings.get("stride") or 1
    if part is None and stride == 1 or not re.fullmatch(r"\d*:\d*", str(part or ":")) or not isinstance(stride, int):
        return None
    first, end = (int(number) if number else None for number in (part or ":").split(":"))
    places = range(first or 0, min(end or length, length), max(stride, 1))
    return places if len(places) == len(clip) else None
