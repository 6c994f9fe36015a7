"""Writing tracks.json: YouTube-VIS form, track by track, so that memory does not grow with frames times tracks.

In YouTube-VIS form a track has a value, or null, for every frame of its video. An hour of video with a new road user
each second is gigabytes of nulls. Above `LARGEST_DENSE` each track therefore names its `frames`, and has values for
these alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from samodal.categories import CATEGORY_IDS
from samodal.errors import InputError
from samodal.files import text_of
from samodal.outputs import cannot_write, writing
from samodal.results.by_track import instances_by_track, is_reported
from samodal.results.spool import Spool
from samodal.results.track_columns import TrackColumns
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Track, occlusion_rate

SCHEMA, SPARSE_SCHEMA = 1, 2
"""Versions of tracks.json: with a value for every frame, and with values for a track's `frames` alone."""
LARGEST_DENSE = 1_000_000
"""Frames times tracks of a file that has a value for every frame; more would be 35 MB of nulls or more."""

COLUMNS = ("segmentations", "visible_segmentations", "areas", "bboxes", "occlude_rate", "states", "scores")
_ABSENT = [None] * len(COLUMNS)


@dataclass(frozen=True)
class _Annotation:
    """A track.

    Attributes:
        labels: gives what is not by frame, when all rows are read.
        rows: (frame, values of `COLUMNS`), ascending.
        length: of the video; None writes the frames of `rows` alone.
        back: when it was taken up again after a gap, by what margin, and which id was merged with it.
    """

    labels: Callable[[], dict[str, Any]]
    rows: Iterable[tuple[int, list]]
    length: int | None
    back: dict[str, list[dict]] = field(default_factory=dict)

    def write(self, file: BinaryIO, folder: Path) -> None:
        """Append it to a file; `folder` is for what is not finished."""
        with TrackColumns(COLUMNS if self.length is not None else ("frames", *COLUMNS), folder) as columns:
            columns.add(self._by_frame())
            file.write(text_of(self.labels())[:-1].encode())
            columns.write(file)
        file.write(b"," * bool(self.back) + text_of(self.back)[1:].encode())

    def _by_frame(self) -> Iterator[list]:
        at = 0
        for t, row in self.rows:
            if self.length is None:
                yield [t, *row]
                continue
            yield from repeat(_ABSENT, t - at)
            yield row
            at = t + 1
        yield from repeat(_ABSENT, 0 if self.length is None else self.length - at)


def write_tracks(path: Path, clips: Clip | Iterable[Clip], info: dict | None = None) -> None:
    """Write tracks.json, or truth of the same form: it replaces an older file in one step.

    Args:
        clips: one or several; video and annotation ids are counted from 1.
        info: settings and whatever else should be known; "schema" is added.

    Raises:
        InputError: if the file cannot be written.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    numbers = numbers_of(track.category for clip in clips for track in clip.tracks)
    sparse = sum(len(clip) * len(clip.tracks) for clip in clips) > LARGEST_DENSE
    tracks = ((video_id, clip, track) for video_id, clip in enumerate(clips, start=1) for track in clip.tracks)
    annotations = (
        _Annotation(
            partial(_labels, number, track.id, video_id, numbers[track.category], track.score, track.crowd),
            ((t, row) for t in range(len(clip)) if (row := _row_of(track, t)) != _ABSENT),
            None if sparse else len(clip),
        )
        for number, (video_id, clip, track) in enumerate(tracks, start=1)
    )
    info = info if info is not None else clips[0].info if clips else {}
    videos = [_video(clip.name, clip.size, clip.frames, n, clip.labelled) for n, clip in enumerate(clips, start=1)]
    _write(Path(path), _head(info, sparse, videos, numbers), annotations)


def write_tracks_of(
    path: Path, name: str, size: tuple[int, int], frames: Iterable[tuple[str, FrameResult]], info: dict
) -> None:
    """Write tracks.json of a stream of frames; what is held in memory is a few numbers for each instance of a frame.

    Args:
        name: of the clip.
        size: (H, W) of its frames.
        frames: (file name, result) of frames 0, 1, 2, …
        info: as for `write_tracks`.

    Raises:
        InputError: if the file cannot be written.
    """
    path, names = Path(path), []
    categories: dict[int | str, str] = {}
    returns: dict[int | str, list[dict]] = {}

    def results() -> Iterator[FrameResult]:
        for file_name, result in frames:
            if result.t != len(names):
                raise InputError(f"clip {name}: frames are missing or out of order; they must run from 0")
            names.append(file_name)
            yield result

    try:
        with Spool(path.parent) as rows:
            for t, key, instance in instances_by_track(results()):
                categories.setdefault(key, instance.category)
                if instance.returned is not None:
                    returns.setdefault(key, []).append({"t": t} | asdict(instance.returned))
                amodal, visible = (None if mask is None else mask.rle for mask in (instance.amodal, instance.visible))
                rows.add(key, [t, _row(amodal, visible, str(instance.state), instance.score)])
            numbers = numbers_of(categories.values())
            sparse = len(names) * len(rows) > LARGEST_DENSE
            head = _head(info, sparse, [_video(name, size, names, 1)], numbers)
            tracks = _collected(rows, categories, numbers, returns, None if sparse else len(names))
            _write(path, head, tracks)
    except OSError as error:
        raise cannot_write(path, error) from None


def _collected(
    rows: Spool, categories: dict, numbers: dict, returns: dict, length: int | None
) -> Iterator[_Annotation]:
    for number, key in enumerate(rows, start=1):
        scores = array("d")
        labels = partial(_scored, number, key, numbers[categories[key]], scores)
        back = {"returns": returns[key]} if key in returns else {}
        yield _Annotation(labels, _noting(rows.values(key), scores), length, back)


def _noting(rows: Iterable[tuple[int, list]], scores: array) -> Iterator[tuple[int, list]]:
    """The same rows; the scores of those that were reported are noted."""
    for t, row in rows:
        if is_reported(row[-1], row[-2]):
            scores.append(row[-1])
        yield t, row


def _scored(number: int, key: int | str, category_id: int, scores: array) -> dict[str, Any]:
    return _labels(number, key, 1, category_id, float(np.mean(scores)) if scores else None)


def _write(path: Path, head: dict, annotations: Iterable[_Annotation]) -> None:
    with writing(path) as part, part.open("wb") as file:
        file.write(f'{text_of(head)[:-1]},"annotations":['.encode())
        for comma, annotation in zip(chain([b""], iter(lambda: b",", None)), annotations, strict=False):
            file.write(comma)
            annotation.write(file, part.parent)
        file.write(b"]}")


def _head(info: dict, sparse: bool, videos: list[dict], numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "info": {"schema": SPARSE_SCHEMA if sparse else SCHEMA, **info},
        "videos": videos,
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }


def numbers_of(categories: Iterable[str]) -> dict[str, int]:
    """Class ids: AmodalSynthDrive's where it has the class, else from 101 in the order of names."""
    names = sorted(set(categories))
    others = [name for name in names if name not in CATEGORY_IDS]
    return {name: CATEGORY_IDS.get(name) or 101 + others.index(name) for name in names}


def _video(
    name: str, size: tuple[int, int], frames: Sequence[str], video_id: int, labelled: Sequence[int] | None = None
) -> dict[str, Any]:
    video = {
        "id": video_id,
        "name": name,
        "height": size[0],
        "width": size[1],
        "length": len(frames),
        "file_names": list(frames),
    }
    return video if labelled is None else video | {"labelled": list(labelled)}


def _labels(
    number: int, key: int | str, video_id: int, category_id: int, score: float | None, crowd: bool = False
) -> dict[str, Any]:
    return {
        "id": number,
        "track_id": key,
        "video_id": video_id,
        "category_id": category_id,
        "score": score,
        "iscrowd": int(crowd),
    }


def _row_of(track: Track, t: int) -> list:
    state = track.states[t]
    return _row(track.amodal[t], track.visible[t], None if state is None else str(state), track.scores[t])


def _row(amodal: Rle | None, visible: Rle | None, state: str | None, score: float | None) -> list:
    """Values of `COLUMNS` in a frame."""
    rate = occlusion_rate(visible, amodal)
    return [
        None if amodal is None else amodal.to_coco(),
        None if visible is None else visible.to_coco(),
        None if amodal is None else amodal.area,
        _box(amodal),
        None if rate is None else round(rate, 6),
        state,
        score,
    ]


def _box(mask: Rle | None) -> list[float] | None:
    if mask is None:
        return None
    x0, y0, x1, y1 = mask.box
    return [x0, y0, x1 - x0, y1 - y0]
