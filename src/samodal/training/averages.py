"""The moving average of a network's weights, which is what is kept of a training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that `update_parameters` moves towards it, buffers included; no gradient reaches it.

    Args:
        decay: of the average in a step, in the long run; it is faster at first, as a short training must forget where
            it began.
    """
    average = AveragedModel(network, multi_avg_fn=partial(_moved, decay), use_buffers=True)
    return average.requires_grad_(False)


def _moved(decay: float, average: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: torch.Tensor):
    if not average[0].is_floating_point():  # how many batches a norm has seen
        torch._foreach_copy_(average, current)
        return
    torch._foreach_lerp_(average, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
