"""How long instances stay fully hidden, for numbers by the length of the gap."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle

GAPS = ((1, 5), (6, 10), (11, 20), (21, None))
"""Shortest and longest stretch of each bin, in frames; None: no limit."""


def gap_lengths(truth: Annotated) -> np.ndarray:
    """The length of the hidden stretch that each row of `samodal.metrics.regions.measure` on this truth lies in.

    The truth must hold visible masks.

    A stretch is a run of frames with an amodal but no visible mask, after the instance was visible once. Outside the
    image there is no amodal mask: that ends a stretch. Its length is that of the whole stretch, in all its frames.

    Returns:
        (N,) int, frames; 0 for rows that are not in a stretch.
    """
    return np.array([length for entry in truth.instances for length in _lengths(entry)], int)


def named(gap: tuple[int, int | None]) -> str:
    """A bin in words: 1–5, or 21+."""
    return f"{gap[0]}+" if gap[1] is None else f"{gap[0]}–{gap[1]}"


def within(lengths: np.ndarray, gap: tuple[int, int | None]) -> np.ndarray:
    """Which lengths fall in a bin."""
    return (lengths >= gap[0]) & (gap[1] is None or lengths <= gap[1])


def _lengths(entry: Entry) -> list[int]:
    """Of each frame that has a mask."""
    lengths, was_visible = [], False
    for state, run in groupby(_states(entry.masks, entry.visible)):
        count = len(list(run))
        was_visible = was_visible or state == "visible"
        if state != "absent":
            lengths += [count if state == "hidden" and was_visible else 0] * count
    return lengths


def _states(masks: Sequence[Rle | None], visible: Sequence[Rle | None]) -> list[str]:
    return [
        "absent" if mask is None else "hidden" if shown is None else "visible"
        for mask, shown in zip(masks, visible, strict=True)
    ]
