"""Two runs on the same frames, on one page: which tracks are the same objects, and where the results differ most."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samodal.errors import InputError, printable
from samodal.outputs import refuse_inputs
from samodal.report.clip import pictures_at
from samodal.report.doubts import name_of
from samodal.report.gather import Gathered, around, fps_of, gathering, results_at, thumbnail, told
from samodal.report.make import clip_of, page_data, shown_settings
from samodal.report.page import write_page
from samodal.report.story import WORDS
from samodal.results.frames import FrameLines, result_count
from samodal.tracks import Instance

SAME = 0.5
"""IoU of visible masks from which two instances are the same object."""
SAME_TIME = 0.002
"""Seconds by which the times of a frame may differ, as files round them."""
MOST = 10
"""Differences that are shown."""
ALIKE = 0.8
"""IoU of whole masks from which they count as alike."""


@dataclass
class Difference:
    """Two tracks that differ, or one that the other run has not.

    Attributes:
        first, second: numbers of the tracks; None where the run has none.
        seconds: for which they differ.
        worst: (1 - IoU of the whole masks, frame) where they differ most.
        states: of the two in that frame, None where it is not there.
    """

    first: int | None
    second: int | None
    seconds: float = 0.0
    worst: tuple[float, int] = (-1.0, 0)
    states: tuple[int | None, int | None] = (None, None)


class Differences:
    """Compares two runs frame by frame."""

    def __init__(self) -> None:
        self._partners: dict[int, Counter] = {}
        self._found: dict[tuple[int | None, int | None], Difference] = {}

    def add(self, frames: tuple[Any, Any], seconds: float) -> None:
        """Take a frame of both runs, (result, numbers, codes) each, that is shown for so many seconds."""
        (one, numbers, codes), (other, other_numbers, other_codes) = frames
        left = {other_numbers[instance.id]: instance for instance in other}
        for instance in sorted(one, key=lambda i: i.visible is None):
            number = numbers[instance.id]
            partner = self._partner(number, instance, left)
            twin = left.pop(partner) if partner is not None else None
            apart = _apart(instance, twin)
            if apart > 1 - ALIKE:
                code = None if twin is None else other_codes[twin.id]
                self._note((number, partner), apart, one.t, seconds, (codes[instance.id], code))
        for number, instance in left.items():
            if instance.amodal:
                self._note((None, number), 1.0, one.t, seconds, (None, other_codes[instance.id]))

    def _partner(self, number: int, instance: Instance, left: dict[int, Instance]) -> int | None:
        """The track of the other run that is the same object: by what both see, else as before."""
        if instance.visible:
            ious = [(instance.visible.iou(twin.visible), key) for key, twin in left.items() if twin.visible]
            iou, key = max(ious, default=(0.0, -1))
            if iou >= SAME:
                self._partners.setdefault(number, Counter())[key] += 1
                return key
        known = self._partners.get(number, Counter()).most_common(1)
        return known[0][0] if known and known[0][0] in left else None

    def _note(
        self, pair: tuple[int | None, int | None], apart: float, frame: int, seconds: float, states: tuple
    ) -> None:
        found = self._found.setdefault(pair, Difference(*pair))
        found.seconds += seconds
        if apart > found.worst[0]:
            found.worst, found.states = (apart, frame), states

    def matches(self) -> list[list[int]]:
        """[track of the first run, track of the second] of the same objects, each track once."""
        counts = [(count, a, b) for a, partners in self._partners.items() for b, count in partners.items()]
        pairs: list[list[int]] = []
        for _, a, b in sorted(counts, key=lambda entry: (-entry[0], entry[1:])):
            if not any(a == pair[0] or b == pair[1] for pair in pairs):
                pairs.append([a, b])
        return pairs

    def largest(self) -> list[Difference]:
        """Those that differ most, and longest."""
        return sorted(self._found.values(), key=lambda d: -(d.worst[0] * d.seconds))[:MOST]


def _apart(instance: Instance, twin: Instance | None) -> float:
    """1 - IoU of the whole masks; 0 where neither has one, 1 where one has none."""
    masks = [i.amodal if i is not None and i.amodal else None for i in (instance, twin)]
    if masks[0] is None and masks[1] is None:
        return 0.0
    return 1.0 if None in masks else 1.0 - masks[0].iou(masks[1])


def make_comparison(first: Path, second: Path, out: Path | None = None, video: str | None = None) -> Path:
    """Write the page of two runs; gives its path.

    Args:
        first, second: folders with a frames.jsonl each.
        out: the page; by default compare-FIRST-SECOND.html beside the first folder.
        video: where the frames are now, if they have moved.

    Raises:
        InputError: if they are not of the same frames, or one is missing or damaged.
    """
    runs = [FrameLines(folder / "frames.jsonl") for folder in (first, second)]
    counts = [result_count(lines.path) for lines in runs]
    _check(runs, counts)
    labels = _labels(first, second)
    out = out or first.resolve().parent / f"compare-{labels[0]}-{labels[1]}.html"
    refuse_inputs([out], [*(lines.path for lines in runs), video, *(lines.settings.get("source") for lines in runs)])
    with tempfile.TemporaryDirectory(prefix="samodal-") as work:
        outlines = [Path(work) / name for name in "ab"]
        gathered, differences = _gathered(runs, outlines)
        clip = clip_of(runs[0], Path(work) / "clip.mp4", video)
        data = page_data(f"{labels[0]} against {labels[1]}", gathered[0], clip.shown) | {
            "runs": [told(g, clip.path, clip.shown, label) for g, label in zip(gathered, labels, strict=True)],
            "settings": _both(runs),
            "matches": differences.matches(),
            "differences": [_shown(found, gathered, clip.path, clip.shown) for found in differences.largest()],
        }
        write_page(out, f"{labels[0]} against {labels[1]}: amodal comparison", data, clip.path, outlines)
    return out


def _labels(first: Path, second: Path) -> list[str]:
    """What the runs are called: the last part of their paths in which they differ."""
    parts = zip(reversed(first.resolve().parts), reversed(second.resolve().parts), strict=False)
    return list(next((pair for pair in parts if pair[0] != pair[1]), (first.name, "itself")))


def _both(runs: list[FrameLines]) -> list[list[str]]:
    """The settings of two runs; where they differ, both values."""
    one, other = (dict(shown_settings(lines.settings)) for lines in runs)
    keys = dict.fromkeys([*one, *other])
    return [
        [k, one[k] if one.get(k) == other.get(k) else f"A: {one.get(k, '-')}  B: {other.get(k, '-')}"] for k in keys
    ]


def _check(runs: list[FrameLines], counts: list[int]) -> None:
    a, b = runs
    if not min(counts):
        raise InputError(f"{runs[counts.index(0)].path}: holds no finished frame")
    if a.size != b.size or counts[0] != counts[1]:
        sizes = [
            f"{count} frames of {lines.size[1]}x{lines.size[0]}" for lines, count in zip(runs, counts, strict=True)
        ]
        raise InputError(f"{a.path} has {sizes[0]} pixels, {b.path} has {sizes[1]}; give two runs on the same frames")


def _gathered(runs: list[FrameLines], outlines: list[Path]) -> tuple[list[Gathered], Differences]:
    """Both runs read side by side, and how they differ."""
    differences, step, before = Differences(), 1 / fps_of(runs[0].settings), None
    gathered: list[Gathered] = []
    sides = zip(*(gathering(lines, file) for lines, file in zip(runs, outlines, strict=True)), strict=True)
    for frames in sides:
        if isinstance(frames[0], Gathered):
            gathered = list(frames)
            break
        time, other = (result.time for result, *_ in frames)
        if abs(time - other) > SAME_TIME:
            a, b = (lines.path for lines in runs)
            raise InputError(
                f"frame {frames[0][0].t} is at {time:.3f} s in {a}, at {other:.3f} s in {b}; give two runs on the same "
                "frames"
            )
        step = step if before is None else max(0.0, time - before)
        differences.add(frames, step)
        before = time
    return gathered, differences


def _shown(difference: Difference, gathered: list[Gathered], clip: Path, shown: list[int]) -> dict[str, Any]:
    frame, numbers = difference.worst[1], (difference.first, difference.second)
    picture = dict(pictures_at(clip, shown, [frame]))[frame]
    sides = [results_at(run.lines, {frame})[frame] for run in gathered]
    tracks = [None if n is None else run.story.tracks[n] for n, run in zip(numbers, gathered, strict=True)]
    focus = [
        None if track is None else next((i for i in side if str(i.id) == str(track.id).split("@")[0]), None)
        for track, side in zip(tracks, sides, strict=True)
    ]
    box = around([i for i in focus if i is not None], gathered[0].lines.size)
    thumbs = [
        {"word": word, "frame": frame, "jpeg": thumbnail(picture, side, instance, box)}
        for word, side, instance in zip("AB", sides, focus, strict=True)
    ]
    run = 0 if numbers[0] is not None else 1
    return {
        "run": run, "track": numbers[run], "frame": frame, "thumbs": thumbs,
        "text": printable(_sentence(difference, tracks)),
    }  # fmt: skip


def _sentence(difference: Difference, tracks: list) -> str:
    named = [None if track is None else name_of(track) for track in tracks]
    if None in named:
        return f"{named[0] or named[1]} has a mask in {'A' if named[0] else 'B'} alone, for {difference.seconds:.1f} s."
    words = ["not there" if code is None else WORDS[code] for code in difference.states]
    who = named[0] if named[0] == named[1] else f"{named[0]} in A, {named[1]} in B"
    text = f"{who}: the whole masks overlap by {1 - difference.worst[0]:.0%}"
    text += f", and differ for {difference.seconds:.1f} s."
    return text if words[0] == words[1] else f"{text} A says {words[0]}, B {words[1]}."
