"""How well a VidEoMT finds instances and keeps them, at its own input's size: quick enough for in between."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from samodal.frontends.videomt import Network, Predicted
from samodal.training.vis.clips import Clips
from samodal.training.vis.steps import prepare

LARGE = 32 * 32 / (540 * 960)
"""Share of a frame from which an instance counts as large: 32 x 32 pixels of StreetSim's frames."""
FOUND = 0.5
"""Least IoU."""


@dataclass
class Tally:
    """What was seen in all frames so far.

    Attributes:
        scores, right: of each detection that counts.
        wanted: number of large instances.
        ious: of each large instance, the best of any detection.
        kept, again: of the instances found in two frames in a row, those with the same query, and all.
    """

    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    wanted: int = 0
    ious: list[float] = field(default_factory=list)
    kept: int = 0
    again: int = 0

    def add(self, ious: np.ndarray, scores: np.ndarray, counts: np.ndarray, large: np.ndarray) -> np.ndarray:
        """One frame: (D, M) IoUs, (D,) scores and whether a detection is large, (M,) whether an instance is.

        Detections are taken by falling score, each for the best instance that is left, large instances
        first; those of small instances, and small detections of none, count neither for nor against.

        Returns:
            (M,) the detection of each instance, -1 for none.
        """
        matched = np.full(ious.shape[1], -1)
        for d in np.argsort(-scores, kind="stable"):
            rank = np.where((ious[d] >= FOUND) & (matched < 0), ious[d] + large, 0.0)
            best = int(rank.argmax()) if rank.size and rank.max() > 0 else -1
            if best >= 0:
                matched[best] = d
            if large[best] if best >= 0 else counts[d]:
                self.scores.append(float(scores[d]))
                self.right.append(best >= 0)
        self.wanted += int(large.sum())
        self.ious += (ious.max(0) if len(ious) else np.zeros(len(large)))[large].tolist()
        return matched

    def pair(self, before: np.ndarray, now: np.ndarray) -> None:
        """(M,) queries of the same instances in two frames, -1 where not found."""
        both = (before >= 0) & (now >= 0)
        self.again += int(both.sum())
        self.kept += int((both & (before == now)).sum())

    def numbers(self) -> dict[str, float]:
        """AP50 of large instances, their mean best IoU, and the share of instances that keep their query."""
        return {
            "ap50": average_precision(np.array(self.scores), np.array(self.right, bool), self.wanted),
            "iou": float(np.mean(self.ious)) if self.ious else 0.0,
            "same_query": self.kept / max(1, self.again),
            "instances": self.wanted,
        }


def average_precision(scores: np.ndarray, right: np.ndarray, wanted: int) -> float:
    """Mean of the highest precision at 101 recalls and above, as COCO's; 0 where nothing is wanted."""
    if not wanted or not len(scores):
        return 0.0
    right = right[np.argsort(-scores, kind="stable")]
    hits = right.cumsum()
    recall, precision = hits / wanted, hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.append(precision, 0.0)[places].mean())


@torch.no_grad()
def measure(network: Network, clips: Clips, least: float = 0.05) -> dict[str, float]:
    """Run every clip from its first frame to its last; see `Tally.numbers`.

    Args:
        network: left in the mode it was in.
        clips: with the network's classes and size.
        least: detections below this score are not made.
    """
    training, tally = network.training, Tally()
    network.eval()
    for number in range(len(clips)):
        _clip(network, clips.part(number, number + 1), tally, least)
    network.train(training)
    return tally.numbers()


def _clip(network: Network, clip: Clips, tally: Tally, least: float) -> None:
    step = prepare(clip, np.arange(len(clip.frames))[None], network.config.mask_size, None)
    visible = (step.masks[0] >= 0.5).flatten(2)  # (T, M, P)
    areas = visible.sum(2)
    content = int(clip.content[0].prod()) / step.pixels.shape[-1] / step.pixels.shape[-2] * visible.shape[2]
    tokens = torch.cat([network.tokens(frame[None]) for frame in step.pixels[0]])
    queries, before = None, None
    for t in range(len(tokens)):
        predicted, queries = network.step(tokens[t : t + 1], queries)
        chosen, scores, masks = detections(predicted[-1], step.masks.shape[-2:], least)
        shared = masks.float() @ visible[t].float().T
        ious = shared / (masks.sum(1)[:, None] + areas[t] - shared).clamp(min=1)
        large = (areas[t] >= LARGE * content) & step.present[0, t]
        matched = tally.add(
            ious.cpu().numpy(), scores.cpu().numpy(), (masks.sum(1) >= LARGE * content).cpu().numpy(),
            large.cpu().numpy(),
        )  # fmt: skip
        now = np.where(matched >= 0, chosen.cpu().numpy()[matched] if len(chosen) else -1, -1)
        if before is not None:
            tally.pair(before, now)
        before = now


def detections(
    predicted: Predicted, size: tuple[int, int], least: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, their scores, and (D, P) bool masks of a frame; no pixel is in two of them."""
    best = predicted.classes[0].float().softmax(-1)[:, :-1].max(-1).values
    chosen = (best >= least).nonzero(as_tuple=True)[0]
    if not len(chosen):
        return chosen, best[chosen], torch.zeros(0, size[0] * size[1], dtype=torch.bool, device=best.device)
    large = F.interpolate(predicted.masks[:, chosen].float(), size, mode="bilinear", align_corners=False)
    sure = large[0].sigmoid().flatten(1)
    value = torch.where(sure > 0.5, sure * best[chosen, None], 0.0)
    own = (value.argmax(0) == torch.arange(len(chosen), device=value.device)[:, None]) & (value > 0)
    inside = (sure * own).sum(1) / own.sum(1).clamp(min=1)
    some = own.any(1)
    return chosen[some], (best[chosen] * inside)[some], own[some]
