"""What the network sees of an object: crops of all its frames at the same scale, as in the released code."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.baselines.savos.config import PATCH
from samodal.rle import Rle


def enlarged_box(mask: np.ndarray, factor: float) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) in whole pixel borders: the box of a (H, W) mask, `factor` times as long, within the image."""
    box, corners = Rle.encode(mask).box, []
    for axis, length in ((0, mask.shape[1]), (1, mask.shape[0])):
        start, end = int(box[axis]), int(box[axis + 2])
        middle, half = (start + end) / 2, factor * (end - start) / 2
        corners.append((max(0, round(middle - half)), min(length, round(middle + half))))
    (x0, x1), (y0, y1) = corners
    return x0, y0, x1, y1


def crop(maps: Tensor, boxes: Tensor, areas: Tensor) -> Tensor:
    """Crops (B, T, C, 64, 128) of maps (B, T, C, H, W), bilinear, padded with 0s to the right and below.

    All crops of an object are scaled alike: that of the frame with the largest visible mask fills the patch; what is
    larger in others is cut off. Pixel centres are those of `cv2.resize`, and no pixel outside the box is read.

    Args:
        boxes: (B, T, 4) whole numbers, (x0, y0, x1, y1) in pixel borders, within the maps.
        areas: (B, T) numbers of visible pixels.
    """
    largest = boxes[torch.arange(len(boxes), device=boxes.device), areas.argmax(1)].double()
    axes = []
    for axis in (0, 1):
        patch, length = PATCH[1 - axis], maps.shape[-1 - axis]
        scale = patch / (largest[:, axis + 2] - largest[:, axis])
        start, side = boxes[..., axis].double(), (boxes[..., axis + 2] - boxes[..., axis]).double()
        size = (side * scale[:, None]).round().clamp(min=1)[..., None]  # (B, T, 1)
        index = torch.arange(patch, device=maps.device)
        place = ((index + 0.5) * side[..., None] / size - 0.5).clamp(min=0)
        place = torch.minimum(place, side[..., None] - 1) + start[..., None]  # (B, T, patch)
        axes.append((((2 * place + 1) / length - 1).to(maps.dtype), index < size))
    (x, across), (y, down) = axes
    shape = (*boxes.shape[:2], *PATCH)
    grid = torch.stack([x[..., None, :].expand(shape), y[..., None].expand(shape)], -1)
    flat = F.grid_sample(maps.flatten(0, 1), grid.flatten(0, 1), padding_mode="border", align_corners=False)
    inside = down[..., None] & across[..., None, :]
    return flat.unflatten(0, boxes.shape[:2]) * inside[:, :, None]
