"""Where an instance is on the ground, how fast and how large it is, and how surely: an extended Kalman filter.

The state is the place on the ground in heights of the camera, its rate, and the logarithms of width and height. In the
world a thing goes on evenly; in the picture it seldom does, as the camera drives and turns (`samodal.method.camera`)
and what is near moves faster. A mask tells the four sides of its box. A side that the visible mask reaches is exact;
one that was completed is doubted by the length that was added. Source: Kalman 1960; white noise of acceleration as in
Bar-Shalom et al. 2001, section 6.2; standing on the ground as in Hoiem et al. 2006.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from samodal.masks import Mask
from samodal.method.camera import DEEPEST, NEAREST, View

ACCELERATION = 0.03
"""Process noise: squared change of the rate (heights of the camera a second) in a second."""
OF_CAMERA = 0.2
"""The same of the camera, where its motion is not known."""
GROWTH = np.array([0.03, 0.006])
"""Process noise of the logarithms of width and height, a second: things turn, and masks are not all alike."""
FIRST_RATE = 4.0
"""Standard deviation of a rate before anything is known of it, heights of the camera a second."""
MISTAKEN = 1.0
"""Standard deviation of a rate that was told on a horizon now known to be wrong, in heights of the camera a second, for
each time by which the square of the depth has changed."""
FADING_S = 30.0
"""Seconds in which a rate falls to 1 / e."""
LONGEST_S = 60.0
"""Seconds after which nothing more is forgotten: by then a place is as uncertain as it can be in view, and more would
leave nothing of the digits of what is measured next."""
EXACT, ADDED, DOUBTED = 0.04, 10.0, 1.0
"""Standard deviation of a side: in roots of the area where nothing is doubted; then, for all doubt, in lengths that
were added to the visible mask, and in roots of the area. Doubt is 1 less the score."""
PIXEL = 0.5
"""Standard deviation that rounding to pixels brings."""
UNEVEN = 0.004
"""Standard deviation of the lower side in focal lengths: the ground is no plane, and the horizon not known."""
CUT = 3.0
"""Standard deviation in root of the area of what the border of the frame cuts."""
TRUSTED = 0.1
"""Sides with a smaller standard deviation in root of the area are rather trusted than what is believed."""
HUBER = 1.0
"""Standard deviations beyond which a mask counts less."""
NARROWER = 0.55
"""Of the variance that the filter expects, what the spread has: its noise allows for things that turn and brake."""
ALIKE, GUESSED = 0.02, 1.5
"""What stays wrong with a side, as a standard deviation: in roots of the area; then, for all doubt, in lengths that
were added to the visible mask."""
FREEDOM = 3.0
"""Degrees of freedom of Student's t-distribution in the plane that the true middle has around the told one, with the
spread as its scale: most are nearer than a normal distribution has them, some turn or stop and are far off. Chosen, as
the three above, on 24 clips of StreetSim `val` and the even sequences of KITTI MOTS."""
UNKNOWN = 3.0
"""Standard deviation of the logarithm of a width or height of which a mask tells nothing, and the most by which a mask
changes it. The filter is linear: a car would become e to the power of its width from a strip that the border cuts."""
SURPRISE, LEARNING, MOST_SURPRISE = 1.0, 0.1, 9.0
"""Surprise before anything is known, the weight of the newest mask in it, and the most that a mask may surprise."""

BACKWARDS = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
"""What becomes of the state where time runs the other way."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of an instance at a time.

    Attributes:
        time: seconds.
        mean: (6,) x and z in the world and their rates a second, in heights of the camera, and the logarithms of width
            and height: in focal lengths at a depth of 1.
        covariance: (6, 6).
        surprise: (2,) squared errors of x and y in the picture that were found, in those expected, smoothed: below 1
            for what moves more evenly than the noise allows for.
        rest: (4,) what the sides that were last measured differed by from what was then believed, as far as they are
            trusted, in widths and heights: nods of the camera and turns of the thing outlast a gap.
        level: that of the view for which it holds, see `View`.
    """

    time: float
    mean: np.ndarray
    covariance: np.ndarray
    surprise: np.ndarray
    rest: np.ndarray
    level: float

    @classmethod
    def of(cls, mask: Mask, visible: Mask, view: View, time: float, sure: float) -> Belief:
        """The belief after a first mask."""
        sides, variance = measured(mask, visible, view, sure)
        variance = variance + _uneven(view)
        left, top, right, low = sides
        foot = np.array([(left + right) / 2, low])
        place = view.ground(foot)
        depth = float(view.seen(place)[2])
        axes, across = view.world_axes, (foot[0] - view.middle) / view.focal
        width, height = max(right - left, 1.0), max(low - top, 1.0)
        # Of the lower side, left and right together, the width alone and the height; far away, the row tells little.
        deep = min(np.sqrt(variance[3]) * depth / view.focal, 0.7)
        aside = np.sqrt(variance[[0, 2]].sum()) / 2 * depth / view.focal
        lines = np.zeros((6, 6))
        lines[0] = deep * np.array([*(axes @ [across, 1.0] * depth), 0, 0, 1.0, 1.0])
        lines[1, :2] = aside * axes[:, 0]
        lines[2:4, 2:4] = np.eye(2) * FIRST_RATE
        lines[4, 4] = min(np.sqrt(variance[[0, 2]].sum()) / width, UNKNOWN)
        lines[5, 5] = min(np.sqrt(variance[1]) / height, UNKNOWN)
        mean = np.array([*place, 0, 0, *np.log(np.array([width, height]) * depth / view.focal)])
        return cls(time, mean, lines.T @ lines, np.full(2, SURPRISE), np.zeros(4), view.level)

    def at(self, time: float, view: View) -> Belief:
        """The belief at a later time, that of a view, from what is known now."""
        seconds = min(max(time - self.time, 0.0), LONGEST_S)
        fade = np.exp(-seconds / FADING_S)
        step, noise = np.eye(6), np.zeros((6, 6))
        # How unevenly an unknown camera moves, the thing's own masks tell: one that stands still shakes nothing.
        rate = ACCELERATION + (0 if view.known else OF_CAMERA * min(1.0, float(self.surprise.mean())))
        for place, speed in ((0, 2), (1, 3)):
            step[place, speed], step[speed, speed] = FADING_S * (1 - fade), fade
            noise[place, place], noise[speed, speed] = rate * seconds**3 / 3, rate * seconds
            noise[place, speed] = noise[speed, place] = rate * seconds**2 / 2
        noise[[4, 5], [4, 5]] = GROWTH * seconds
        covariance = step @ self.covariance @ step.T + noise
        later = replace(self, time=max(time, self.time), mean=step @ self.mean, covariance=covariance)
        return later if view.level == self.level else later._levelled(view)

    def _levelled(self, view: View) -> Belief:
        """The same after the horizon was learned anew: what stood at a row still does, nearer or farther than it was
        believed to. What is above the horizon by now is as far as can be, and the `rest` keeps it at its row."""
        axes, axes_t = view.world_axes, view.world_axes.T
        across, depth = axes_t @ (self.mean[:2] - view.origin)
        depth = max(depth, NEAREST)
        lower = (view.level - self.level) / view.focal
        farther = 1 / max(1 - lower * depth, depth / DEEPEST)
        change = np.array([[farther, across * farther**2 * lower], [0.0, farther**2]])
        step = np.eye(6)
        step[:2, :2] = step[2:4, 2:4] = axes @ change @ axes_t
        step[4:, :2] = farther * lower * axes_t[1]
        mean = self.mean.copy()
        mean[:2] = view.origin + axes @ (np.array([across, depth]) * farther)
        mean[4:] += np.log(farther)
        covariance = step @ self.covariance @ step.T
        covariance[[2, 3], [2, 3]] += ((farther**2 - 1) * MISTAKEN) ** 2
        deep = max(depth * farther, NEAREST)
        down = (lower + 1 / deep - 1 / depth) / max(np.exp(mean[5]) / deep, 1 / view.focal)  # in its heights
        return replace(self, mean=mean, covariance=covariance, level=view.level, rest=self.rest - [0, down, 0, down])

    def seen(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        """(4,) left, top, right and lower side of its box in a view, in pixels, and (4, 6) how they follow the mean."""
        known = self.__dict__.get("_seen")  # asked for again and again in a frame
        if known is None or known[0] is not view:
            known = self.__dict__["_seen"] = view, self._seen_in(view)
        return known[1]

    def _seen_in(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        column, row, depth = view.seen(self.mean[:2])
        axes, across, focal = view.world_axes, (column - view.middle) / view.focal, view.focal
        width, height = focal * np.exp(self.mean[4:]) / depth
        matrix = np.zeros((4, 6))
        middle = focal / depth * (axes[:, 0] - across * axes[:, 1])
        matrix[0, :2] = middle + width / 2 / depth * axes[:, 1]
        matrix[2, :2] = middle - width / 2 / depth * axes[:, 1]
        matrix[0, 4], matrix[2, 4] = -width / 2, width / 2
        matrix[3, :2] = -focal / depth**2 * axes[:, 1]
        matrix[1, :2] = matrix[3, :2] + height / depth * axes[:, 1]
        matrix[1, 5] = -height
        return np.array([column - width / 2, row - height, column + width / 2, row]), matrix

    def sides(self, view: View) -> np.ndarray:
        """(4,) left, top, right and lower side of its box in a view, as its last mask was believed to have them."""
        sides, _ = self.seen(view)
        return sides + self.rest * _extent(sides)

    def spread(self, view: View) -> np.ndarray:
        """(2,) spread of x and y of the centre in pixels, as this instance's own masks have shown it; see `FREEDOM`."""
        matrix = MIDDLE @ self.seen(view)[1]
        return np.sqrt(NARROWER * np.einsum("ij,jk,ik->i", matrix, self.covariance, matrix) * self.surprise)

    def distance(self, sides: np.ndarray, variance: np.ndarray, view: View) -> float:
        """Squared distance of the centre of measured (4,) sides from that expected, in variances."""
        expected, matrix = self.seen(view)
        spread = MIDDLE @ (matrix @ self.covariance @ matrix.T + np.diag(variance + _uneven(view))) @ MIDDLE.T
        off = MIDDLE @ (sides - self.sides(view))
        return float(off @ np.linalg.solve(spread, off))

    def with_sides(self, sides: np.ndarray, variance: np.ndarray, view: View) -> Belief:
        """The belief after (4,) left, top, right and lower side were measured, with (4,) their variance."""
        expected, matrix = self.seen(view)
        told, uneven = matrix @ self.covariance, _uneven(view)
        spread = told @ matrix.T
        off = np.abs(sides - expected) / np.sqrt(np.diag(spread) + variance + uneven)
        spread += np.diag((variance + uneven) * np.maximum(1.0, off / HUBER) ** 2)
        gain = np.linalg.solve(spread, told).T
        covariance = self.covariance - gain @ matrix @ self.covariance
        change = gain @ (sides - expected)
        change[4:] = change[4:].clip(-UNKNOWN, UNKNOWN)
        after = replace(self, mean=self.mean + change, covariance=(covariance + covariance.T) / 2)
        return replace(after, rest=after.missed(sides, variance, view))

    def missed(self, sides: np.ndarray, variance: np.ndarray, view: View) -> np.ndarray:
        """The `rest` that measured (4,) sides with (4,) their variance leave beside this belief."""
        expected, _ = self.seen(view)
        extent = _extent(expected)
        side = np.sqrt(extent[0] * extent[1])
        trust = 1 / (1 + (variance / (TRUSTED * side) ** 2) ** 2)
        return (sides - expected) * trust / extent

    def mirrored(self) -> Belief:
        """The same where time runs the other way: at the negative time, with the opposite rate."""
        covariance = self.covariance * np.outer(BACKWARDS, BACKWARDS)
        return replace(self, time=-self.time, mean=self.mean * BACKWARDS, covariance=covariance)

    def fused(self, other: Belief) -> Belief:
        """The belief from this one and another of the same time that came about without it; without a `rest`."""
        gain = np.linalg.solve(self.covariance + other.covariance, self.covariance).T
        covariance = self.covariance - gain @ self.covariance
        return Belief(
            time=self.time,
            mean=self.mean + gain @ (other.mean - self.mean),
            covariance=(covariance + covariance.T) / 2,
            surprise=(self.surprise + other.surprise) / 2,
            rest=np.zeros(4),
            level=self.level,
        )

    def with_mask(self, mask: Mask, visible: Mask, view: View, time: float, sure: float) -> Belief:
        """The belief after an amodal mask at a later time."""
        before = self.at(time, view)
        sides, variance = measured(mask, visible, view, sure)
        expected, matrix = before.seen(view)
        spread = MIDDLE @ (matrix @ before.covariance @ matrix.T + np.diag(variance + _uneven(view))) @ MIDDLE.T
        error = (MIDDLE @ (sides - expected)) ** 2 / np.diag(spread)
        surprise = self.surprise + LEARNING * (np.minimum(error, MOST_SURPRISE) - self.surprise)
        return replace(before.with_sides(sides, variance, view), surprise=surprise)


MIDDLE = np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]])
"""(2, 4) what x and y of the centre are of the sides."""


def measured(mask: Mask, visible: Mask, view: View, sure: float) -> tuple[np.ndarray, np.ndarray]:
    """(4,) left, top, right and lower side of an amodal mask's box in pixels, and (4,) their variance."""
    box = np.array(mask.box, float)
    height, width = mask.size
    side = mask.side
    added = np.abs(box - np.array(visible.box, float)) if visible else np.full(4, side)
    cut = np.array([box[0] <= 0, box[1] <= 0, box[2] >= width, box[3] >= height])
    doubt = 1 - sure
    variance = (
        (side * (EXACT + DOUBTED * doubt)) ** 2 + (ADDED * doubt * added) ** 2 + (CUT * cut * side) ** 2 + PIXEL**2
    )
    return box - [0, 0, 1, 1], variance


def lasting(mask: Mask, visible: Mask, sure: float) -> np.ndarray:
    """(2,) variance of x and y of an amodal mask's middle that further masks do not take away, in squared pixels.

    Masks of the same thing are completed alike: what is wrong with one is wrong with the next.
    """
    added = np.abs(np.array(mask.box, float) - np.array(visible.box, float)) if visible else np.full(4, mask.side)
    sides = (mask.side * ALIKE) ** 2 + (GUESSED * (1 - sure) * added) ** 2 + PIXEL**2
    return (sides[:2] + sides[2:]) / 4


def region(share: float) -> float:
    """Spreads within which so large a share, in (0, 1), of the true middles is expected: (x / spread_x)^2 + (y /
    spread_y)^2 is at most its square. See `FREEDOM`."""
    return float(np.sqrt(FREEDOM * ((1 - share) ** (-2 / FREEDOM) - 1)))


def _extent(sides: np.ndarray) -> np.ndarray:
    """(4,) width, height, width, height of a box of (4,) sides."""
    extent = sides[2:] - sides[:2]
    return np.concatenate([extent, extent])  # np.tile takes four times as long


def _uneven(view: View) -> np.ndarray:
    """(4,) variance of the sides that the ground brings."""
    return np.array([0.0, 1.0, 0.0, 1.0]) * (UNEVEN * view.focal) ** 2
