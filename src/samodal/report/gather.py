"""One pass over a frames.jsonl: its story, its doubts, its outlines and the pictures of its moments, frame by frame."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from samodal.drawing.overlay import Drawer, outline
from samodal.drawing.palette import color_of
from samodal.drawing.strips import fitted
from samodal.errors import printable
from samodal.files import opened_text
from samodal.report.clip import page_size, pictures_at
from samodal.report.doubts import Doubts, Moment, behind, name_of, verdict
from samodal.report.outlines import Outlines
from samodal.report.story import Story, TrackStory
from samodal.results.frames import FrameLines, read_line
from samodal.tracks import FrameResult, Instance

THUMB = (168, 252)
"""(height, width) in pixels of a thumbnail."""
AROUND = 0.6
"""Context of a thumbnail, in sides of what it is about."""
OTHERS = (225, 225, 225)

Box = tuple[int, int, int, int]


@dataclass
class Gathered:
    """What a frames.jsonl holds, for a page.

    Attributes:
        lines: the file.
        story, doubts: at their end.
        seconds: of each frame.
        pieces: how many lines of outlines were written.
        visible, amodal: masks, how many.
    """

    lines: FrameLines
    story: Story
    doubts: Doubts
    seconds: list[float]
    pieces: int
    visible: int
    amodal: int


def gather(lines: FrameLines, outlines: Path) -> Gathered:
    """Read a frames.jsonl; its outlines go into a text file, a line a piece.

    Raises:
        InputError: if the file is damaged.
    """
    newest = deque(gathering(lines, outlines), maxlen=1)  # the steps before are not kept, however many there are
    return newest[0]


def gathering(
    lines: FrameLines, outlines: Path, frames: Iterable[tuple[str, FrameResult]] | None = None
) -> Iterator[Any]:
    """The same step by step: gives each (result, numbers of its tracks, codes of its states), and what it comes to.

    Args:
        frames: what `lines` gives, where it is read by another already.
    """
    fps = fps_of(lines.settings)
    story, seconds, visible, amodal = Story(fps), [], 0, 0
    doubts = Doubts(story)
    with outlines.open("w", encoding="ascii") as file:
        drawn = Outlines(file, page_size(lines.size)[1] / lines.size[1])
        for _, result in lines if frames is None else frames:
            numbers, codes = story.add(result)
            doubts.add(result, numbers, codes)
            drawn.add(result, numbers, codes)
            seconds.append(result.time)
            visible += sum(instance.visible is not None for instance in result)
            amodal += sum(instance.amodal is not None for instance in result)
            yield result, numbers, codes
        story.end()
        drawn.flush(seconds[-1] if seconds else 0.0)
    yield Gathered(lines, story, doubts, seconds, drawn.pieces, visible, amodal)


def fps_of(settings: dict) -> float:
    """Frames per second that a run's settings tell; 10 where they tell none."""
    fps = settings.get("fps")
    return float(fps) if isinstance(fps, int | float) and 0 < fps < 1000 else 10.0


def told(gathered: Gathered, clip: Path, shown: Sequence[int], label: str) -> dict[str, Any]:
    """A run as the page takes it.

    Args:
        clip: the small video, to take thumbnails from.
        shown: milliseconds at which it shows each frame.
        label: what the run is called.
    """
    story, moments = gathered.story, gathered.doubts.moments()
    hidden = max((t for t in story.tracks if t.longest), key=lambda t: t.longest.seconds, default=None)
    longest = [] if hidden is None else [_longest(hidden, story)]
    entries = [_moment(moment, gathered, clip, shown) for moment in (*moments, *longest)]
    return {
        "label": printable(label),
        "tracks": [_track(track) for track in story.tracks],
        "pairs": [
            [front, back, round(seconds, 3), frame, round(100 * share)]
            for (front, back), (seconds, frame, share) in sorted(story.pairs.items(), key=lambda pair: -pair[1][0])
            if seconds >= 0.05
        ],
        "moments": entries[: len(moments)],
        "longest": {"verdict": verdict(hidden.longest), **entries[-1]} if longest else None,
        "counts": {"visible": gathered.visible, "amodal": gathered.amodal},
        "pieces": gathered.pieces,
    }


def _track(track: TrackStory) -> dict[str, Any]:
    return {
        "id": printable(track.id),
        "category": printable(track.category),
        "color": list(color_of(track.id)),
        "runs": track.runs,
        "seconds": [round(seconds, 3) for seconds in track.seconds],
        "end": track.end,
    }


def _longest(track: TrackStory, story: Story) -> Moment:
    """The longest gap of a track as a moment; in its middle, as its ends are seldom wrong."""
    gap = track.longest
    at = gap.last if gap.placed is None else (gap.first + gap.placed) // 2
    text = f"{name_of(track)}, {gap.seconds:.1f} s{behind(gap, story.tracks) or ', behind nothing tracked'}"
    return Moment(track.number, "longest", 0.0, at, gap.before, gap.back, text)


def results_at(lines: FrameLines, frames: set[int]) -> dict[int, FrameResult]:
    """The results of some frames, without a look at the others."""
    results = {}
    with opened_text(lines.path) as file:
        for number, line in enumerate(islice(file, max(frames) + 2)):
            if number - 1 in frames and line.endswith("\n"):
                results[number - 1] = read_line(line.encode(), lines.size, f"{lines.path}, line {number + 1}")
    return results


def _moment(moment: Moment, gathered: Gathered, clip: Path, shown: Sequence[int]) -> dict[str, Any]:
    """A moment as the page takes it; its frames are read here, as those of all moments are many megabytes."""
    wanted = [("before", moment.before), ("here", moment.frame), ("after", moment.after)]
    views = {min(frame, len(shown) - 1): word for word, frame in reversed(wanted) if frame is not None}
    results = results_at(gathered.lines, set(views))
    pictures = dict(pictures_at(clip, shown, results))
    views = {frame: views[frame] for frame in sorted(views) if frame in pictures}
    key = gathered.story.tracks[moment.track].id
    focus = {frame: _instance(results[frame], key) for frame in views}
    box = around([i for i in focus.values() if i is not None], gathered.lines.size)
    thumbs = [
        {"word": word, "frame": frame, "jpeg": thumbnail(pictures[frame], results[frame], focus[frame], box)}
        for frame, word in views.items()
    ]
    return {
        "track": moment.track, "frame": moment.frame, "kind": moment.kind, "doubt": round(moment.doubt, 3),
        "text": printable(moment.text), "thumbs": thumbs,
    }  # fmt: skip


def _instance(result: FrameResult, key: int | str) -> Instance | None:
    """The instance of a track, whose id may end in the frame of its scene."""
    named = str(key).rpartition("@")[0]
    return next((result[name] for name in (key, named) if name != "" and name in result), None)


def around(instances: Sequence[Instance], size: tuple[int, int]) -> Box:
    """A box of a thumbnail's shape within frames of (H, W), around all masks of some instances; all where none is."""
    masks = [clipped for i in instances for mask in (i.visible, i.amodal) if mask and (clipped := mask.clipped())]
    boxes = np.array([mask.box for mask in masks] or [(0, 0, size[1], size[0])])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = (high - low) + AROUND * max(high - low)
    width = max(side[0], side[1] * THUMB[1] / THUMB[0], size[1] / 11)
    width, height = min(width, size[1]), min(width * THUMB[0] / THUMB[1], size[0])
    x0, y0 = np.clip((low + high) / 2 - (width / 2, height / 2), 0, (size[1] - width, size[0] - height)).astype(int)
    return int(x0), int(y0), int(x0 + max(1, width)), int(y0 + max(1, height))


def thumbnail(picture: np.ndarray, result: FrameResult, focus: Instance | None, box: Box) -> str:
    """A JPEG in base 64 of a box of the frame: an instance as in overlays, the others outlined thinly.

    Args:
        picture: (h, w, 3) uint8 RGB, the frame in the page's size.
        box: in pixels of the frame.
    """
    (x0, y0, x1, y1), shape = box, picture.shape[:2]
    size = next((i.amodal.size for i in result if i.amodal), shape)
    scale = shape[0] / size[0], shape[1] / size[1]
    rows = slice(int(y0 * scale[0]), max(int(y1 * scale[0]), int(y0 * scale[0]) + 1))
    columns = slice(int(x0 * scale[1]), max(int(x1 * scale[1]), int(x0 * scale[1]) + 1))
    height = max(1, round(THUMB[1] * (y1 - y0) / (x1 - x0)))
    canvas = cv2.resize(picture[rows, columns], (THUMB[1], height), interpolation=cv2.INTER_AREA)
    for other in result:
        if other.visible and other is not focus and (drawn := fitted(other, box, canvas.shape[:2])).visible:
            outline(canvas, drawn.visible.decode(), OTHERS, 1)
    if focus is not None:
        alone = FrameResult(result.t, result.time, (fitted(focus, box, canvas.shape[:2]),))
        canvas = Drawer(labels=False, points=False).draw(canvas, alone)
    _, coded = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(coded.tobytes()).decode("ascii")
