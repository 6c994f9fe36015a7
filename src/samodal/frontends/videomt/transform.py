"""From a frame to the network's input and from its masks back, shared by training and running."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from samodal.frontends.videomt.config import VideomtConfig

# ImageNet's, in 0..255, as transformers' processor has them.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def content_size(config: VideomtConfig, frame_size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the part of the input that shows a frame of (H, W); it begins in the upper left corner."""
    if config.fit == "stretch":
        return config.size
    scale = min(config.size[0] / frame_size[0], config.size[1] / frame_size[1])
    height, width = (max(1, min(full, round(side * scale))) for side, full in zip(frame_size, config.size, strict=True))
    return height, width


def fitted(config: VideomtConfig, frame: np.ndarray) -> np.ndarray:
    """(3, h, w) uint8: a (H, W, 3) frame inside the input, black below and on the right of it."""
    height, width = content_size(config, frame.shape[:2])
    small = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    held = np.zeros((3, *config.size), np.uint8)
    held[:, :height, :width] = np.asarray(small).transpose(2, 0, 1)
    return held


def normalise(pixels: Tensor) -> Tensor:
    """(B, 3, h, w) in 0..255 as the network takes it, float32."""
    pixels = pixels.float()
    mean, std = (pixels.new_tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (pixels - mean) / std


@lru_cache(maxsize=8)
def enlargers(config: VideomtConfig, frame_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(H, h) and (W, w) float32 matrices: rows @ logits @ columns.T is a mask's logits (h, w) at its frame's size.

    Bilinear as `torch.nn.functional.interpolate`: straight to the frame, or where the frame does not fill the input,
    to the input's size and from its content on to the frame.
    """
    content = content_size(config, frame_size)
    matrices = []
    for cells, full, shown, side in zip(config.mask_size, config.size, content, frame_size, strict=True):
        if content == config.size:
            matrices.append(_linear(cells, side))
        else:
            matrices.append(_linear(shown, side) @ _linear(cells, full)[:shown])
    return matrices[0], matrices[1]


def _linear(before: int, after: int) -> np.ndarray:
    """(after, before) weights of a linear interpolation."""
    return F.interpolate(torch.eye(before)[None], after, mode="linear", align_corners=False)[0].T.numpy()


def pixels_of(config: VideomtConfig, frame: np.ndarray, device: torch.device) -> Tensor:
    """A (H, W, 3) uint8 RGB frame as the network's input, (1, 3, h, w)."""
    return normalise(torch.from_numpy(fitted(config, frame)).to(device)[None])
