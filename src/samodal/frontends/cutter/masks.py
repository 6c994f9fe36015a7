"""Boxes in a frame, and what is visible in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from samodal.checkpoints.exported import laid_out
from samodal.frontends.cutter.network import Cutter
from samodal.images import MEAN, STD
from samodal.masks import Mask
from samodal.segmenters.completion.layers import Crop, Sampler, shares, spread

CHUNK = 32
"""Most crops that go through the network at once; bounds its memory, not the result."""
REACH = 0.08
"""A mask may reach so far beyond its box, in longer sides of it: boxes are not exact."""


@dataclass(frozen=True)
class Box:
    """A road user in a frame.

    Attributes:
        category: its class.
        score: in [0, 1].
        corners: x0, y0, x1, y1 in pixels of the frame, pixel edges; it may reach over the border.
        hint: the id that a tracker gave it, None without.
    """

    category: str
    score: float
    corners: tuple[float, float, float, float]
    hint: int | str | None = None


@torch.inference_mode()
def visible_masks(network: Cutter, frame: np.ndarray, boxes: Sequence[Box]) -> tuple[list[Mask], list[float]]:
    """The visible mask of each box, and its expected IoU. No pixel belongs to two: it is the likelier one's.

    Args:
        frame: (H, W, 3) uint8 RGB.

    Returns:
        Masks in the order of the boxes; one is empty where nothing in its box is visible.
    """
    config, device = network.config, next(network.parameters()).device
    parts, expected = [], []
    for start in range(0, len(boxes), CHUNK):
        some = boxes[start : start + CHUNK]
        crops = [Crop.around(box.corners, config.context, config.least) for box in some]
        layers = torch.from_numpy(np.stack([told(frame, crop, config.size, box, boxes)
                                            for crop, box in zip(crops, some, strict=True)]))  # fmt: skip
        kinds = torch.tensor([config.class_number(box.category) for box in some], device=device)
        cut = network(laid_out(layers, network), kinds)
        probability = cut.visible.float().sigmoid().cpu().numpy()
        parts += [_within(frame.shape[:2], box, *spread(values, crop))
                  for box, crop, values in zip(some, crops, probability, strict=True)]  # fmt: skip
        expected += cut.iou.float().sigmoid().tolist()
    return _shared_out(frame.shape[:2], parts), expected


def told(frame: np.ndarray, crop: Crop, size: int, box: Box, boxes: Sequence[Box]) -> np.ndarray:
    """(L, size, size) float32, what a cutter is told of a crop, see `config.LAYERS`.

    Args:
        frame: (H, W, 3) uint8 RGB.
        crop: around the box.
        boxes: all of the frame.
    """
    around = [other.corners for other in boxes if other is not box and crop.touches(other.corners)]
    rows, columns = shares(crop, size, np.array([box.corners, (0, 0, *frame.shape[1::-1]), *around]))
    layers = np.zeros((6, size, size), np.float32)
    own, others, within = layers[3:]
    for layer, n in ((own, 0), (within, 1)):
        np.multiply.outer(rows[n], columns[n], out=layer)
    for row, column in zip(rows[2:], columns[2:], strict=True):
        np.maximum(others, np.multiply.outer(row, column), out=others)
    np.subtract(_pixels(frame, crop, size), np.float32(MEAN)[:, None, None], out=layers[:3])
    layers[:3] *= within / np.float32(STD)[:, None, None]
    return layers


def _pixels(frame: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """(3, size, size) float32 colours of a crop in 0..255; what lies outside the frame is black."""
    sampler = Sampler(crop, size, (0, 0, *frame.shape[1::-1]))
    height, width = sampler.down.shape[1], sampler.across.shape[1]
    part = frame[sampler.y : sampler.y + height, sampler.x : sampler.x + width].astype(np.float32)
    rows = sampler.rows_of(part.reshape(height, -1), slice(0, height)).reshape(size, -1, 3)
    # One large product of all colours and rows is faster than many small ones.
    colours = rows.transpose(2, 0, 1).reshape(3 * size, -1)
    return sampler.columns_of(colours, slice(0, width)).reshape(3, size, size)


def _within(size: tuple[int, int], box: Box, x: int, y: int, values: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Probabilities in the frame, and near the box, with the column and row of the first."""
    x0, y0, x1, y1 = box.corners
    reach = REACH * max(x1 - x0, y1 - y0)
    left, top = max(x, int(np.floor(x0 - reach)), 0), max(y, int(np.floor(y0 - reach)), 0)
    right, bottom = (
        min(x + values.shape[1], int(np.ceil(x1 + reach)), size[1]),
        min(y + values.shape[0], int(np.ceil(y1 + reach)), size[0]),
    )
    return left, top, values[max(0, top - y) : max(0, bottom - y), max(0, left - x) : max(0, right - x)]


def _shared_out(size: tuple[int, int], parts: Sequence[tuple[int, int, np.ndarray]]) -> list[Mask]:
    """Masks of probabilities in cut-outs of a frame; a pixel is that instance's to which it belongs most likely."""
    best = np.full(size, 0.5, np.float32)
    for x, y, values in parts:
        height, width = values.shape
        np.maximum(best[y : y + height, x : x + width], values, out=best[y : y + height, x : x + width])
    masks, taken = [], np.zeros(size, bool)
    for x, y, values in parts:
        height, width = values.shape
        where = slice(y, y + height), slice(x, x + width)
        own = (values > 0.5) & (values >= best[where]) & ~taken[where]
        taken[where] |= own
        masks.append(Mask(size, x, y, own))
    return masks
