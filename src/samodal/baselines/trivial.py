"""Trivial methods: strong enough that any claim must be put beside them (facts: field.md, last paragraph).

They fill hidden frames, where they do, for as long and by the same border rule as S-AModal's preset, so that
what differs is the mask and not the patience.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from samodal.masks import Rle, shift_mask
from samodal.method.rules import Rules
from samodal.parts import Observed
from samodal.tracks import FrameResult, Instance, State, VisibleInstance


class CopyVisible:
    """The visible mask as the amodal one; nothing while hidden."""

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        for one in observed:
            yield FrameResult(one.frame.t, one.frame.time, tuple(self._shown(v) for v in one.visible))

    def _shown(self, one: VisibleInstance) -> Instance:
        visible = Rle.encode(one.mask)
        return Instance(one.id, one.category, one.score, State.VISIBLE, visible, self._amodal(one.mask, visible))

    def _amodal(self, mask: np.ndarray, visible: Rle) -> Rle:
        return visible


class Hull(CopyVisible):
    """The convex hull of the visible mask; nothing while hidden."""

    def _amodal(self, mask: np.ndarray, visible: Rle) -> Rle:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(hull, [cv2.convexHull(np.concatenate(contours))], 1)
        return Rle.encode(hull)


@dataclass
class _Last:
    """What is remembered of an instance: its last reported state, and the centres of its box before."""

    instance: Instance
    t: int
    time: float
    mask: np.ndarray
    centres: list = field(default_factory=list)
    gone: bool = False


class HoldLast(CopyVisible):
    """The visible mask as the amodal one; while hidden, the last one stays where it was.

    Args:
        remember_s: seconds after which an unseen instance is forgotten; None: never.
        border: pixels from the left or right edge within which an unseen instance counts as gone; None: off.
    """

    def __init__(self, remember_s: float | None = 3.0, border: int | None = 2):
        self.remember_s, self.border = remember_s, border

    @classmethod
    def with_rules(cls, rules: Rules) -> "HoldLast":
        """As patient as S-AModal under these rules."""
        return cls(remember_s=rules.remember_s, border=rules.border)

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        known: dict = {}
        for one in observed:
            frame = one.frame
            for visible in one.visible:
                self._see(known, visible, frame.t, frame.time)
            reported = {v.id for v in one.visible}
            held = [self._held(last, frame.t, frame.time) for key, last in known.items() if key not in reported]
            shown = [known[v.id].instance for v in one.visible]
            yield FrameResult(frame.t, frame.time, (*shown, *(h for h in held if h is not None)))

    def _see(self, known: dict, visible: VisibleInstance, t: int, time: float) -> None:
        instance = self._shown(visible)
        x0, y0, x1, y1 = instance.amodal.box
        before = known[visible.id].centres if visible.id in known else []
        centres = [*before[-1:], (t, np.array([(x0 + x1) / 2, (y0 + y1) / 2]))]
        known[visible.id] = _Last(instance, t, time, visible.mask, centres)

    def _held(self, last: _Last, t: int, time: float) -> Instance | None:
        late = self.remember_s is not None and time - last.time > self.remember_s
        moved = None if late or last.gone else shift_mask(last.mask, self._velocity(last) * (t - last.t))
        if moved is None or not moved.any() or self._at_edge(moved):
            last.gone = True
            return None
        one = last.instance
        return Instance(
            one.id, one.category, one.score, State.HIDDEN, None, Rle.encode(moved),
            frames_since_seen=t - last.t, seconds_since_seen=time - last.time,
        )  # fmt: skip

    def _velocity(self, last: _Last) -> np.ndarray:
        return np.zeros(2)

    def _at_edge(self, mask: np.ndarray) -> bool:
        columns = np.flatnonzero(mask.any(axis=0))
        return self.border is not None and bool(
            columns[0] <= self.border or columns[-1] >= mask.shape[1] - 1 - self.border
        )


class ConstantVelocity(HoldLast):
    """As `HoldLast`, but the mask moves on at the velocity of its box's centre over the last two sightings."""

    def _velocity(self, last: _Last) -> np.ndarray:
        if len(last.centres) < 2:
            return np.zeros(2)
        (before, a), (now, b) = last.centres
        return (b - a) / (now - before)
