"""What the heads are to predict, and how far off they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.frontends.centers import Centers, Predicted
from samodal.training.losses import focal_dice

CELL = 8
"""Pixels of the input from one cell of the heat map to the next."""
LEAST_PIXELS = 24
"""An instance with fewer visible pixels of the input is not learned; its cells are no mistake either."""
SPREAD = 0.1
"""Deviation of the hill around a centre, in shares of the mask's side (the root of its area)."""


@dataclass
class Targets:
    """Of B frames.

    Attributes:
        heat: (B, K, h, w) in [0, 1], 1 at a centre, and a hill around it.
        weight: (B, 1, h, w), 0 where tiny instances are.
        frames, rows, columns, labels: (N,) long, frame, cell and class of each instance.
        masks: (N, 2h, 2w) float, the share of each cell of 4 pixels that is visible.
    """

    heat: Tensor
    weight: Tensor
    frames: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    masks: Tensor


def targets(owners: Tensor, labels: Tensor, classes: int) -> Targets:
    """From (B, H, W) owners and the (B, S + 1) classes of their places, on the device where they are.

    The centre is the middle of the visible pixels, also where it lies on something else, as between two halves.
    """
    (count, height, width), places = owners.shape, labels.shape[1]
    h, w = height // CELL, width // CELL
    whose = owners.long() + places * torch.arange(count, device=owners.device)[:, None, None]
    down, across = (_pixels_by(whose, axis, count, places) for axis in (1, 2))
    areas = down.sum(-1) * (labels >= 0)
    tiny = torch.zeros_like(owners, dtype=torch.float32)
    for frame, small in ((areas > 0) & (areas < LEAST_PIXELS)).nonzero().tolist():
        tiny[frame] += owners[frame] == small
    frames, place = (areas >= LEAST_PIXELS).nonzero(as_tuple=True)
    area, label = areas[frames, place], labels[frames, place]
    y, x = (torch.arange(size, device=owners.device, dtype=torch.float32) for size in (height, width))
    rows, columns = ((part[frames, place] @ along / area / CELL).long() for part, along in ((down, y), (across, x)))
    deviation = (SPREAD * area**0.5 / CELL).clamp(min=0.5)[:, None, None]
    distance = (y[:h, None] - rows[:, None, None]) ** 2 + (x[:w] - columns[:, None, None]) ** 2
    hills = torch.exp(-distance / (2 * deviation**2))  # (N, h, w)
    heat, where = hills.new_zeros(count * classes, h, w), (frames * classes + label)[:, None, None].expand(-1, h, w)
    heat.scatter_reduce_(0, where, hills, "amax")
    masks = hills.new_zeros(len(frames), 2 * h, 2 * w)
    for part in torch.arange(len(frames), device=owners.device).split(64):  # all at full size would fill gigabytes
        own = owners[frames[part]] == place[part][:, None, None]
        masks[part] = F.avg_pool2d(own[:, None].float(), CELL // 2)[:, 0]
    weight = 1 - F.max_pool2d(tiny[:, None], CELL).clamp(max=1)
    return Targets(heat.unflatten(0, (count, classes)), weight, frames, rows, columns, label, masks)


def _pixels_by(whose: Tensor, axis: int, count: int, places: int) -> Tensor:
    """(count, places, size of the axis) float32: how many pixels each place of each frame has in a row or column."""
    size = whose.shape[axis]
    along = torch.arange(size, device=whose.device)
    along = along[:, None] if axis == 1 else along
    counts = torch.bincount((whose * size + along).flatten(), minlength=count * places * size)
    return counts.view(count, places, size).float()


def losses(network: Centers, predicted: Predicted, wanted: Targets, most: int, generator: torch.Generator) -> dict:
    """Scalars: "heat", "mask" and their sum "loss".

    Args:
        most: masks per frame that are drawn, chosen by chance.
        generator: of the CPU.
    """
    heat = heat_loss(predicted.heat, wanted.heat, wanted.weight)
    chosen = torch.randperm(len(wanted.frames), generator=generator)[: most * len(predicted.heat)]
    chosen = chosen.to(wanted.frames.device)
    mask = predicted.kernels.sum() * 0.0
    if len(chosen):
        places = (values[chosen] for values in (wanted.frames, wanted.rows, wanted.columns))
        mask = focal_dice(network.draw(predicted, *places), wanted.masks[chosen]).mean()
    return {"heat": heat, "mask": mask, "loss": heat + mask}


def heat_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """CenterNet's focal loss, divided by the number of centres (Zhou et al. 2019, equation 1)."""
    probability = logits.float().sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = heat == 1
    right = centre * (1 - probability) ** 2 * probability.log()
    wrong = ~centre * weight * (1 - heat) ** 4 * probability**2 * (1 - probability).log()
    return -(right + wrong).sum() / centre.sum().clamp(min=1)
