"""Which query each instance of a clip is taught to: the cheapest one at its first appearance, and then the same."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from samodal.frontends.videomt import Predicted
from samodal.training.vis.draw import Step

CLASS, MASK, DICE = 2.0, 5.0, 5.0
"""Weights of the parts of the cost, and of the loss; VidEoMT's and Mask2Former's."""
NEVER = 1e6


@torch.no_grad()
def costs(predicted: list[Predicted], step: Step) -> torch.Tensor:
    """(B, T, Q, M) of teaching an instance to a query; NEVER where it is not asked for.

    Args:
        predicted: of each of T frames.
    """
    masks = torch.stack([one.masks for one in predicted], 1).float().flatten(3)  # (B, T, Q, P)
    classes = torch.stack([one.classes for one in predicted], 1).float().softmax(-1)
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

    An instance is matched in the frame in which it is first asked for, among the queries that are free then, and keeps
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
