"""What is told of crops and what is made of the answers, for all crops at once on any device of torch.

The same as `samodal.segmenters.completion.layers` and `.segmenter` do for each crop on a CPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.segmenters.completion.layers import agrees, filters
from samodal.segmenters.completion.packed import BEHIND, EARLIER, FRONT, VISIBLE
from samodal.segmenters.completion.segmenter import THRESHOLDS

FAR = 1e9
"""Number of a pixel that is none: it has no weight in any other."""


def numbered(extents: Tensor, count: int) -> Tensor:
    """(N, count) float32 numbers of pixels from 0 on; those from (N,) extents on are `FAR`."""
    numbers = torch.arange(count, device=extents.device, dtype=torch.float32)
    return numbers.masked_fill(numbers >= extents[:, None], FAR)


def covered(bits: Tensor, parts: Tensor, first: Tensor, step: Tensor, size: int, largest: tuple[int, int]) -> Tensor:
    """How much of each pixel of a crop a part of a mask covers: (P, size, size) float32 in [0, 1].

    Args:
        bits: (B,) uint8, the bits of all masks.
        parts: (4, P) int64: place of the first bit of each part, stride from row to row, height, width.
        first: (2, P) float32, y and x of the crop's corner from the corner of the part.
        step: (P,) float32, pixels of the frame to a pixel of the crop.
        largest: height and width that no part exceeds.
    """
    begin, stride, height, width = parts
    numbers = torch.arange(max(largest), device=bits.device)
    # Beyond its end a part is read as its last row or column, which has no weight there.
    down = torch.minimum(numbers[: largest[0]], height[:, None] - 1) * stride[:, None] + begin[:, None]
    across = torch.minimum(numbers[: largest[1]], width[:, None] - 1)
    values = bits.take(down[:, :, None] + across[:, None]).float()
    to = torch.arange(size, device=bits.device, dtype=torch.float32)[:, None]
    pixels = numbered(parts[2:].flatten(), max(largest))[:, None]
    weights = filters(first.reshape(-1, 1, 1), step.repeat(2)[:, None, None], to, pixels).unflatten(0, (2, -1))
    wide = weights[0, :, :, : largest[0]] @ values
    return (wide @ weights[1, :, :, : largest[1]].transpose(1, 2)).clamp_(max=1)


def summed(values: Tensor, slots: Tensor, count: int) -> Tensor:
    """(count, S, S): the sum of those of (P, S, S) values that (P,) slots put together, in an order that is always the
    same."""
    chosen = slots == torch.arange(count, device=slots.device)[:, None]
    return (chosen.to(values.dtype) @ values.flatten(1)).unflatten(1, values.shape[1:])


def told_of(sums: Tensor, edges: Tensor) -> dict[str, Tensor]:
    """What is told of each crop, (N, S, S) float32 in [0, 1] each, as `samodal.segmenters.completion.layers.told`.

    Args:
        sums: (N, 4, S, S), how much masks cover, summed over the masks of each layer.
        edges: (2, 2, N) float32, in pixels of the crop: where the frame begins and ends, down and across.
    """
    sums = sums.clamp(max=1)
    own, shape = sums[:, VISIBLE], sums[:, EARLIER]
    others = 1 - own
    numbers = torch.arange(sums.shape[-1], device=sums.device, dtype=sums.dtype)
    ends = (edges[..., None] - numbers).clamp(0, 1)
    rows, columns = ends[1] - ends[0]
    seen = {
        "visible": own,
        "front": torch.minimum(sums[:, FRONT], others),
        "behind": torch.minimum(sums[:, BEHIND], others),
        "inside": rows[:, :, None] * columns[:, None],
    }
    return seen | {"earlier": shape * agrees(shape, **seen)[:, None, None]}


def completions(probability: Tensor, told: dict[str, Tensor], kinds: Tensor) -> Tensor:
    """(N, S, S) probabilities without rims, and of unknown classes (kind 0) only what lies behind something; see
    `samodal.segmenters.completion.segmenter.without_rims` and `only_behind`."""
    # A probability above one limit is above the smaller ones too, also when it is lowered to that limit.
    grown = torch.stack([probability > limit for limit in THRESHOLDS], 1) & (told["visible"] < 0.5)[:, None]
    # What lies beyond the border of a crop takes nothing away and adds nothing.
    core = 1 - F.max_pool2d((~grown).float(), 3, stride=1, padding=1)
    thick = F.max_pool2d(core, 5, stride=1, padding=2) > 0
    thin = grown & (told["front"] + told["behind"] < 0.5)[:, None] & ~thick
    for n, limit in enumerate(THRESHOLDS):
        probability = probability.masked_fill(thin[:, n], limit)
    explained = torch.maximum(told["visible"], told["front"]) + 1 - told["inside"] >= 0.5
    explained |= (kinds > 0)[:, None, None]
    return torch.where(explained, probability, probability.clamp(max=THRESHOLDS[-1]))


def spread_over(values: Tensor, first: Tensor, step: Tensor, extent: Tensor, length: int) -> Tensor:
    """What (N, S, S) values of crops are in the frame: (N, length, length), 0 from (N,) extents on.

    Args:
        first: (2, N) float32, y and x of the first pixel's edge, in pixels of the crop.
        step: (N,) float32, pixels of the crop to a pixel of the frame.
    """
    to = numbered(extent, length).repeat(2, 1)[..., None]
    pixels = torch.arange(values.shape[1], device=values.device, dtype=values.dtype)
    down, across = filters(first.reshape(-1, 1, 1), step.repeat(2)[:, None, None], to, pixels).unflatten(0, (2, -1))
    return down @ (values @ across.transpose(1, 2))


def levels(values: Tensor, places: Tensor, bits: Tensor) -> Tensor:
    """Above how many of `THRESHOLDS` each value is, uint8; at (T,) places where (T,) bits are 1, above all."""
    result = (values > THRESHOLDS[0]).to(torch.uint8)
    for limit in THRESHOLDS[1:]:
        result += values > limit
    flat = result.view(-1)
    flat.scatter_(0, places, torch.maximum(flat.take(places), len(THRESHOLDS) * bits))
    return result


def places(first: Tensor, widths: Tensor, total: int) -> Tensor:
    """(total,) int64: the places of all pixels of (R,) rows, see `samodal.segmenters.completion.packed.rows`."""
    return torch.repeat_interleave(first, widths, output_size=total) + torch.arange(total, device=first.device)


def reported(level: Tensor, iou: Tensor) -> Tensor:
    """All that is to be known before masks are cut out, in one tensor: (N, 13) int32.

    Args:
        level: (N, L, L) uint8, see `levels`; its highest value occurs in each.
        iou: (N,) float32; its bits come last. Before them come the first row and column of each threshold, those of the
            largest one first, and then in the same order the rows and columns after the last.
    """
    numbers = torch.arange(level.shape[1], device=level.device, dtype=torch.int32)
    limits = torch.arange(len(THRESHOLDS), 0, -1, device=level.device)[:, None, None]
    missed = torch.stack([level.amax(2), level.amax(1)], 1)[:, None] < limits
    start, stop = numbers.masked_fill(missed, len(numbers)).amin(3), (numbers + 1).masked_fill(missed, 0).amax(3)
    return torch.cat([start.flatten(1), stop.flatten(1), iou.contiguous()[:, None].view(torch.int32)], 1)
