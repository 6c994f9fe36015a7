"""BootsTAPIR from its authors' checkout (tapnet, Apache-2.0), the variant in torch for whole clips."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from samodal.trackers.rereading import Rereading, load

SIDE = 256  # frames are resized to a square; the aspect ratio is not kept


class Tapir(Rereading):
    """Points do not influence each other. Settings are those of the demonstration in its checkout.

    Args:
        given: CHECKOUT,CHECKPOINT (`bootstapir_checkpoint_v2.pt`).
        device: where to compute.
        frames: see `Rereading`.
    """

    def __init__(self, given: str | None = None, device: str | torch.device = "cpu", frames: int = 48):
        super().__init__(load("tapir", given, "tapnet.torch.tapir_model", "TAPIR", pyramid_level=1), device, frames)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)

    def follow(self, clip: Tensor, xy: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale = np.array([SIDE / size[1], SIDE / size[0]], np.float32)
        # Its coordinates have their origin in the corner of the first pixel, ours in its centre.
        x, y = ((xy + 0.5) * scale).T
        queries = torch.from_numpy(np.stack([np.zeros_like(x), y, x], axis=1)).to(clip.device)
        outputs = self.network(clip[None].float() / 255 * 2 - 1, queries[None])
        tracks, hidden, far = (outputs[name][0, :, -1] for name in ("tracks", "occlusion", "expected_dist"))
        certain = 1 - far.sigmoid()
        visible = (1 - hidden.sigmoid()) * certain > 0.5
        return tracks.numpy(force=True) / scale - 0.5, visible.numpy(force=True), certain.numpy(force=True)
