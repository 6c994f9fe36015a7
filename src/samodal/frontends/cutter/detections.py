"""Boxes of a frame as detections with visible masks, for association."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samodal.frontends.checkpoint import fitting
from samodal.frontends.cutter.masks import Box, visible_masks
from samodal.frontends.cutter.network import Cutter
from samodal.frontends.cutter.weights import load
from samodal.loading import once
from samodal.method.association import Detection

EMBEDDED = "streets-cutter"


def detections(
    cutter: Cutter, frame: np.ndarray, boxes: Sequence[Box], where: str, *, keep: float, area: int, most: int
) -> list[Detection]:
    """The visible instances of a frame; no pixel belongs to two. A score is that of the box times the mask's expected
    IoU.

    Args:
        frame: (H, W, 3) uint8 RGB.
        boxes: what lies beyond the frame is cut off.
        where: names the frame, for messages.
        keep: least score.
        area: least visible pixels.
        most: boxes at most, the best.

    Raises:
        InputError: if the frame does not fit into memory.
    """
    limits = np.array(frame.shape[1::-1] * 2, float)
    chosen = [
        Box(box.category, box.score, (x0, y0, x1, y1), box.hint)
        for box in sorted(boxes, key=lambda box: -box.score)
        if box.score >= keep
        for x0, y0, x1, y1 in [np.clip(box.corners, 0, limits).tolist()]
        if x0 < x1 and y0 < y1
    ][:most]
    with fitting(frame, where, next(cutter.parameters()).device):
        masks, expected = visible_masks(cutter, frame, chosen)
    return [
        Detection(box.category, box.score * iou, mask, box.hint)
        for box, mask, iou in zip(chosen, masks, expected, strict=True)
        if mask.area >= max(1, area) and box.score * iou >= keep
    ]


@once(1)
def loaded(checkpoint: str, device: str, backend: str = "torch") -> Cutter:
    """A process loads a cutter once for all its videos."""
    import torch

    from samodal.checkpoints.exported import on_onnx
    from samodal.checkpoints.fused import fused

    network = load(checkpoint).to(device, memory_format=torch.channels_last)
    return on_onnx(network, *network.exported) if backend == "onnx" else fused(network)
