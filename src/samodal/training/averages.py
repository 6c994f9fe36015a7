"""Trainings that keep the moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from samodal.training.engine import Engine
from samodal.training.optimizer import adamw


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


class AveragedEngine(Engine):
    """Trains a network by AdamW, channels last, and keeps the average of its weights.

    Args:
        settings: of the training, with `average` (0 keeps the last weights) and `compile`.
        network: on the device that trains.
        clip: norm to which gradients are cut.

    Attributes:
        kept: the moving average.
        forward: the network, compiled where the settings say so.
    """

    def __init__(self, settings: Any, network: nn.Module, clip: float):
        average = averaged(network, settings.average)
        learner = nn.ModuleDict({"network": network, "average": average})
        super().__init__(settings, network, adamw(settings, list(network.parameters())), learner=learner, clip=clip)
        self.average, self.kept = average, average.module
        network.to(memory_format=torch.channels_last)  # twice as fast on a GPU
        torch.backends.cudnn.benchmark = True
        self.forward = torch.compile(network) if settings.compile else network

    def step(self, drawn: Any, done: float) -> dict[str, torch.Tensor]:
        values = super().step(drawn, done)
        self.average.update_parameters(self.network)
        return values
