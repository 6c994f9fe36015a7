"""Clips as SAVOS learns from them, all in main memory: frames, whose visible pixel each is, and optical flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from samodal.baselines.savos.crops import enlarged_box
from samodal.baselines.savos.flow import observe_flow
from samodal.baselines.savos.inputs import runs
from samodal.data.open import opened
from samodal.rle import Rle
from samodal.training.workers import read_all, sequences

if TYPE_CHECKING:
    from samodal.data.asd import AsdVideo

OUTSIDE = 255
"""Owner of pixels of which nothing is known; up to as many instances of a clip less one can be told apart."""


@dataclass(eq=False)
class Stretch:
    """An unbroken run of frames in which an instance is visible.

    Attributes:
        place: of the instance in its clip, as in `Clip.owners`.
        start: index of its first frame.
        boxes: (T, 4) int32, (x0, y0, x1, y1) of the crops, in pixel borders.
        areas: (T,) int32, visible pixels.
    """

    place: int
    start: int
    boxes: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(eq=False)
class Clip:
    """T frames of (H, W) pixels.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        owners: (T, H, W) uint8, whose visible pixel it is: the place of an instance from 1, 0 for the scenery.
        forward, reverse: (T, H, W, 2) float16, as `observe_flow` has them.
        stretches: that are trained or measured on.
        amodal: the true whole mask by (place, t), for measuring; empty where it was not read or is not known.
    """

    frames: np.ndarray
    owners: np.ndarray
    forward: np.ndarray
    reverse: np.ndarray
    stretches: list[Stretch]
    amodal: dict[tuple[int, int], Rle] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.frames, self.owners, self.forward, self.reverse))


@dataclass(frozen=True)
class Wanted:
    """Which stretches are used.

    Attributes:
        enlarge: sides of the crop over those of the visible mask's box.
        least_area: visible pixels that its largest visible mask must have.
        least_length: frames.
    """

    enlarge: float = 1.5
    least_area: int = 64
    least_length: int = 10


def load_clips(
    data: str,
    wanted: Wanted,
    *,
    count: int | None = None,
    held_out: int = 0,
    workers: int = 0,
    report: Callable[[str], None] = print,
) -> list[Clip]:
    """Read the sequences of data sets with visible masks and compute their flow.

    Args:
        data: what `open_dataset` takes, such as streetsim:ROOT/tracks; several are separated by commas.
        wanted: which stretches are kept.
        count: so many sequences of each, the first of them; None for all.
        held_out: of so many sequences at the end amodal truth is read, too, for measuring; of the others never.
        workers: processes; 0 takes as many as there are cores.
        report: gets lines of progress.

    Raises:
        InputError: if the data set cannot be read.
    """
    names = sequences(data, count)
    tasks = [(*sequence, wanted, n >= len(names) - held_out) for n, sequence in enumerate(names)]
    return read_all(_clip, tasks, data, workers, report)


def _clip(task: tuple[str, str, Wanted, bool]) -> Clip:
    data, name, wanted, measured = task
    video = opened(data).video(name)
    frames = np.stack([video.frame(t).image for t in range(video.length)])
    owners, places = read_owners(video)
    forward, reverse = (flow.astype(np.float16) for flow in observe_flow(list(frames)))
    amodal = _amodal(video, places) if measured and video.has_amodal else {}
    return Clip(frames, owners, forward, reverse, stretches(owners, wanted), amodal)


def read_owners(video: AsdVideo) -> tuple[np.ndarray, dict[int, int]]:
    """(T, H, W) uint8 as in `Clip`, and the place of each id; from visible masks alone.

    What has no place left, as there are more than 254 instances, is scenery.
    """
    places: dict[int, int] = {}
    owners = np.zeros((video.length, *video.size), np.uint8)
    for t in range(video.length):
        for instance in video.frame_visible(t):
            if instance.visible is None:
                continue
            if instance.id not in places and len(places) < OUTSIDE - 1:
                places[instance.id] = len(places) + 1
            owners[t][instance.visible.decode()] = places.get(instance.id, 0)
    return owners, places


def _amodal(video: AsdVideo, places: dict[int, int]) -> dict[tuple[int, int], Rle]:
    return {
        (places[truth.id], t): truth.amodal
        for t in range(video.length)
        for truth in video.frame_truth(t)
        if truth.id in places and truth.amodal is not None
    }


def stretches(owners: np.ndarray, wanted: Wanted) -> list[Stretch]:
    """The stretches of (T, H, W) owners that are wanted."""
    made = []
    for place, run in runs([np.unique(owner[owner > 0]).tolist() for owner in owners]):
        if len(run) < wanted.least_length:
            continue
        masks = owners[run.start : run.stop] == place
        areas = masks.sum((1, 2), dtype=np.int32)
        if areas.max() >= wanted.least_area:
            boxes = np.array([enlarged_box(mask, wanted.enlarge) for mask in masks], np.int32)
            made.append(Stretch(place, run.start, boxes, areas))
    return made
