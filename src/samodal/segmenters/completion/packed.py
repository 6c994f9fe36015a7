"""What is decided before a GPU works: the masks of a frame one after another in memory, and which part of which mask is
told of which crop.

Boxes are x0, y0, x1, y1 in whole pixels of the frame, as those of `samodal.masks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from samodal.parts import Prompt
from samodal.segmenters.completion.layers import LEVEL, stands_in_front

VISIBLE, FRONT, BEHIND, EARLIER = range(4)
"""Layers of a crop that are made of masks."""
ALIGNED = 16
"""Bytes; what is copied together begins at multiples of it, so that numbers of any type can be read there."""
TYPES = {"int64": torch.int64, "float32": torch.float32}


class Pairs(NamedTuple):
    """Parts of masks that are told of crops.

    Attributes:
        crop: (P,) int64, numbers of the crops.
        layer: (P,) int64, `VISIBLE` to `EARLIER`.
        window: (P, 4) int64, boxes of the parts, not empty.
        begin: (P,) int64, place of the first bit of each part among the bits of all masks.
        stride: (P,) int64, from a row of the part to the next.
    """

    crop: np.ndarray
    layer: np.ndarray
    window: np.ndarray
    begin: np.ndarray
    stride: np.ndarray

    @property
    def shape(self) -> np.ndarray:
        """(P, 2) int64 height and width of the parts."""
        return (self.window[:, 2:] - self.window[:, :2])[:, ::-1]


class Packed:
    """The masks that prompts of a frame tell of.

    Attributes:
        prompts: each with a mask.
        masks: first the visible mask of each prompt, in order, then their neighbours and earlier shapes, each once.
        boxes: (M, 4) int64, their boxes.
        begin: (M,) int64, place of the first bit of each among the bits of all, which lie row by row.
    """

    def __init__(self, prompts: Sequence[Prompt]):
        self.prompts, self.masks = prompts, [prompt.mask for prompt in prompts]
        self._numbers = {id(mask): n for n, mask in enumerate(self.masks)}
        told: list[list[tuple[int, int]]] = [[(n, VISIBLE)] for n in range(len(prompts))]
        for prompt, row in zip(prompts, told, strict=True):
            row += [(self._number(mask), FRONT) for mask in prompt.neighbours or ()]
            row += [(self._number(mask), EARLIER) for mask in (prompt.earlier,) if mask is not None]
        self._told = [np.array(row).T for row in told]
        self.boxes = np.array([mask.box for mask in self.masks])
        areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)
        self.begin = areas.cumsum() - areas
        self._front: dict[tuple[int, int], bool] = {}

    def _number(self, mask: object) -> int:
        number = self._numbers.setdefault(id(mask), len(self.masks))
        if number == len(self.masks):
            self.masks.append(mask)
        return number

    def bits(self, device: torch.device) -> Tensor:
        """(B,) uint8, 0 or 1: the bits of all masks on a device."""
        bits = [mask.inside.ravel() for mask in self.masks]
        host = memory(sum(map(len, bits)), device)
        np.concatenate(bits, out=host.numpy().view(bool))
        return host.to(device, non_blocking=True)

    def pairs(self, prompts: np.ndarray, crops: np.ndarray, size: int, grounded: np.ndarray) -> Pairs:
        """What is told of crops of a side of `size` pixels, see `samodal.segmenters.completion.layers.told`.

        Args:
            prompts: (N,) int64, the prompt of each crop.
            crops: (N, 3) float64, x, y and side of each.
            grounded: (N,) bool, whether the instance stands on the road.
        """
        rows = [self._told[n] for n in prompts]
        crop = np.repeat(np.arange(len(rows)), [row.shape[1] for row in rows])
        mask, layer = np.concatenate(rows, axis=1)
        corner, side, boxes = crops[crop, :2], crops[crop, 2:], self.boxes[mask]
        # What lies farther from the crop has no weight in it.
        low = np.floor(corner - side / size - 1).astype(int)
        high = np.ceil(corner + side + side / size + 1).astype(int)
        window = np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)
        touches = ((boxes[:, :2] < corner + side) & (boxes[:, 2:] > corner)).all(1)
        kept = (window[:, :2] < window[:, 2:]).all(1) & ((layer != FRONT) | touches)
        crop, mask, layer, window, boxes = (values[kept] for values in (crop, mask, layer, window, boxes))
        others = np.flatnonzero(layer == FRONT)
        front = self._in_front(mask[others], prompts[crop[others]], grounded[crop[others]])
        layer[others[~front]] = BEHIND
        stride = boxes[:, 2] - boxes[:, 0]
        begin = self.begin[mask] + (window[:, 1] - boxes[:, 1]) * stride + window[:, 0] - boxes[:, 0]
        return Pairs(crop, layer, window, begin, stride)

    def _in_front(self, others: np.ndarray, masks: np.ndarray, grounded: np.ndarray) -> np.ndarray:
        """(P,) bool, as `stands_in_front` of pairs of masks, which is asked where boxes say too little."""
        other, own = self.boxes[others], self.boxes[masks]
        lower = other[:, 3] - own[:, 3]
        height = np.maximum(other[:, 3] - other[:, 1], own[:, 3] - own[:, 1])
        apart = ((other[:, :2] >= own[:, 2:]) | (own[:, :2] >= other[:, 2:])).any(1)
        front, sure = lower > 0, apart | (grounded & (abs(lower) > LEVEL * height))
        for n in np.flatnonzero(~sure):
            pair = int(others[n]), int(masks[n])
            if pair not in self._front:
                self._front[pair] = stands_in_front(self.masks[pair[0]], self.masks[pair[1]], bool(grounded[n]))
            front[n] = self._front[pair]
        return front


def slices(shapes: np.ndarray, most: int) -> Iterator[slice]:
    """Consecutive parts of (P, 2) heights and widths, so large that so many numbers hold the smallest box around all of
    a part, or one alone is larger."""
    start, (height, width) = 0, (0, 0)
    for n, (h, w) in enumerate(shapes.tolist()):
        height, width = max(height, h), max(width, w)
        if n > start and (n + 1 - start) * height * width > most:
            yield slice(start, n)
            start, height, width = n, h, w
    if len(shapes):
        yield slice(start, len(shapes))


def rows(begin: np.ndarray, stride: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of boxes of pixels that lie one after another, for `samodal.segmenters.completion.planes.places`.

    Args:
        begin: (N,) int64, place of the first pixel of each box.
        stride: (N,) int64, from a row of it to the next.
        shape: (N, 2) int64, height and width.

    Returns:
        (R,) int64 each: the place of the first pixel of each row, less the number of pixels in the rows before it; and
        its width.
    """
    height, widths = shape[:, 0], np.repeat(shape[:, 1], shape[:, 0])
    row = np.arange(len(widths)) - np.repeat(height.cumsum() - height, height)
    return np.repeat(begin, height) + row * np.repeat(stride, height) - (widths.cumsum() - widths), widths


def memory(count: int, device: torch.device) -> Tensor:
    """(count,) uint8 of the CPU's memory, which a GPU reads and writes without the CPU's help."""
    return torch.empty(count, dtype=torch.uint8, pin_memory=device.type == "cuda")


def uploaded(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """The arrays on a device, in one copy, for which nothing waits."""
    starts = np.cumsum([0, *(-(-array.nbytes // ALIGNED) * ALIGNED for array in arrays)]).tolist()
    host = memory(starts[-1], device)
    for start, array in zip(starts, arrays, strict=False):
        host.numpy()[start : start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    whole = host.to(device, non_blocking=True)
    return [
        whole[start : start + array.nbytes].view(TYPES[array.dtype.name]).view(array.shape)
        for start, array in zip(starts, arrays, strict=False)
    ]


def brought(values: Tensor) -> np.ndarray:
    """Values from a device, in one copy, which is waited for."""
    if values.device.type != "cuda":
        return values.numpy()
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return host.numpy()
