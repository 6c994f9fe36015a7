"""CoTracker3's network: how the tracks of a window of frames are estimated from feature maps.

Source: CoTracker3 (Karaev et al. 2024), section 3, with the constants of the released models. Our own code: the
released code may not be used commercially. Correlations are taken before interpolation, which gives the same numbers
with a third of the reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.trackers.cotracker.config import CoTrackerConfig
from samodal.trackers.cotracker.features import FeatureNet, gather_squares, interpolate, pyramid
from samodal.trackers.cotracker.transformer import FeedForward, UpdateFormer

FREQUENCIES = 10
# Point-frames whose correlations are held at once: about 200 MB in the released model.
CHUNK = 4096


@dataclass
class Estimate:
    """The estimate of points in the frames of a window, in the network's own units.

    Attributes:
        xy: (B, S, N, 2) in cells of the finest feature map.
        visibility, confidence: (B, S, N) logits.
    """

    xy: Tensor
    visibility: Tensor
    confidence: Tensor


class Network(nn.Module):
    """The parameters of a CoTracker3 under their released names."""

    def __init__(self, config: CoTrackerConfig):
        super().__init__()
        self.config = config
        self.fnet = FeatureNet(config)
        self.updateformer = UpdateFormer(config)
        self.corr_mlp = FeedForward(config.side**4, *config.correlation)
        self.register_buffer("time", time_embedding(config.window, config.token), persistent=False)

    def initialise(self) -> None:
        """Values to start training from: variance-keeping layers, and heads whose first updates are small."""
        for name, module in self.named_modules():
            if not isinstance(module, nn.Conv2d | nn.Linear):
                continue
            nn.init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif name.endswith("_head"):
                nn.init.trunc_normal_(module.weight, std=0.001)
            else:
                nn.init.xavier_uniform_(module.weight)

    @property
    def device(self) -> torch.device:
        return self.time.device

    def pixels(self, frames: np.ndarray) -> Tensor:
        """(T, H, W, 3) uint8 RGB to (T, 3, h, w) float32 in [-1, 1] at the network's resolution."""
        x = torch.from_numpy(np.require(frames, requirements=["C", "W"])).to(self.device).permute(0, 3, 1, 2).float()
        # Corners on corners and no smoothing before the reduction, as the released models were run.
        x = F.interpolate(x, self.config.resolution, mode="bilinear", align_corners=True)
        return 2 * (x / 255) - 1

    def pyramid(self, pixels: Tensor) -> list[Tensor]:
        """(T, 3, h, w) prepared frames to `levels` feature maps (T, h', w', C)."""
        return pyramid(self.fnet(pixels), self.config.levels)

    def cells(self, xy: Tensor, size: tuple[int, int]) -> Tensor:
        """Pixels of frames of `size` (H, W) to cells of the finest feature map, corners on corners."""
        return xy * self._scale(xy, size)

    def frame_pixels(self, xy: Tensor, size: tuple[int, int]) -> Tensor:
        """The way back from `cells`."""
        return xy / self._scale(xy, size)

    def _scale(self, xy: Tensor, size: tuple[int, int]) -> Tensor:
        (height, width), (rows, columns) = size, self.config.resolution
        scale = [(columns - 1) / max(width - 1, 1), (rows - 1) / max(height - 1, 1)]
        return xy.new_tensor(scale) / self.config.stride

    def support(self, levels: list[Tensor], frame: Tensor, xy: Tensor) -> list[Tensor]:
        """Features around points in the frame where they were added.

        Args:
            levels: of T frames.
            frame: (N,) int, which of the T.
            xy: (N, 2) in cells of the finest level.

        Returns:
            (N, side * side, C) per level, x before y.
        """
        features = []
        for n, level in enumerate(levels):
            cells, fraction = gather_squares(level, xy[None] / 2**n, self.config.radius, frame[None])
            features.append(interpolate(cells, fraction)[0].flatten(1, 2))
        return features

    def refine(
        self,
        levels: list[Tensor],
        support: list[Tensor],
        start: Estimate,
        iterations: int,
        real: Tensor | None = None,
        clip: Tensor | None = None,
    ) -> list[Estimate]:
        """Improve an estimate of the tracks in a window, again and again.

        Args:
            levels: feature maps (S, h, w, C) of the window's frames, shared by all batch items; with `clip`, those
                of several clips in turn.
            support: (B, N, side * side, C) per level, of `support`.
            start: what to begin from.
            iterations: number of updates.
            real: (B, N) bool, False for points that pad the batch; None where there are none.
            clip: (B,) int, which clip's frames an item looks at; None where there is a single clip.

        Returns:
            The estimate after each update. Points of a batch item influence each other, those of different
            items do not.
        """
        now, estimates = start, []
        for _ in range(iterations):
            now = Estimate(now.xy.detach(), now.visibility, now.confidence)
            correlations = self._correlations(levels, support, now.xy, clip)
            parts = [now.visibility[..., None], now.confidence[..., None], correlations]
            tokens = torch.cat([*parts, self._motion(now.xy)], dim=-1).transpose(1, 2)  # (B, N, S, token)
            change = self.updateformer(tokens + self._time(tokens.shape[2]), real).transpose(1, 2)
            now = Estimate(now.xy + change[..., :2], now.visibility + change[..., 2], now.confidence + change[..., 3])
            estimates.append(now)
        return estimates

    def _correlations(
        self, levels: list[Tensor], support: list[Tensor], xy: Tensor, clip: Tensor | None = None
    ) -> Tensor:
        """(B, S, N, levels * C): squares around the estimates against those where the points were added."""
        batch, frames, points, _ = xy.shape
        flat = xy.transpose(0, 1).flatten(1, 2)  # (S, B N, 2)
        frame = None
        if clip is not None:
            first = (clip * frames).repeat_interleave(points)
            frame = first + torch.arange(frames, device=xy.device)[:, None]  # (S, B N)
        chunk = batch * points if self.training else max(CHUNK // frames, 1)
        out = []
        for n, (level, template) in enumerate(zip(levels, support, strict=True)):
            template = template.flatten(0, 1)
            read = [
                self._correlate(level, template[part], flat[:, part] / 2**n, None if frame is None else frame[:, part])
                for part in (slice(i, i + chunk) for i in range(0, batch * points, chunk))
            ]
            out.append(torch.cat(read, dim=1))
        return torch.cat(out, dim=-1).unflatten(1, (batch, points)).transpose(0, 1)

    def _correlate(self, level: Tensor, template: Tensor, xy: Tensor, frame: Tensor | None) -> Tensor:
        """(S, P, C) from level (F, h, w, D), template (P, side * side, D) and xy (S, P, 2) in cells of the level."""
        cells, fraction = gather_squares(level, xy, self.config.radius, frame)
        products = cells.flatten(2, 3) @ template.transpose(1, 2)  # (S, P, (side + 1)^2, side^2)
        side = self.config.side + 1
        return self.corr_mlp(interpolate(products.unflatten(2, (side, side)), fraction).flatten(2))

    def _motion(self, xy: Tensor) -> Tensor:
        """(B, S, N, 84): steps to the next and from the last frame as shares of the image, with their waves."""
        rows, columns = self.config.resolution
        step = (xy[:, 1:] - xy[:, :-1]) * self.config.stride / xy.new_tensor([columns, rows])
        steps = torch.cat([F.pad(-step, (0, 0, 0, 0, 0, 1)), F.pad(step, (0, 0, 0, 0, 1, 0))], dim=-1)
        waves = (steps[..., None, :] * 2.0 ** torch.arange(FREQUENCIES, device=xy.device)[:, None]).flatten(-2)
        return torch.cat([steps, waves.sin(), (waves + math.pi / 2).sin()], dim=-1)

    def _time(self, frames: int) -> Tensor:
        """(frames, token), stretched where the window has another length than the model's."""
        if frames == len(self.time):
            return self.time
        return F.interpolate(self.time.T[None], frames, mode="linear")[0].T


def time_embedding(frames: int, channels: int) -> Tensor:
    """(frames, channels) sines and cosines of the frame's place in the window."""
    half = channels // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(frames, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
