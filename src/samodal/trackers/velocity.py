"""Lucas-Kanade while it believes a point, then straight on as the point moved before. Needs no weights.

Points do not influence each other, within an instance or across instances.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np

from samodal.checks import Array, check_entries
from samodal.errors import InputError
from samodal.trackers.checks import Points, check_groups
from samodal.trackers.lucas_kanade import LucasKanade

STEPS = 5
"""Matched steps whose median is the velocity; a single bad match does not move it."""


@dataclass
class _Group:
    """Points of a key: where they are now, (N, 2), and their latest matched steps, (N, S, 2), nan where none."""

    xy: np.ndarray
    steps: np.ndarray


class Velocity:
    """Moves a point that Lucas-Kanade has lost by the median of its last matched steps, in every frame.

    The frames before a point was added count too: it is followed back through those still kept. A point without any
    matched step stays where it was added. A lost point is never found again; it is reported as not visible, with
    confidence 0, and may leave the image.

    Args:
        ring: newest frames whose points can still be added; `STEPS` frames more are kept for their past.
    """

    def __init__(self, ring: int = 16):
        self.ring = ring
        self.reset()

    def reset(self) -> None:
        # Lucas-Kanade keeps the frames of both; only points of the newest `ring` are taken.
        self._tracker = LucasKanade(ring=self.ring + STEPS)
        self._groups: dict = {}

    def observe(self, frame: np.ndarray, t: int) -> None:
        self._tracker.observe(frame, t)
        positions = self._tracker.positions()
        for key, group in self._groups.items():
            self._move(group, *positions[key][:2])

    def add(self, key, xy: np.ndarray, t: int) -> None:
        frames = list(self._tracker.frames)
        known = [number for number, _ in frames][-self.ring :]
        if t not in known:
            raise InputError(f"velocity keeps the frames {known} and cannot follow points from frame {t}")
        xy = np.array(xy, np.float32).reshape(-1, 2)
        group = _Group(xy, np.full((len(xy), STEPS, 2), np.nan, np.float32))
        past = [image for number, image in reversed(frames) if number <= t][: STEPS + 1]
        back = [(xy, np.ones(len(xy), bool)), *_positions(past, xy)]
        for (later, _), (earlier, visible) in reversed(list(pairwise(back))):
            self._note(group, later - earlier, visible)
        for position in _positions([image for number, image in frames if number >= t], xy):
            self._move(group, *position)
        self._groups[key] = group
        self._tracker.add(key, xy, t)

    def drop(self, key) -> None:
        self._groups.pop(key, None)
        self._tracker.drop(key)

    def positions(self) -> dict:
        positions = self._tracker.positions()
        return {key: (group.xy.copy(), *positions[key][1:]) for key, group in self._groups.items()}

    def state(self) -> dict:
        groups = {key: vars(group).copy() for key, group in self._groups.items()}
        return {"groups": groups, "tracker": self._tracker.state()}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"groups": dict, "tracker": dict}, "state of the tracker")
        steps = Annotated[np.ndarray, Array("float32", (None, STEPS, 2))]
        check_groups(state["groups"], {"xy": Points, "steps": steps})
        tracker = LucasKanade(ring=self.ring + STEPS)
        tracker.load_state(state["tracker"])
        followed = {key: len(xy) for key, (xy, _, _) in tracker.positions().items()}
        if followed != {key: len(group["xy"]) for key, group in state["groups"].items()}:
            raise InputError("state of the tracker: its points are not those that Lucas-Kanade follows")
        self._groups = {key: _Group(**group) for key, group in state["groups"].items()}
        self._tracker = tracker

    def _move(self, group: _Group, xy: np.ndarray, visible: np.ndarray) -> None:
        """One frame on: to where the visible points were matched, straight on with the others."""
        self._note(group, xy - group.xy, visible)
        group.xy = np.where(visible[:, None], xy, group.xy + _velocity(group.steps))

    def _note(self, group: _Group, step: np.ndarray, visible: np.ndarray) -> None:
        """Add the step of the visible points as their newest."""
        shifted = np.concatenate([group.steps[:, 1:], step[:, None]], axis=1)
        group.steps = np.where(visible[:, None, None], shifted, group.steps)


def _velocity(steps: np.ndarray) -> np.ndarray:
    """(N, 2) median of the steps that are known, 0 where none is."""
    velocity = np.zeros((len(steps), 2), np.float32)
    known = np.isfinite(steps).all(axis=2).any(axis=1)
    velocity[known] = np.nanmedian(steps[known], axis=1)
    return velocity


def _positions(images: Iterable[np.ndarray], xy: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lucas-Kanade from the first grey image through the others: points and whether they are still visible in each."""
    tracker, visible = LucasKanade(), np.ones(len(xy), bool)
    for image, target in pairwise(images):
        xy, visible, _ = tracker.follow(image, target, xy, visible)
        yield xy, visible
