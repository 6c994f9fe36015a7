"""CoTracker3 on whole videos, as the released predictors run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from samodal.errors import InputError, nearest
from samodal.trackers.cotracker import weights
from samodal.trackers.cotracker.config import OFFLINE, ONLINE, SIZES, CoTrackerConfig
from samodal.trackers.cotracker.model import Estimate, Network

# The released predictors' own: online on visibility times confidence, offline on visibility alone.
VISIBLE_ONLINE, VISIBLE_OFFLINE = 0.6, 0.9
# The released offline predictor adds a grid of 6 x 6 points of frame 0.
GRID_OFFLINE = 6
# Points followed at once; beyond it they are followed in blocks that do not influence each other.
MOST_POINTS = 4096


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Where N points are in T frames.

    Attributes:
        xy: (T, N, 2) float32 in pixels of the video.
        visible: (T, N) bool.
        visibility: (T, N) float32, probability that the point is not covered.
        confidence: (T, N) float32, probability that `xy` is nearly right, covered or not.
    """

    xy: np.ndarray
    visible: np.ndarray
    visibility: np.ndarray
    confidence: np.ndarray


class CoTracker3:
    """Follows points through a video.

    All points of a call influence each other. Made by `from_checkpoint`, or by `untrained` to be trained.
    """

    def __init__(self, network: Network):
        self.network = network.eval()
        self.config: CoTrackerConfig = network.config

    @classmethod
    def from_checkpoint(cls, path_or_name: str | Path, online: bool = True) -> Self:
        """Load a released or our own CoTracker3, in float32 on the CPU.

        Args:
            path_or_name: `scaled_online.pth`, `scaled_offline.pth` or another file with their parameters; a
                .safetensors written by `save`, which holds its own config; or "facebook/cotracker3", fetched from the
                Hugging Face hub. The released weights are CC-BY-NC 4.0: not for commercial use.
            online: whether the weights are those of the online model (windows of 16 frames that follow each other by 8)
                or of the offline model (the whole video at once, trained on 60 frames). Both have the same shapes.

        Raises:
            InputError: for a missing file, another model, or the other of the two.
        """
        return cls(weights.load(path_or_name, ONLINE if online else OFFLINE))

    @classmethod
    def untrained(cls, size: str = "small", seed: int = 0) -> Self:
        """A size of our own with random weights: "small", or "mini" for two CPU cores (`config.SIZES`)."""
        if size not in SIZES:
            raise InputError(f"unknown size of CoTracker3 {size!r}{nearest(size, SIZES)}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(SIZES[size])
            network.initialise()
        return cls(network)

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write weights and config as .safetensors; `half` in 16 bit. Raises InputError for another ending."""
        weights.save(self.network, path, half)

    def to(self, device: str | torch.device) -> Self:
        """Move to a device; returns itself."""
        self.network.to(device)
        return self

    def track(self, video: np.ndarray, queries_txy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`follow`, but only (T, N, 2) float32 positions and (T, N) bool whether they are visible."""
        tracks = self.follow(video, queries_txy)
        return tracks.xy, tracks.visible

    def follow(self, video: np.ndarray, queries_txy: np.ndarray) -> PointTracks:
        """Follow points through a video, forward and backward.

        Args:
            video: (T, H, W, 3) uint8 RGB; a single frame is enough.
            queries_txy: (N, 3) float: the frame of a query, and x and y in it, in pixels.

        Returns:
            Tracks in pixels of the video. As in the released online predictor, a point is only known from the first
            window on that holds its frame: earlier entries mean nothing.

        Raises:
            InputError: where the arrays have other shapes, or a query lies in no frame.
        """
        queries = _checked(video, queries_txy)
        if len(queries) == 0:
            nothing = np.zeros((len(video), 0), np.float32)
            return PointTracks(np.zeros((len(video), 0, 2), np.float32), nothing > 0, nothing, nothing)
        with torch.inference_mode():
            maps = self.encode(video)
            blocks = [
                self.follow_encoded(maps, video.shape[1:3], queries[i : i + MOST_POINTS])
                for i in range(0, len(queries), MOST_POINTS)
            ]
        names = ("xy", "visible", "visibility", "confidence")
        return PointTracks(*(np.concatenate([getattr(b, name) for b in blocks], axis=1) for name in names))

    def encode(self, video: np.ndarray) -> list[Tensor]:
        """Feature maps of (T, H, W, 3) uint8 frames, (T, h, w, C) per level; each frame stands alone."""
        # Frame by frame: a long video would not fit, and each frame has the same features in any batch.
        frames = [self.network.pyramid(self.network.pixels(frame[None])) for frame in video]
        return [torch.cat(level) for level in zip(*frames, strict=True)]

    def follow_encoded(self, maps: list[Tensor], size: tuple[int, int], queries_txy: np.ndarray) -> PointTracks:
        """`follow` from the feature maps of frames of `size` (H, W), for those who keep them."""
        queries = torch.from_numpy(np.asarray(queries_txy, np.float32)).to(self.network.device)
        t, xy = queries[:, 0].long(), self.network.cells(queries[:, 1:], size)
        estimate = self._windows(maps, t, xy) if self.config.online else self._whole(maps, t, xy)
        visibility, confidence = estimate.visibility[0].sigmoid(), estimate.confidence[0].sigmoid()
        positions = self.network.frame_pixels(estimate.xy[0], size)
        if self.config.online:
            visible = visibility * confidence > VISIBLE_ONLINE
        else:
            visible = visibility > VISIBLE_OFFLINE
            number = torch.arange(len(t), device=t.device)
            visible[t, number], positions[t, number] = True, queries[:, 1:]
        return PointTracks(*(part.numpy(force=True) for part in (positions, visible, visibility, confidence)))

    def _whole(self, maps: list[Tensor], t: Tensor, xy: Tensor) -> Estimate:
        """All frames as a single window, with a grid of points of frame 0 beside the queries."""
        points = len(t)
        grid = grid_points(GRID_OFFLINE, self.config.resolution).to(xy) / self.config.stride
        t, xy = torch.cat([t, t.new_zeros(len(grid))]), torch.cat([xy, grid])
        support = [level[None] for level in self.network.support(maps, t, xy)]
        start = _unmoved(xy, len(maps[0]))
        last = self.network.refine(maps, support, start, self.config.iterations)[-1]
        return Estimate(last.xy[:, :, :points], last.visibility[..., :points], last.confidence[..., :points])

    def _windows(self, maps: list[Tensor], t: Tensor, xy: Tensor) -> Estimate:
        """Windows that overlap by half, each begun from what the last window ended with."""
        length, window, step = len(maps[0]), self.config.window, self.config.window // 2
        support = self.network.support(maps, t, xy)
        all_frames = _unmoved(xy, length)
        for first in range(0, max(length - step, 1), step):
            # A video that ends inside a window stands still from then on.
            frames = torch.arange(first, first + window, device=t.device).clamp(max=length - 1)
            # Points of later frames take part without features, as in the released code.
            known = (t < first + window).view(1, -1, 1, 1)
            begun = (t < first + step) if first else torch.zeros_like(t, dtype=torch.bool)
            refined = self.network.refine(
                [level[frames] for level in maps],
                [level * known for level in support],
                _continued(all_frames, _unmoved(xy, window), first, step, begun),
                self.config.iterations,
            )[-1]
            stop = min(first + window, length)
            for old, new in zip(_parts(all_frames), _parts(refined), strict=True):
                old[:, first:stop] = new[:, : stop - first]
        return all_frames


def grid_points(side: int, size: tuple[int, int]) -> Tensor:
    """(side * side, 2) points of an even grid over (H, W), its border a 64th of the width away from the frame's."""
    height, width = size
    margin = width / 64
    x = torch.linspace(margin, width - margin, side)
    y = torch.linspace(margin, height - margin, side)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)


def _parts(estimate: Estimate) -> tuple[Tensor, Tensor, Tensor]:
    return estimate.xy, estimate.visibility, estimate.confidence


def _unmoved(xy: Tensor, frames: int) -> Estimate:
    """Points (N, 2) that stand still through a window, with nothing known of their visibility."""
    nothing = xy.new_zeros(1, frames, len(xy))
    return Estimate(xy.expand(1, frames, -1, -1).clone(), nothing, nothing.clone())


def _continued(before: Estimate, fresh: Estimate, first: int, step: int, begun: Tensor) -> Estimate:
    """The last window for the first half of this window, its last frame repeated, for the (N,) points begun."""
    parts = []
    for old, new in zip(_parts(before), _parts(fresh), strict=True):
        frames = (first + torch.arange(new.shape[1], device=new.device).clamp(max=step - 1)).clamp(max=old.shape[1] - 1)
        parts.append(torch.where(begun.view(1, 1, -1, *[1] * (new.dim() - 3)), old[:, frames], new))
    return Estimate(*parts)


def _checked(video: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The queries as (N, 3) float32, after a look at both."""
    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or 0 in video.shape:
        raise InputError(f"a video is (T, H, W, 3) uint8 with T of at least 1, got {video.shape} {video.dtype}")
    queries = np.asarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise InputError(f"queries are (N, 3): frame, x, y; got {queries.shape}")
    wrong = ~(np.isfinite(queries).all(axis=1) & (queries[:, 0] >= 0) & (queries[:, 0] < len(video)))
    if wrong.any():
        first = queries[wrong][0].tolist()
        raise InputError(f"query {int(wrong.argmax())} (t, x, y) = {first} lies in none of the {len(video)} frames")
    return queries
