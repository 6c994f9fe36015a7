"""What the trainings by the clock set up alike: length and precision, device, optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from samodal.errors import InputError


def check_length(settings: Any) -> None:
    """Raise InputError unless one of `minutes` and `steps` is given."""
    if bool(settings.minutes) == bool(settings.steps):
        raise InputError(f"give either minutes or steps as the length, got {settings.minutes} and {settings.steps}")


def check_precision(settings: Any) -> None:
    """Raise InputError unless `precision` is a known one."""
    if settings.precision not in ("bf16", "float32"):
        raise InputError(f"precision {settings.precision!r}: choose bf16 or float32")


def device_of(settings: Any) -> torch.device:
    """The `device` of settings; where it is empty, a GPU if there is one."""
    return torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def adamw(settings: Any, parameters: list[nn.Parameter], plain: Iterable[nn.Parameter] = ()) -> torch.optim.AdamW:
    """AdamW by `lr` and `weight_decay`; biases, norms and single vectors are not decayed, nor are those in `plain`."""
    kept = {id(p) for p in plain}
    decayed = [p for p in parameters if p.ndim > 1 and id(p) not in kept]
    others = [p for p in parameters if p.ndim <= 1 or id(p) in kept]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=parameters[0].is_cuda)
