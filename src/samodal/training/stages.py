"""What prompts each stage of training draws. A step has one kind, so that all its prompts share a shape.

Source: stage `visible` follows the training of SAM (arXiv:2304.02643, appendix A) without its correction
clicks; `random_point` and `eroded_point` are the paper's and the released code's (facts 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samodal.errors import InputError, nearest


@dataclass(frozen=True)
class PromptKind:
    """One kind of prompt, always drawn from the visible mask.

    Attributes:
        share: how often, relative to the other kinds of the mix.
        points: smallest and largest number of points; (0, 0) for none.
        first: where the first point is: random, centre (far from the border) or eroded (a little off it).
        negative: chance of each further point to lie off the instance.
        box: whether the box of the visible mask is given, its edges jittered.
        mask: whether the visible mask is given, perturbed.
    """

    share: float
    points: tuple[int, int] = (0, 0)
    first: str = "random"
    negative: float = 0.0
    box: bool = False
    mask: bool = False


MIXES: dict[str, tuple[PromptKind, ...]] = {
    "visible": (
        PromptKind(0.30, points=(1, 1)),
        PromptKind(0.10, points=(1, 1), first="centre"),
        PromptKind(0.20, points=(2, 8), negative=0.3),
        PromptKind(0.15, box=True),
        PromptKind(0.10, points=(1, 4), negative=0.3, box=True),
        PromptKind(0.10, points=(1, 4), negative=0.3, mask=True),
        PromptKind(0.05, box=True, mask=True),
    ),
    "amodal": (
        PromptKind(0.40, points=(1, 1), first="centre"),
        PromptKind(0.25, points=(1, 1)),
        PromptKind(0.10, points=(1, 1), first="eroded"),
        PromptKind(0.10, points=(2, 3), first="centre"),
        PromptKind(0.05, box=True),
        PromptKind(0.05, points=(1, 1), first="centre", mask=True),
        PromptKind(0.05, points=(1, 1), first="centre", box=True),
    ),
    "random_point": (PromptKind(1.0, points=(1, 1)),),
    "eroded_point": (PromptKind(1.0, points=(1, 1), first="eroded"),),
}
"""The mixes by name."""


@dataclass(frozen=True)
class StepPlan:
    """What one step does; a function of (seed, step) alone, equal on every process.

    Attributes:
        kind: of its prompts.
        points: their number of points.
        multimask: whether the best of three masks is trained.
        band: whether the frames are cut to a horizontal band.
    """

    kind: PromptKind
    points: int
    multimask: bool
    band: bool


def plan_step(
    mix: str, step: int, seed: int, *, points: int = 0, multimask: float = 0.0, band_share: float = 0.0
) -> StepPlan:
    """Draw the plan of a step.

    Args:
        points: so many points in every kind that has some (paper Table 3, K); 0 leaves them to the kind.

    Raises:
        InputError: if there is no mix of this name.
    """
    if mix not in MIXES:
        raise InputError(f"prompts: {mix!r}{nearest(mix, MIXES)}")
    rng = np.random.default_rng((seed, step, 1))
    kinds = MIXES[mix]
    shares = np.array([k.share for k in kinds])
    kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
    drawn = int(rng.integers(kind.points[0], kind.points[1] + 1))
    count = points if points and drawn else drawn
    single = count == 1 and not kind.box and not kind.mask
    return StepPlan(kind, count, bool(rng.random() < multimask) and single, bool(rng.random() < band_share))
