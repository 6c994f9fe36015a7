"""CoTracker v1, the paper's own point tracker, and v2, each from its authors' checkout.

Both are CC-BY-NC 4.0 and no part of this package. The settings are those of the code released with the paper for v1
(the wrapper of SAM-PT) and of the predictor in its checkout for v2.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.trackers.cotracker.tracker import grid_points
from samodal.trackers.rereading import Rereading, load

RESOLUTION = (384, 512)  # height, width; the aspect ratio is not kept
WINDOW = 8
MODULE = "cotracker.models.core.cotracker.cotracker"


class CoTracker1(Rereading):
    """Points of a key are followed together, with a 2 x 2 grid of support points in every twelfth frame.

    The released wrapper also tracks backward, which fills frames before a point was added; there are none here.

    Args:
        given: CHECKOUT,CHECKPOINT (`cotracker_stride_4_wind_8.pth`).
        device: where to compute.
        frames: see `Rereading`.
    """

    def __init__(self, given: str | None = None, device: str | torch.device = "cpu", frames: int = 48):
        options = {"S": WINDOW, "stride": 4, "add_space_attn": True, "space_depth": 6, "time_depth": 6}
        super().__init__(load("cotracker1", given, MODULE, "CoTracker", **options), device, frames)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        return _resized(frame, align_corners=False)

    def follow(self, clip: Tensor, xy: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Without the half-pixel term, as in the released wrapper.
        scale = np.array([RESOLUTION[1] / size[1], RESOLUTION[0] / size[0]], np.float32)
        queries = _queries(xy * scale, grid=2, frames=range(0, len(clip), 12))
        tracks, _, visibility, _ = self.network(rgbs=_padded(clip), queries=queries.to(clip.device), iters=6)
        return _result(tracks, visibility, len(clip), scale, threshold=0.7, count=len(xy))


class CoTracker2(Rereading):
    """Points of a key are followed together, with a 6 x 6 grid of support points in the first frame.

    Args:
        given: CHECKOUT,CHECKPOINT (`cotracker2.pth`).
        device: where to compute.
        frames: see `Rereading`.
    """

    def __init__(self, given: str | None = None, device: str | torch.device = "cpu", frames: int = 48):
        super().__init__(load("cotracker2", given, MODULE, "CoTracker2", stride=4, window_len=WINDOW), device, frames)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        return _resized(frame, align_corners=True)

    def follow(self, clip: Tensor, xy: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale = np.array([(RESOLUTION[1] - 1) / (size[1] - 1), (RESOLUTION[0] - 1) / (size[0] - 1)], np.float32)
        queries = _queries(xy * scale, grid=6, frames=[0])
        tracks, visibility, _ = self.network(video=_padded(clip), queries=queries.to(clip.device), iters=6)
        return _result(tracks, visibility, len(clip), scale, threshold=0.9, count=len(xy))


def _resized(frame: np.ndarray, align_corners: bool) -> np.ndarray:
    """(3, 384, 512) float32, 0 to 255."""
    pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, RESOLUTION, mode="bilinear", align_corners=align_corners)[0].numpy()


def _padded(clip: Tensor) -> Tensor:
    """(1, T, 3, 384, 512); a clip shorter than the window ends with copies of its last frame."""
    return torch.cat([clip, clip[-1:].expand(max(0, WINDOW - len(clip)), -1, -1, -1)])[None]


def _queries(xy: np.ndarray, grid: int, frames: Iterable[int]) -> Tensor:
    """(1, N, 3) frame, x, y: the points in frame 0, then a grid in each of the frames."""
    support = grid_points(grid, RESOLUTION)
    blocks = [F.pad(torch.from_numpy(xy), (1, 0)), *(F.pad(support, (1, 0), value=float(t)) for t in frames)]
    return torch.cat(blocks)[None]


def _result(
    tracks: Tensor, visibility: Tensor, length: int, scale: np.ndarray, threshold: float, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first `count` points in frame `length` - 1, from (1, T, N, 2) tracks and (1, T, N) probabilities.

    These models have no confidence of a position: it is the probability of being visible.
    """
    xy, probability = (part[0, length - 1, :count].numpy(force=True) for part in (tracks, visibility))
    return xy / scale, probability > threshold, probability
