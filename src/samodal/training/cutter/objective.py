"""What a cutter is trained for, with masks and with boxes alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from samodal.frontends.cutter.network import Cut
from samodal.training.cutter.draw import Samples

ALIKE = 0.3
"""Least likeness of the colours of two pixels that are taken to belong together (BoxInst, Tian et al. 2021)."""
FAR = 2
"""Pixels between those that are compared."""


def losses(cut: Cut, samples: Samples, affinity: float) -> dict[str, torch.Tensor]:
    """Scalars: of masks "entropy", "dice" and "iou"; of boxes alone "sides" and "affinity"; "loss" their weighted sum.

    Args:
        affinity: weight of the likeness of neighbouring pixels.
    """
    logits, masked = cut.visible.float(), samples.masked.float()
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, samples.visible, reduction="none").mean((1, 2))
    dice = 1 - _dice(probability.flatten(1), samples.visible.flatten(1))
    found, truth = probability > 0.5, samples.visible > 0.5
    iou = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2)).clamp_min(1)
    values = {
        "entropy": _mean(entropy, masked), "dice": _mean(dice, masked),
        "iou": _mean((cut.iou.float().sigmoid() - iou).square(), masked),
        "sides": _mean(_sides(probability, samples.box), 1 - masked),
        "affinity": _mean(_affinity(logits, samples), 1 - masked),
    }  # fmt: skip
    loss = 2 * values["entropy"] + values["dice"] + values["iou"]
    share = 1 - masked.mean()
    loss = (1 - share) * loss + share * (values["sides"] + affinity * values["affinity"])
    return {"loss": loss} | values


def _sides(probability: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """(B,) how little the mask's extent is that of the box, in rows and columns."""
    return sum(1 - _dice(probability.amax(axis), (box.amax(axis) >= 0.5).float()) for axis in (1, 2))


def _affinity(logits: torch.Tensor, samples: Samples) -> torch.Tensor:
    """(B,) how surely neighbours of one colour within the box are told apart."""
    colours = lab(samples.colours / 255)
    inside, outside = F.logsigmoid(logits), F.logsigmoid(-logits)
    total, weight = torch.zeros_like(logits[:, 0, 0]), torch.zeros_like(logits[:, 0, 0])
    for down, across in ((0, FAR), (FAR, 0), (FAR, FAR), (FAR, -FAR)):
        here, there = _pairs(down, across)
        same = torch.logaddexp(inside[here] + inside[there], outside[here] + outside[there])
        difference = (colours[(slice(None), *here)] - colours[(slice(None), *there)]).norm(dim=1)
        alike = ((-0.5 * difference).exp() >= ALIKE) & (samples.box[here] >= 0.5)
        total = total - (same * alike).sum((1, 2))
        weight = weight + alike.sum((1, 2))
    return total / weight.clamp_min(1)


def _pairs(down: int, across: int) -> tuple[tuple, tuple]:
    """Where the first and the second pixel of all pairs at a distance lie, as indices of (B, S, S)."""

    def span(step: int) -> tuple[slice, slice]:
        return (slice(None, -step), slice(step, None)) if step > 0 else (slice(-step, None), slice(None, step or None))

    rows, columns = span(down), span(across)
    return ((..., rows[0], columns[0]), (..., rows[1], columns[1]))


def lab(colours: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) RGB in 0..1 to CIELAB (sRGB, D65), in which equal distances look equal."""
    linear = torch.where(colours > 0.04045, ((colours + 0.055) / 1.055).clamp_min(0) ** 2.4, colours / 12.92)
    matrix = colours.new_tensor(
        [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8730]]
    )  # XYZ over that of white
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp_min(1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _dice(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(B,) of (B, M)."""
    return (2 * (probability * truth).sum(1) + 1) / (probability.sum(1) + truth.sum(1) + 1)


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1)
