"""What the heads are to say, and how far off they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.centers import Centers, Predicted
from samodal.training.losses import focal_dice

CELL = 8
"""Pixels of the input from one cell of the heat map to the next."""
LEAST_PIXELS = 24
"""An instance with fewer visible pixels of the input is not asked for; its cells are not wrong either."""
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
    """From (B, H, W) owners and the (B, S + 1) classes of their places.

    The centre is the middle of the visible pixels, also where it lies on something else, as between two halves.
    """
    count, height, width = owners.shape
    h, w = height // CELL, width // CELL
    heat, weight = owners.new_zeros(count, classes, h, w, dtype=torch.float32), torch.ones(count, 1, h, w)
    y, x = torch.arange(height).float(), torch.arange(width).float()
    cells_y, cells_x = torch.arange(h).float(), torch.arange(w).float()
    cells, masks = [], []
    for frame in range(count):
        for place in owners[frame].unique().tolist():
            label = int(labels[frame, place])
            if label < 0:
                continue
            mask = (owners[frame] == place).float()
            area = float(mask.sum())
            if area < LEAST_PIXELS:
                weight[frame] *= 1 - F.max_pool2d(mask[None, None], CELL)[0]
                continue
            row, column = float(mask.sum(1) @ y) / area / CELL, float(mask.sum(0) @ x) / area / CELL
            cell = min(int(row), h - 1), min(int(column), w - 1)
            deviation = max(0.5, SPREAD * area**0.5 / CELL)
            hill = torch.exp(-((cells_y[:, None] - cell[0]) ** 2 + (cells_x[None] - cell[1]) ** 2) / (2 * deviation**2))
            heat[frame, label] = torch.maximum(heat[frame, label], hill)
            cells.append((frame, *cell, label))
            masks.append(F.avg_pool2d(mask[None], CELL // 2)[0])
    found = torch.tensor(cells, dtype=torch.long).reshape(-1, 4)
    stacked = torch.stack(masks) if masks else torch.zeros(0, 2 * h, 2 * w)
    return Targets(heat, weight, *found.T, stacked)


def losses(network: Centers, predicted: Predicted, wanted: Targets, most: int, generator: torch.Generator) -> dict:
    """Scalars: "heat", "mask" and their sum "loss".

    Args:
        most: masks per frame that are drawn, chosen by chance.
    """
    heat = heat_loss(predicted.heat, wanted.heat, wanted.weight)
    chosen = torch.randperm(len(wanted.frames), generator=generator)[: most * len(predicted.heat)]
    mask = predicted.kernels.sum() * 0.0
    if len(chosen):
        places = (values[chosen] for values in (wanted.frames, wanted.rows, wanted.columns))
        mask = focal_dice(network.draw(predicted, *places), wanted.masks[chosen])
    return {"heat": heat, "mask": mask, "loss": heat + mask}


def heat_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """CenterNet's focal loss, divided by the number of centres (Zhou et al. 2019, equation 1)."""
    probability = logits.float().sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = heat == 1
    right = centre * (1 - probability) ** 2 * probability.log()
    wrong = ~centre * weight * (1 - heat) ** 4 * probability**2 * (1 - probability).log()
    return -(right + wrong).sum() / centre.sum().clamp(min=1)
