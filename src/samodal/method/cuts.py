"""Scene cuts, online: whether a frame goes on from the one before it, however fast the camera turns.

Both frames are made small and their contrast even, so that a tunnel's light plays no part. The shift that lets their
spectra agree best takes out a fast turn, dense optical flow the rest, and what is left is compared patch by patch:
the median correlation of the textured patches is near 1 within a scene, whatever moves in it, and low across a cut.
On StreetSim (102 clips, 6018 pairs of frames, turns and all weathers) it is at least 0.83 within a clip and at most
0.76 where two clips are joined (303 joins); turns of 60 to 150 pixels a frame, at a width of 960, leave it above 0.86,
two real drives above 0.94 even with only every sixth frame. Every second frame of StreetSim, 5 a second, is too far
apart in the fastest turns (0.60): lower the threshold for such videos.
"""

from typing import Annotated

import numpy as np

from samodal.checks import Array, check_entries

WIDTH = 160
"""Pixels across the small frames."""
PATCH = 15
"""Side in pixels of the patches that are compared."""
MOST_TURN = 0.25
"""Share of the width by which a turn may move the picture from frame to frame; more is taken for chance."""
TEXTURE = 4.0
"""Least variance of a patch, in squared grey levels, for its correlation to mean something."""
LEAST_TEXTURED = 0.05
"""Share of patches that must be textured for two frames to be compared at all."""


class CutDetector:
    """Watches one video, frame after frame.

    A frame without texture, as in a fade to black, says nothing; the next is compared with the last that had some.

    Args:
        threshold: a similarity below it is a cut, in [-1, 1]; None: nothing is.
    """

    def __init__(self, threshold: float | None):
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame is the first."""
        self._last: np.ndarray | None = None

    def step(self, frame: np.ndarray) -> bool:
        """Whether a (H, W, 3) uint8 RGB frame begins a new scene; never true for the first."""
        if self.threshold is None:
            return False
        small = shrink(frame)
        if textured(small).mean() < LEAST_TEXTURED:
            return False
        last, self._last = self._last, small
        return last is not None and similarity(last, small) < self.threshold

    def state(self) -> dict:
        return {"last": self._last}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"last": Annotated[np.ndarray, Array("uint8", (None, WIDTH))] | None}, "state of the cuts")
        self._last = state["last"]


def shrink(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (h, 160) uint8 grey."""
    import cv2

    height, width = frame.shape[:2]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    # Optical flow needs some height, however wide the frame.
    return cv2.resize(grey, (WIDTH, max(4 * PATCH, round(WIDTH * height / width))), interpolation=cv2.INTER_AREA)


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
    plausible = np.abs(shift).max() <= MOST_TURN * WIDTH
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
