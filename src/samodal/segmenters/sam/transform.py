"""From a frame to what the network sees, and back: one value, shared by training and running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from samodal.segmenters.sam.config import MEAN, STD

MASK_LOGIT = 8.0
"""What a pixel inside a mask prompt says, in SAM's own units of a mask's logits; minus that outside."""


@dataclass(frozen=True)
class FrameTransform:
    """Scale a frame into `size`, normalise, then pad with zeros at the bottom and at the right.

    Attributes:
        size: (H, W) of the largest input in pixels.
        patch: side of a patch in pixels.
        pad: "full" pads to `size`, as SAM does; "patch" only to the next multiple of `patch`, which saves the
            work on rows that hold nothing (a 375x1242 frame becomes 160x512 in a model of 288x512).
        mean, std: of RGB in 0..255.

    Source: `ResizeLongestSide`, `Sam.preprocess` and `Sam.postprocess_masks` of segment-anything, for
    rectangles too.
    """

    size: tuple[int, int] = (1024, 1024)
    patch: int = 16
    pad: Literal["full", "patch"] = "full"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    def resized(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of a frame of (H, W) inside the input, before padding."""
        scale = min(self.size[0] / frame_size[0], self.size[1] / frame_size[1])
        return max(1, int(frame_size[0] * scale + 0.5)), max(1, int(frame_size[1] * scale + 0.5))

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the input for a frame of (H, W), after padding."""
        if self.pad == "full":
            return self.size
        height, width = (-(-side // self.patch) * self.patch for side in self.resized(frame_size))
        return height, width

    def pixels(self, frame: np.ndarray) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB frame as the network's input, (3, H, W) float32."""
        frame_size = frame.shape[:2]
        height, width = self.resized(frame_size)
        image = Image.fromarray(frame)
        if (height, width) != frame_size:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return self._padded(self.normalise(pixels), frame_size)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Subtract the mean and divide by the standard deviation.

        Args:
            pixels: (..., 3, H, W), RGB in 0..255, uint8 or float.

        Returns:
            The same shape, float32 (or the float type that came in), on the same device.
        """
        pixels = pixels if pixels.is_floating_point() else pixels.float()
        mean, std = (pixels.new_tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std

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

    def _padded(self, pixels: torch.Tensor, frame_size: tuple[int, int]) -> torch.Tensor:
        height, width = self.input_size(frame_size)
        return F.pad(pixels, (0, width - pixels.shape[-1], 0, height - pixels.shape[-2]))
