"""The way of an instance over a gap, from what is believed before it and after it: a two-filter smoother.

The filter of `samodal.method.filter` runs forward to the gap, and backward from what comes after it. In the gap each
goes on without a measurement, in the view of each frame, and the two are fused by their uncertainty. Source: Fraser
and Potter 1969.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.filter import Belief, lasting, measured
from samodal.method.history import RING, History, Seen


@dataclass(frozen=True, eq=False)
class End:
    """One end of a gap.

    Attributes:
        seen, view: the frame beside the gap in which it was prompted.
        belief: at this frame, from this one and those beyond it; of time that runs backward, behind a gap.
        anchor: the frame near by that shows nearly the most of it (`History.anchor`).
    """

    seen: Seen
    view: View
    belief: Belief
    anchor: Seen

    @classmethod
    def before(cls, history: History, view: View, anchor_s: float | None) -> End:
        """The end before a gap that begins in the frame after the newest of a history with views."""
        if history.belief is None:
            raise ValueError("a history without views has no belief")
        anchor = history.anchor(history.last.t + 1, anchor_s)
        return cls(history.last, view, history.belief, anchor)

    @classmethod
    def after(cls, seen: Iterable[tuple[Seen, View]], anchor_s: float | None) -> End:
        """The end after a gap, from the frames in which it was prompted since, with their views, in their order."""
        history, pairs = History(RING, shapes=False), list(seen)
        for shown, view in reversed(pairs):
            history.add(replace(shown, t=-shown.t, time=-shown.time), view)
        end = cls.before(history, pairs[0][1], anchor_s)
        return replace(end, seen=pairs[0][0])


class Bridge:
    """Where an instance is between two ends of a gap, how large and how surely."""

    def __init__(self, before: End, after: End):
        self.before, self.after = before, after
        # What the masks at the ends differ by from the way is carried into the gap: nods of the camera, turns of the
        # thing, and a road that is no plane.
        self._rests = [self._missed(end) for end in (before, after)]

    @property
    def surprise(self) -> float:
        """Squared distance of the centre at the end from where it was expected from the beginning, in variances."""
        seen, view = self.after.seen, self.after.view
        told = measured(seen.amodal, seen.visible, view, seen.sure)
        return self.before.belief.at(seen.time, view).distance(*told, view)

    @property
    def shape(self) -> Seen:
        """The frame of the better of the two shapes, see `Seen.quality`."""
        return max(self.before.anchor, self.after.anchor, key=lambda seen: seen.quality)

    def at(self, time: float, view: View) -> Belief:
        """What is believed at a time in seconds, between the ends, in the view of its frame."""
        start, end = self.before.seen.time, self.after.seen.time
        share = (time - start) / (end - start) if end > start else 0.5
        first, last = self._rests
        return replace(self._fused(time, view), rest=(1 - share) * first + share * last)

    def spread(self, belief: Belief, view: View) -> np.ndarray:
        """(2,) spread of x and y of the middle of its mask, in pixels, with what further masks do not take away."""
        stretch = np.prod(extent_of(belief, view) / self.shape.amodal.shape[::-1])
        kept = lasting(self.shape.amodal, self.shape.visible, self.shape.sure) * stretch
        return np.sqrt(belief.spread(view) ** 2 + kept)

    def _fused(self, time: float, view: View) -> Belief:
        return self.before.belief.at(time, view).fused(self.after.belief.at(-time, view).mirrored())

    def _missed(self, end: End) -> np.ndarray:
        """(4,) what the mask at an end differs by from the way, as far as it is trusted; see `Belief.rest`."""
        sides, variance = measured(end.seen.amodal, end.seen.visible, end.view, end.seen.sure)
        return self._fused(end.seen.time, end.view).missed(sides, variance, end.view, np.zeros(4))


def placed(shape: Mask, belief: Belief, view: View) -> Mask:
    """An amodal mask where a belief has its instance in a view, as wide and as high, within the frame."""
    sides = belief.sides(view)
    middle = shape.centre - 0.5  # integers are pixel centres
    return shape.scaled((sides[:2] + sides[2:]) / 2 - middle, extent_of(belief, view) / shape.shape[::-1], middle)


def extent_of(belief: Belief, view: View) -> np.ndarray:
    """(2,) width and height in pixels that a belief has its instance in a view, at least one."""
    sides = belief.sides(view)
    return np.maximum(sides[2:] - sides[:2], 0) + 1
