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
OF_CAMERA = 0.8
"""The same of the camera, where its motion is not known."""
GROWTH = np.array([0.03, 0.006])
"""Process noise of the logarithms of width and height, a second: things turn, and masks are not all alike."""
FIRST_RATE = 4.0
"""Standard deviation of a rate before anything is known of it, heights of the camera a second."""
MISTAKEN = 1.0
"""Standard deviation of a rate that was told on a horizon now known to be wrong, in heights of the camera a second, for
each time by which the square of the depth has changed."""
FADING_S = 30.0
"""Seconds in which a rate, and what earlier masks left as `rest`, fall to 1 / e."""
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
ROUNDED = 1 / 12
"""Variance of a side that was rounded to a pixel."""
NODS, NOD_S = 0.005, 0.5
"""Standard deviation in y, in focal lengths, that nods of the camera bring while nothing tells of them, and the seconds
after which 1 - 1 / e of its square is there. The surprise in y says how much a camera nods."""
ALIKE, GUESSED = 0.005, 0.4
"""What stays wrong with a side, as a standard deviation: in roots of the area; then, for all doubt, in lengths that
were added to the visible mask."""
FREEDOM = 3.5
"""Degrees of freedom of Student's t-distribution in the plane that the true middle has around the told one, with the
spread as its scale: most are nearer than a normal distribution has them, some turn or stop and are far off. Chosen, as
the four above, on 24 clips of StreetSim `val` and the even sequences of KITTI MOTS, in their gaps and in made ones."""
UNKNOWN = 3.0
"""Standard deviation of the logarithm of a width or height of which a mask tells nothing, and the most by which a mask
changes it. The filter is linear: a car would become e to the power of its width from a strip that the border cuts."""
SURPRISE, LEARNING, MOST_SURPRISE = 1.0, 0.1, 9.0
"""Surprise before anything is known, the least weight of the newest mask in it, and the most that one may surprise."""
AT_FIRST = 2
"""Masks for which the surprise before anything is known counts."""

BACKWARDS = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
"""What becomes of the state where time runs the other way."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of an instance at a time.

    Attributes:
        time: seconds.
        mean: (6,) x and z in the world and their rates a second, in heights of the camera, and the logarithms of width
            and height: in focal lengths at a depth of 1.
        covariance: (6, 6) of the mean.
        of_place: (6, 6) the same of where its mask is put, which is at the mean and the `rest`: where a side was last
            measured and trusted, only what has come since is unsure.
        surprise: (2,) squared errors of x and y in the picture that were found, in those expected, smoothed: below 1
            for what moves more evenly than the noise allows for.
        rest: (4,) what the measured sides differ by from what is believed, in widths and heights, each mask counted as
            far as it is trusted: nods of the camera, turns of the thing and uneven roads outlast a gap.
        level: that of the view for which it holds, see `View`.
        told: seconds, when sides were last measured.
        masks: how many it is from.
    """

    time: float
    mean: np.ndarray
    covariance: np.ndarray
    of_place: np.ndarray
    surprise: np.ndarray
    rest: np.ndarray
    level: float
    told: float
    masks: int = 1

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
        covariance = lines.T @ lines
        return cls(time, mean, covariance, covariance, np.full(2, SURPRISE), np.zeros(4), view.level, time)

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
        covariance, of_place = (step @ before @ step.T + noise for before in (self.covariance, self.of_place))
        later = replace(
            self, time=max(time, self.time), mean=step @ self.mean, covariance=covariance, of_place=of_place
        )
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
        covariance, of_place = (step @ before @ step.T for before in (self.covariance, self.of_place))
        for changed in (covariance, of_place):
            changed[[2, 3], [2, 3]] += ((farther**2 - 1) * MISTAKEN) ** 2
        deep = max(depth * farther, NEAREST)
        down = (lower + 1 / deep - 1 / depth) / max(np.exp(mean[5]) / deep, 1 / view.focal)  # in its heights
        rest = self.rest - [0, down, 0, down]
        return replace(self, mean=mean, covariance=covariance, of_place=of_place, level=view.level, rest=rest)

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
        variance = np.einsum("ij,jk,ik->i", matrix, self.of_place, matrix)
        variance[1] += (NODS * view.focal) ** 2 * (1 - np.exp(-abs(self.time - self.told) / NOD_S))
        return np.sqrt(np.maximum(variance, 0) * self.surprise)

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
        covariance = (covariance + covariance.T) / 2
        trust = _trust(variance, expected)
        unsure = 1 - np.array([*np.full(2, trust.mean()), 0, 0, trust[[0, 2]].mean(), trust[[1, 3]].mean()])
        of_place = covariance * np.outer(unsure, unsure)
        after = replace(self, mean=self.mean + change, covariance=covariance, of_place=of_place, told=self.time)
        # What the belief has taken up is no longer left beside it.
        way = np.sign(self.rest)
        taken = np.maximum(way * (after.seen(view)[0] - expected) / _extent(expected), 0)
        left = way * np.maximum(abs(self.rest) - taken, 0) * np.exp(-abs(self.time - self.told) / FADING_S)
        return replace(after, rest=after.missed(sides, variance, view, left))

    def missed(self, sides: np.ndarray, variance: np.ndarray, view: View, left: np.ndarray) -> np.ndarray:
        """The `rest` after measured (4,) sides with (4,) their variance, where (4,) `left` was it before.

        A nod, or a road that rises, shows in frame after frame: masks that are little trusted tell it together, and a
        sliver at the end does not change it.
        """
        expected, _ = self.seen(view)
        return left + _trust(variance, expected) * ((sides - expected) / _extent(expected) - left)

    def mirrored(self) -> Belief:
        """The same where time runs the other way: at the negative time, with the opposite rate."""
        back = np.outer(BACKWARDS, BACKWARDS)
        covariance, of_place = self.covariance * back, self.of_place * back
        mean, time, told = self.mean * BACKWARDS, -self.time, -self.told
        return replace(self, time=time, told=told, mean=mean, covariance=covariance, of_place=of_place)

    def fused(self, other: Belief) -> Belief:
        """The belief from this one and another of the same time that came about without it; without a `rest`."""
        gain = np.linalg.solve(self.covariance + other.covariance, self.covariance).T
        covariance = self.covariance - gain @ self.covariance
        # As a product: at an end of a gap one of the two is nearly nothing, and a difference would have no right digit.
        of_place = self.of_place @ np.linalg.solve(self.of_place + other.of_place, other.of_place)
        return Belief(
            time=self.time,
            mean=self.mean + gain @ (other.mean - self.mean),
            covariance=(covariance + covariance.T) / 2,
            of_place=(of_place + of_place.T) / 2,
            surprise=(self.surprise + other.surprise) / 2,
            rest=np.zeros(4),
            level=self.level,
            told=min(self.told, other.told, key=lambda told: abs(told - self.time)),
            masks=self.masks + other.masks,
        )

    def with_mask(self, mask: Mask, visible: Mask, view: View, time: float, sure: float) -> Belief:
        """The belief after an amodal mask at a later time."""
        before = self.at(time, view)
        sides, variance = measured(mask, visible, view, sure)
        expected, matrix = before.seen(view)
        spread = MIDDLE @ (matrix @ before.covariance @ matrix.T + np.diag(variance + _uneven(view))) @ MIDDLE.T
        error = (MIDDLE @ (sides - expected)) ** 2 / np.diag(spread)
        weight = max(LEARNING, 1 / (self.masks + AT_FIRST))
        surprise = self.surprise + weight * (np.minimum(error, MOST_SURPRISE) - self.surprise)
        return replace(before.with_sides(sides, variance, view), surprise=surprise, masks=self.masks + 1)


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
    sides = (mask.side * ALIKE) ** 2 + (GUESSED * (1 - sure) * added) ** 2 + ROUNDED
    return (sides[:2] + sides[2:]) / 4


def region(share: float) -> float:
    """Spreads within which so large a share, in (0, 1), of the true middles is expected: (x / spread_x)^2 + (y /
    spread_y)^2 is at most its square. See `FREEDOM`."""
    return float(np.sqrt(FREEDOM * ((1 - share) ** (-2 / FREEDOM) - 1)))


def _trust(variance: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(4,) how far measured sides with (4,) their variance are trusted rather than expected (4,) sides, in (0, 1)."""
    width, height = _extent(expected)[:2]
    return 1 / (1 + (variance / (TRUSTED**2 * width * height)) ** 2)


def _extent(sides: np.ndarray) -> np.ndarray:
    """(4,) width, height, width, height of a box of (4,) sides."""
    extent = np.maximum(sides[2:] - sides[:2], 1e-3)  # pixels; a box may be too small for a number
    return np.concatenate([extent, extent])  # np.tile takes four times as long


def _uneven(view: View) -> np.ndarray:
    """(4,) variance of the sides that the ground brings."""
    return np.array([0.0, 1.0, 0.0, 1.0]) * (UNEVEN * view.focal) ** 2
