"""Pyramidal Lucas-Kanade (OpenCV), frame to frame, with a forward-backward check. Needs no weights.

Points do not influence each other, within an instance or across instances.
"""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import cv2
import numpy as np

from samodal.checks import Array, check_entries
from samodal.errors import InputError, shown
from samodal.threads import Aside
from samodal.trackers.checks import Index, Points, check_frames, check_groups, check_size

TOLERANCE = 1.0
"""Pixels by which a track forward and back may miss its start: what is matched well misses it by less."""
RESIDUAL = 16.0
"""Mean absolute difference of matched squares, grey levels. An occluder that slides over a point passes the
forward-backward check but not this check."""
_ASIDE = Aside("grey", 1)

FRAMES = tuple[tuple[Index, Annotated[np.ndarray, Array("uint8", (None, None))]], ...]
"""Saved frames: numbers and grey images."""
GROUP: dict[str, Any] = {
    "xy": Points, "visible": Annotated[np.ndarray, Array("bool", (None,))],
    "confidence": Annotated[np.ndarray, Array("float32", (None,))], "t": Index,
}  # fmt: skip
"""Saved points of a key."""


@dataclass
class _Group:
    """Points of a key: where they are in frame t, and which are still visible."""

    xy: np.ndarray
    visible: np.ndarray
    confidence: np.ndarray
    t: int


class LucasKanade:
    """Follows points from each frame to the next.

    A point whose track forward and back misses its start by more than `TOLERANCE` pixels, or whose patch
    looks different by more than `RESIDUAL`, is reported as not visible from then on. It stays where it was last
    matched, since Lucas-Kanade cannot find a point again.

    Args:
        window: side of the square that is matched, pixels.
        levels: pyramid levels above the full image.
        ring: frames kept, so that points of the last `ring` frames can still be added.
    """

    def __init__(self, window: int = 21, levels: int = 4, ring: int = 16):
        self.window, self.levels, self.ring = window, levels, ring
        self.patch = window  # `PointTracker.patch`
        self.reset()

    def reset(self) -> None:
        self._frames: deque[tuple[int, np.ndarray]] = deque(maxlen=self.ring)
        self._newest: tuple[int, Future[np.ndarray]] | None = None  # is not in grey yet
        self._groups: dict = {}

    @property
    def frames(self) -> deque[tuple[int, np.ndarray]]:
        """Numbers and (H, W) uint8 grey images of the frames that are kept, oldest first."""
        if self._newest is not None:
            (t, grey), self._newest = self._newest, None
            self._frames.append((t, grey.result()))
        return self._frames

    def observe(self, frame: np.ndarray, t: int) -> None:
        """Raises InputError for a frame whose size differs from the frames before.

        The frame may be written over after `positions`: another thread makes it grey until then, beside a GPU's work.
        """
        check_size(frame.shape[:2], self.frames[-1][1].shape if self.frames else None, t)
        self._newest = t, _ASIDE(cv2.cvtColor, frame, cv2.COLOR_RGB2GRAY)
        if self._groups:
            self._advance(list(self._groups.values()))

    def add(self, key, xy: np.ndarray, t: int) -> None:
        known = [number for number, _ in self.frames]
        if t not in known:
            raise InputError(f"lucas_kanade keeps the frames {known} and cannot follow points from frame {t}")
        xy = np.array(xy, np.float32).reshape(-1, 2)
        self._groups[key] = _Group(xy, np.ones(len(xy), bool), np.ones(len(xy), np.float32), t)
        self._advance([self._groups[key]])

    def drop(self, key) -> None:
        self._groups.pop(key, None)

    def positions(self) -> dict:
        _ = self.frames  # from here on, the newest frame is no longer needed
        return {key: (g.xy.copy(), g.visible.copy(), g.confidence.copy()) for key, g in self._groups.items()}

    def state(self) -> dict:
        return {"frames": list(self.frames), "groups": {key: vars(g).copy() for key, g in self._groups.items()}}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"frames": list, "groups": dict}, "state of the tracker")
        check_frames(state["frames"], FRAMES)
        check_groups(state["groups"], GROUP)
        newest = state["frames"][-1][0] if state["frames"] else None
        behind = [key for key, group in state["groups"].items() if group["t"] != newest]
        if behind:
            raise InputError(f"state of the tracker, points of {shown(behind[0])}: not of its newest frame, {newest}")
        self.reset()
        self._frames.extend(state["frames"])
        self._groups = {key: _Group(**group) for key, group in state["groups"].items()}

    def _advance(self, groups: list[_Group]) -> None:
        """Bring groups up to the newest frame, all that wait for the same pair of frames in a single call."""
        for (t, image), (following, target) in pairwise(self.frames):
            waiting = [group for group in groups if group.t == t]
            if not waiting:
                continue
            xy, visible = (np.concatenate(parts) for parts in zip(*((g.xy, g.visible) for g in waiting), strict=True))
            borders = np.cumsum([len(group.xy) for group in waiting])[:-1]
            moved = (np.split(part, borders) for part in self.follow(image, target, xy, visible))
            for group, *parts in zip(waiting, *moved, strict=True):
                group.xy, group.visible, group.confidence = parts
                group.t = following

    def follow(
        self, image: np.ndarray, target: np.ndarray, xy: np.ndarray, visible: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points of a grey frame in the next.

        Args:
            image, target: (H, W) uint8.
            xy: (N, 2) float32, where the points are in `image`.
            visible: (N,) bool, which of them are visible there.

        Returns:
            (N, 2) where they are in `target`, (N,) which are still visible and (N,) confidence.
        """
        matched, error = self._match(image, target, xy)
        visible = visible & (error <= TOLERANCE)
        confidence = np.where(visible, np.exp(-error), 0).astype(np.float32)
        return np.where(visible[:, None], matched, xy), visible, confidence

    def _match(self, image: np.ndarray, target: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) points in `target`, and (N,) how far the way back misses them, infinite where lost."""
        if len(xy) == 0:
            return xy, np.zeros(0, np.float32)
        options = {"winSize": (self.window, self.window), "maxLevel": self.levels}
        points = xy.reshape(-1, 1, 2)
        forward, status, difference = cv2.calcOpticalFlowPyrLK(image, target, points, None, **options)
        back, status_back, _ = cv2.calcOpticalFlowPyrLK(target, image, forward, None, **options)
        error = np.linalg.norm(back - points, axis=2)[:, 0]
        forward = forward[:, 0]
        height, width = image.shape
        outside = (forward < -0.5).any(axis=1) | (forward[:, 0] > width - 0.5) | (forward[:, 1] > height - 0.5)
        lost = (status[:, 0] == 0) | (status_back[:, 0] == 0) | (difference[:, 0] > RESIDUAL)
        lost |= outside | ~np.isfinite(error)
        return forward.astype(np.float32), np.where(lost, np.inf, error).astype(np.float32)
