"""The network: centres of visible masks on a grid, and at each centre a small network that draws the mask.

The heat map of centres is CenterNet's (Zhou et al. 2019, section 3), the mask of a centre is made as in CondInst
(Tian et al. 2020, section 3.1): three 1x1 convolutions whose weights are predicted at the centre run over features
that all instances of the frame share, beside the place relative to the centre. The image encoder is that of an amodal
SAM and stays as it is, so that little has to be learned and a CPU is enough for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.checkpoints.config import NetworkConfig
from samodal.frontends.road_users import ROAD_USERS

REACH = 64.0
"""Places relative to a centre are in units of so many pixels of the input."""
RARE = -4.6
"""The heat map starts from a probability of 0.01, as nearly every cell holds no centre."""


@dataclass(frozen=True)
class CentersConfig(NetworkConfig):
    """What it is built from.

    Attributes:
        encoder: the amodal SAM whose embedding it reads, as `AmodalSam.from_checkpoint` takes it.
        embedding: channels of that embedding.
        classes: names of its classes.
        width: channels of its layers.
        mask_channels: of the features that masks are drawn from, and of the layers that draw.
    """

    encoder: str = "streetsim-small"
    embedding: int = 128
    classes: tuple[str, ...] = ROAD_USERS
    width: int = 64
    mask_channels: int = 8

    @property
    def kernel(self) -> int:
        """Weights and biases of the network that draws a mask."""
        m = self.mask_channels
        return (m + 2) * m + m + m * m + m + m + 1


class Predicted(NamedTuple):
    """Of a batch of inputs of (H, W) pixels.

    Attributes:
        heat: (B, classes, H / 8, W / 8) logits of centres.
        kernels: (B, config.kernel, H / 8, W / 8), what draws the mask of a centre in a cell.
        features: (B, mask_channels, H / 4, W / 4), what masks are drawn from.
    """

    heat: Tensor
    kernels: Tensor
    features: Tensor


class Centers(nn.Module):
    """Heads on the embedding of a frame, and a few convolutions on its pixels for what is small and for borders."""

    def __init__(self, config: CentersConfig):
        super().__init__()
        self.config = config
        width, half = config.width, config.width // 2
        self.quarter = nn.Sequential(_block(3, half // 2, stride=2), _block(half // 2, half, stride=2))
        self.eighth = _block(half, width, stride=2)
        self.reduce = nn.Conv2d(config.embedding, width, 1)
        self.trunk = nn.Sequential(_block(width, width), _block(width, width))
        self.heat = nn.Sequential(_block(width, width), nn.Conv2d(width, len(config.classes), 1))
        self.kernels = nn.Sequential(_block(width, width), nn.Conv2d(width, config.kernel, 1))
        self.narrow = nn.Conv2d(width, half, 1)
        self.masks = nn.Sequential(_block(half, half), _block(half, half), nn.Conv2d(half, config.mask_channels, 1))
        nn.init.constant_(self.heat[-1].bias, RARE)
        nn.init.normal_(self.kernels[-1].weight, std=0.01)

    @classmethod
    def initialise(cls, config: CentersConfig, seed: int) -> Self:
        """Random weights, which depend on nothing but the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    def forward(self, embedding: Tensor, pixels: Tensor) -> Predicted:
        """(B, C, h, w) of `AmodalSam.embed`, and the (B, 3, 16 h, 16 w) normalised pixels that it was made of."""
        quarter = self.quarter(pixels)
        wide = F.interpolate(self.reduce(embedding), scale_factor=2, mode="bilinear", align_corners=False)
        trunk = self.trunk(wide + self.eighth(quarter))
        fine = F.interpolate(self.narrow(trunk), scale_factor=2, mode="bilinear", align_corners=False)
        return Predicted(self.heat(trunk), self.kernels(trunk), self.masks(fine + quarter))

    def draw(self, predicted: Predicted, frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Mask logits of N centres.

        Args:
            frames, rows, columns: (N,) long, the frame of the batch and the cell of the grid of `heat`.

        Returns:
            (N, H / 4, W / 4) logits; above 0 is visible.
        """
        m = self.config.mask_channels
        kernels = predicted.kernels[frames, :, rows, columns]  # (N, kernel)
        weights = kernels.split([(m + 2) * m, m, m * m, m, m, 1], dim=1)
        height, width = predicted.features.shape[-2:]
        y = torch.arange(height, device=rows.device)[None, :] - (2 * rows[:, None] + 0.5)
        x = torch.arange(width, device=rows.device)[None, :] - (2 * columns[:, None] + 0.5)
        places = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), 1) * (4 / REACH)  # (N, 2, h, w)
        hidden = torch.cat([predicted.features[frames], places.to(predicted.features.dtype)], 1).flatten(2)
        for n, (inputs, outputs) in enumerate(((m + 2, m), (m, m), (m, 1))):
            layer, bias = weights[2 * n].unflatten(1, (outputs, inputs)), weights[2 * n + 1]
            hidden = torch.baddbmm(bias[:, :, None], layer, hidden)
            hidden = hidden if n == 2 else hidden.relu()
        return hidden[:, 0].unflatten(1, (height, width))


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.ReLU())
