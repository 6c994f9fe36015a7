"""The completer on a GPU: all instances of a frame at once, with few launches and few waits.

The CPU decides which part of which mask is told of which crop (`packed.py`). On the device crops are cut, completed and
spread over the frame (`planes.py`). Two copies come back: the boxes of the answers, then their pixels alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from samodal.checkpoints.exported import laid_out
from samodal.checkpoints.fused import without_norms
from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.graphs import Graphs
from samodal.masks import Mask
from samodal.parts import Prompt
from samodal.segmenters.completion.layers import Crop
from samodal.segmenters.completion.network import Completer, stacked
from samodal.segmenters.completion.packed import Packed, Pairs, brought, rows, slices, uploaded
from samodal.segmenters.completion.planes import (
    completions,
    covered,
    levels,
    places,
    reported,
    spread_over,
    summed,
    told_of,
)
from samodal.segmenters.completion.segmenter import LOOKS, SURE, THRESHOLDS, Answer, CompletionSegmenter, larger

MOST = 2**25
"""Pixels of the frame, filled up to the largest part or crop, that are worked on at once; bounds the memory."""


@dataclass(eq=False)
class Look:
    """What was seen in some crops.

    Attributes:
        prompts: the place of each crop's prompt among all.
        level: (N, L, L) uint8 on the device: above how many thresholds the pixels of the frame around each crop are.
        corner: (N, 2) int64, column and row in the frame of the first of them.
        extent: (N,) int64, how many rows and columns of them belong to each crop.
        boxes: (N, 3, 4) int64: boxes of small, given and large mask in the frame.
        iou: (N,) float32.
        probability: (N, L, L) uint8, where it is wanted.
        taken: those of the crops whose answers are taken.
    """

    prompts: list[int]
    level: Tensor
    corner: np.ndarray
    extent: np.ndarray
    boxes: np.ndarray
    iou: np.ndarray
    probability: np.ndarray | None
    taken: list[int] = field(default_factory=list)


class BatchedSegmenter(CompletionSegmenter):
    """See the module; and `CompletionSegmenter`, from whose masks these differ where a probability is at a threshold.

    Args:
        network: is moved to the device, set to evaluation and changed in place.
        device: an NVIDIA GPU; on a CPU it gives the same, for tests.
        chunk: most crops that go through the network at once.
        precision: of the network.
        recorded: whether what has one shape for each number of crops is a CUDA graph. Crops are then filled up to a
            power of 2, so that few graphs are recorded.
    """

    def __init__(
        self,
        network: Completer,
        device: str | torch.device = "cuda",
        chunk: int = 64,
        precision: torch.dtype = torch.float32,
        recorded: bool = False,
    ):
        super().__init__(without_norms(network.eval()).to(precision), device, chunk)
        self.precision, self.recorded = precision, recorded
        self._from_sums = Graphs(self._predictions, self.device) if recorded else self._predictions

    @torch.inference_mode()
    def _answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        if not prompts:
            return []
        packed, crops = Packed(prompts), dict(enumerate(self._crops(prompts)))
        bits, newest, first = packed.bits(self.device), {}, {}
        for _ in range(1 + LOOKS):
            seen = {n: (look, row) for look in self._looks(packed, bits, crops) for row, n in enumerate(look.prompts)}
            newest |= seen
            first = first or {n: float(look.iou[row]) for n, (look, row) in seen.items()}
            wider = {n: larger(crops[n], *look.boxes[row, 1:].tolist()) for n, (look, row) in seen.items()}
            crops = {n: crop for n, crop in wider.items() if crop is not None}
        for look, row in newest.values():
            look.taken.append(row)
        answers = self._cut_out(prompts, list(dict.fromkeys(look for look, _ in newest.values())))
        return [replace(answer, sure=first[n] >= SURE) for n, answer in enumerate(answers)]

    def _looks(self, packed: Packed, bits: Tensor, crops: dict[int, Crop]) -> Iterator[Look]:
        """Look at crops by the place of their prompts, large ones first, as many at once as memory has room for."""
        order = sorted(crops, key=lambda n: -crops[n].side)
        squares = np.ceil([[crops[n].side + 1] * 2 for n in order]).astype(int).reshape(-1, 2)
        for part in slices(squares, MOST):
            for start in range(part.start, part.stop, self.chunk):
                members = order[start : min(start + self.chunk, part.stop)]
                yield self._look(packed, bits, members, np.array([crops[n] for n in members]))

    def _look(self, packed: Packed, bits: Tensor, members: list[int], crops: np.ndarray) -> Look:
        """What the network says of (N, 3) crops, spread over the frame."""
        size, count, corner, side = self.config.size, len(crops), crops[:, :2], crops[:, 2]
        kinds = np.zeros(self._filled(count), np.int64)
        kinds[:count] = [self.config.class_number(packed.prompts[n].category) for n in members]
        pairs = packed.pairs(np.array(members), crops, size, kinds[:count] > 0)
        sums = self._sums(pairs, crops, bits, len(kinds))
        frames = np.array([packed.masks[n].size[::-1] for n in members])
        edges = np.zeros((2, 2, len(kinds)), np.float32)
        edges[..., :count] = (np.stack([0 * frames, frames]) - corner).swapaxes(1, 2)[:, ::-1] * (size / side)
        low, extent, boxes = np.floor(corner).astype(int), np.ceil(side).astype(int) + 1, packed.boxes[members]
        first, length, shapes = (low - corner).T[::-1] * (size / side), int(extent.max()), _shapes(boxes)
        visible = rows(packed.begin[members], shapes[:, 1], shapes)
        inside = rows(_begin(boxes, low, length), np.full(count, length), shapes)
        floats = [values.astype(np.float32) for values in (edges, first, size / side)]
        edges, first, step, kinds, reach, *lines = uploaded([*floats, kinds, extent, *visible, *inside], self.device)
        probability, iou = self._from_sums(sums, edges, kinds)
        values = spread_over(probability[:count], first, step, reach, length)
        total = int(shapes.prod(1).sum())
        level = levels(values, places(*lines[2:], total), bits.take(places(*lines[:2], total)))
        return self._reported(brought(reported(level, iou[:count])), members, level, values, low, extent)

    def _reported(
        self, report: np.ndarray, prompts: list[int], level: Tensor, values: Tensor, corner: np.ndarray,
        extent: np.ndarray,
    ) -> Look:  # fmt: skip
        iou = report[:, -1].copy().view(np.float32)
        if not np.isfinite(iou).all():
            raise InputError(f"the completer gives numbers beyond {self.precision}; use --backend torch")
        probability = brought((values.clamp(0, 1) * 255).round().to(torch.uint8)) if self.details else None
        ends = report[:, :-1].reshape(-1, 2, len(THRESHOLDS), 2)[..., ::-1] + corner[:, None, None]
        return Look(prompts, level, corner, extent, np.concatenate([ends[:, 0], ends[:, 1]], axis=2), iou, probability)

    def _filled(self, count: int) -> int:
        """How many crops go through the network for so many."""
        return 1 << (count - 1).bit_length() if self.recorded else count

    def _sums(self, pairs: Pairs, crops: np.ndarray, bits: Tensor, count: int) -> Tensor:
        """(count, 4, S, S): how much masks cover of each crop, summed over those of a layer."""
        size, order = self.config.size, np.argsort(-pairs.shape.prod(1), kind="stable")
        pairs, total = Pairs(*(values[order] for values in pairs)), None
        corner, step = crops[pairs.crop, :2], (crops[pairs.crop, 2] / size).astype(np.float32)
        first = (corner - pairs.window[:, :2]).T[::-1].astype(np.float32)
        parts = np.stack([pairs.begin, pairs.stride, *pairs.shape.T, 4 * pairs.crop + pairs.layer])
        for part in slices(pairs.shape, MOST):
            inputs = uploaded([parts[:, part], first[:, part], step[part]], self.device)
            numbers, largest = inputs[0], tuple(pairs.shape[part].max(0).tolist())
            values = covered(bits, numbers[:4], *inputs[1:], size, largest)
            sums = summed(values, numbers[4], 4 * count)
            total = sums if total is None else total + sums
        return total.unflatten(0, (count, 4))

    def _predictions(self, sums: Tensor, edges: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """(N, S, S) probabilities of each crop and (N,) expected IoU, float32; see `told_of`, and (N,) kinds."""
        told = told_of(sums, edges)
        inputs = laid_out(stacked(told, self.config.layers).to(self.precision), self.network)
        completed = self.network(inputs, kinds)
        return completions(completed.amodal.float().sigmoid(), told, kinds), completed.iou.float().sigmoid()

    def _cut_out(self, prompts: Sequence[Prompt], looks: Sequence[Look]) -> list[Answer]:
        """The answers that were chosen, in the order of the prompts."""
        answers, cut = {}, []
        for look in looks:
            boxes, length = look.boxes[look.taken, 2], look.level.shape[2]
            begin = _begin(boxes, look.corner[look.taken], length, look.taken)
            lines = uploaded(rows(begin, np.full(len(boxes), length), _shapes(boxes)), self.device)
            cut.append(look.level.take(places(*lines, int(_shapes(boxes).prod(1).sum()))))
        pixels, start = brought(torch.cat(cut)), 0
        for look in looks:
            for row in look.taken:
                n, boxes = look.prompts[row], look.boxes[row].tolist()
                x0, y0, x1, y1 = boxes[2]
                stop = start + (y1 - y0) * (x1 - x0)
                masks = _nested(prompts[n].mask.size, boxes, pixels[start:stop].reshape(y1 - y0, x1 - x0))
                answers[n], start = Answer(masks, float(look.iou[row]), _confidence(look, row)), stop
        return [answers[n] for n in range(len(prompts))]


def _shapes(boxes: np.ndarray) -> np.ndarray:
    """(N, 2) heights and widths of (N, 4) boxes."""
    return (boxes[:, 2:] - boxes[:, :2])[:, ::-1]


def _begin(boxes: np.ndarray, corner: np.ndarray, length: int, planes: Sequence[int] | None = None) -> np.ndarray:
    """Place of the first pixel of each box among (N, length, length) pixels, each plane with its corner in the frame;
    `planes`: which of them, by default one after another."""
    numbers = np.arange(len(boxes)) if planes is None else np.array(planes)
    return (numbers * length + boxes[:, 1] - corner[:, 1]) * length + boxes[:, 0] - corner[:, 0]


def _nested(size: tuple[int, int], boxes: Sequence[Sequence[int]], level: np.ndarray) -> tuple[Mask, ...]:
    """Small, given and large mask of their boxes and of the levels in the box of the last."""
    masks, (left, top, _, _) = [], boxes[2]
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        inside = level[y0 - top : y1 - top, x0 - left : x1 - left] > 2 - n
        masks.append(Mask.tight(size, x0, y0, inside))
    return tuple(masks)


def _confidence(look: Look, row: int) -> Confidence | None:
    if look.probability is None:
        return None
    (x, y), extent = look.corner[row].tolist(), look.extent[row]
    return Confidence(x, y, look.probability[row, :extent, :extent].copy())
