"""Trivial methods: strong enough that any claim must be put beside them.

They fill hidden frames, where they do, for as long and by the same border rule as S-AModal's preset, so that what
differs is the mask and not the patience.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from samodal.masks import Mask
from samodal.method.rules import Rules, preset
from samodal.parts import Observed
from samodal.shapes import convex_hull, hull_front
from samodal.tracks import FrameResult, Instance, State, VisibleInstance


class CopyVisible:
    """The visible mask as the amodal one; nothing while hidden."""

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        for entry in observed:
            instances = tuple(self._whole(instance, entry.visible) for instance in entry.visible)
            yield FrameResult(entry.frame.t, entry.frame.time, instances, image=entry.frame.image)

    def _whole(self, visible: VisibleInstance, others: Sequence[VisibleInstance]) -> Instance:
        """What is reported of an instance beside all that is visible in its frame."""
        return Instance.copied(visible, State.VISIBLE)


class Hull(CopyVisible):
    """The convex hull of the visible mask; nothing while hidden."""

    def _whole(self, visible: VisibleInstance, others: Sequence[VisibleInstance]) -> Instance:
        return replace(super()._whole(visible, others), amodal=convex_hull(visible.mask))


class HullFront(CopyVisible):
    """The visible mask and, of its convex hull, what neighbours in front cover; nothing while hidden."""

    def _whole(self, visible: VisibleInstance, others: Sequence[VisibleInstance]) -> Instance:
        neighbours = [other.mask for other in others if other is not visible]
        return replace(super()._whole(visible, others), amodal=hull_front(visible.mask, neighbours))


@dataclass
class _Last:
    """What is remembered of an instance: its last reported state, and the centres of its box before."""

    instance: Instance
    t: int
    time: float
    centres: list[tuple[int, np.ndarray]] = field(default_factory=list)
    gone: bool = False


class HoldLast(CopyVisible):
    """The visible mask as the amodal one; while hidden, the last one stays where it was.

    Args:
        rules: its `remember_s` and `border` say how long it stays; None: those of the preset `default`, but 3 s.
    """

    def __init__(self, rules: Rules | None = None):
        self.rules = rules or preset("default", remember_s=3.0)

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        known: dict[int | str, _Last] = {}
        for frame, visible in ((seen.frame, seen.visible) for seen in observed):
            for instance in visible:
                self._see(known, instance, frame.t, frame.time)
            reported = {instance.id for instance in visible}
            held = [self._held(last, frame.t, frame.time) for key, last in known.items() if key not in reported]
            shown = [known[instance.id].instance for instance in visible]
            instances = (*shown, *(instance for instance in held if instance is not None))
            yield FrameResult(frame.t, frame.time, instances, image=frame.image)

    def _see(self, known: dict[int | str, _Last], visible: VisibleInstance, t: int, time: float) -> None:
        before = known[visible.id].centres if visible.id in known else []
        known[visible.id] = _Last(
            Instance.copied(visible, State.VISIBLE), t, time, [*before[-1:], (t, visible.mask.centre)]
        )

    def _held(self, last: _Last, t: int, time: float) -> Instance | None:
        late = self.rules.remember_s is not None and time - last.time > self.rules.remember_s
        if last.gone or late:
            last.gone = True
            return None
        moved = last.instance.visible.moved(self._velocity(last) * (t - last.t)).clipped()
        if not moved or self._at_edge(moved):
            last.gone = True
            return None
        return replace(
            last.instance, state=State.HIDDEN, visible=None, amodal=moved,
            frames_since_seen=t - last.t, seconds_since_seen=time - last.time,
        )  # fmt: skip

    def _velocity(self, last: _Last) -> np.ndarray:
        return np.zeros(2)

    def _at_edge(self, mask: Mask) -> bool:
        border = self.rules.border
        return border is not None and (mask.x <= border or mask.columns.stop >= mask.size[1] - border)


class ConstantVelocity(HoldLast):
    """As `HoldLast`, but the mask moves on at the velocity of its box's centre over the last two sightings."""

    def _velocity(self, last: _Last) -> np.ndarray:
        if len(last.centres) < 2:
            return np.zeros(2)
        (before, a), (now, b) = last.centres
        return (b - a) / (now - before)
