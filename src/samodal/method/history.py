"""What was seen of one instance: the frames in which it was prompted, and what follows from them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.filter import Belief
from samodal.method.motion import median_velocity
from samodal.shapes import cut_by_border

RING = 8
"""Frames within which points can be added to every tracker: the newest and seven before."""
NEARLY = 0.9
"""An anchor shows at least this share of the most that the frames near it show."""
LARGER = 0.95
"""An earlier shape is told where what is visible is at most this share of it."""
WINDOW = 20
"""Prompted frames that a velocity is made of."""


@dataclass(frozen=True, eq=False)
class Seen:
    """An instance in a frame in which it was prompted.

    Attributes:
        t, time: frame index and seconds.
        points: (K, 2) float32, x and y of the prompt points; None where it was prompted without.
        visible, amodal: its masks.
        score: of the frame.
        iou: what the segmenter expects of the amodal mask; None where it says nothing. How sure a front end is of a
            thing, which the score may hold, tells nothing of the mask's sides.
    """

    t: int
    time: float
    points: np.ndarray | None
    visible: Mask
    amodal: Mask
    score: float | None
    iou: float | None

    @cached_property
    def quality(self) -> float:
        """How good its shape is, in [0, 1]: the share that is visible times the expected IoU. What the border of the
        frame cuts is no whole shape."""
        if cut_by_border(self.amodal):
            return 0.0
        return self.visible.overlap(self.amodal) / self.amodal.area * self.sure

    @property
    def sure(self) -> float:
        """Its expected IoU; 1 where there is none."""
        return 1.0 if self.iou is None else self.iou


class History:
    """The frames in which an instance was prompted.

    Args:
        bound: frames of which points and place are kept.
        shapes: whether the best shape is looked for, which takes a look at the pixels of each frame's masks.

    Attributes:
        tuples: (t, (K, 2) float32 points), oldest first; frames prompted without points have none.
        centres: (t, (2,) float) centre of the box of its amodal mask.
        recent: the last frames, within the trackers' ring.
        best: the frame of the best shape, see `Seen.quality`; None before the first.
        belief: where it was in the last of these frames, and how it moved; None before the first.
    """

    def __init__(self, bound: int, shapes: bool = True):
        self.shapes = shapes
        self.tuples: deque[tuple[int, np.ndarray]] = deque(maxlen=bound)
        self.centres: deque[tuple[int, np.ndarray]] = deque(maxlen=bound)
        self.recent: deque[Seen] = deque(maxlen=RING)
        self.best: Seen | None = None
        self.belief: Belief | None = None

    @property
    def last(self) -> Seen:
        """The frame in which it was last prompted."""
        return self.recent[-1]

    @property
    def points(self) -> np.ndarray | None:
        """(K, 2) the most recent prompt points; None where there were never any."""
        return self.tuples[-1][1] if self.tuples else None

    @property
    def surest(self) -> float:
        """The highest score of the last frames; 1 where there are none."""
        return max(1.0 if seen.score is None else seen.score for seen in self.recent)

    def add(self, seen: Seen, view: View | None = None) -> None:
        """Args: view: how the camera sees the ground in this frame; without it there is no belief."""
        if view is not None:
            if self.belief is None:
                self.belief = Belief.of(seen.amodal, seen.visible, view, seen.time, seen.sure)
            else:
                self.belief = self.belief.with_mask(seen.amodal, seen.visible, view, seen.time, seen.sure)
        if seen.points is not None:
            self.tuples.append((seen.t, seen.points))
        if self.shapes and (self.best is None or seen.quality >= self.best.quality):
            self.best = seen
        self.centres.append((seen.t, seen.amodal.centre))
        self.recent.append(seen)

    def anchor(self, now: int, anchor_s: float | None) -> Seen:
        """The frame from which it is moved: the last, unless an earlier one of `anchor_s` seconds is better.

        What is visible of it times the expected IoU says how good a shape is; the newest of nearly the best is taken.
        """
        if anchor_s is None:
            return self.last
        near = [seen for seen in self.recent if seen.t > now - RING and seen.time >= self.last.time - anchor_s - 1e-6]
        most = max((seen.visible.area * seen.sure for seen in near), default=0)
        return next((seen for seen in reversed(near) if seen.visible.area * seen.sure >= NEARLY * most), self.last)

    def shape(self, visible: Mask, t: int, least: float) -> Mask | None:
        """The best earlier shape, where the instance should be in frame t: moved and scaled as its masks were.

        Args:
            visible: what is visible of it in frame t.
            least: quality of shapes that are good enough (rule `earlier`).

        Returns:
            None where there is none, or none that is larger than what is visible.

        Source: IC-Amodal (CVPR 2026): the frame that shows most of an object is its best exemplar, a bad one harms.
        """
        if self.best is None or self.best.quality < least:
            return None
        best, last = self.best.amodal, self.last.amodal
        scale = min(max(last.side / best.side, 0.5), 2.0)
        place = last.centre + self.velocity() * (t - self.last.t)
        moved = best.scaled(place - best.centre, scale, best.centre - 0.5)
        return moved if visible.area < LARGER * moved.area else None

    def velocity(self) -> np.ndarray:
        """(2,) pixels a frame, from the centres of the last prompted frames."""
        return median_velocity(list(self.centres)[-WINDOW:])

    def mean_step(self) -> np.ndarray:
        """(2,) mean |dx|, |dy| between consecutive stored points; infinite with fewer than two.

        Source: released code, `coco_preds_to_ytvis.py`.
        """
        firsts = np.array([points[0] for _, points in self.tuples])
        return np.abs(np.diff(firsts, axis=0)).mean(axis=0) if len(firsts) > 1 else np.full(2, np.inf)
