"""Scene cuts, online: whether a frame goes on from the one before it, however fast the camera moves.

Three things are asked of two frames. Corners of the one are found again in the other (ORB); how many must be depends
on the time between the frames and on how many were found in the frames before. What is left after optical flow is
compared patch by patch. Histograms of colour are compared. A frame begins a new scene where corners are lost and

* flow explains little, and the colours differ: other streets, or
* the colours agree, but flow explains much less than just before: another place of the same drive.

Noise, blur and light leave enough corners; a lorry that covers them leaves what flow explains around it.

`benchmarks/scene_cuts.py` measures it. No cut is seen in four real drives (KITTI 0005, BDD100K, two videos) and 24
clips of StreetSim, at every 1st, 2nd, 3rd and 5th frame, down to 2 Hz. Of 500 joins 496 are found in their frame,
without another cut: other streets, other weather, the same weather, and the same drive at least 2 s later. The
thresholds were chosen on the split `val`, these numbers are of `test`. Of joins within a StreetSim drive 88 of 100 are
found; a camera that stands still sees the others as they were. Fully dark noise (standard deviation 50 at night) may
give one false cut in the second frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from samodal.checks import Array, Between, check_entries

WIDE, HIGH = 320, 180
"""Size in pixels of the pictures that are compared, whatever the shape of the frames."""
CORNERS = 300
"""Corners of a picture at most."""
LEAST_CORNERS = 40
"""Pictures with fewer are compared by flow and colours alone."""
DISTINCT = 0.8
"""A corner is found again if its descriptor is at most so much as far from the nearest as from the second,"""
ROLL = 25.0
"""if it is turned by at most so many degrees,"""
MOST_SHIFT = (0.5 * WIDE, 0.3 * HIGH)
"""and if it is within so many pixels in x and y of where it was."""
RATE, LEAST, MOST = 0.012, 0.03, 0.12
"""Corners are lost where the share found again is below RATE over the seconds between the frames, but not below the
second, nor above the third. Within a scene, a fast turn leaves the fewest."""
NEAR_RATE, NEAR_MOST = 0.02, 0.2
"""The same for another place of the same drive, whose lane marks and sky are found again, without the second."""
STRANGE, STRANGE_TIMES = 0.5, 2.5
"""Where flow explains less than so much of what is little, so many times as many may be found, and colours agree."""
FALL, NEAR_FALL = 0.35, 0.3
"""Corners are lost only below so much of the largest share of the last pairs of frames."""
PAIRS = 4
"""Pairs of frames that are looked back on."""
LEAST_EXPECTED = 0.1
"""Share that is expected at least, however long ago the last frame was."""
ALIKE, APART = 0.1, 0.04
"""Colours agree up to this distance, and differ from the second on."""
DROP = 1.5
"""Flow explains much less where it leaves so many times what it left in the pair of frames before."""
SMOOTH = 2.0
"""Pixels of the small frames over which detail is smoothed."""
ELSEWHERE, ELSEWHERE_TIMES = 0.025, 5.0
"""Another place lies elsewhere in the picture: smoothed and as they lie, the two differ by the first, and by so many
times more than the pair before. A key frame of a video of few bits redraws all detail, but nothing moves."""
SHORTEST = 0.02
"""Seconds between two frames, at least: some files have equal times."""
PATCH = 15
"""Side in pixels of the patches that are compared, at half the size."""
MOST_TURN = 0.25
"""Share of the width by which a turn may move the picture from frame to frame; more is taken for chance."""
TEXTURE = 4.0
"""Least variance of a patch, in squared grey levels, for its correlation to mean something."""
LEAST_TEXTURED = 0.05
"""Share of patches that must be textured for two frames to be compared at all."""

Grey, Sample, Small = (
    Annotated[np.ndarray, Array("uint8", shape)]
    for shape in ((HIGH, WIDE), (HIGH // 2, WIDE // 2, 3), (HIGH // 2, WIDE // 2))
)
Share = tuple[Annotated[float, Between(SHORTEST)], Annotated[float, Between(0, 1)]]
SAVED = {"last": tuple[Grey, Sample, float] | None, "before": Small | None, "shares": tuple[Share, ...]}
"""What `CutDetector.state` gives."""


class CutDetector:
    """Watches one video, frame after frame.

    A frame without texture, as in a fade to black, says nothing; the next is compared with the last that had some.

    Args:
        threshold: flow explains little where `similarity` is below it, in [-1, 1]; None: nothing is a cut.
    """

    def __init__(self, threshold: float | None):
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame is the first."""
        self._last: View | None = None
        self._before: np.ndarray | None = None  # the one before, small, where it was of the same scene
        self._shares: deque[tuple[float, float]] = deque(maxlen=PAIRS)  # seconds between, share found again

    def step(self, frame: np.ndarray, time: float, grey: np.ndarray | None = None) -> bool:
        """Whether a (H, W, 3) uint8 RGB frame, `time` seconds into the video, begins a new scene.

        Never true for the first frame. `grey`: the frame as (H, W) uint8, where it is there already.
        """
        if self.threshold is None:
            return False
        now = View.of(frame, time, grey)
        if textured(now.small).mean() < LEAST_TEXTURED:
            return False
        last, self._last = self._last, now
        if last is None:
            return False
        seconds, share = max(SHORTEST, time - last.time), found_again(last, now)
        cut = self._is_cut(last, now, seconds, share)
        if cut:
            self._shares.clear()
        if share is not None:
            self._shares.append((seconds, share))
        self._before = None if cut else last.small
        return cut

    def _is_cut(self, last: View, now: View, seconds: float, share: float | None) -> bool:
        """Whether all evidence together says so.

        Args:
            seconds: between the two.
            share: of corners found again.
        """
        few = share is None
        fall = 0.0 if few else share / self._expected(seconds)
        lost = few or share < MOST and fall < FALL
        near = not few and share < min(NEAR_RATE / seconds, NEAR_MOST) and fall < NEAR_FALL
        near = near and self._before is not None
        if not lost and not near:  # nearly always, so the rest costs little
            return False
        colours, alike = colour_distance(last, now), similarity(last.small, now.small)
        least = max(RATE / seconds, LEAST)
        if lost and alike < STRANGE * self.threshold and (few or share < STRANGE_TIMES * least):
            return True
        if lost and alike < self.threshold and (few or share < least) and colours > APART:
            return True
        near = near and colours < ALIKE and 1 - alike > DROP * (1 - similarity(self._before, last.small))
        if not near:
            return False
        moved = difference(last.small, now.small)
        return moved > ELSEWHERE and moved > ELSEWHERE_TIMES * difference(self._before, last.small)

    def _expected(self, seconds: float) -> float:
        """Share of corners that go on being found, from the last pairs; 1 where there are none."""
        shares = [share * min(1.0, then / seconds) for then, share in self._shares]
        return max(LEAST_EXPECTED, *shares) if shares else 1.0

    def state(self) -> dict:
        last = None if self._last is None else (self._last.grey, self._last.sample, self._last.time)
        return {"last": last, "before": self._before, "shares": list(self._shares)}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, SAVED, "state of the cuts")
        self._last = None if state["last"] is None else View(*state["last"])
        self._before = state["before"]
        self._shares = deque((tuple(pair) for pair in state["shares"]), maxlen=PAIRS)


@dataclass(frozen=True, eq=False)
class View:
    """A frame made small, and what is compared of it.

    Attributes:
        grey: (180, 320) uint8.
        sample: (90, 160, 3) uint8 RGB: some of its pixels.
        time: seconds.
    """

    grey: np.ndarray
    sample: np.ndarray
    time: float

    @classmethod
    def of(cls, frame: np.ndarray, time: float, grey: np.ndarray | None = None) -> View:
        """A (H, W, 3) uint8 RGB frame, stretched to one shape; `grey`: the frame as (H, W) uint8, where it is known."""
        import cv2

        whole = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if grey is None else grey
        grey = cv2.resize(whole, (WIDE, HIGH), interpolation=cv2.INTER_AREA)
        return cls(grey, cv2.resize(frame, (WIDE // 2, HIGH // 2), interpolation=cv2.INTER_NEAREST), time)

    @cached_property
    def small(self) -> np.ndarray:
        """(90, 160) uint8: grey, at half the size."""
        import cv2

        return cv2.resize(self.grey, (WIDE // 2, HIGH // 2), interpolation=cv2.INTER_AREA)

    @cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray | None]:
        """(N, 3) float32 x, y, angle in degrees, and (N, 32) uint8 descriptors; None where N is 0."""
        import cv2

        orb = cv2.ORB.create(CORNERS, scaleFactor=1.3, nlevels=4, edgeThreshold=17, patchSize=31, fastThreshold=7)
        points, descriptors = orb.detectAndCompute(self.grey, None)  # pyright: ignore
        return np.array([(*point.pt, point.angle) for point in points], np.float32).reshape(-1, 3), descriptors

    @cached_property
    def colours(self) -> np.ndarray:
        """(16, 16, 16) float32: histogram of L, a, b, with a sum of 1."""
        import cv2

        lab = cv2.cvtColor(self.sample, cv2.COLOR_RGB2LAB)
        counts = cv2.calcHist([lab], [0, 1, 2], None, [16, 16, 16], [0, 256] * 3)
        # Light that changes a little moves pixels to the next bin.
        counts = cv2.GaussianBlur(counts.reshape(16, 256), (1, 3), 0)
        return (counts / counts.sum()).reshape(16, 16, 16)


def found_again(before: View, now: View) -> float | None:
    """Share of corners that are found again, in [0, 1]; None where a picture has too few to tell."""
    import cv2

    (old, descriptors), (new, others) = before.corners, now.corners
    fewer = min(len(old), len(new))
    if fewer < LEAST_CORNERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(descriptors, others, k=2)  # pyright: ignore
    chosen = [first for first, second in pairs if first.distance < DISTINCT * second.distance]
    rows, columns = [match.queryIdx for match in chosen], [match.trainIdx for match in chosen]
    way = np.abs(new[columns] - old[rows])
    roll = np.minimum(way[:, 2], 360 - way[:, 2])
    return min(1.0, float(((way[:, :2] < MOST_SHIFT).all(axis=1) & (roll < ROLL)).sum()) / fewer)


def difference(before: np.ndarray, now: np.ndarray) -> float:
    """How little two small (h, w) uint8 frames agree where their pixels lie, detail smoothed: 1 - correlation."""
    import cv2

    smooth = [cv2.GaussianBlur(small.astype(np.float32), (0, 0), SMOOTH) for small in (before, now)]
    smooth = [picture - picture.mean() for picture in smooth]
    size = np.sqrt((smooth[0] ** 2).sum() * (smooth[1] ** 2).sum())
    return float(1 - (smooth[0] * smooth[1]).sum() / size) if size else 0.0


def colour_distance(before: View, now: View) -> float:
    """How far apart the colours of two pictures are, in [0, 1]: 1 less the Bhattacharyya coefficient."""
    return 1 - float(np.sqrt(before.colours * now.colours).sum())


def similarity(before: np.ndarray, now: np.ndarray) -> float:
    """How alike two small frames are once motion is taken out: median correlation of textured patches, in [-1, 1].

    Returns:
        1 where too few patches of both have texture, as nothing can be said then.
    """
    even_before, even_now = _even(before), _even(now)
    # Spectra that agree by chance give a wrong turn; then none is the better start.
    turns = (_turn(even_before, even_now), np.zeros(2, np.float32))
    return max(_correlation(before, now, turn + _flow(_sample(even_before, turn), even_now)) for turn in turns)


def _correlation(before: np.ndarray, now: np.ndarray, flow: np.ndarray) -> float:
    """Median correlation of the textured patches of `now` with what the flow (h, w, 2) says they were before."""
    moved = _sample(before, flow)
    rows, columns = np.indices(now.shape, np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    inside = (x >= 0) & (x <= now.shape[1] - 1) & (y >= 0) & (y <= now.shape[0] - 1)
    compared = inside & textured(moved) & textured(now)
    if compared.mean() < LEAST_TEXTURED:
        return 1.0
    both = _mean(moved.astype(np.float32) * now) - _mean(moved) * _mean(now)
    return float(np.median(both[compared] / np.sqrt(_variance(moved) * _variance(now))[compared]))


def _flow(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(h, w, 2) float32: where each pixel of `now` was, relative."""
    import cv2

    # Ultrafast is enough: a patch that is matched wrongly is outvoted by the others.
    dense = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dense.setFinestScale(1)  # half the size of the small frames: at a quarter, hardly any detail is left to match
    return dense.calc(now, before, None)  # pyright: ignore[reportArgumentType, reportCallIssue]


def textured(small: np.ndarray) -> np.ndarray:
    """(h, w) bool: where the patch around a pixel has contrast."""
    return _variance(small) > TEXTURE


def _even(small: np.ndarray) -> np.ndarray:
    """The same with equal mean and contrast everywhere, uint8."""
    import cv2

    grey = small.astype(np.float32)
    rest = grey - cv2.GaussianBlur(grey, (0, 0), 6)
    contrast = np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), 6))
    return np.clip(128 + 40 * rest / (contrast + 4), 0, 255).astype(np.uint8)


def _turn(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(2,) float32: where the content of `now` was in `before`, relative, as if all of it moved alike."""
    import cv2

    window = cv2.createHanningWindow(now.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(now.astype(np.float32), before.astype(np.float32), window)
    plausible = np.abs(shift).max() <= MOST_TURN * now.shape[1]
    return np.array(shift if plausible else (0, 0), np.float32)


def _sample(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The image at each pixel's position plus (h, w, 2) or (2,) dx, dy."""
    import cv2

    rows, columns = np.indices(image.shape, np.float32)
    return cv2.remap(
        image, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _mean(image: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.boxFilter(image.astype(np.float32), -1, (PATCH, PATCH))


def _variance(image: np.ndarray) -> np.ndarray:
    return _mean(image.astype(np.float32) ** 2) - _mean(image) ** 2
