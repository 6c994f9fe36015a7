"""What was seen of one instance: the frames in which it was prompted, and what follows from them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from samodal.masks import Mask
from samodal.method.motion import median_velocity
from samodal.parts import Prompt

RING = 8
"""Frames within which points can be added to every tracker: the newest and seven before."""
NEARLY = 0.9
"""An anchor shows at least this share of the most that the frames before it show."""
WINDOW = 20
"""Prompted frames that a velocity is made of."""


@dataclass(frozen=True, eq=False)
class Seen:
    """An instance in a frame in which it was prompted.

    Attributes:
        t, time: frame index and seconds.
        prompt: what the segmenter was told.
        visible, amodal: its masks.
        score: of the frame.
    """

    t: int
    time: float
    prompt: Prompt
    visible: Mask
    amodal: Mask
    score: float | None


class History:
    """The frames in which an instance was prompted.

    Args:
        bound: frames of which points and place are kept.

    Attributes:
        tuples: (t, (K, 2) float32 points), oldest first; frames prompted without points have none.
        centres: (t, (2,) float) centre of the box of its amodal mask.
        recent: the last frames, within the trackers' ring.
    """

    def __init__(self, bound: int):
        self.tuples: deque[tuple[int, np.ndarray]] = deque(maxlen=bound)
        self.centres: deque[tuple[int, np.ndarray]] = deque(maxlen=bound)
        self.recent: deque[Seen] = deque(maxlen=RING)

    @property
    def last(self) -> Seen:
        """The frame in which it was last prompted."""
        return self.recent[-1]

    @property
    def points(self) -> np.ndarray | None:
        """(K, 2) the most recent prompt points; None where there were never any."""
        return self.tuples[-1][1] if self.tuples else None

    def add(self, seen: Seen) -> None:
        if seen.prompt.points is not None:
            self.tuples.append((seen.t, seen.prompt.points))
        self.centres.append((seen.t, seen.amodal.centre))
        self.recent.append(seen)

    def anchor(self, now: int, anchor_s: float | None) -> Seen:
        """The frame from which it is moved: the newest that shows nearly as much as any recent one (`anchor_s`)."""
        if anchor_s is None:
            return self.last
        near = [seen for seen in self.recent if seen.t > now - RING and seen.time >= self.last.time - anchor_s - 1e-6]
        most = max((seen.visible.area for seen in near), default=0)
        return next((seen for seen in reversed(near) if seen.visible.area >= NEARLY * most), self.last)

    def velocity(self) -> np.ndarray:
        """(2,) pixels a frame, from the centres of the last prompted frames."""
        return median_velocity(list(self.centres)[-WINDOW:])

    def mean_step(self) -> np.ndarray:
        """(2,) mean |dx|, |dy| between consecutive stored points; infinite with fewer than two.

        Source: released code, `coco_preds_to_ytvis.py`.
        """
        firsts = np.array([points[0] for _, points in self.tuples])
        return np.abs(np.diff(firsts, axis=0)).mean(axis=0) if len(firsts) > 1 else np.full(2, np.inf)
