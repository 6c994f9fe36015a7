"""How the camera moves, online, from what stands still around the road users: its turns, its way, and the horizon.

Corners outside of all instances are followed from each frame to the next (Lucas-Kanade). Once the turn is taken out,
what stands still moves away from the focus of expansion. That is a linear equation for the turn, solved robustly, and
then another one for the focus, which is smoothed over time; its height is the horizon. What lies on the ground has a
known depth, so its way down the picture tells the way of the camera, in heights of the camera above the ground.
Source: Longuet-Higgins and Prazdny 1980 for the field of motion; Irani et al. 1997 for what a plane brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import cv2
import numpy as np

from samodal.categories import ours
from samodal.checks import Array, Between, check_entries
from samodal.errors import InputError, shown
from samodal.masks import Mask
from samodal.method.motion import median
from samodal.threads import Aside
from samodal.tracks import Instance, VisibleInstance

WIDE = 480
"""Pixels that frames are made wide for this."""
FOCAL = 0.7
"""Focal length in widths of the frame; what dashcams and data sets have lies around it, and little hangs on it."""
CORNERS, APART = 250, 8
"""Corners followed at most, and pixels between them at least."""
BACK = 1.0
"""Pixels by which a corner that is followed forward and back may miss where it began."""
LEAST = 12
"""Corners without which nothing is said."""
TURN = np.array([0.02, 0.02, 0.005])
"""Standard deviation of a turn from a frame to the next before anything is measured: up, right, roll, in radians."""
PIXEL = 0.5
"""Of a followed corner, in pixels of the frame made small."""
FIRST_FOCUS, FOCUS_SPREAD = np.array([0.0, -0.02]), np.array([0.04, 0.04])
"""The focus of expansion before anything is measured, and its standard deviation, in widths: x and y from the middle of
the frame. Cameras on cars look down a little."""
MOVES = 1.0
"""Pixels of the small frame that a corner must move to tell of the focus."""
DRIVING = 0.3
"""Share of corners that move, below which the camera stands."""
FOCUS_DRIFT = 0.002
"""By which it may change in a second, in widths."""
TALLEST = 2.0
"""Frames that are more than so many widths high are no view of a road; nothing is measured then."""
STEADY_S = 1.0
"""Seconds in which a nod of the camera fades."""
NEAR, FAR = 0.3, 0.06
"""Ground whose way is measured: at most so many heights of the frame below the horizon, and at least."""
SPEED_S = 0.3
"""Seconds over which the speed is smoothed."""
NEAREST = 1.0
"""Depth at which what comes nearer is passed."""
TALL = {
    "car": (1.0, 0.12), "van": (1.35, 0.2), "truck": (2.0, 0.35), "bus": (2.1, 0.2), "person": (1.15, 0.1),
    "rider": (1.15, 0.1), "bicycle": (0.75, 0.2), "motorcycle": (0.85, 0.2),
}  # fmt: skip
"""Heights of road users in heights of a camera at 1.45 m, and their relative spread."""
SIZES_TOGETHER = 0.05
"""The same things are seen again in every frame: so much of what they tell of the horizon counts."""
DEEPEST = 60.0
"""Heights of the camera beyond which ground is as far as this."""
_ASIDE = Aside("corners")


@dataclass(frozen=True, eq=False)
class View:
    """How the camera of a frame sees the ground, in heights of the camera above it.

    Attributes:
        focal, middle, horizon: pixels of the frame: focal length, the column straight ahead, the row of the horizon.
        heading: radians that it has turned to the right since the first frame.
        origin: (2,) where it is in the world: x to the right and z ahead, as the first frame saw them.
        known: whether its motion since the frame before was measured; it is taken to have stood still otherwise.
        level: row of the horizon without the nods of the camera, as far as it is known by this frame.
    """

    focal: float
    middle: float
    horizon: float
    heading: float
    origin: np.ndarray
    known: bool = True
    level: float = 0.0

    @cached_property
    def world_axes(self) -> np.ndarray:
        """(2, 2) its right and its ahead in the world, as columns."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return np.array([[cos, sin], [-sin, cos]])

    def ground(self, foot: np.ndarray) -> np.ndarray:
        """(2,) place in the world of what stands at a pixel (2,); at the horizon and above it: `DEEPEST` away."""
        depth = self.focal / max(foot[1] - self.horizon, self.focal / DEEPEST)
        return self.origin + self.world_axes @ np.array([(foot[0] - self.middle) / self.focal * depth, depth])

    def seen(self, place: np.ndarray) -> np.ndarray:
        """(3,) column, row and depth of a place in the world."""
        across, depth = self.world_axes.T @ (place - self.origin)
        depth = max(depth, NEAREST)
        return np.array([self.middle + self.focal * across / depth, self.horizon + self.focal / depth, depth])


@dataclass(frozen=True, eq=False)
class Look:
    """What takes long of a frame, and needs no other thing that is known of the video.

    Attributes:
        grey: (h, `WIDE`) uint8, the frame made small.
        free: (h, `WIDE`) uint8, 1 where corners may be.
        before, now: (N, 2) float, where corners of the frame before were, and are in this one; see `followed`.
    """

    grey: np.ndarray
    free: np.ndarray
    before: np.ndarray
    now: np.ndarray

    @classmethod
    def at(cls, grey: np.ndarray, masks: Sequence[Mask], last: tuple[np.ndarray, np.ndarray, float] | None) -> Look:
        """At a (H, W) uint8 grey frame; `last`: grey and free of the frame before, and its time."""
        small = (WIDE, small_height(grey.shape))
        made = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
        nothing = np.zeros((0, 2))
        before, now = (nothing, nothing) if last is None else followed(last[0], made, last[1])
        return cls(made, _free(masks, grey.shape, small), before, now)


Grey = Annotated[np.ndarray, Array("uint8", (None, WIDE))]
Real = Annotated[float, Between(-1e12, 1e12)]
SAVED: dict[str, Any] = {
    "last": tuple[Grey, Grey, Real] | None, "focus": Annotated[np.ndarray, Array("float64", (2,))],
    "information": Annotated[np.ndarray, Array("float64", (2, 2))], "nod": Real, "speed": Real | None,
    "heading": Real, "origin": Annotated[np.ndarray, Array("float64", (2,))],
}  # fmt: skip
"""What `CameraMotion.state` gives."""


class CameraMotion:
    """Watches one video, frame after frame. Without texture, as in the dark, the camera is taken to stand still.

    Args:
        wanted: False: nothing is measured.
    """

    def __init__(self, wanted: bool = True):
        self.wanted = wanted
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame is the first."""
        self._last: tuple[np.ndarray, np.ndarray, float] | None = None  # grey, where corners may be, seconds
        self._begun: Future[Look] | None = None
        self._focus = FIRST_FOCUS  # from the middle of the frame, in widths
        self._information = np.diag(FOCUS_SPREAD**-2.0)
        self._nod = 0.0  # of the horizon, in widths
        self._speed: float | None = None  # heights a second
        self._heading, self._origin = 0.0, np.zeros(2)

    def look(self, frame: np.ndarray, visible: Sequence[VisibleInstance]) -> np.ndarray | None:
        """Begin with a (H, W, 3) uint8 RGB frame in another thread; after other work, `step` goes on with the same.

        Returns:
            The frame as (H, W) uint8 grey, for who else needs it; None where no view is wanted.
        """
        if not self.wanted:
            return None
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        self._begun = _ASIDE(Look.at, grey, [instance.mask for instance in visible], self._last)
        return grey

    def step(self, frame: np.ndarray, visible: Sequence[VisibleInstance], time: float) -> View | None:
        """The view of a (H, W, 3) uint8 RGB frame, `time` seconds into the video; None where it is not wanted."""
        if self._begun is None:
            self.look(frame, visible)
        if self._begun is None:
            return None
        look, self._begun = self._begun.result(), None
        height, width = frame.shape[:2]
        aspect = len(look.grey) / WIDE
        last, self._last = self._last, (look.grey, look.free, float(time))
        turn, way, known = np.zeros(3), 0.0, False
        if last is not None:
            seconds = max(time - last[2], 1e-3)
            self._information = np.linalg.inv(np.linalg.inv(self._information) + np.eye(2) * FOCUS_DRIFT**2 * seconds)
            self._nod *= float(np.exp(-seconds / STEADY_S))
            if len(look.before) >= LEAST and height <= TALLEST * width:
                known = True
                turn, way = self._measured(look.before, look.now, seconds, aspect)
        middle, level = self._focus * width + np.array([width, height]) / 2 - 0.5
        self._origin = self._origin + way * np.array([np.sin(self._heading), np.cos(self._heading)])
        self._heading += float(turn[1])
        horizon = float(level + self._nod * width)
        return View(FOCAL * width, float(middle), horizon, self._heading, self._origin, known, float(level))

    def state(self) -> dict:
        """Everything needed to go on elsewhere."""
        return {name: getattr(self, f"_{name}") for name in SAVED}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, SAVED, "state of the camera")
        last, information = state["last"], np.array(state["information"], float)
        if last is not None and last[0].shape != last[1].shape:
            raise InputError(f"state of the camera: a frame of {shown(last[0].shape)}, its corners {last[1].shape}")
        if not np.isfinite([*state["focus"], *state["origin"]]).all():
            raise InputError("state of the camera: focus and origin must be finite")
        if not np.allclose(information, information.T) or (np.linalg.eigvalsh(information) <= 0).any():
            raise InputError(f"state of the camera: information cannot be {shown(state['information'])}")
        self._last = None if last is None else (last[0], last[1], float(last[2]))
        self._focus, self._origin = np.array(state["focus"], float), np.array(state["origin"], float)
        self._information, self._nod, self._speed = information, state["nod"], state["speed"]
        self._heading = state["heading"]

    def fits(self, size: tuple[int, int] | None) -> bool:
        """Whether the frame that is kept may be of frames of (H, W)."""
        return self._last is None or (size is not None and len(self._last[0]) == small_height(size))

    def learn_sizes(self, instances: Sequence[Instance]) -> None:
        """Correct the horizon by things that stand on the ground: what is as tall as the camera ends there."""
        for instance in instances if self.wanted else ():
            amodal, visible, kind = instance.amodal, instance.visible, instance.category.lower()
            kind = kind if kind in TALL else ours(kind)
            if amodal is None or not visible or kind not in TALL:
                continue
            (x0, y0, x1, y1), (height, width) = amodal.box, amodal.size
            if x0 <= 0 or y0 <= 0 or x1 >= width or y1 >= height:
                continue
            tall, varies = TALL[kind]
            added = abs(y0 - visible.box[1]) + abs(y1 - visible.box[3])
            below = (y1 - y0) / tall
            spread = np.hypot(varies * below, 1.0 + added) / width
            value = (y1 - 0.5 - below - height / 2) / width - self._nod - self._focus[1]
            told = np.zeros((2, 2))
            told[1, 1] = SIZES_TOGETHER / spread**2 / (1 + (value / 3 / spread) ** 2)
            self._information = self._information + told
            self._focus = self._focus + np.linalg.solve(self._information, told @ [0.0, value])

    def _measured(self, before: np.ndarray, now: np.ndarray, seconds: float, aspect: float):
        """The turn and the way between two frames, from (N, 2) pixels of the small ones; the focus learns from them."""
        middle = np.array([1.0, aspect]) * WIDE / 2 - 0.5
        focal = FOCAL * WIDE
        ray, flow = (before - middle) / focal, (now - before) / focal
        focus = (self._focus + [0.0, self._nod]) / FOCAL
        field = turning(ray)  # (N, 2, 3)
        turn, weights = self._turn(ray - focus, flow, field)
        still = flow - field @ turn
        self._learn(ray, still, focus, weights)
        self._nod += float(turn[0]) * FOCAL
        way = self._way(ray[:, 1] - focus[1], still[:, 1], aspect, seconds)
        return turn, way

    def _turn(self, away: np.ndarray, flow: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(3,) the turn that leaves motion away from the focus only, and (N,) how much each corner counts."""
        distance = np.linalg.norm(away, axis=1)
        across = np.stack([-away[:, 1], away[:, 0]], axis=1) / np.maximum(distance, 1e-6)[:, None]
        noise = PIXEL / (FOCAL * WIDE)
        sure = np.minimum(1.0, distance / 0.1)
        matrix, value = np.einsum("nc,nck->nk", across, field), np.einsum("nc,nc->n", across, flow)
        turn, weights, known = np.zeros(3), sure.copy(), np.diag(TURN**-2.0)
        turn[:2] = median(flow[:, ::-1] * [1, -1])
        for _ in range(10):
            rest = (value - matrix @ turn) / noise
            scale = max(1.0, float(median(np.abs(rest))) * 1.5)
            weights = sure / (1 + (rest / scale) ** 2)
            told = (matrix * weights[:, None]).T
            turn = np.linalg.solve(told @ matrix / noise**2 + known, told @ value / noise**2)
        return turn, weights

    def _learn(self, ray: np.ndarray, still: np.ndarray, focus: np.ndarray, weights: np.ndarray) -> None:
        """Correct the focus: what stands still moves along the line through it."""
        away = ray - focus
        across = np.stack([-still[:, 1], still[:, 0]], axis=1) / np.maximum(np.linalg.norm(away, axis=1), 0.05)[:, None]
        noise = PIXEL / (FOCAL * WIDE)
        value = np.einsum("nc,nc->n", across, away)
        moves = np.linalg.norm(still, axis=1) > MOVES * noise / PIXEL
        if moves.mean() < DRIVING:  # the camera stands, and these are others that move
            return
        weights = weights * moves
        told = (across * weights[:, None]).T / noise**2
        information = self._information + told @ across * FOCAL**-2.0
        self._focus = self._focus + np.linalg.solve(information, told @ value / FOCAL)
        self._information = information

    def _way(self, below: np.ndarray, down: np.ndarray, aspect: float, seconds: float) -> float:
        """Heights that the camera went ahead, smoothed, from (N,) how far below the horizon corners are and move."""
        after = below + down
        ground = (below > FAR * aspect / FOCAL) & (below < NEAR * aspect / FOCAL) & (after > FAR * aspect / FOCAL / 2)
        if ground.sum() >= LEAST / 2:
            ways = 1 / below[ground] - 1 / after[ground]
            speed = _weighted_median(ways, below[ground] ** 2) / seconds
            weight = 1.0 if self._speed is None else 1 - float(np.exp(-seconds / SPEED_S))
            self._speed = (self._speed or 0.0) + weight * (speed - (self._speed or 0.0))
        return (self._speed or 0.0) * seconds


def small_height(size: tuple[int, int]) -> int:
    """Height of a frame of (H, W) made `WIDE` pixels wide."""
    return max(2, round(WIDE * min(size[0] / size[1], TALLEST)))


def turning(ray: np.ndarray) -> np.ndarray:
    """(N, 2, 3) motion of what is seen at (N, 2) x and y, in focal lengths, for a turn up, to the right and a roll."""
    x, y = ray.T
    return np.stack([np.stack([x * y, -(1 + x * x), y], axis=1), np.stack([1 + y * y, -x * y, -x], axis=1)], axis=1)


def followed(before: np.ndarray, now: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) float where corners were in one grey frame, and are in the next, where there and back agree."""
    half, found = len(before) // 2, []
    for rows in (slice(0, half), slice(half, None)):  # trees must not take all corners from the road
        there = cv2.goodFeaturesToTrack(before[rows], CORNERS // 2, 0.005, APART, mask=free[rows], blockSize=5)
        found += [] if there is None else [there + np.array([0, rows.start], np.float32)]
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 2))
    corners = np.concatenate(found)
    options: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 4}
    there, forth, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, **options)  # pyright: ignore
    again, back, _ = cv2.calcOpticalFlowPyrLK(now, before, there, None, **options)  # pyright: ignore
    good = (forth & back).ravel().astype(bool) & (np.linalg.norm(again - corners, axis=2).ravel() < BACK)
    return corners[good, 0].astype(float), there[good, 0].astype(float)


def _free(masks: Sequence[Mask], size: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8: 1 where no instance is, nor the rim around one."""
    taken = np.zeros(size, np.uint8)
    for mask in masks:
        taken[mask.rows, mask.columns] |= mask.inside
    taken = cv2.resize(np.negative(taken, out=taken), small, interpolation=cv2.INTER_AREA)  # 255 where one is
    return cv2.dilate((taken > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) ^ 1


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
