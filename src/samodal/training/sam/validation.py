"""How good a model is on a whole validation set, from the prompt that running uses: a centre point."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn

from samodal.segmenters.sam import AmodalSam
from samodal.training.sam.cache import Cache, unpack

OCCLUSION_BINS = {
    "none": (0.0, 0.0),
    "partial": (0.0, 0.25),
    "medium": (0.25, 0.5),
    "heavy": (0.5, 0.75),
    "extreme": (0.75, 1.0),
}
"""Occlusion rates, above the first and up to the second; "none" is exactly zero."""


class Predict(nn.Module):
    """Encode frames once and decode all their prompts, in a single call, as several processes need it."""

    def __init__(self, model: AmodalSam):
        super().__init__()
        self.model = model

    def forward(self, pixels, points, labels, boxes, masks, index, multimask):
        """See `AmodalSam.embed` and `AmodalSam.decode`; a frozen encoder keeps nothing for a backward pass."""
        learns = any(p.requires_grad for p in self.model.vision_encoder.parameters())
        with nullcontext() if learns else torch.no_grad():
            embedding = self.model.embed(pixels)
        return self.model.decode(embedding, points, labels, boxes, masks, index, multimask)


@torch.no_grad()
def validate(predict: Predict, cache: Cache, frames: int = 16) -> dict[str, float | None]:
    """Predict every instance of a validation set once.

    Args:
        predict: the model.
        cache: prepared with `centres=True`.
        frames: encoded at once.

    Returns:
        "instances"; "amodal_miou" and "visible_miou", the mean per instance; "amodal_miou_<bin>" by occlusion;
        "hidden_miou", of the hidden part where there is any; "iou_rank_correlation" (Spearman) of predicted
        and true amodal IoU, and "visible_iou_rank_correlation". None where there is no instance.
    """
    columns = [_frames(predict, cache, part) for part in _batches(cache, frames)]
    joined = {k: np.concatenate([c[k] for c in columns]) for k in columns[0]}
    return _metrics(joined, cache.occlusion.cpu().numpy())


def _batches(cache: Cache, frames: int) -> list[np.ndarray]:
    """Runs of frames with instances and of one input size, in order."""
    held = np.unique(cache.frame.cpu().numpy())
    sizes = cache.input_size.cpu().numpy()[held]
    breaks = np.flatnonzero((sizes[1:] != sizes[:-1]).any(1)) + 1
    runs = np.split(held, breaks)
    return [run[i : i + frames] for run in runs for i in range(0, len(run), frames)]


def _frames(predict: Predict, cache: Cache, frames: np.ndarray) -> dict[str, np.ndarray]:
    """IoUs of all instances of some frames."""
    of_instance = cache.frame.cpu().numpy()
    rows = slice(int(np.searchsorted(of_instance, frames[0])), int(np.searchsorted(of_instance, frames[-1], "right")))
    height, width = cache.input_size[frames[0]].tolist()
    transform, device = predict.model.transform, next(predict.model.parameters()).device
    chosen = torch.from_numpy(frames)
    pixels = transform.normalise(cache.frames[chosen][..., :height, :width].to(device))
    content = cache.content[chosen].to(device)
    y = torch.arange(height, device=device)[:, None] < content[:, 0, None, None]
    x = torch.arange(width, device=device) < content[:, 1, None, None]
    index = torch.from_numpy(np.searchsorted(frames, of_instance[rows])).to(device)
    points = cache.centre[rows, None].to(device)
    labels = torch.ones(points.shape[:2], dtype=torch.int64, device=device)
    logits, iou = predict(pixels * (y & x)[:, None], points, labels, None, None, index, False)
    predicted = F.interpolate(logits.float(), (height, width), mode="bilinear", align_corners=False)[:, 0] > 0
    predicted &= (y & x)[index]
    visible, amodal = (unpack(b[rows].to(device))[:, :height, :width] for b in (cache.visible, cache.amodal))
    values = {
        "amodal": _iou(predicted, amodal),
        "visible": _iou(predicted, visible),
        "hidden": _iou(predicted & ~visible, amodal & ~visible),
        "has_hidden": (amodal & ~visible).flatten(1).any(1),
        "predicted_iou": iou[:, 0].float(),
    }
    return {k: v.cpu().numpy() for k, v in values.items()}


def _iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    union = (a | b).flatten(1).sum(1)
    return (a & b).flatten(1).sum(1) / union.clamp_min(1)


def _metrics(values: dict[str, np.ndarray], occlusion: np.ndarray) -> dict[str, float | None]:
    metrics = {
        "instances": len(occlusion),
        "amodal_miou": _mean(values["amodal"]),
        "visible_miou": _mean(values["visible"]),
        "hidden_miou": _mean(values["hidden"][values["has_hidden"]]),
    }
    for name, (low, high) in OCCLUSION_BINS.items():
        within = (occlusion > low) & (occlusion <= high) if high else occlusion <= 0
        metrics[f"amodal_miou_{name}"] = _mean(values["amodal"][within])
    metrics["iou_rank_correlation"] = _rank_correlation(values["predicted_iou"], values["amodal"])
    metrics["visible_iou_rank_correlation"] = _rank_correlation(values["predicted_iou"], values["visible"])
    return metrics


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
