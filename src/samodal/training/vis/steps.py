"""One step's clips: which frames, moved and coloured, and the masks of their instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from samodal.images import normalise
from samodal.training.augment import AugmentSettings, Views, draw_views, grid, inside, recolour, warp_frames
from samodal.training.vis.clips import Clips

AUGMENT = AugmentSettings(zoom=(0.6, 2.0), zoomed=0.6, brightness=0.12, contrast=0.25, noise=8.0)
BANDS, LEAST_BAND = 0.15, 0.45
"""Share of clips that show a horizontal band only, as wide frames do in a padded input, and its least height."""
LEAST_PIXELS = 16
"""An instance with fewer visible pixels of the input is not learned in a frame, and no mistake either."""


@dataclass
class Step:
    """What a step learns from: B clips of T frames with up to M instances each.

    Attributes:
        pixels: (B, T, 3, H, W) float32, normalised.
        masks: (B, T, M, h, w) float16, at twice the size of the network's masks: share of each cell that is visible.
        present: (B, T, M) bool, whether enough of the instance is visible to be learned.
        tiny: (B, T, M) bool, visible but too little.
        labels: (B, M) int64, -1 where there is no instance.
    """

    pixels: torch.Tensor
    masks: torch.Tensor
    present: torch.Tensor
    tiny: torch.Tensor
    labels: torch.Tensor


def choose(clips: Clips, count: int, length: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """(count, length) frames, forwards or backwards in time, each row of a clip with a stride of its own.

    Clips that are too short for `length` are not chosen, unless all are: then rows have the longest length there is.
    """
    length = min(length, int(clips.length.max()))
    long = np.flatnonzero(clips.length >= length)
    chosen = rng.choice(long, count, p=clips.length[long] / clips.length[long].sum())
    rows = []
    for clip in chosen:
        most = max(1, (clips.length[clip] - 1) // max(1, length - 1))
        step = int(rng.integers(1, min(stride, most) + 1))
        start = rng.integers(0, clips.length[clip] - step * (length - 1))
        row = clips.first[clip] + start + step * np.arange(length)
        rows.append(row[::-1] if rng.random() < 0.5 else row)
    return np.stack(rows)


def prepare(clips: Clips, chosen: np.ndarray, mask_size: tuple[int, int], generator: torch.Generator | None) -> Step:
    """Fetch the frames of a step.

    Args:
        chosen: (B, T), from `choose`.
        mask_size: (h, w) of the network's masks.
        generator: of augmentations; None leaves the frames as they are.
    """
    clip = torch.from_numpy(np.searchsorted(clips.first, chosen[:, 0], side="right") - 1).to(clips.device)
    index = torch.from_numpy(chosen.reshape(-1))
    pixels, owners = (_take(x, index, clips.device) for x in (clips.frames, clips.owners))
    pixels = pixels.float()
    if generator is not None:
        pixels, owners = augment(pixels, owners, clips.content[clip], generator)
    pixels, owners = normalise(pixels).unflatten(0, chosen.shape), owners.unflatten(0, chosen.shape)
    return Step(pixels, *_instances(owners, clips.labels[clip], mask_size))


def _take(values: torch.Tensor, index: torch.Tensor, device: torch.device) -> torch.Tensor:
    return values[index.to(values.device)].to(device)


def augment(
    pixels: torch.Tensor, owners: torch.Tensor, content: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every clip its own way, the frames of a clip the same way.

    Args:
        pixels: (B * T, 3, H, W) float32 in 0..255.
        owners: (B * T, H, W) uint8.
        content: (B, 2) (H, W) of the frames in the input.
        generator: of the device.
    """
    clips, size = len(content), tuple(pixels.shape[-2:])
    length = len(pixels) // clips
    views = draw_views(content, size, AUGMENT, generator)
    height = _bands(views, content, size, generator)
    where = grid(views, content, size, size)
    rows = torch.arange(size[0], device=content.device)
    shown = inside(where, content, size) & (rows < height[:, None])[:, None, :, None]
    where, shown = where.repeat_interleave(length, 0), shown.repeat_interleave(length, 0)
    pixels = warp_frames(pixels, where)
    owners = F.grid_sample(owners[:, None].float(), where, mode="nearest", align_corners=False)
    # One tall picture per clip, so that its frames get the same colours.
    tall = pixels.unflatten(0, (clips, length)).transpose(1, 2).flatten(2, 3)
    tall = recolour(tall, AUGMENT, generator)
    pixels = tall.unflatten(2, (length, size[0])).transpose(1, 2).flatten(0, 1)
    return pixels * shown, (owners * shown)[:, 0].round().byte()


def _bands(views: Views, content: torch.Tensor, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """(B,) rows that show something; the views of bands are moved down by a part of what they leave out."""
    drawn = torch.rand(3, len(content), generator=generator, device=content.device)
    share = torch.where(drawn[0] < BANDS, LEAST_BAND + (1 - LEAST_BAND) * drawn[1], 1.0)
    views.corner[:, 1] += (1 - share) * drawn[2] * size[0] / views.zoom
    return share * size[0]


def _instances(
    owners: torch.Tensor, labels: torch.Tensor, mask_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masks, present, tiny and labels of `Step`, of the instances that are learned in some frame of their clip."""
    clips, length = owners.shape[:2]
    width = labels.shape[1]
    offset = width * torch.arange(clips * length, device=owners.device)
    flat = (owners.flatten(2).flatten(0, 1).long() + offset[:, None]).flatten()
    pixels = torch.bincount(flat, minlength=width * clips * length).view(clips, length, width)
    pixels = pixels * (labels >= 0)[:, None]
    learned = (pixels >= LEAST_PIXELS).any(1)
    most = max(1, int(learned.sum(1).max()))
    # Places that are learned come first, in their order.
    places = learned.int().argsort(dim=1, descending=True, stable=True)[:, :most]  # (B, M)
    real = learned.gather(1, places)
    area = pixels.gather(2, places[:, None].expand(-1, length, -1)) * real[:, None]
    present = area >= LEAST_PIXELS
    factor = owners.shape[-1] // (2 * mask_size[1])
    # One instance at a time: all at full size would fill gigabytes.
    masks = [
        F.avg_pool2d((owners == place[:, None, None, None]).half() * known[:, None, None, None], factor)
        for place, known in zip(places.T, real.T, strict=True)
    ]
    return (
        torch.stack(masks, 2),
        present,
        (area > 0) & ~present,
        torch.where(real, labels.gather(1, places), -1),
    )
