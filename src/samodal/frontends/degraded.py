"""`degraded:SEVERITY`: a data set's visible masks, spoilt as real methods spoil them, for studies of what a method can
stand.

Nothing in it looks ahead, and all chance is seeded by (seed, clip, instance, frame): results up to a frame do not
depend on what follows, and one instance's mistakes not on another's.
"""

from dataclasses import dataclass, replace

import numpy as np

from samodal.errors import InputError, nearest
from samodal.frontends.replay import Replay
from samodal.masks import Mask
from samodal.parts import Video
from samodal.seeds import generator
from samodal.tracks import VisibleInstance


@dataclass(frozen=True)
class Severity:
    """How often and how much of each mistake; our choice, for no published method has such numbers.

    Attributes:
        new_id: probability that an instance gets a new id when it returns after frames without a visible pixel.
        switch: probability in each frame that a visible instance gets a new id.
        miss: probability in each frame that a visible instance begins to be missed.
        burst: frames that it is then missed at most; at least one.
        late: frames at most by which it is reported late each time that it appears.
        sliver: it is not reported while less than this share of the most seen of it so far is visible: early ends.
        small: nor while its visible part is smaller than a square of so many frame heights.
        rough: displacement of its border, standard deviation in sides of the mask (side: root of the area).
        score, spread: mean and standard deviation of the score of a fully visible instance; a mean of None keeps the
            truth's. It falls to 0.6 of that where almost nothing of the most seen so far is visible.
        false: false instances that begin in a frame on average; each lasts two to six frames, with 0.7 of the score.
    """

    new_id: float = 0.0
    switch: float = 0.0
    miss: float = 0.0
    burst: int = 1
    late: int = 0
    sliver: float = 0.0
    small: float = 0.0
    rough: float = 0.0
    score: float | None = None
    spread: float = 0.0
    false: float = 0.0


SEVERITIES = {
    "new-ids": Severity(new_id=1.0),
    "mild": Severity(
        new_id=0.5, switch=0.002, miss=0.005, burst=1, late=1, sliver=0.05, small=0.015, rough=0.02, score=0.95,
        spread=0.03, false=0.01,
    ),
    "medium": Severity(
        new_id=0.8, switch=0.006, miss=0.015, burst=2, late=2, sliver=0.15, small=0.025, rough=0.04, score=0.85,
        spread=0.08, false=0.03,
    ),
    "severe": Severity(
        new_id=1.0, switch=0.015, miss=0.04, burst=3, late=4, sliver=0.3, small=0.04, rough=0.08, score=0.7,
        spread=0.15, false=0.1,
    ),
}  # fmt: skip


class Degraded:
    """The visible masks of a clip's truth with the mistakes of a severity; amodal truth is never read.

    Args:
        severity: one of `SEVERITIES`.
        seed: of all chance.
    """

    def __init__(self, severity: str | None = None, seed: int = 0):
        if severity not in SEVERITIES:
            raise InputError(
                f"--vis degraded needs a severity ({', '.join(SEVERITIES)}), as in --vis degraded:medium; "
                f"got {severity!r}{nearest(severity or '', SEVERITIES)}"
            )
        self.severity, self.seed = SEVERITIES[severity], seed

    def open(self, video: Video) -> "DegradedSession":
        if video.truth is None:
            raise InputError(
                f"{video.source}: --vis degraded needs a data set with visible masks (--data asd:ROOT/val)"
            )
        return DegradedSession(Replay(video.truth, video.source), self.severity, self.seed, video.name)


@dataclass
class _State:
    """What the mistakes of an instance depend on.

    Attributes:
        seen_t: last frame in which truth shows it; -2 before.
        most: most pixels visible so far.
        names: ids it had.
        wait, missed: frames in which it is not reported yet, or missed.
    """

    seen_t: int = -2
    most: int = 0
    names: int = 1
    wait: int = 0
    missed: int = 0


@dataclass(frozen=True, eq=False)
class _False:
    """A thing that is not there: an ellipse that moves straight on, until the frame `end`."""

    id: str
    category: str
    score: float | None
    mask: Mask
    step: np.ndarray
    end: int


class DegradedSession:
    """Truth with mistakes, frame by frame.

    Args:
        truth: the visible masks.
        severity: of the mistakes.
        seed: of all chance.
        clip: name of the clip.
    """

    def __init__(self, truth: Replay, severity: Severity, seed: int, clip: str):
        self.truth, self.severity, self.seed, self.clip = truth, severity, seed, clip
        self.reset()

    def reset(self) -> None:
        self._states: dict[int | str, _State] = {}
        self._false: list[_False] = []

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        spoilt = [self._spoil(instance, t) for instance in self.truth.step(frame, t)]
        found: list[VisibleInstance] = []
        for instance in [*(instance for instance in spoilt if instance is not None), *self._wrong(frame.shape[:2], t)]:
            free = instance.mask
            for taken in found:
                free = free.minus(taken.mask)
            if free:
                found.append(replace(instance, mask=free))
        return found

    def _spoil(self, instance: VisibleInstance, t: int) -> VisibleInstance | None:
        """An instance as it is reported; None where it is not."""
        how, rng = self.severity, generator(self.seed, self.clip, instance.id, t)
        late, renamed, missed = rng.random(3)
        burst, state = int(rng.integers(how.burst)), self._states.setdefault(instance.id, _State())
        appears, returns = state.seen_t != t - 1, 0 <= state.seen_t < t - 1
        area = instance.mask.area
        state.seen_t, state.most = t, max(state.most, area)
        state.names += renamed < (how.new_id if returns else how.switch)
        state.wait = int(late * (how.late + 1)) if appears else max(0, state.wait - 1)
        state.missed = 1 + burst if missed < how.miss else max(0, state.missed - 1)
        least = max(how.sliver * state.most, (how.small * instance.mask.size[0]) ** 2)
        if state.wait or state.missed or area < least:
            return None
        name = instance.id if state.names == 1 else f"{instance.id}-{state.names}"
        score, mask = self._score(instance.score, area / state.most, rng), self._rough(instance.mask, rng)
        return VisibleInstance(name, instance.category, score, mask) if mask else None

    def _score(self, given: float | None, share: float, rng: np.random.Generator) -> float | None:
        how = self.severity
        if how.score is None:
            return given
        return float(np.clip(rng.normal(how.score, how.spread) * (0.6 + 0.4 * share), 0.05, 1.0))

    def _rough(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """The mask with its border displaced by a smooth field of chance."""
        import cv2

        amount = self.severity.rough * mask.side
        if not amount:
            return mask
        margin = int(np.ceil(3 * amount)) + 1
        inside = np.pad(mask.inside, margin).astype(np.uint8)
        height, width = inside.shape
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        cell = max(2.0, mask.side / 4)
        grid = rng.standard_normal((int(height / cell) + 2, int(width / cell) + 2)).astype(np.float32)
        field = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        # Half a pixel: the distance of a pixel at the border is 1 inside and -1 outside.
        rough = distance - np.sign(distance) / 2 + amount * field > 0
        return Mask(mask.size, mask.x - margin, mask.y - margin, rough).clipped()

    def _wrong(self, size: tuple[int, int], t: int) -> list[VisibleInstance]:
        """The false instances of frame t."""
        rng = generator(self.seed, self.clip, "false", t)
        going = [replace(thing, mask=thing.mask.moved(thing.step)) for thing in self._false if thing.end > t]
        born = [self._invent(size, t, n, rng) for n in range(rng.poisson(self.severity.false))]
        self._false = going + born
        inside = [(thing, thing.mask.clipped()) for thing in self._false]
        return [VisibleInstance(thing.id, thing.category, thing.score, mask) for thing, mask in inside if mask]

    def _invent(self, size: tuple[int, int], t: int, number: int, rng: np.random.Generator) -> _False:
        """A false instance as large as things on a road are far away, below the upper quarter of the frame."""
        half = rng.uniform(0.02, 0.08, 2) * size[0]
        rows, columns = np.indices([2 * int(side) + 1 for side in half])
        ellipse = ((rows - half[0]) / half[0]) ** 2 + ((columns - half[1]) / half[1]) ** 2 <= 1
        x, y = rng.uniform(0, size[1]), rng.uniform(size[0] / 4, size[0])
        category = ("car", "person")[int(rng.integers(2))]
        score = None if self.severity.score is None else self._score(None, 0.0, rng) * 0.7 / 0.6
        step, mask = rng.normal(0, 0.005 * size[1], 2), Mask(size, int(x - half[1]), int(y - half[0]), ellipse)
        return _False(f"false-{t}-{number}", category, score, mask, step, t + int(rng.integers(2, 7)))
