"""From patches to the image, on to the next frame, and both directions merged, as in the released code."""

import torch
import torch.nn.functional as F
from torch import Tensor


def paste(patches: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Patches (N, C, h, w) stretched over their boxes in images of 0s, (N, C, H, W).

    Args:
        boxes: (N, 4), (x0, y0, x1, y1) in pixel borders: 0 and W are the sides of the image.
        size: (H, W).
    """
    start, end = boxes[:, :2].to(patches), boxes[:, 2:].to(patches)
    places = []
    for axis, length in ((0, size[1]), (1, size[0])):
        centres = torch.arange(length, device=patches.device, dtype=patches.dtype) + 0.5
        middle, half = (start[:, axis] + end[:, axis]) / 2, (end[:, axis] - start[:, axis]) / 2
        places.append((centres - middle[:, None]) / half[:, None])
    x, y = places
    shape = (len(patches), *size)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], -1)
    return F.grid_sample(patches, grid, padding_mode="zeros", align_corners=False)


def base_flow(flow: Tensor, visible: Tensor) -> Tensor:
    """The observed flow (N, 2, H, W) where visible (N, H, W) is 1; its mean elsewhere (0 if nothing is visible)."""
    inside = visible[:, None].to(flow)
    mean = (flow * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    return flow * inside + mean * (1 - inside)


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Maps (N, C, H, W) moved on by a flow (N, 2, H, W) in pixels: at x is what was at x - flow(x).

    Places go to `grid_sample` without the half pixel of its convention, as the released code does: at zero flow
    the map comes back moved by half a pixel, right and down. Weights were trained so.
    """
    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device, dtype=maps.dtype),
        torch.arange(width, device=maps.device, dtype=maps.dtype),
        indexing="ij",
    )
    grid = torch.stack([2 * (x - flow[:, 0]) / width - 1, 2 * (y - flow[:, 1]) / height - 1], -1)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def merge(forward: Tensor, reverse: Tensor) -> Tensor:
    """The probability (B, T, H, W) of both directions' (B, T, 2, H, W), weighted by the softmax of their confidences.

    Index t of the result predicts frame t + 1: there forward's t and, in the order of time, reverse's t + 2 end. For
    the last two there is no such frame; the released code repeats its last two.

    Args:
        forward: probability and confidence after the warp, in the order of time.
        reverse: the same in reversed order.
    """
    back = reverse.flip(1)
    back = torch.cat([back[:, 2:], back[:, -2:]], 1)
    weight = torch.stack([forward[:, :, 1], back[:, :, 1]]).softmax(0)
    return weight[0] * forward[:, :, 0] + weight[1] * back[:, :, 0]
