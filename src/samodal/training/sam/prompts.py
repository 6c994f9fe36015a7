"""The prompts of a training step: what kinds each stage draws, and all of a batch at once, on the device.

A step has one kind, so that all its prompts share a shape. They come from visible masks alone; amodal truth is never
read here. Coordinates are the model's input pixels, integers at pixel centres.

Source: mix `visible` follows the training of SAM (arXiv:2304.02643, appendix A) without its correction clicks;
`random_point` is the paper's (section 4) and `eroded_point` the released code's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from samodal.errors import InputError, nearest
from samodal.images import MASK_LOGIT


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
    """What a step does; a function of (seed, step) alone, equal on every process.

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


CENTRE_DEPTHS = (1, 2, 4, 8)
"""Growing steps of erosion in pixels of the halved mask; centre-like points survive as many as any other."""


@dataclass
class Prompts:
    """N prompts; parts that the step does not give are None.

    Attributes:
        points: (N, K, 2) float32, x and y.
        labels: (N, K) int64, 1 on the instance, 0 off it.
        boxes: (N, 4) float32, x0, y0, x1, y1, one past the last pixel.
        masks: (N, 1, H / 4, W / 4) float32 logits.
    """

    points: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    masks: torch.Tensor | None = None


def draw_prompts(visible: torch.Tensor, plan: StepPlan, generator: torch.Generator) -> Prompts:
    """Draw the prompts of a step.

    Args:
        visible: (N, H, W) bool; an empty mask gives a point at (0, 0).
        plan: what to draw.
        generator: on the device of `visible`.
    """
    prompts = Prompts()
    if plan.points:
        prompts.points, prompts.labels = _points(visible, plan, generator)
    if plan.kind.box:
        prompts.boxes = jitter_boxes(mask_boxes(visible), visible.shape[-2:], generator)
    if plan.kind.mask:
        prompts.masks = mask_prompts(visible, generator)
    return prompts


def _points(visible: torch.Tensor, plan: StepPlan, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    count = plan.points
    first = {"random": lambda: visible, "centre": lambda: deepest(visible), "eroded": lambda: eroded(visible)}
    xy = pick(first[plan.kind.first](), 1, generator)
    labels = torch.ones(len(visible), count, dtype=torch.int64, device=visible.device)
    if count == 1:
        return xy, labels
    on = pick(visible, count - 1, generator)
    if plan.kind.negative:
        around = surroundings(visible)
        off = pick(around, count - 1, generator)
        chance = torch.rand(off.shape[:2], generator=generator, device=visible.device)
        negative = (chance < plan.kind.negative) & around.flatten(1).any(1)[:, None]
        on = torch.where(negative[..., None], off, on)
        labels[:, 1:] = (~negative).long()
    return torch.cat([xy, on], dim=1), labels


def pick(masks: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """(N, count, 2) float32: uniformly random pixels of each mask, with replacement; (0, 0) of an empty mask.

    Through the running count of pixels, in whole numbers: sampling by weights in floating point can hit
    a pixel of weight zero.
    """
    n, height, width = masks.shape
    running = masks.flatten(1).cumsum(1, dtype=torch.int32)
    total = running[:, -1:]
    share = torch.rand(n, count, generator=generator, device=masks.device)
    wanted = (share * total).int().minimum(total - 1) + 1
    index = torch.searchsorted(running, wanted.clamp_min(1)).clamp_max(height * width - 1)
    index = torch.where(total > 0, index, 0)
    return torch.stack([index % width, index // width], dim=-1).float()


def eroded(masks: torch.Tensor) -> torch.Tensor:
    """The masks less a rim of about two pixels, whole where nothing would be left."""
    inner = _double(_erode(_halve(masks), 1), masks) & masks
    return torch.where(inner.flatten(1).any(1)[:, None, None], inner, masks)


def deepest(masks: torch.Tensor) -> torch.Tensor:
    """The part of each mask that survives the most erosions of `CENTRE_DEPTHS`: near its centre."""
    part, level = masks, _halve(masks)
    for radius in CENTRE_DEPTHS:
        level = _erode(level, radius)
        inner = _double(level, masks) & masks
        part = torch.where(inner.flatten(1).any(1)[:, None, None], inner, part)
    return part


def surroundings(masks: torch.Tensor) -> torch.Tensor:
    """(N, H, W) bool: what lies in the box of each mask, widened by half its size, but off the mask."""
    height, width = masks.shape[-2:]
    x0, y0, x1, y1 = mask_boxes(masks).unbind(1)
    dx, dy = (x1 - x0) / 2 + 4, (y1 - y0) / 2 + 4
    x = torch.arange(width, device=masks.device)
    y = torch.arange(height, device=masks.device)
    columns = (x >= (x0 - dx)[:, None]) & (x < (x1 + dx)[:, None])
    rows = (y >= (y0 - dy)[:, None]) & (y < (y1 + dy)[:, None])
    return rows[:, :, None] & columns[:, None, :] & ~masks


def mask_boxes(masks: torch.Tensor) -> torch.Tensor:
    """(N, 4) float32 boxes x0, y0, x1, y1, one past the last pixel; all zero for an empty mask."""
    x0, x1 = _extent(masks.any(1))
    y0, y1 = _extent(masks.any(2))
    return torch.stack([x0, y0, x1, y1], dim=1).float()


def _extent(inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and one past the last True of each row of (N, L); 0, 0 where there is none."""
    length = inside.shape[1]
    first = inside.byte().argmax(1)
    last = length - inside.flip(1).byte().argmax(1)
    any_inside = inside.any(1)
    return torch.where(any_inside, first, 0), torch.where(any_inside, last, 0)


def jitter_boxes(boxes: torch.Tensor, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Move each edge by a normal step of a tenth of the box's side, at most 20 pixels, inside the frame."""
    sides = torch.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]] * 2, dim=1)
    noise = torch.randn(boxes.shape, generator=generator, device=boxes.device)
    moved = boxes + (noise * 0.1 * sides).clamp(-20, 20)
    limits = torch.tensor([size[1], size[0]] * 2, device=boxes.device, dtype=boxes.dtype)
    return moved.clamp_min(0).minimum(limits)


def mask_prompts(visible: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(N, 1, H / 4, W / 4) logits of the visible masks, their borders moved as a front end's would be.

    A blurred mask is cut at a random level, which grows or shrinks it, and smooth noise moves the border
    along the way. The scale is that of `FrameTransform.masks_to_prompt`.
    """
    small = F.avg_pool2d(visible[:, None].float(), 4)
    soft = F.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)
    n, device = len(visible), visible.device
    level = 0.25 + 0.5 * torch.rand(n, 1, 1, 1, generator=generator, device=device)
    coarse = torch.randn(n, 1, 6, 8, generator=generator, device=device)
    noise = F.interpolate(coarse, small.shape[-2:], mode="bilinear", align_corners=False)
    border = (soft > 0) & (soft < 1)
    share = (4 * (soft + 0.15 * noise * border - level) + 0.5).clamp(0, 1)
    return (2 * share - 1) * MASK_LOGIT


def _halve(masks: torch.Tensor) -> torch.Tensor:
    """(N, h, w) half precision: 1 where all four pixels are inside."""
    return -F.max_pool2d(-masks[:, None].to(_fast(masks)), 2)[:, 0]


def _double(small: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(small[:, None], like.shape[-2:], mode="nearest")[:, 0] > 0


def _erode(masks: torch.Tensor, radius: int) -> torch.Tensor:
    """Erosion by a square, along columns, then along rows; what lies outside the frame counts as inside."""
    side = 2 * radius + 1
    outside = -masks[:, None]
    outside = F.max_pool2d(outside, (side, 1), stride=1, padding=(radius, 0))
    return -F.max_pool2d(outside, (1, side), stride=1, padding=(0, radius))[:, 0]


def _fast(tensor: torch.Tensor) -> torch.dtype:
    return torch.bfloat16 if tensor.is_cuda else torch.float32
