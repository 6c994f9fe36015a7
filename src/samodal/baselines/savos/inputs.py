"""From the frames of a video to what the network is given, the same for inference and training."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from samodal.baselines.savos.crops import crop

MARGIN = 32
"""Pixels around all boxes of a track that are computed, for what the flow carries out of them."""


class Inputs(NamedTuple):
    """The arguments of `Savos.forward`."""

    patches: Tensor
    visible: Tensor
    flow: Tensor
    reverse_flow: Tensor
    boxes: Tensor


def prepare(images: Tensor, visible: Tensor, forward: Tensor, reverse: Tensor, boxes: Tensor, areas: Tensor) -> Inputs:
    """What the network is given of B objects in T frames, of which the same region is known in all; on any device.

    Args:
        images: (B, T, h, w, 3) uint8 RGB.
        visible: (B, T, h, w) bool, the objects' visible pixels.
        forward, reverse: (B, T, h, w, 2), flow to the next and to the previous frame, in pixels, in any precision.
        boxes: (B, T, 4) whole numbers, (x0, y0, x1, y1) of each crop in the region, in pixel borders.
        areas: (B, T) numbers of visible pixels.
    """
    rgb = images.movedim(-1, 2).float() / 255
    shown = visible.float()
    ahead, behind = (flow.movedim(-1, 2).float() for flow in (forward, reverse))
    patches = crop(torch.cat([rgb, shown[:, :, None], ahead, behind], 2), boxes, areas)
    return Inputs(patches, shown, ahead, behind, boxes)


def region(boxes: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of all boxes (T, 4) with a margin, within an image of size (H, W)."""
    x0, y0 = (int(v) for v in np.maximum(boxes[:, :2].min(0) - MARGIN, 0))
    x1, y1 = (int(v) for v in boxes[:, 2:].max(0) + MARGIN)
    return slice(y0, min(y1, size[0])), slice(x0, min(x1, size[1]))


def ends(forward: np.ndarray, reverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flows (T, ...) of a stretch of two frames or more, of which only flow between its own frames is used.

    The last forward flow is the last but one again, and the first reverse flow the second.
    """
    return np.concatenate([forward[:-1], forward[-2:-1]]), np.concatenate([reverse[1:2], reverse[1:]])


def runs(reported: Sequence[Sequence[Hashable]]) -> list[tuple[Hashable, range]]:
    """(id, range of indices) for every unbroken stretch of frames in which an id is reported.

    Args:
        reported: the ids of each frame.
    """
    finished, open_runs = [], {}
    for t, ids in enumerate(reported):
        open_runs = {key: open_runs.get(key, t) for key in ids}
        following = set(reported[t + 1]) if t + 1 < len(reported) else set()
        finished += [(key, range(start, t + 1)) for key, start in open_runs.items() if key not in following]
    return finished
