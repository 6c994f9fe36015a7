"""What VidEoMT is taught: which query holds which instance, classes and masks of its last blocks, and of patches."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from samodal.frontends.videomt import Network, Predicted
from samodal.training.vis.steps import Step

CLASS, MASK, DICE = 2.0, 5.0, 5.0
"""Weights of the parts of the cost, and of the loss; VidEoMT's and Mask2Former's."""
NEVER = 1e6
NO_OBJECT = 0.1
"""Weight of the queries that see nothing."""


class Objective(nn.Module):
    """The loss of a step.

    Besides VidEoMT's losses, a layer that is not kept tells from each patch, before the queries join, how much of it
    each class covers: the first layers, which start from random weights, learn from this at once.

    Args:
        network: in training.
        dense: weight of the loss on patches.
    """

    def __init__(self, network: Network, dense: float = 1.0):
        super().__init__()
        self.network, self.dense = network, dense
        self.patch_classes = nn.Linear(network.config.hidden, len(network.config.classes) + 1).to(network.device)
        nn.init.zeros_(self.patch_classes.weight)
        nn.init.zeros_(self.patch_classes.bias)

    def forward(self, step: Step) -> dict[str, Tensor]:
        """ "loss", and its parts before their weights.

        Autocast may be on; losses are in float32.
        """
        blocks, tokens = follow(self.network, step.pixels)
        dense = self.patch_classes(tokens[:, self.network.embeddings.prefix :])
        with torch.autocast(step.pixels.device.type, enabled=False):
            parts = {"dense": patch_loss(dense.float(), step, self.network.config.grid)}
            given = torch.from_numpy(match(costs(blocks[-1], step).cpu().numpy())).to(step.pixels.device)
            for n, predicted in enumerate(blocks):
                last = n == len(blocks) - 1
                for name, value in losses(predicted, step, given).items():
                    parts[name if last else f"{name}_{n}"] = value
        weights = {"class": CLASS, "mask": MASK, "dice": DICE, "dense": self.dense}
        parts["loss"] = sum(weights[name.split("_")[0]] * value for name, value in parts.items())
        return {name: parts[name] for name in ("loss", "class", "mask", "dice", "dense")}


def follow(network: Network, pixels: Tensor) -> tuple[list[list[Predicted]], Tensor]:
    """The network through (B, T, 3, H, W) clips: what it predicts per block and frame, and (B * T, N, C) tokens."""
    tokens = network.tokens(pixels.flatten(0, 1))
    queries, frames = None, []
    for frame in tokens.unflatten(0, pixels.shape[:2]).unbind(1):
        predicted, queries = network.step(frame, queries)
        frames.append(predicted)
    return [list(block) for block in zip(*frames, strict=True)], tokens


@torch.no_grad()
def costs(predicted: list[Predicted], step: Step) -> Tensor:
    """(B, T, Q, M) of teaching an instance to a query; NEVER where it is not learned.

    Args:
        predicted: of each of T frames.
    """
    masks = torch.stack([frame.masks for frame in predicted], 1).float().flatten(3)  # (B, T, Q, P)
    classes = torch.stack([frame.classes for frame in predicted], 1).float().softmax(-1)
    wanted = F.avg_pool2d(step.masks.float().flatten(0, 1), 2).unflatten(0, masks.shape[:2]).flatten(3)
    labels = step.labels.clamp(min=0)[:, None, None].expand(*masks.shape[:3], -1)
    inside = torch.einsum("btqp,btmp->btqm", masks, wanted)
    cross = (F.softplus(masks).sum(-1)[..., None] - inside) / masks.shape[-1]
    sure = masks.sigmoid()
    shared = 2 * torch.einsum("btqp,btmp->btqm", sure, wanted)
    dice = 1 - (shared + 1) / (sure.sum(-1)[..., None] + wanted.sum(-1)[:, :, None] + 1)
    cost = CLASS * -classes.gather(3, labels) + MASK * cross + DICE * dice
    return torch.where(step.present[:, :, None], cost, NEVER)


def match(cost: np.ndarray) -> np.ndarray:
    """(B, M) int64: the query of each instance, -1 for none.

    An instance is matched in the first frame in which it is learned, among the queries that are free then, and keeps
    its query to the end, also while it is hidden. Those that find no free query have none.

    Args:
        cost: (B, T, Q, M) from `costs`.
    """
    clips, length, queries, instances = cost.shape
    given = np.full((clips, instances), -1)
    for b in range(clips):
        free = np.ones(queries, bool)
        for t in range(length):
            new = np.flatnonzero((cost[b, t, 0] < NEVER) & (given[b] < 0))
            left = np.flatnonzero(free)
            rows, columns = linear_sum_assignment(cost[b, t][np.ix_(left, new)])
            given[b, new[columns]] = left[rows]
            free[left[rows]] = False
    return given


def losses(predicted: list[Predicted], step: Step, given: Tensor) -> dict[str, Tensor]:
    """Class, mask and dice losses of a block.

    Args:
        predicted: of each of T frames.
        given: (B, M) the query of each instance, -1 for none.
    """
    classes = torch.stack([frame.classes for frame in predicted], 1).float()  # (B, T, Q, classes + 1)
    taught = given[:, None] >= 0
    b, t, m = (step.present & taught).nonzero(as_tuple=True)
    target = torch.full(classes.shape[:3], classes.shape[3] - 1, device=classes.device)
    target[b, t, given[b, m]] = step.labels[b, m]
    weight = torch.full(classes.shape[:3], NO_OBJECT, device=classes.device)
    weight[b, t, given[b, m]] = 1.0
    small = (step.tiny & taught).nonzero(as_tuple=True)
    weight[small[0], small[1], given[small[0], small[2]]] = 0.0
    cross = F.cross_entropy(classes.flatten(0, 2), target.flatten(), reduction="none")
    logits = torch.stack([frame.masks for frame in predicted], 1)[b, t, given[b, m]].float()
    wanted = step.masks[b, t, m].float()
    large = F.interpolate(logits[:, None], wanted.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return {
        "class": (cross * weight.flatten()).sum() / weight.sum(),
        "mask": _mean(F.binary_cross_entropy_with_logits(large, wanted, reduction="none").flatten(1).mean(1)),
        "dice": _mean(_dice(large.flatten(1).sigmoid(), wanted.flatten(1))),
    }


def patch_loss(logits: Tensor, step: Step, grid: tuple[int, int]) -> Tensor:
    """Cross entropy of (B * T, N, classes + 1) logits against the share of each patch that each class covers."""
    masks = F.adaptive_avg_pool2d(step.masks.float().flatten(0, 1), grid).flatten(2)  # (B * T, M, N)
    length, count = step.pixels.shape[1], logits.shape[-1]
    known = F.one_hot(step.labels.clamp(min=0), count).float() * (step.labels >= 0)[..., None]  # (B, M, classes + 1)
    cover = torch.einsum("fmn,fmc->fnc", masks, known.repeat_interleave(length, 0))
    rest = (1 - cover[..., :-1].sum(-1)).clamp(min=0)
    cover = torch.cat([cover[..., :-1], rest[..., None]], -1)
    return -(cover * logits.log_softmax(-1)).sum(-1).mean()


def _dice(sure: Tensor, wanted: Tensor) -> Tensor:
    return 1 - (2 * (sure * wanted).sum(1) + 1) / (sure.sum(1) + wanted.sum(1) + 1)


def _mean(values: Tensor) -> Tensor:
    """0 for none, with a gradient all the same."""
    return values.sum() / max(1, len(values))
