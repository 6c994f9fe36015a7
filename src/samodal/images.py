"""The preparation of frames for every network, shared by training and running: resize, pad, normalise, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

MEAN = (123.675, 116.28, 103.53)
"""Of RGB in 0..255 in ImageNet, as every SAM and VidEoMT was trained with."""
STD = (58.395, 57.12, 57.375)
MASK_LOGIT = 8.0
"""What a pixel inside a mask prompt says, in SAM's own units of a mask's logits; minus that outside."""
_BITS = 22
"""Of a weight's fraction in Pillow."""
Pad = Literal["full", "patch", "black", "stretch"]


def normalise(pixels: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation.

    Args:
        pixels: (..., 3, H, W), RGB in 0..255, uint8 or float.
        mean, std: of the three colours.

    Returns:
        The same shape, float32 (or the float type that came in), on the same device.
    """
    pixels = pixels if pixels.is_floating_point() else pixels.float()
    offset, scale = _colours((tuple(mean), tuple(std)), pixels.dtype, pixels.device)
    return (pixels - offset) / scale


def _colours(
    values: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, ...]:
    """The tensors of `_cached_colours`; a compiler looks past a cache, but not into what is in `CONSTANT`."""
    return _cached_colours(values, dtype, device)


@lru_cache(maxsize=16)
def _cached_colours(
    values: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, ...]:
    """(3, 1, 1) on the device, each. Made once: nothing can be copied to a GPU while its work is recorded."""
    with torch.inference_mode(False):  # a tensor made in inference mode would stay unusable for training
        return tuple(torch.tensor(colours, dtype=dtype, device=device).view(3, 1, 1) for colours in values)


def normalised(frame: np.ndarray, planar: bool = False) -> torch.Tensor:
    """`normalise` of a (H, W, 3) uint8 RGB frame, as (3, H, W) float32.

    Args:
        planar: one colour lies after the other in memory; without, the colours of a pixel lie side by side.
    """
    if not planar:
        return torch.from_numpy(cv2.LUT(frame, _table())).permute(2, 0, 1)
    colours = np.empty((3, *frame.shape[:2]), np.float32)
    for n, values in enumerate(cv2.split(frame)):
        cv2.LUT(values, _table()[..., n], colours[n])
    return torch.from_numpy(colours)


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """(1, 256, 3) float32: every value of every colour, normalised; to look up is faster than to reckon."""
    values = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    return np.ascontiguousarray(normalise(values).permute(1, 2, 0).numpy())


@dataclass(frozen=True)
class FrameTransform:
    """Scale a frame into `size`, normalise it, and fill up at the bottom and at the right.

    Attributes:
        size: (H, W) of the largest input in pixels.
        patch: side of a patch in pixels.
        pad: "full" fills up to `size` with zeros after normalising, as SAM does. "patch" does so only to the next
            multiple of `patch`, which saves work: a 375x1242 frame becomes 160x512 in a model of 288x512. "black"
            fills up to `size` with black pixels before normalising, as our VidEoMT was trained. "stretch" fills
            `size` with the frame and loses its proportions, as the released VidEoMT does.
        mean, std: of RGB in 0..255.

    Source: `ResizeLongestSide`, `Sam.preprocess` and `Sam.postprocess_masks` of segment-anything, for
    rectangles too.
    """

    size: tuple[int, int] = (1024, 1024)
    patch: int = 16
    pad: Pad = "full"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    def resized(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of a frame of (H, W) inside the input, before padding; it begins in the upper left corner."""
        if self.pad == "stretch":
            return self.size
        scale = min(self.size[0] / frame_size[0], self.size[1] / frame_size[1])
        if self.pad == "black":
            # Python rounds halves to even and segment-anything rounds them up; both networks were trained so.
            height, width = (min(full, round(side * scale)) for side, full in zip(frame_size, self.size, strict=True))
        else:
            height, width = (int(side * scale + 0.5) for side in frame_size)
        return max(1, height), max(1, width)

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the input for a frame of (H, W), after padding."""
        if self.pad != "patch":
            return self.size
        height, width = (-(-side // self.patch) * self.patch for side in self.resized(frame_size))
        return height, width

    def pixels(self, frame: np.ndarray) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB frame as the network's input, (3, H, W) float32."""
        if self.pad == "black":
            return self.normalise(torch.from_numpy(self.fitted(frame)))
        pixels = torch.from_numpy(self._scaled(frame)).permute(2, 0, 1)
        return self._padded(self.normalise(pixels), frame.shape[:2])

    def pixels_of(self, frames: torch.Tensor) -> torch.Tensor:
        """`pixels` of (B, H, W, 3) uint8 RGB frames on any device, as (B, 3, H, W) float32 there; see `resized`."""
        size = (frames.shape[1], frames.shape[2])
        scaled = resized(frames, self.resized(size)).permute(0, 3, 1, 2)
        if self.pad == "black":
            return self.normalise(self._padded(scaled, size))
        return self._padded(self.normalise(scaled), size)

    def fitted(self, frame: np.ndarray) -> np.ndarray:
        """(3, H, W) uint8: a (H, W, 3) uint8 frame inside an input of `size`, black around it, not yet normalised."""
        scaled = self._scaled(frame)
        fitted = np.zeros((3, *self.size), np.uint8)
        fitted[:, : scaled.shape[0], : scaled.shape[1]] = scaled.transpose(2, 0, 1)
        return fitted

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """(..., 3, H, W) in 0..255 with this mean and deviation, see `samodal.images.normalise`."""
        return normalise(pixels, self.mean, self.std)

    def points(self, xy: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
        """(..., 2) x and y in frame pixels as float32 in input pixels.

        x times the ratio of the widths, without a half-pixel term, as SAM's own predictor does with its weights.
        """
        height, width = self.resized(frame_size)
        ratio = np.array([width / frame_size[1], height / frame_size[0]])
        return (np.asarray(xy, dtype=np.float64) * ratio).astype(np.float32)

    def boxes(self, boxes: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
        """(..., 4) x0, y0, x1, y1 in frame pixels as float32 in input pixels."""
        boxes = np.asarray(boxes)
        return self.points(boxes.reshape(*boxes.shape[:-1], 2, 2), frame_size).reshape(boxes.shape)

    def masks_to_prompt(self, masks: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Binary masks of a frame as mask prompts.

        Args:
            masks: (..., H, W) bool, array or tensor; a tensor stays on its device.

        Returns:
            (..., 1, 4h, 4w) float32 logits for a grid of (h, w) patches, from -MASK_LOGIT where the mask or the
            frame is not, to MASK_LOGIT inside; linear in the covered share of a cell.
        """
        masks = torch.as_tensor(masks)
        frame_size = (masks.shape[-2], masks.shape[-1])
        inside = masks.reshape(-1, 1, *frame_size).float()
        inside = F.interpolate(inside, self.resized(frame_size), mode="bilinear", antialias=True)
        share = F.avg_pool2d(self._padded(inside, frame_size), self.patch // 4)
        return ((2 * share - 1) * MASK_LOGIT).reshape(*masks.shape[:-2], 1, *share.shape[-2:])

    def to_frame(self, logits: torch.Tensor, frame_size: tuple[int, int]) -> torch.Tensor:
        """Low-resolution logits (N, 4h, 4w) at the frame's own size, (N, H, W).

        Up to the input's size, without the padding, and on to the frame, both bilinear, as SAM does; above 0 is
        inside.
        """
        height, width = self.resized(frame_size)
        large = F.interpolate(logits[:, None], self.input_size(frame_size), mode="bilinear", align_corners=False)
        large = large[..., :height, :width]
        return F.interpolate(large, tuple(frame_size), mode="bilinear", align_corners=False)[:, 0]

    def _scaled(self, frame: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8: the frame at the size that it has inside the input."""
        height, width = self.resized(frame.shape[:2])
        image = Image.fromarray(frame)
        if (height, width) != frame.shape[:2]:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(image)

    def _padded(self, pixels: torch.Tensor, frame_size: tuple[int, int]) -> torch.Tensor:
        height, width = self.input_size(frame_size)
        return F.pad(pixels, (0, width - pixels.shape[-1], 0, height - pixels.shape[-2]))


def resized(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Frames at another size by Pillow's BILINEAR, a triangle filter, on any device.

    The same bit for bit where a frame keeps its proportions. Elsewhere Pillow 13 may take the columns first, and a
    value may then differ by 1.

    Args:
        frames: (B, H, W, C) uint8.
        size: (h, w).

    Returns:
        (B, h, w, C) uint8.

    Source: `ImagingResample` of Pillow, which reckons 8-bit pixels in whole numbers, along the rows first.
    """
    for axis, after in ((2, size[1]), (1, size[0])):
        if frames.shape[axis] != after:
            frames = _resampled(frames, axis, after)
    return frames


def _resampled(frames: torch.Tensor, axis: int, after: int) -> torch.Tensor:
    places, weights = _taps(frames.shape[axis], after, frames.device)
    shape = [1] * frames.ndim
    shape[axis] = after
    total = 1 << (_BITS - 1)  # a half, for rounding
    for place, weight in zip(places, weights, strict=True):
        total = total + frames.index_select(axis, place).int() * weight.view(shape)
    return (total >> _BITS).clamp(0, 255).byte()


def _taps(before: int, after: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The tables of `_cached_taps`; see `_colours`."""
    return _cached_taps(before, after, device)


@lru_cache(maxsize=16)
def _cached_taps(before: int, after: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, after) int64 places of old pixels, and (K, after) int32 weights of them in units of 2^-_BITS."""
    step = before / after
    reach = max(step, 1.0)
    centre = (np.arange(after) + 0.5) * step
    first = (centre - reach + 0.5).astype(np.int64).clip(0)
    end = (centre + reach + 0.5).astype(np.int64).clip(None, before)
    place = first + np.arange(2 * int(np.ceil(reach)) + 1)[:, None]
    weight = (1 - np.abs((place - centre + 0.5) * (1 / reach))).clip(0) * (place < end)
    whole = np.floor(weight * (1 / weight.sum(0)) * (1 << _BITS) + 0.5).astype(np.int32)
    with torch.inference_mode(False):  # a tensor made in inference mode would stay unusable for training
        return torch.from_numpy(place.clip(0, before - 1)).to(device), torch.from_numpy(whole).to(device)


@lru_cache(maxsize=8)
def enlargers(
    transform: FrameTransform, mask_size: tuple[int, int], frame_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(H, h) and (W, w) float32 matrices: rows @ logits @ columns.T is a mask's logits (h, w) at its frame's size.

    They give what `FrameTransform.to_frame` gives, for a part of the frame too, without a whole frame per mask. A
    frame that fills its input takes one step instead of two.
    """
    content = transform.resized(frame_size)
    matrices = []
    for cells, full, shown, side in zip(mask_size, transform.input_size(frame_size), content, frame_size, strict=True):
        if content == transform.size:
            matrices.append(_linear(cells, side))
        else:
            matrices.append(_linear(shown, side) @ _linear(cells, full)[:shown])
    return matrices[0], matrices[1]


def _linear(before: int, after: int) -> np.ndarray:
    """(after, before) weights of a linear interpolation."""
    return F.interpolate(torch.eye(before)[None], after, mode="linear", align_corners=False)[0].T.numpy()


CONSTANT = (_colours, _taps)
"""Functions that give the same tensors for the same arguments, which a compiler need not trace."""
