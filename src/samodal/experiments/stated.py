"""Whether hidden masks are as sure of their place as they state: true middles within the regions of 50 and 90 %."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from samodal.masks import Mask
from samodal.method.filter import region
from samodal.results.entries import Entry
from samodal.results.frames import read_frames
from samodal.shapes import cut_by_border
from samodal.tracks import Instance

REGIONS = {"within_50": region(0.5) ** 2, "within_90": region(0.9) ** 2}
"""Squared distance in spreads within which that share of the true middles should lie."""
Spreads = dict[tuple[str, int | str, int], np.ndarray]
"""(2,) spread of x and y in pixels, by clip, id and frame."""


def squared_distance(said: Mask, truth: tuple[float, float, float, float], spread: np.ndarray) -> float:
    """How far a mask's middle is from that of a true box x0, y0, x1, y1, in spreads, squared."""
    x0, y0, x1, y1 = truth
    return float((((said.centre - ((x0 + x1) / 2, (y0 + y1) / 2)) / spread) ** 2).sum())


def off_in_spreads(instance: Instance, truth: tuple[float, float, float, float]) -> float | None:
    """The same of an instance with an amodal mask, by its own spread; None where it has none."""
    if instance.centre_spread is None:
        return None
    return squared_distance(instance.amodal, truth, instance.centre_spread)


def shares_within(distances: Sequence[float]) -> dict[str, float | None]:
    """The share of squared distances within each of `REGIONS`; None of none."""
    off = np.array(distances)
    return {name: float((off <= most).mean()) if len(off) else None for name, most in REGIONS.items()}


def stated_spreads(folder: Path, clips: Iterable[str]) -> Spreads:
    """The spreads in the files of a run's clips; none of a clip whose frames are not there."""
    files = {clip: folder / clip / "frames.jsonl" for clip in clips}
    return {
        (clip, instance.id, result.t): instance.centre_spread
        for clip, file in files.items() if file.is_file()
        for result in read_frames(file).results
        for instance in result.instances if instance.centre_spread is not None
    }  # fmt: skip


def within_regions(true: Sequence[Entry], said: Sequence[Entry | None], spreads: Spreads) -> dict[str, float | None]:
    """The shares on frames in which nothing of an instance is visible and the border does not cut it.

    Args:
        true, said: entries by video, in pairs.
    """
    return shares_within(
        [
            squared_distance(Mask.of(mask), whole.box, spreads[key])
            for entry, answer in zip(true, said, strict=True) if answer is not None
            for t, mask in enumerate(answer.masks)
            if mask is not None and (key := (answer.group, answer.id, t)) in spreads
            and entry.masks[t] is not None and (entry.visible is None or entry.visible[t] is None)
            and not cut_by_border(whole := Mask.of(entry.masks[t]))
        ]
    )  # fmt: skip
