"""The feature network of CoTracker3, and its feature maps as a pyramid that can be sampled at points.

Source: CoTracker3 (Karaev et al. 2024), section 3; parameter names are those of the released checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.trackers.cotracker.config import CoTrackerConfig


class ResidualBlock(nn.Module):
    """Two convolutions with instance norm and a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        # A list of a single layer gives the released name `downsample.0`.
        self.downsample = nn.ModuleList([nn.Conv2d(inside, outside, 1, stride)] if stride > 1 else [])

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.instance_norm(self.conv1(x)))
        y = F.relu(F.instance_norm(self.conv2(y)))
        for shortcut in self.downsample:
            x = F.instance_norm(shortcut(x))
        return F.relu(x + y)


class FeatureNet(nn.Module):
    """Frames in, a map of features of length 1 out, each frame on its own."""

    def __init__(self, config: CoTrackerConfig):
        super().__init__()
        self.stride = config.stride
        widths = config.widths
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, padding=3)
        self.layer1 = self._stage(widths[0], widths[0], 1)
        self.layer2 = self._stage(widths[0], widths[1], 2)
        self.layer3 = self._stage(widths[1], widths[2], 2)
        self.layer4 = self._stage(widths[2], widths[3], 2)
        self.conv2 = nn.Conv2d(sum(config.widths), 2 * config.features, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * config.features, config.features, 1)

    @staticmethod
    def _stage(inside: int, outside: int, stride: int) -> nn.Sequential:
        return nn.Sequential(ResidualBlock(inside, outside, stride), ResidualBlock(outside, outside, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) in [-1, 1] to (T, C, H / stride, W / stride)."""
        size = frames.shape[-2] // self.stride, frames.shape[-1] // self.stride
        x = F.relu(F.instance_norm(self.conv1(frames)))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        x = F.relu(F.instance_norm(self.conv2(torch.cat(stages, dim=1))))
        x = self.conv3(x)
        return x / x.square().sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()


def pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """(T, C, h, w) feature maps, and halves of halves of them, as (T, h, w, C) each."""
    stack = [maps]
    for _ in range(levels - 1):
        stack.append(F.avg_pool2d(stack[-1], 2))
    return [level.permute(0, 2, 3, 1).contiguous() for level in stack]


def gather_squares(level: Tensor, xy: Tensor, radius: int, frame: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The cells around points, enough to interpolate a square of 2 radius + 1 cells centred on each.

    Args:
        level: (F, h, w, C).
        xy: (T, P, 2) in cells of this level; beyond the border the border's cells repeat.
        frame: (T, P) int, which of the F maps each is read from; None where row t is read from map t.

    Returns:
        (T, P, side + 1, side + 1, C) cells, x before y, and (T, P, 2) the fraction of a cell to interpolate by.
    """
    _, height, width, channels = level.shape
    corner = xy.clamp(-1e6, 1e6).floor()
    steps = torch.arange(-radius, radius + 2, device=xy.device)
    x = (corner[..., 0, None].long() + steps).clamp(0, width - 1)  # (T, P, side + 1)
    y = (corner[..., 1, None].long() + steps).clamp(0, height - 1)
    base = torch.arange(len(xy), device=xy.device)[:, None] if frame is None else frame
    index = base[..., None, None] * (height * width) + y[:, :, None, :] * width + x[:, :, :, None]
    cells = level.reshape(-1, channels).index_select(0, index.flatten())
    return cells.view(*index.shape, channels), xy - corner


def interpolate(cells: Tensor, fraction: Tensor) -> Tensor:
    """(..., s + 1, s + 1, C) cells, x before y, to the (..., s, s, C) that lie (..., 2) of a cell further."""
    # Under autocast the cells may be in half precision, and lerp needs equal types.
    x, y = fraction.to(cells.dtype)[..., None, None, None].unbind(-4)
    cells = torch.lerp(cells[..., :-1, :, :], cells[..., 1:, :, :], x)
    return torch.lerp(cells[..., :-1, :], cells[..., 1:, :], y)
