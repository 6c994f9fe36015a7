"""The hidden phase of an instance: where it is, from the frame in which it was last prompted until it is again.

Motion comes from the followed points as the rule `motion` says: as in the paper, or from the points that can be
believed, and where there are none from the last velocity (`robust`); or from both by their uncertainty (`filter`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.filter import MIDDLE, Belief, lasting
from samodal.method.followed import sides_told
from samodal.method.history import History, Seen
from samodal.method.motion import MOST_STRETCH, Motion, robust_motion
from samodal.method.prompts.spread import matched, spread_points
from samodal.method.rules import Rules
from samodal.parts import PointTracker
from samodal.tracks import State

TOLERANCE = 0.1
"""Points agree within this many sides of the mask, and never need to agree better than two pixels."""
MOST_TURNED = 1.5
"""Most that the ratio of its width to its height changes: a thing turns, but no car becomes a pole."""
COVERED, OPEN = 0.5, 0.25
"""Reported instances hide a mask when they cover this share of it, and no longer when less than the second."""
MAJORITY = 0.5
"""Share of all followed points that must agree for the filter to listen: of a thing that is truly hidden most are lost,
and the others follow what hides it."""
INSIDE, SURE = 0.2, 0.1
"""At the border nothing need cover a mask of which this share is inside the picture, if its spread is at most so many
sides: a thing is not gone while it is known to stand there."""
GATE = 4.0
"""Squared distance in variances up to which points are believed against the filter."""
TELLING = 0.2
"""Of the variance with which points tell the middle, what the spread has: they are doubted more than they are wrong.
Chosen as `samodal.method.filter.FREEDOM` was."""
BLEND = 0.25
"""Weight of the newest step in the speed of a hidden instance: its points jitter by more than it accelerates."""

Position = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of followed points as a tracker gives it: (N, 2) xy, (N,) visible, (N,) confidence."""


class Place(StrEnum):
    """What is known of where a hidden instance is. It changes from top to bottom, never back."""

    MOVED = "moved"
    """Its last amodal mask is moved along."""
    LOST = "lost"
    """Nothing tells where it is; it is known, without a mask."""
    GONE = "gone"
    """It has left the image; nothing is reported of it."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a frame shows beside a hidden instance.

    Attributes:
        t, time: frame index and seconds.
        others: visible masks of all other instances that are reported.
        sliver: its own visible mask where that is too small to prompt from, None where nothing of it is reported.
        prompted: it was prompted in this frame, but no mask was found: its points are followed and no more.
        view: how the camera sees the ground; None but for the rule `filter`.
    """

    t: int
    time: float
    others: Sequence[Mask]
    sliver: Mask | None = None
    prompted: bool = False
    view: View | None = None


@dataclass(eq=False)
class HiddenPhase:
    """Only `step` writes here; what it gives is the state to report, and `mask`.

    Attributes:
        anchor: the frame from which it is moved.
        start: (N, 2) float32, where the followed points were at the anchor.
        velocity: (2,) pixels a frame before it was hidden.
        limit: (2,) most |dx|, |dy| a frame (rule `clamp`).
        shift, stretch: (2,) by which its mask has moved in pixels, and grown in width and height, since the anchor.
        speed: (2,) pixels a frame now; None until the first step.
        told_t, told_s: when points last told where it is: frame index and seconds.
        believed: how many points told it in the newest frame.
        noise: (2,) what the points that last told it add to the variance of x and y, squared pixels; 0 before they did.
        covered: reported instances hid most of its moved mask at some time.
        open_since: seconds at which they ceased to; None while they do.
        place: see `Place`.
        mask: its moved mask in the newest frame, None where it has none.
        belief: where it is, how large and how surely; None but for the rule `filter`.
        spread: (2,) spread of x and y of its place in pixels in the newest frame, see `samodal.method.filter`; None
            without a belief.
    """

    anchor: Seen
    start: np.ndarray
    velocity: np.ndarray
    limit: np.ndarray
    shift: np.ndarray
    told_t: int
    told_s: float
    speed: np.ndarray | None = None
    stretch: np.ndarray = field(default_factory=lambda: np.ones(2))
    believed: int = 0
    noise: np.ndarray = field(default_factory=lambda: np.zeros(2))
    covered: bool = False
    open_since: float | None = None
    place: Place = Place.MOVED
    mask: Mask | None = None
    belief: Belief | None = None
    spread: np.ndarray | None = None

    @classmethod
    def begin(cls, history: History, now: int, rules: Rules, patch: int | None = None) -> HiddenPhase:
        """The phase of an instance that is missing in frame `now` for the first time.

        Args:
            patch: see `patch_of`.
        """
        anchor, last, velocity = history.anchor(now, rules.anchor_s), history.last, history.velocity()
        points = anchor.points if anchor.points is not None else np.zeros((0, 2), np.float32)
        count = rules.follow if rules.follow is not None or len(points) else rules.points
        start = points if count is None else spread_points(anchor.visible, points, count)
        return cls(
            anchor=anchor,
            start=start if patch is None or rules.motion != "filter" else matched(anchor.visible, start, patch),
            velocity=velocity,
            limit=history.mean_step(),
            shift=velocity * (last.t - anchor.t),
            told_t=last.t,
            told_s=last.time,
            belief=history.belief if rules.motion == "filter" else None,
        )

    @property
    def scale(self) -> float:
        """By which its mask has grown, in width and height together."""
        return float(np.sqrt(self.stretch.prod()))

    @property
    def followed(self) -> bool:
        """Whether a tracker should follow its points."""
        return self.place is Place.MOVED

    def step(self, around: Surroundings, position: Position | None, rules: Rules) -> State | None:
        """Go on by one frame.

        Args:
            around: what the frame shows.
            position: of its points now; None where the tracker does not follow them.

        Returns:
            The state to report; None for nothing, as once it has left the image.
        """
        self.mask = None
        if self.place is Place.MOVED:
            self._advance(around, position, rules)
        if around.prompted:  # it is reported as visible
            return None
        if self.place is Place.MOVED:
            self._settle(around, rules)
        if around.sliver is None and self.place is not Place.MOVED:
            return State.LOST if self.place is Place.LOST else None
        leaving = rules.leaving is not None and self.mask is not None and self._over_the_border()
        return State.LEAVING if leaving else State.HIDDEN

    def _settle(self, around: Surroundings, rules: Rules) -> None:
        """Move the mask; decide whether the instance has left or is lost, unless a sliver of it is reported."""
        moved = self._moved(around.t, rules)
        if around.sliver is None:
            if moved is None or self._has_left(moved, around.others, rules):
                self.place = Place.GONE
            elif self._is_lost(around.time, rules) or self._uncovered(moved, around, rules):
                self.place = Place.LOST
        self.mask = moved if self.place is Place.MOVED else None

    def _moved(self, t: int, rules: Rules) -> Mask | None:
        """The anchor's amodal mask where it is now (paper, section 3); None where no point could be followed."""
        shift = self.shift
        if rules.clamp:
            limit = self.limit * (t - self.anchor.t)
            shift = np.clip(shift, -limit, limit)
        return self.anchor.amodal.scaled(shift, self.stretch, self._centre) if np.isfinite(shift).all() else None

    def _has_left(self, moved: Mask, others: Sequence[Mask], rules: Rules) -> bool:
        """Border rule: outside the image, or within `border` pixels of its left or right edge, where nothing hides it
        and it is not known to be inside still."""
        if not moved:
            return True
        if rules.border is None or (rules.border < moved.x and moved.columns.stop < moved.size[1] - rules.border):
            return False
        return rules.leaving is None or (moved.covered_by(others) < rules.leaving and not self._is_inside())

    def _is_inside(self) -> bool:
        """Whether enough of its moved box is surely inside the image."""
        if self.spread is None or self.spread.max() > SURE * self.scale * self.anchor.amodal.side:
            return False
        low, high = self._box()
        inside = np.minimum(high, self.anchor.amodal.size[::-1]) - np.maximum(low, 0)
        return bool(np.prod(inside.clip(0)) >= INSIDE * np.prod(high - low))

    def _uncovered(self, moved: Mask, around: Surroundings, rules: Rules) -> bool:
        """Note whether reported instances hide it; whether it is lost for not being seen where none does."""
        if rules.open_s is None:
            return False
        share = moved.covered_by(around.others)
        self.covered = self.covered or share >= COVERED
        if share >= OPEN:
            self.open_since = None
        elif self.covered and self.open_since is None:
            self.open_since = around.time
        return self._is_lost(around.time, rules)

    def _is_lost(self, time: float, rules: Rules) -> bool:
        """Whether nothing has told for `coast_s` where it is, it is less sure than `lost_spread` allows, or nothing has
        hidden it for `open_s` where it should."""
        if rules.lost_spread is not None and self.spread is not None:
            if self.spread.max() > rules.lost_spread * self.scale * self.anchor.amodal.side:
                return True
        elif rules.coast_s is not None and time - self.told_s > rules.coast_s:
            return True
        return rules.open_s is not None and self.open_since is not None and time - self.open_since > rules.open_s

    @property
    def _centre(self) -> np.ndarray:
        """(2,) the middle of the amodal box at the anchor, with integers at pixel centres."""
        return self.anchor.amodal.centre - 0.5

    def _over_the_border(self) -> bool:
        """Whether its moved box reaches over the image's border on a side towards which it has moved."""
        (low, high), size = self._box(), self.anchor.amodal.size[::-1]
        return bool(((low < -0.5) & (self.shift < 0)).any() or ((high > np.add(size, 0.5)) & (self.shift > 0)).any())

    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        """(2,) left and top, (2,) right and lower edge of its moved box, in pixels from the corner of the image."""
        anchor = self.anchor.amodal
        half = self.stretch * anchor.shape[::-1] / 2
        return anchor.centre + self.shift - half, anchor.centre + self.shift + half

    def _advance(self, around: Surroundings, position: Position | None, rules: Rules) -> None:
        """Bring the motion from the frame before to this one."""
        if self.belief is not None and around.view is not None:
            self._advance_by_filter(self.belief.at(around.time, around.view), around.view, around, position, rules)
        elif rules.motion == "robust":
            self._advance_robustly(around, position, rules)
        elif position is not None:
            # Paper, section 3: mean displacement of the points. It adds the steps from frame to frame; the way since
            # the last prompt is the same without a rounding error in each.
            xy, visible, _ = position
            counted = visible if rules.motion == "believed" else np.full(len(xy), rules.motion == "points")
            steps = (xy - self.start)[counted]
            self.shift = steps.mean(axis=0) if counted.any() else self.shift + self.velocity

    def _advance_robustly(self, around: Surroundings, position: Position | None, rules: Rules) -> None:
        side = self.anchor.amodal.side
        speed = self.velocity if self.speed is None else self.speed
        self.speed, elapsed = speed, around.t - self.told_t
        before = self.shift - (elapsed - 1) * speed  # when points last told it; since then it went on at its speed
        expected, self.believed = self.shift + speed, 0
        motion = self._points_motion(around, position, rules)
        if motion is None or self._jumps(motion.shift - expected, elapsed, side, speed, rules):
            self.shift = expected
            return
        self.speed = speed + BLEND * ((motion.shift - before) / elapsed - speed)
        self.shift, self.stretch, self.believed = motion.shift, np.full(2, motion.scale), int(motion.agreed.sum())
        self.told_t, self.told_s = around.t, around.time

    def _points_motion(self, around: Surroundings, position: Position | None, rules: Rules) -> Motion | None:
        """What the believed points tell of the way since the anchor."""
        if position is None:
            return None
        weights = believed(*position, around.others, rules)
        tolerance = max(2.0, TOLERANCE * self.anchor.amodal.side)
        return robust_motion(self.start, position[0], weights, self._centre, tolerance)

    def _advance_by_filter(
        self, belief: Belief, view: View, around: Surroundings, position: Position | None, rules: Rules
    ) -> None:
        """Go on as the filter expects, and correct that by the points as far as they are surer."""
        anchor = self.anchor.amodal
        motion, self.believed = self._points_motion(around, position, rules), 0
        if motion is not None and position is not None:
            sides, variance = sides_told(motion, self.start, position[0], anchor, belief.sides(view))
            enough = motion.agreed.sum() >= MAJORITY * len(self.start)
            if enough and belief.distance(sides, variance, view) < GATE:
                belief = belief.with_sides(sides, variance, view)
                self.noise = TELLING * MIDDLE**2 @ variance
                self.believed, self.told_t, self.told_s = int(motion.agreed.sum()), around.t, around.time
        sides = belief.sides(view)
        self.belief = belief
        width, height = (np.maximum(sides[2:] - sides[:2], 0) + 1) / anchor.shape[::-1]
        scale, aspect = np.sqrt(width * height), np.sqrt(np.clip(width / height, 1 / MOST_TURNED, MOST_TURNED))
        self.stretch = np.array([scale * aspect, scale / aspect]).clip(1 / MOST_STRETCH, MOST_STRETCH)
        self.shift = (sides[:2] + sides[2:]) / 2 - self._centre
        kept = lasting(anchor, self.anchor.visible, self.anchor.sure) * self.scale**2
        self.spread = np.sqrt(belief.spread(view) ** 2 + kept + self.noise)

    @staticmethod
    def _jumps(off: np.ndarray, elapsed: int, side: float, speed: np.ndarray, rules: Rules) -> bool:
        """Whether an estimate is farther from going on at the last speed than the rule `jump` allows."""
        if rules.jump is None:
            return False
        return bool(np.linalg.norm(off) > elapsed * (rules.jump * side + np.linalg.norm(speed)))


def patch_of(tracker: PointTracker) -> int | None:
    """Pixels, side of the square that a tracker matches; None where it matches none."""
    return getattr(tracker, "patch", None)


def believed(
    xy: np.ndarray, visible: np.ndarray, confidence: np.ndarray, others: Sequence[Mask], rules: Rules
) -> np.ndarray:
    """(N,) weights: the confidence of the points that can be believed, 0 for the others (rule `believe`)."""
    weights = np.where(confidence >= rules.believe, confidence, 0.0)
    if visible.any():
        (left, top), (right, bottom) = xy[visible].min(axis=0), xy[visible].max(axis=0)
        for mask in others:
            x0, y0, x1, y1 = mask.box
            if not (right < x0 - 1 or bottom < y0 - 1 or left > x1 or top > y1):  # else no point can be in it
                weights[mask.at(xy) & visible] = 0.0
    return weights
