"""Lucas-Kanade while it believes a point, then straight on as the point moved before. Needs no weights.

Points do not influence each other, within an instance or across instances.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.trackers.lucas_kanade import LucasKanade


@dataclass
class _Group:
    """Points of one key: where they are now, (N, 2), and their latest believed steps, (N, S, 2), nan where none."""

    xy: np.ndarray
    steps: np.ndarray


class Velocity:
    """Moves a point that Lucas-Kanade has lost by the median of its last believed steps, in every frame.

    The frames before the one in which a point was shown count too: it is followed back through those still kept.
    A point without any believed step stays where it was shown. A lost point is never found again; it is called not
    visible, with confidence 0, and may leave the image.

    Args:
        steps: believed steps whose median is the velocity; one bad match does not move it.
        ring: frames kept before those that the past of a point needs, so that their points can still be added.
    """

    def __init__(self, steps: int = 5, ring: int = 16):
        self.steps, self.ring = steps, ring
        self.reset()

    def reset(self) -> None:
        self._frames: deque[tuple[int, np.ndarray]] = deque(maxlen=self.ring + self.steps)
        self._tracker = LucasKanade(ring=self.ring)
        self._groups: dict = {}

    def observe(self, frame: np.ndarray, t: int) -> None:
        self._frames.append((t, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)))
        self._tracker.observe(frame, t)
        found = self._tracker.positions()
        for key, group in self._groups.items():
            self._move(group, *found[key][:2])

    def add(self, key, xy: np.ndarray, t: int) -> None:
        known = [seen for seen, _ in self._frames][-self.ring :]
        if t not in known:
            raise InputError(f"velocity keeps the frames {known} and cannot follow points from frame {t}")
        xy = np.asarray(xy, np.float32).reshape(-1, 2)
        group = _Group(xy, np.full((len(xy), self.steps, 2), np.nan, np.float32))
        past = [frame for seen, frame in reversed(self._frames) if seen <= t][: self.steps + 1]
        back = [(xy, np.ones(len(xy), bool)), *_followed(past, xy)]
        for (earlier, believed), (later, _) in reversed(list(zip(back[1:], back, strict=False))):
            self._note(group, later - earlier, believed)
        for position in _followed([frame for seen, frame in self._frames if seen >= t], xy):
            self._move(group, *position)
        self._groups[key] = group
        self._tracker.add(key, xy, t)

    def drop(self, key) -> None:
        self._groups.pop(key, None)
        self._tracker.drop(key)

    def positions(self) -> dict:
        found = self._tracker.positions()
        return {key: (group.xy.copy(), *found[key][1:]) for key, group in self._groups.items()}

    def state(self) -> dict:
        return {
            "frames": list(self._frames),
            "groups": {key: vars(group).copy() for key, group in self._groups.items()},
            "tracker": self._tracker.state(),
        }

    def load_state(self, state: dict) -> None:
        self._frames = deque(state["frames"], maxlen=self.ring + self.steps)
        self._groups = {key: _Group(**group) for key, group in state["groups"].items()}
        self._tracker.load_state(state["tracker"])

    def _move(self, group: _Group, xy: np.ndarray, believed: np.ndarray) -> None:
        """One frame on: to where the believed points were found, straight on with the others."""
        self._note(group, xy - group.xy, believed)
        group.xy = np.where(believed[:, None], xy, group.xy + _velocity(group.steps))

    def _note(self, group: _Group, step: np.ndarray, believed: np.ndarray) -> None:
        """Add the step of the believed points as their newest."""
        shifted = np.concatenate([group.steps[:, 1:], step[:, None]], axis=1)
        group.steps = np.where(believed[:, None, None], shifted, group.steps)


def _velocity(steps: np.ndarray) -> np.ndarray:
    """(N, 2) median of the steps that are known, 0 where none is."""
    velocity = np.zeros((len(steps), 2), np.float32)
    known = np.isfinite(steps).all(axis=2).any(axis=1)
    velocity[known] = np.nanmedian(steps[known], axis=1)
    return velocity


def _followed(frames: Iterable[np.ndarray], xy: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lucas-Kanade from the first grey frame through the others: points and whether they are believed in each."""
    tracker, found = LucasKanade(), []
    for t, grey in enumerate(frames):
        tracker.observe(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), t)
        if t == 0:
            tracker.add(0, xy, 0)
        else:
            found.append(tracker.positions()[0][:2])
    return found
