"""How masks are moved through gaps that are made: a track's visible masks are withheld for some frames of a drive.

    ROOT/kitti_tracking_0005/image_02/0005/…png     frames, with the masks of instances_txt

Nothing hides these objects, so the withheld visible mask is the truth, and the method's own tracker can see them. The
visible mask also stands for the amodal one: what is judged is the hidden phase alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samodal.build import found_device, make_method, make_rules
from samodal.experiments.labelled import LabelledSegmenter, told_of_masks
from samodal.experiments.stated import off_in_spreads
from samodal.making import make_tracker
from samodal.masks import Mask
from samodal.method.hindsight import Offline
from samodal.method.pipeline import Pipeline
from samodal.method.prompts.choose import make_selector
from samodal.parts import Method, Observed
from samodal.settings import RunSettings
from samodal.shapes import cut_by_border
from samodal.tracks import Instance

LENGTHS = (4, 6)
"""Frames for which masks are withheld."""
FIRST, EVERY = 3, 2
"""The first frame of the drive that is withheld, and from how many frames to the next a further window begins."""
LEAST = 500
"""Pixels that each mask of a track must have."""


@dataclass(frozen=True)
class Window:
    """Frames `first` to `end - 1` of a track are withheld."""

    key: int | str
    first: int
    end: int


def windows(frames: Sequence[Observed]) -> list[Window]:
    """All windows of tracks that are large and whole from the first frame to the last of the window."""
    whole = [
        {one.id for one in seen.visible if one.mask.area >= LEAST and not cut_by_border(one.mask)} for seen in frames
    ]
    until = {key: next((t for t, keys in enumerate(whole) if key not in keys), len(whole)) for key in sorted(whole[0])}
    return [
        Window(key, first, first + length)
        for key, end in until.items()
        for length in LENGTHS
        for first in range(FIRST, end - length + 1, EVERY)
    ]


def moved(settings: RunSettings, frames: Sequence[Observed]) -> Iterator[dict[str, Any]]:
    """The IoU of what a method says of each withheld mask with that mask, 0 where it says nothing, and how far its
    middle is off in its own spread, squared; None without a spread.

    Args:
        frames: all frames of the drive with all visible masks; those after a window are for hindsight alone.
    """
    for window in windows(frames):
        shown = [
            replace(seen, visible=[one for one in seen.visible if one.id != window.key])
            if window.first <= t < window.end
            else seen
            for t, seen in enumerate(frames[: None if settings.offline else window.end])
        ]
        for t, result in enumerate(_method(settings).run("withheld", shown)):
            if window.first <= t < window.end:
                instance = result[window.key] if window.key in result else None
                (truth,) = (one.mask for one in frames[t].visible if one.id == window.key)
                yield _judged(instance, truth) | {"length": window.end - window.first}


def _judged(instance: Instance | None, truth: Mask) -> dict[str, Any]:
    if instance is None or not instance.amodal:
        return {"iou": 0.0, "off": None}
    return {"iou": instance.amodal.iou(truth), "off": off_in_spreads(instance, truth.box)}


def _method(settings: RunSettings) -> Method:
    """The method, to whose segmenter the visible mask is the whole one."""
    if settings.method != "samodal":
        return make_method(settings)
    rules, tracker = make_rules(settings), make_tracker(settings.tracker, found_device(settings.device))
    select = told_of_masks(make_selector(rules.prompt, rules.points))
    pipeline = Pipeline(LabelledSegmenter({}), tracker, rules, select=select)
    return Offline(pipeline) if settings.offline else pipeline
