"""What a completer is trained for, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from samodal.segmenters.completion.network import Completed, Completer, stacked
from samodal.training.completion.canvases import Canvases
from samodal.training.completion.draw import NO_DAMAGE, Drawer, Samples

BINS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares hidden between which instances are measured together."""
LITTLE = 0.1
"""Least share hidden of instances whose hidden part is measured."""


def losses(completed: Completed, samples: Samples) -> dict[str, torch.Tensor]:
    """The losses of a step, "loss" their weighted sum.

    Cross-entropy of all pixels, those that are visible for a fifth; Dice of the mask united with what is visible, as it
    is used; Dice of the hidden part, where there is one; the error of the expected IoU.
    """
    amodal, weight = samples.amodal, samples.weight
    hidden_truth = amodal * (samples.visible < 0.5)
    logits = completed.amodal.float()
    probability = logits.sigmoid()
    some = hidden_truth.flatten(1).sum(1) > 8
    entropy = F.binary_cross_entropy_with_logits(logits, amodal, reduction="none")
    entropy = (entropy * weight * (1 - 0.8 * samples.visible)).mean()
    united = torch.maximum(probability, samples.told["visible"])
    values = {
        "entropy": entropy,
        "whole": _dice(united, amodal, weight).mean(),
        "part": _mean(_dice(probability * (samples.visible < 0.5), hidden_truth, weight), some),
        "iou": (completed.iou.float().sigmoid() - _iou(united > 0.5, amodal > 0.5, weight)).square().mean(),
    }
    if completed.hidden is not None:
        alone = completed.hidden.float()
        cross = F.binary_cross_entropy_with_logits(alone, hidden_truth, reduction="none") * weight
        values["hidden"] = cross.mean() + 0.25 * _mean(_dice(alone.sigmoid(), hidden_truth, weight), some)
    loss = 2 * values["entropy"] + values["whole"] + 0.5 * values["part"] + values["iou"] + values.get("hidden", 0.0)
    return {"loss": loss} | values


def _dice(probability: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    probability, truth, weight = probability.flatten(1), truth.flatten(1), weight.flatten(1)
    both = (probability * truth * weight).sum(1)
    return 1 - (2 * both + 1) / ((probability * weight).sum(1) + (truth * weight).sum(1) + 1)


def _iou(predicted: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    known = weight > 0
    both, either = (predicted & truth & known).flatten(1).sum(1), ((predicted | truth) & known).flatten(1).sum(1)
    return both / either.clamp_min(1)


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)


@torch.no_grad()
def measure(network: Completer, canvases: Canvases, earlier: bool = False, batch: int = 256) -> dict[str, float]:
    """Mean IoU of whole objects and of hidden parts in the crops that prediction sees.

    Args:
        network: is set to evaluation and back.
        canvases: on its device.
        earlier: whether it is told earlier shapes.
    """
    training = network.training
    network.eval()
    whole, part, copied = ([] for _ in range(3))
    for samples in _samples(network, canvases, earlier, batch):
        completed = network(stacked(samples.told, network.config.layers), samples.kind)
        visible, truth, known = samples.visible >= 0.5, samples.amodal >= 0.5, samples.weight
        given = (completed.amodal > 0) | visible
        whole.append(_iou(given, truth, known))
        part.append(_iou(given & ~visible, truth & ~visible, known))
        copied.append(_iou(visible, truth, known))
    network.train(training)
    whole, part, copied = torch.cat(whole), torch.cat(part), torch.cat(copied)
    hidden = canvases.occlusion > LITTLE
    metrics = {"iou": float(whole.mean()), "copying": float(copied.mean()), "hidden_iou": float(part[hidden].mean())}
    for low, high in zip(BINS, BINS[1:], strict=False):
        chosen = (canvases.occlusion > low) & (canvases.occlusion <= high)
        metrics[f"iou_{low:.0%}_{high:.0%}".replace("%", "")] = float(whole[chosen].mean()) if chosen.any() else 0.0
    untouched = canvases.occlusion == 0
    return metrics | {"iou_whole": float(whole[untouched].mean()) if untouched.any() else 0.0}


def _samples(network: Completer, canvases: Canvases, earlier: bool, batch: int) -> Iterator[Samples]:
    drawer, generator = Drawer(network.config, NO_DAMAGE), torch.Generator(canvases.kind.device).manual_seed(0)
    for index in torch.arange(len(canvases), device=canvases.kind.device).split(batch):
        yield drawer(canvases.layers(index), canvases.kind[index], earlier_shapes(canvases, index, earlier), generator)


def earlier_shapes(canvases: Canvases, index: torch.Tensor, told: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, SIZE, SIZE) bool amodal masks of the partners of instances, and (n,) which have any."""
    partner = canvases.partner[index]
    there = (partner >= 0) & told
    return canvases.layers(partner.clamp_min(0))[:, 4], there
