"""Learning rates over a training, as factors of the highest rate."""

import math

RELEASED_WARMUP = 200
"""Iterations of linear warm-up in the released training (`SAM/sam_finetune.py`)."""


def cosine(step: int, progress: float, warmup: int) -> float:
    """Linear warm-up, then half a cosine to zero.

    Args:
        step: from 0.
        progress: share of the training that is done, in [0, 1], by steps or by the clock.
        warmup: steps; 0 for none.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def every_ten_epochs(epoch: float) -> float:
    """A tenth after every ten epochs (torch's StepLR with its default factor, as the paper trains)."""
    return 0.1 ** int(epoch // 10)


def released(step: int, total_steps: int) -> float:
    """What the released command really follows: 200 steps of warm-up, then decay with power .9.

    The published scripts ask for no warm-up and get it, as `bool("False")` is true, and this overwrites their
    StepLR. The rate is set after each step for the next, so the very first step has the full rate, and
    the decay counts the steps after the warm-up against all steps, so it does not reach zero.
    """
    if step == 0:
        return 1.0
    iteration = step - 1
    if iteration < RELEASED_WARMUP:
        return (iteration + 1) / RELEASED_WARMUP
    return max(0.0, 1.0 - (iteration - RELEASED_WARMUP) / total_steps) ** 0.9


def halved_twice(progress: float) -> float:
    """A half after every 40 % of the training: SAVOS' halving after 20 and 40 of 50 epochs (its released training).

    Args:
        progress: share of the training that is done, in [0, 1], by steps or by the clock.
    """
    return 0.5 ** int(progress / 0.4 + 1e-9)
