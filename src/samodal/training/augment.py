"""Augmentation of a whole batch on the device. Frames and masks are moved by one grid, and prompts are drawn
from the moved masks, so that they cannot come apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class AugmentSettings:
    """How far the frames may change.

    Attributes:
        flip: share of frames that are mirrored.
        zoom: smallest and largest magnification.
        zoomed: share of frames that are zoomed at all.
        brightness: largest change, as a share of white.
        contrast, saturation, tint: largest change of the factors, from 1; tint is one factor per channel.
        noise: largest standard deviation of the noise, in grey values of 255.
        blurred: share of frames that are blurred.
    """

    flip: float = 0.5
    zoom: tuple[float, float] = (0.75, 1.6)
    zoomed: float = 0.5
    brightness: float = 0.15
    contrast: float = 0.3
    saturation: float = 0.4
    tint: float = 0.08
    noise: float = 10.0
    blurred: float = 0.2


@dataclass
class Views:
    """What part of each of F frames is seen, and how large.

    Attributes:
        zoom: (F,) magnification.
        corner: (F, 2) x and y of the view's upper left corner in pixels of the frame.
        flip: (F,) bool.
    """

    zoom: torch.Tensor
    corner: torch.Tensor
    flip: torch.Tensor


def draw_views(
    content: torch.Tensor, out: tuple[int, int], settings: AugmentSettings, generator: torch.Generator
) -> Views:
    """Random views of the size `out` in frames whose content is (F, 2) (H, W); what is larger floats inside."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, device=content.device)

    count = len(content)
    low, high = settings.zoom
    zoom = low * (high / low) ** draw(count)
    zoom = torch.where(draw(count) < settings.zoomed, zoom, 1.0)
    extent = torch.tensor(out, device=content.device) / zoom[:, None]
    corner = ((content - extent) * draw(count, 2)).flip(1)
    return Views(zoom, corner, draw(count) < settings.flip)


def grid(views: Views, content: torch.Tensor, stored: tuple[int, int], out: tuple[int, int]) -> torch.Tensor:
    """(F, h, w, 2) float32 for `grid_sample` on frames stored as (H, W), with align_corners=False.

    The output's pixel (x, y) shows the frame's point (x + .5) / zoom + corner - .5, mirrored within the content.
    """
    x = torch.arange(out[1], device=content.device) + 0.5
    y = torch.arange(out[0], device=content.device) + 0.5
    x = x / views.zoom[:, None] + views.corner[:, :1]
    y = y / views.zoom[:, None] + views.corner[:, 1:]
    x = torch.where(views.flip[:, None], content[:, 1:] - x, x)
    x = 2 * x / stored[1] - 1
    y = 2 * y / stored[0] - 1
    shape = (len(content), *out)
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)


def inside(where: torch.Tensor, content: torch.Tensor, stored: tuple[int, int]) -> torch.Tensor:
    """(F, 1, h, w) bool: which pixels of the view show content and not padding."""
    x = (where[..., 0] + 1) * stored[1] / 2
    y = (where[..., 1] + 1) * stored[0] / 2
    height, width = content[:, 0, None, None], content[:, 1, None, None]
    return ((x > 0) & (x < width) & (y > 0) & (y < height))[:, None]


def warp_frames(frames: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(F, 3, h, w) float32 in 0..255: the frames as the views show them."""
    return F.grid_sample(frames.float(), where, padding_mode="border", align_corners=False)


def warp_masks(masks: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(F, P, H, W) bool to (F, P, h, w) bool: inside where at least half of the four neighbours' weight is."""
    return F.grid_sample(masks.float(), where, align_corners=False) >= 0.5


def recolour(frames: torch.Tensor, settings: AugmentSettings, generator: torch.Generator) -> torch.Tensor:
    """Change (F, 3, h, w) frames in 0..255: colours, blur, then noise; each frame its own way."""
    count, device = len(frames), frames.device

    def spread(width: float, channels: int = 1) -> torch.Tensor:
        drawn = torch.rand(count, channels, 1, 1, generator=generator, device=device)
        return width * (2 * drawn - 1)

    grey = frames.mean(1, keepdim=True)
    frames = grey + (frames - grey) * (1 + spread(settings.saturation))
    level = grey.mean((2, 3), keepdim=True)
    frames = level + (frames - level) * (1 + spread(settings.contrast))
    frames = frames * (1 + spread(settings.tint, 3)) + 255 * spread(settings.brightness)
    soft = F.avg_pool2d(frames, 3, stride=1, padding=1, count_include_pad=False)
    blurred = torch.rand(count, 1, 1, 1, generator=generator, device=device) < settings.blurred
    frames = torch.where(blurred, soft, frames)
    strength = settings.noise * torch.rand(count, 1, 1, 1, generator=generator, device=device)
    noise = torch.randn(frames.shape, generator=generator, device=device)
    return (frames + strength * noise).clamp(0, 255)
