"""Which detection is which known instance, online: mask overlap, class, motion, and the amodal masks of the memory.

First the instances seen in the frame before are looked for by IoU with their moved visible masks. Then what is left is
compared with the hidden ones: something that returns from behind an occluder lies within the amodal mask that the
method predicts for it, and fills what no other detection covers of it. The method's results come in by `learn`, after
each frame. As they may be missing or wrong, it is also looked for straight on: where its visible mask of the frame that
showed the most of it would be at its own velocity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Annotated

import numpy as np
from scipy.optimize import linear_sum_assignment

from samodal.checks import Between, check_fields
from samodal.masks import Mask, MaskLike
from samodal.method.history import NEARLY, RING
from samodal.method.motion import median_velocity
from samodal.tracks import FrameResult, Instance, VisibleInstance

WINDOW = 8
"""Frames that a velocity is made of: few, as what comes nearer moves faster and faster."""

NAMES = 100_000
"""Names given last that are not given again: a bound for endless streams, of some 10 MB."""

OFF = 0.7
"""Factor on the score of a detection that is not where the instance's velocity says."""


@dataclass(frozen=True)
class AssociationRules:
    """When a detection is a known instance. Scores lie in [0, 1] before `trust` is added."""

    seen: Annotated[float, Between(0, 1)] = 0.2
    """Least score with an instance seen in the frame before: IoU with its visible mask, moved on at its velocity,"""
    stray: Annotated[float, Between(0)] = 1.0
    """or, times 0.7, the IoU after the masks' middles are brought together by at most so many sides of the mask."""
    hidden: Annotated[float, Between(0, 1)] = 0.4
    """Least score with a hidden instance: half the share of the detection within the predicted amodal mask, half the
    IoU with what no other detection covers of it."""
    trust: Annotated[float, Between(0, 1)] = 0.5
    """Added where the front end itself says that it is the same instance; 0: its ids are ignored."""
    other_class: Annotated[float, Between(0, 1)] = 0.25
    """Factor on the score where the classes differ."""
    drift: Annotated[float, Between(0)] = 0.05
    """A prediction may be off by so many sides of the mask for each frame that the instance is hidden (side: root of
    the area),"""
    veer: Annotated[float, Between(0)] = 0.2
    """and by so much of its velocity in each frame,"""
    reach: Annotated[float, Between(0)] = 1.0
    """but by no more than so many sides in all."""
    patience: Annotated[int, Between(1)] = 60
    """Frames after which an unseen instance is forgotten, unless the method still tells of it."""
    begin: Annotated[float, Between(0, 1)] = 0.0
    """Least confidence of a detection that begins an instance; those below can only continue one."""
    confirm: Annotated[int, Between(1)] = 1
    """Frames in a row that must show a new instance before it is reported, which is then forgotten if one does not,
    but for those of the first frame,"""
    sure: Annotated[float, Between(0, 1)] = 1.0
    """unless a detection of it has this confidence."""
    most: Annotated[int, Between(1)] = 512
    """Instances known at most; those unseen for longest go first."""

    def __post_init__(self):
        check_fields(self, "association")


@dataclass(frozen=True, eq=False, init=False)
class Detection:
    """One instance in one frame before it is known which one it is.

    Attributes:
        category: class name.
        score: confidence in [0, 1]; None where there is none.
        mask: the visible pixels, not empty: (H, W) bool, an `Rle` or a `Mask`; kept as a `Mask`.
        hint: the id that the front end itself gives it, None where it gives none.
    """

    category: str
    score: float | None
    mask: Mask
    hint: int | str | None = None

    def __init__(self, category: str, score: float | None, mask: MaskLike, hint: int | str | None = None):
        for name, value in (("category", category), ("score", score), ("mask", Mask.of(mask)), ("hint", hint)):
            object.__setattr__(self, name, value)


@dataclass
class Known:
    """An instance that was detected before.

    Attributes:
        id, category: of the newest detection.
        hint: the front end's own id of the newest detection.
        seen_t: frame of the newest detection.
        recent: (t, visible mask) of the last detections.
        centres: (t, (2,) centre of its box), of its amodal mask where the method tells it.
        told_t: the newest frame, if the method tells of it there; else None.
        whole: its amodal mask in that frame, while it is unseen; None where the method has lost it.
        doubtful: frames that must still show it before it is reported.
    """

    id: int | str
    category: str
    hint: int | str | None = None
    seen_t: int = -1
    recent: deque = field(default_factory=lambda: deque(maxlen=RING))
    centres: deque = field(default_factory=lambda: deque(maxlen=WINDOW))
    told_t: int | None = None
    whole: Mask | None = None
    doubtful: int = 0

    def see(self, t: int, detection: Detection) -> None:
        """Take in the detection of frame t that it is."""
        self.category, self.hint, self.seen_t = detection.category, detection.hint, t
        self.recent.append((t, detection.mask))
        self.centres.append((t, detection.mask.centre))

    def tell(self, t: int, instance: Instance | None) -> None:
        """Take in what the method says of it in frame t; None where it says nothing."""
        amodal = None if instance is None else instance.amodal
        self.told_t, self.whole = None if instance is None else t, None
        if amodal is None:
            return
        if self.seen_t < t:
            self.whole = amodal
        if self.centres[-1][0] == t:
            self.centres.pop()
        self.centres.append((t, amodal.centre))

    def step_on(self, t: int) -> Mask:
        """Its visible mask of the frame before, in frame t."""
        return self.recent[-1][1].moved(median_velocity(self.centres))

    def hidden(self, t: int) -> list[tuple[Mask, np.ndarray]]:
        """Where the whole of it may be in frame t, unseen, and the velocity: as the method says, and straight on.

        Nowhere, if the method knows it but not where it is.
        """
        if self.told_t is not None and self.whole is None:
            return []
        since, anchor, velocity = self._own_motion()
        places = [(anchor.moved((t - since) * velocity), velocity)]
        if self.whole is not None and self.told_t is not None:
            velocity = median_velocity(self.centres)
            places.append((self.whole.moved((t - self.told_t) * velocity), velocity))
        return places

    def _own_motion(self) -> tuple[int, Mask, np.ndarray]:
        """The last frame that showed nearly the most of it, its mask there, and its velocity since.

        What is seen later shrinks towards the occluder: its centre moves as the occluder wants, but it is still part
        of the moved mask.
        """
        most = max(mask.area for _, mask in self.recent)
        since, anchor = next((t, mask) for t, mask in reversed(self.recent) if mask.area >= NEARLY * most)
        velocity = median_velocity([(t, centre) for t, centre in self.centres if t <= since])
        if since < self.seen_t:
            elapsed = self.seen_t - since
            velocity = velocity + anchor.moved(elapsed * velocity).way_to(self.recent[-1][1]) / elapsed
        return since, anchor, velocity

    def cut(self) -> None:
        """Keep the newest frame alone: what was before is another scene."""
        self.recent, self.centres = deque([self.recent[-1]], RING), deque([self.centres[-1]], WINDOW)


class Association:
    """Gives the detections of a video their identities, frame by frame.

    Args:
        rules: see `AssociationRules`.
    """

    def __init__(self, rules: AssociationRules | None = None):
        self.rules = rules or AssociationRules()
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame is frame 0."""
        self.t, self._known, self._count = -1, {}, 0
        # The newest names, in order: none of them is given again, also where its bearer is forgotten.
        self._given: dict[int | str, None] = {}

    def step(self, detections: Sequence[Detection]) -> list[VisibleInstance]:
        """The detections of the next frame with ids, in the same order, without those too weak to begin with."""
        self.t += 1
        matched = self._match(detections)
        found = []
        for n, detection in enumerate(detections):
            known = matched.get(n) or self._begin(detection)
            if known is not None:
                known.see(self.t, detection)
                sure = detection.score is None or detection.score >= self.rules.sure
                known.doubtful = 0 if sure else max(0, known.doubtful - 1)
            if known is not None and not known.doubtful:
                found.append(VisibleInstance(known.id, detection.category, detection.score, detection.mask))
        self._forget()
        return found

    def learn(self, result: FrameResult) -> None:
        """Take in what the method made of the newest frame; a result that comes later is ignored."""
        if result.t != self.t:
            return
        if result.cut:
            self._known = {key: known for key, known in self._known.items() if known.seen_t == self.t}
            for known in self._known.values():
                known.cut()
        instances = {instance.id: instance for instance in result.instances}
        for known in self._known.values():
            known.tell(self.t, instances.get(known.id))

    def _match(self, detections: Sequence[Detection]) -> dict[int, Known]:
        """{number of a detection: the instance that it is}: first those seen in the frame before, then the others."""
        if not detections:
            return {}
        masks = [detection.mask for detection in detections]
        seen = [known for known in self._known.values() if known.seen_t == self.t - 1]
        hidden = [known for known in self._known.values() if known.seen_t < self.t - 1]
        scores = np.zeros((len(detections), len(seen)))
        for k, known in enumerate(seen):
            where = known.step_on(self.t)
            scores[:, k] = [_step_score(mask, where, self.rules.stray * where.side) for mask in masks]
        # Whom the front end calls by the name of a hidden instance is not lightly taken for another.
        names = {known.hint for known in hidden} - {None}
        scores[[detection.hint in names for detection in detections]] *= 1 - self.rules.trust
        matched = self._assign(range(len(detections)), detections, seen, scores, self.rules.seen)

        left = [n for n in range(len(detections)) if n not in matched]
        scores = np.zeros((len(left), len(hidden)))
        for k, known in enumerate(hidden if left else []):
            for where, velocity in known.hidden(self.t):
                margin = self._margin(known, where, velocity)
                scores[:, k] = np.maximum(scores[:, k], [_return_score(masks[n], where, margin, masks) for n in left])
        return matched | self._assign(left, detections, hidden, scores, self.rules.hidden)

    def _margin(self, known: Known, where: Mask, velocity: np.ndarray) -> float:
        """Pixels by which the prediction of a hidden instance may be off: it turns, brakes and comes nearer."""
        a_frame = self.rules.drift * where.side + self.rules.veer * float(np.linalg.norm(velocity))
        return min(a_frame * (self.t - known.seen_t), self.rules.reach * where.side)

    def _assign(
        self,
        numbers: Sequence[int],
        detections: Sequence[Detection],
        known: Sequence[Known],
        scores: np.ndarray,
        least: float,
    ) -> dict[int, Known]:
        """The pairs with the largest sum of scores, of those that reach `least` with class and hint counted in."""
        chosen = [detections[n] for n in numbers]
        same_class = np.array([[a.category == b.category for b in known] for a in chosen]).reshape(scores.shape)
        same_hint = np.array([[a.hint is not None and a.hint == b.hint for b in known] for a in chosen])
        total = scores * np.where(same_class, 1.0, self.rules.other_class)
        total = total + self.rules.trust * same_hint.reshape(scores.shape)
        total[total < least] = 0
        rows, columns = linear_sum_assignment(total, maximize=True)
        return {numbers[i]: known[k] for i, k in zip(rows, columns, strict=True) if total[i, k] > 0}

    def _begin(self, detection: Detection) -> Known | None:
        """A new instance, named as the front end does where that name is free."""
        if detection.score is not None and detection.score < self.rules.begin:
            return None
        if detection.hint is None:
            key = self._count = next(n for n in count(self._count + 1) if self._is_free(n))
        elif self._is_free(detection.hint):
            key = detection.hint
        else:
            key = next(name for n in count(2) if self._is_free(name := f"{detection.hint}.{n}"))
        self._given[key] = None
        if len(self._given) > NAMES:
            del self._given[next(iter(self._given))]
        return self._known.setdefault(key, Known(key, detection.category, doubtful=self.rules.confirm if self.t else 1))

    def _is_free(self, name: int | str) -> bool:
        """Whether an instance may begin under a name: two cars of one name would become one track."""
        return name not in self._given and name not in self._known

    def _forget(self) -> None:
        """Drop what has been unseen for too long, and the longest unseen beyond the bound."""
        patience = self.rules.patience
        late = [k for k, known in self._known.items() if known.whole is None and self.t - known.seen_t > patience]
        doubted = [k for k, known in self._known.items() if known.doubtful and known.seen_t < self.t]
        for key in {*late, *doubted}:
            del self._known[key]
        oldest_first = sorted(self._known, key=lambda key: self._known[key].seen_t)
        for key in oldest_first[: max(0, len(oldest_first) - self.rules.most)]:
            del self._known[key]


def _step_score(mask: Mask, where: Mask, reach: float) -> float:
    """How well a detection fits an instance of the frame before, whose velocity may not be known yet, in [0, 1].

    Args:
        mask: of the detection.
        where: the instance's visible mask, moved on.
        reach: pixels by which it may be moved farther, in x and in y.
    """
    brought = where.moved(np.clip(mask.centre - where.centre, -reach, reach))
    return max(mask.iou(where.clipped()), OFF * mask.iou(brought.clipped()))


def _return_score(mask: Mask, where: Mask, margin: float, detected: Sequence[Mask]) -> float:
    """How well a detection is the visible part of a hidden instance, in [0, 1].

    Args:
        mask: of the detection.
        where: the predicted amodal mask.
        margin: pixels by which it may be moved, in x and in y, to hold the detection.
        detected: the masks of all detections.
    """
    moved = where.moved(np.clip(where.way_to(mask), -margin, margin)).clipped()
    inside = mask.overlap(moved)
    if not inside:
        return 0.0
    # What other detections cover of the amodal mask is hidden: only the rest of it should be seen.
    unexplained = moved.area - moved.covered_area(detected)
    return (inside / mask.area + inside / (mask.area + unexplained)) / 2
