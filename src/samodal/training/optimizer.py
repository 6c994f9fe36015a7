"""The optimiser of a training: AdamW, and a check that it has what is to be trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def adamw(settings: Any, parameters: list[nn.Parameter], plain: Iterable[nn.Parameter] = ()) -> torch.optim.AdamW:
    """AdamW by `lr` and `weight_decay`; biases, norms and single vectors are not decayed, nor are those in `plain`."""
    undecayed = {id(p) for p in plain} | {id(p) for p in parameters if p.ndim <= 1}
    groups = [
        {"params": [p for p in parameters if id(p) not in undecayed], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if id(p) in undecayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=parameters[0].is_cuda)


def check_optimised(network: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """Hold that the optimiser has exactly the parameters that require a gradient, and say which they are.

    The released training of S-AModal gave its optimiser the mask decoder alone, so that its adapters never learned
    (released code, `sam_finetune.py`).

    Returns:
        A line per part of the network: its name, tensors and parameters.

    Raises:
        RuntimeError: naming what is missing or too much.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimised = {names.get(id(p), "a foreign tensor") for group in optimizer.param_groups for p in group["params"]}
    if trainable.keys() != optimised:
        raise RuntimeError(
            f"the optimiser does not have what is to be trained; missing: {sorted(trainable.keys() - optimised)[:5]}, "
            f"too much: {sorted(optimised - trainable.keys())[:5]}"
        )
    parts: dict[str, list[int]] = {}
    for name, parameter in trainable.items():
        part = "vision_encoder.adapter" if ".adapter." in name else name.split(".")[0]
        parts.setdefault(part, []).append(parameter.numel())
    lines = [f"  {part}: {len(sizes)} tensors, {sum(sizes):,} parameters" for part, sizes in parts.items()]
    total, whole = sum(map(sum, parts.values())), sum(p.numel() for p in network.parameters())
    return "\n".join([f"optimised = trainable: {total:,} of {whole:,} parameters", *lines])
