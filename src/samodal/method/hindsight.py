"""Hindsight (`--offline`): masks in the gaps of an instance from both of their ends, as a stream that comes late.

The causal pass, which is `samodal.method.pipeline`, is not changed by it. What it finds is held back until the gaps in
it are closed. A gap is closed when the instance was prompted again and `AFTER_S` have passed since, or after
`LONGEST_S`: then it is not bridged. So results come late by a bounded time, and memory does not grow with the video.
All that decides is the results of the causal pass and the view of each frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from samodal.errors import InputError
from samodal.masks import union
from samodal.method.bridge import Bridge, End, placed
from samodal.method.camera import View
from samodal.method.history import RING, History, Seen
from samodal.method.pipeline import Pipeline
from samodal.method.rules import Rules
from samodal.parts import Observed
from samodal.tracks import UNSEEN, FrameResult, Instance, State

AFTER_S = 2.0
"""Seconds after a gap that tell of it: of the place and the rate at its end, and of the shape."""
LONGEST_S = 10.0
"""Seconds without a prompted frame after which a gap is not bridged."""
FARTHEST = 50.0
"""Squared distance in variances beyond which what came back is not where the same instance can be: an id was mixed up,
and the gap is not bridged. With true ids in StreetSim it is below 30."""

Id = int | str


def check_hindsight(rules: Rules) -> None:
    """Raise InputError for rules with which there is no hindsight."""
    if rules.motion != "filter" or not rules.track:
        found = "track: false" if not rules.track else f"motion: {rules.motion}"
        raise InputError(
            f"--offline needs the rules motion: filter and track: true, as preset default has them, got {found}; "
            "leave out --offline, or give --rules.motion=filter"
        )


class Offline:
    """The method with hindsight, over a whole video at once: `run` gives its results late.

    Args:
        pipeline: the causal pass.

    Raises:
        InputError: for a pipeline whose rules leave nothing to bridge with.
    """

    def __init__(self, pipeline: Pipeline):
        check_hindsight(pipeline.rules)
        self.pipeline = pipeline

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        """All frames of a clip, in order, the last ones after all of `observed` is read."""
        self.pipeline.reset(clip)
        hindsight = Hindsight(self.pipeline.rules)
        for seen in observed:
            result = self.pipeline.step(seen.frame.image, seen.visible, seen.frame.time)
            yield from hindsight.add(result, self.pipeline.view)
        yield from hindsight.rest()


@dataclass(eq=False)
class _Held:
    """A frame that waits; `changed` holds the instances that are other than in its result, None for no entry."""

    result: FrameResult
    view: View
    changed: dict[Id, Instance | None] = field(default_factory=dict)


@dataclass(eq=False)
class _Known:
    """An instance: its prompted frames and their scores, the view of the newest, and the first frame of an open gap."""

    category: str
    history: History
    scores: deque[float]
    view: View
    gap: int | None = None


@dataclass(eq=False)
class _Gap:
    """A gap whose end was seen.

    Attributes:
        key, category: of the instance.
        first, end: index of its first frame, and of the frame in which the instance was prompted again.
        before: its first end.
        after: what was seen of the instance since.
        scores: of the frames beside the gap.
        surest: the highest of the scores near by.
    """

    key: Id
    category: str
    first: int
    end: int
    before: End
    after: list[tuple[Seen, View]]
    scores: tuple[float, float]
    surest: float

    def is_closed(self, time: float) -> bool:
        """Whether what comes at a time tells no more of it."""
        return time - self.after[0][0].time > AFTER_S


class Hindsight:
    """Takes the results of the causal pass, frame after frame, and gives them back late, with the gaps bridged.

    Args:
        rules: of the causal pass.

    Raises:
        InputError: for rules that leave nothing to bridge with.
    """

    def __init__(self, rules: Rules):
        check_hindsight(rules)
        self.rules = rules
        self._held: deque[_Held] = deque()
        self._known: dict[Id, _Known] = {}
        self._gaps: list[_Gap] = []

    def add(self, result: FrameResult, view: View | None) -> list[FrameResult]:
        """Take a frame, with its view (`Pipeline.view`), and give those that wait for nothing any more, in order."""
        if view is None:
            raise ValueError("a frame without a view: its pipeline has another rule than motion: filter")
        done = self.rest() if result.cut else []
        time = round(result.time, 6)  # as frames.jsonl has it: a run that goes on from there gives the same
        self._held.append(_Held(result, view))
        self._known = {key: k for key, k in self._known.items() if time - k.history.last.time <= LONGEST_S}
        seen = {i.id: (i, shown) for i in result if (shown := seen_of(i, result.t, time)) is not None}
        for gap in [gap for gap in self._gaps if gap.is_closed(time)]:
            self._close(gap)
        for gap in self._gaps:
            if gap.key in seen:
                instance, shown = seen[gap.key]
                gap.after.append((shown, view))
                gap.surest = max(gap.surest, score_of(instance))
        for instance, shown in seen.values():
            self._see(instance, shown, view)
        for key, known in self._known.items():
            if key not in seen and known.gap is None:
                known.gap = result.t
        return done + self._released()

    def rest(self) -> list[FrameResult]:
        """The frames that still wait, at the end of a video or before a cut; what is open is not bridged."""
        for gap in list(self._gaps):
            self._close(gap)
        for known in self._known.values():
            known.gap = None
        done = self._released()
        self._known.clear()
        return done

    def _see(self, instance: Instance, shown: Seen, view: View) -> None:
        """Take in a frame in which an instance was prompted; it may be the end of a gap."""
        key, score = instance.id, score_of(instance)
        new = _Known(instance.category, History(RING, shapes=False), deque(maxlen=RING), view)
        known = self._known.setdefault(key, new)
        if known.gap is not None:
            before = End.before(known.history, known.view, self.rules.anchor_s)
            scores, surest = (known.scores[-1], score), max(*known.scores, score)
            gap = _Gap(key, known.category, known.gap, shown.t, before, [(shown, view)], scores, surest)
            self._gaps.append(gap)
        known.category, known.view, known.gap = instance.category, view, None
        known.history.add(shown, view)
        known.scores.append(score)

    def _released(self) -> list[FrameResult]:
        """The frames before the first of all gaps that are not closed."""
        waits = [gap.first for gap in self._gaps] + [k.gap for k in self._known.values() if k.gap is not None]
        done, first = [], min(waits, default=None)
        while self._held and (first is None or self._held[0].result.t < first):
            done.append(self._finished(self._held.popleft()))
        return done

    def _close(self, gap: _Gap) -> None:
        """Bridge a gap: change its frames."""
        self._gaps.remove(gap)
        bridge = Bridge(gap.before, End.after(gap.after, self.rules.anchor_s))
        if not bridge.surprise <= FARTHEST or gap.surest < (self.rules.min_score or 0):
            return
        for held in self._held:
            if not gap.first <= held.result.t < gap.end:
                continue
            entry = next((instance for instance in held.result if instance.id == gap.key), None)
            if entry is None or entry.state in UNSEEN:
                held.changed[gap.key] = self._bridged(held, gap, bridge, entry)

    def _bridged(self, held: _Held, gap: _Gap, bridge: Bridge, entry: Instance | None) -> Instance | None:
        """An instance in a frame of a gap; None where it is not in the picture."""
        result, last, size = held.result, gap.before.seen, gap.before.seen.amodal.size
        time, sliver = round(result.time, 6), None if entry is None else entry.visible
        belief = bridge.at(time, held.view)
        moved = placed(bridge.shape.amodal, belief, held.view)
        if not moved:
            return None if sliver is None else entry
        if entry is None:
            since = {"frames_since_seen": result.t - last.t, "seconds_since_seen": round(time - last.time, 6)}
            entry = Instance(gap.key, gap.category, None, State.HIDDEN, None, None, **since)
        return replace(
            entry,
            score=self._score(time, gap),
            state=State.LEAVING if _over_the_border(belief.sides(held.view), size) else State.HIDDEN,
            amodal=moved if sliver is None else union([moved, sliver], size),
            centre_spread=bridge.spread(belief, held.view),
        )

    def _score(self, time: float, gap: _Gap) -> float:
        """The higher of the scores that are left of the two ends."""
        ends = (gap.before.seen.time, gap.after[0][0].time)
        return max(score * self.rules.decay ** abs(time - end) for score, end in zip(gap.scores, ends, strict=True))

    def _finished(self, held: _Held) -> FrameResult:
        """The result of a frame, with what has changed in it."""
        if not held.changed:
            return held.result
        order = {key: n for n, key in enumerate(self._known)}
        there = [held.changed.get(instance.id, instance) for instance in held.result]
        instances, known = [instance for instance in there if instance is not None], set(held.result.ids)
        for key, instance in held.changed.items():
            if instance is not None and key not in known:
                place = order.get(key, len(order))
                later = (n for n, other in enumerate(instances) if order.get(other.id, len(order)) > place)
                instances.insert(next(later, len(instances)), instance)
        return replace(held.result, instances=tuple(instances))


def seen_of(instance: Instance, t: int, time: float) -> Seen | None:
    """An instance in a frame; None where its mask was not predicted from it."""
    visible, amodal = instance.visible, instance.amodal
    if instance.state is not State.VISIBLE or not visible or not amodal:
        return None
    return Seen(t, time, None, visible, amodal, instance.score, instance.expected_iou)


def score_of(instance: Instance) -> float:
    """Its score; 1 where it has none."""
    return 1.0 if instance.score is None else instance.score


def _over_the_border(sides: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a box of (4,) sides reaches over the border of a frame of (H, W)."""
    return bool((sides[:2] < -1).any() or (sides[2:] > (size[1], size[0])).any())
