"""Which detection is which known instance, online: mask overlap, class, motion, and the amodal masks of the memory.

First the instances seen in the frame before are looked for by IoU with their moved visible masks. Then what is left is
compared with the hidden ones: something that returns from behind an occluder lies within the amodal mask that the
method predicts for it, and fills what no other detection covers of it. The method's results come in by `learn`, after
each frame. As they may be missing or wrong, it is also looked for straight on: where its visible mask of the frame that
showed the most of it would be at its own velocity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Annotated

import numpy as np
from scipy.optimize import linear_sum_assignment

from samodal.checks import Between, check_fields
from samodal.masks import Mask
from samodal.method.appearance import LEAST_PIXELS, alike, appearance
from samodal.method.known import Detection, Known
from samodal.tracks import FrameResult, Returned, VisibleInstance

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
    sliver: Annotated[float, Between(1)] = 3.0
    """A prediction may be off by so many times as much for a detection of fewer than 100 pixels."""
    look: Annotated[float, Between(0, 1)] = 0.65
    """Likeness of colours in [0, 1], below which a score with a hidden instance falls in proportion; 0: no matter."""
    young: Annotated[int, Between(0)] = 5
    """Frames in which a new instance may still turn out to be one that was hidden before it began; 0: never. Then the
    two are merged, which `Returned` tells,"""
    merge: Annotated[float, Between(0, 1)] = 0.5
    """if they look alike and their score is at least this."""
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

    def step(self, detections: Sequence[Detection], image: np.ndarray | None = None) -> list[VisibleInstance]:
        """The detections of the next frame with ids, in the same order, without those too weak to begin with.

        Args:
            image: (H, W, 3) uint8 RGB, the frame; None leaves out what instances look like.
        """
        self.t += 1
        looks = [None if image is None else appearance(image, detection.mask) for detection in detections]
        matched, returned = self._match(detections, looks)
        found = []
        for n, detection in enumerate(detections):
            known = matched.get(n) or self._begin(detection)
            if known is not None:
                known.see(self.t, detection, looks[n])
                sure = detection.score is None or detection.score >= self.rules.sure
                known.doubtful = 0 if sure else max(0, known.doubtful - 1)
            if known is not None and not known.doubtful:
                back = returned.get(n)
                found.append(VisibleInstance(known.id, detection.category, detection.score, detection.mask, back))
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

    def _match(
        self, detections: Sequence[Detection], looks: Sequence[np.ndarray | None]
    ) -> tuple[dict[int, Known], dict[int, Returned]]:
        """{number of a detection: the instance that it is}, and which of these return from a gap."""
        hidden = [known for known in self._known.values() if known.seen_t < self.t - 1]
        matched = self._go_on(detections, hidden)
        # A new instance may have begun as a sliver, of which nobody could tell that it was a hidden one.
        young = {n: known for n, known in matched.items() if 0 < known.began_t >= self.t - self.rules.young}
        left = [n for n in range(len(detections)) if n not in matched or n in young] if hidden else []
        total = self._total([detections[n] for n in left], hidden, self._scores(detections, looks, left, hidden))
        for i, n in enumerate(left):
            for k, known in enumerate(hidden if n in young else []):
                if not self._may_merge(detections[n], looks[n], young[n], known):
                    total[i, k] = 0
        least = np.array([self.rules.merge if n in young else self.rules.hidden for n in left])
        returned = {}
        for i, k, margin in _assign(total, least):
            n, known = left[i], hidden[k]
            begun = matched.get(n)
            other = detections[n].hint if begun is None or begun.doubtful else begun.id
            if begun is not None:
                del self._known[begun.id]
            matched[n], merged = known, other if other not in (None, known.id, known.hint) else None
            returned[n] = Returned(margin, merged)
        return matched, returned

    def _go_on(self, detections: Sequence[Detection], hidden: Sequence[Known]) -> dict[int, Known]:
        """{number of a detection: the instance seen in the frame before that it is}."""
        seen = [known for known in self._known.values() if known.seen_t == self.t - 1]
        scores = np.zeros((len(detections), len(seen)))
        for k, known in enumerate(seen):
            where = known.step_on(self.t)
            reach = self.rules.stray * where.side
            scores[:, k] = [_step_score(detection.mask, where, reach) for detection in detections]
        # Whom the front end calls by the name of a hidden instance is not lightly taken for another.
        names = {known.hint for known in hidden} - {None}
        scores[[detection.hint in names for detection in detections]] *= 1 - self.rules.trust
        total = self._total(detections, seen, scores)
        return {n: seen[k] for n, k, _ in _assign(total, np.full(len(detections), self.rules.seen))}

    def _scores(self, detections: Sequence[Detection], looks: Sequence[np.ndarray | None], left: Sequence[int],
                hidden: Sequence[Known]) -> np.ndarray:  # fmt: skip
        """(left, hidden) scores by place, shape and looks of some of the detections."""
        masks, scores = [detection.mask for detection in detections], np.zeros((len(left), len(hidden)))
        for k, known in enumerate(hidden if left else []):
            for where, velocity in known.hidden(self.t):
                margin = self._margin(known, where, velocity)
                margins = [margin * (self.rules.sliver if masks[n].area < LEAST_PIXELS else 1.0) for n in left]
                new = [_return_score(masks[n], where, most, masks) for n, most in zip(left, margins, strict=True)]
                scores[:, k] = np.maximum(scores[:, k], new)
            likeness = [alike(looks[n], known.look) for n in left]
            scores[:, k] *= [1.0 if a is None or a >= self.rules.look else a / self.rules.look for a in likeness]
        return scores

    def _may_merge(self, detection: Detection, look: np.ndarray | None, young: Known, hidden: Known) -> bool:
        """Whether a new instance can be one that is hidden: never seen together, of one class, and alike."""
        together, likeness = hidden.seen_t >= young.began_t, alike(look, hidden.look)
        return not together and hidden.category == detection.category and (likeness or 0.0) >= self.rules.look

    def _margin(self, known: Known, where: Mask, velocity: np.ndarray) -> float:
        """Pixels by which the prediction of a hidden instance may be off: it turns, brakes and comes nearer."""
        a_frame = self.rules.drift * where.side + self.rules.veer * float(np.linalg.norm(velocity))
        return min(a_frame * (self.t - known.seen_t), self.rules.reach * where.side)

    def _total(self, detections: Sequence[Detection], known: Sequence[Known], scores: np.ndarray) -> np.ndarray:
        """Scores (detections, known) with class and hint counted in."""
        same_class = np.array([[a.category == b.category for b in known] for a in detections]).reshape(scores.shape)
        same_hint = np.array([[a.hint is not None and a.hint == b.hint for b in known] for a in detections])
        total = scores * np.where(same_class, 1.0, self.rules.other_class)
        return total + self.rules.trust * same_hint.reshape(scores.shape)

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
        return self._known.setdefault(
            key, Known(key, detection.category, doubtful=self.rules.confirm if self.t else 1, began_t=self.t)
        )

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


def _assign(total: np.ndarray, least: np.ndarray) -> list[tuple[int, int, float]]:
    """The pairs with the largest sum of scores, of those that reach what is least for their detection.

    Args:
        total: (detections, known) scores.
        least: (detections,) a lower one is a new instance.

    Returns:
        (detection, known, by how much the score is above that of the next best explanation).
    """
    able = np.where(total >= least[:, None], total, 0)
    pairs = []
    for i, k in zip(*linear_sum_assignment(able, maximize=True), strict=True):
        if able[i, k] > 0:
            others = [*np.delete(total[i], k), *np.delete(total[:, k], i)]
            pairs.append((int(i), int(k), max(0.0, float(able[i, k] - max([least[i], *others])))))
    return pairs


def _step_score(mask: Mask, where: Mask, reach: float) -> float:
    """How well a detection fits an instance of the frame before, whose velocity may not be known yet, in [0, 1].

    Args:
        mask: of the detection.
        where: the instance's visible mask, moved on.
        reach: pixels by which it may be moved farther, in x and in y.
    """
    if not mask.near(where, reach + 1):  # rounded to whole pixels
        return 0.0
    there = mask.iou(where.clipped())
    if there >= OFF:  # nothing that is off scores more
        return there
    brought = where.moved(np.clip(mask.centre - where.centre, -reach, reach))
    return max(there, OFF * mask.iou(brought.clipped()))


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
