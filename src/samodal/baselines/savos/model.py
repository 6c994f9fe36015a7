"""The network of SAVOS (Yao et al. 2022): an amodal mask and a flow for each frame of an object's crops.

Parameters have the names and shapes of the checkpoint released for KINS-car.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.warp import base_flow, merge, paste, warp

KERNELS = ((4, 4), (4, 4), (4, 4), (4, 4), (3, 4), (4, 4))
STRIDES = ((2, 2), (2, 2), (2, 2), (2, 2), (1, 2), (1, 1))
PADDINGS = (1, 1, 1, 1, 1, 0)
SQUEEZE = 1e-6
"""Probabilities are kept so far from 0 and 1, that their logarithm is finite."""


class Directed(NamedTuple):
    """The pass of a direction over the T frames of B objects; index t of `warped` predicts the frame it reads next.

    Attributes:
        embedding: (B, T, hidden), the state of the LSTM.
        mask_patch: (B, T, 2, 64, 128), probability and confidence α.
        flow_patch: (B, T, 2, 64, 128), residual flow in pixels of the image.
        full: (B, T, 2, H, W), the mask patch pasted into the image.
        warped: (B, T, 2, H, W), the same moved on by a frame.
        motion: (B, T, 2, H, W), the flow that it was moved by: residual and base.
    """

    embedding: Tensor
    mask_patch: Tensor
    flow_patch: Tensor
    full: Tensor
    warped: Tensor
    motion: Tensor


class Predicted(NamedTuple):
    """Both directions and their merged prediction.

    Attributes:
        probability: (B, T, H, W); index t predicts frame t + 1; of the last two only T - 2 is of use.
        forward: in the order of time.
        reverse: in reversed order, its index 0 is the last frame.
    """

    probability: Tensor
    forward: Directed
    reverse: Directed

    def of_frames(self) -> Tensor:
        """(B, T, H, W): the probability of each frame itself, as the released code reads it in evaluation.

        The first frame comes from the reverse direction alone, the last from the forward direction.
        """
        first, last = self.reverse.warped[:, -2:-1, 0], self.forward.warped[:, -2:-1, 0]
        return torch.cat([first, self.probability[:, :-2], last], 1)


class Savos(nn.Module):
    """The network with its warping; see `forward`."""

    def __init__(self, config: SavosConfig | None = None):
        super().__init__()
        self.config = config or SavosConfig()
        self.st_encoder = _Encoder(self.config)
        self.mask_decoder = _MaskHead(self.config)
        self.flow_decoder = _FlowHead(self.config)

    def forward(self, patches: Tensor, visible: Tensor, flow: Tensor, reverse_flow: Tensor, boxes: Tensor) -> Predicted:
        """The amodal masks of B objects over T frames.

        Args:
            patches: (B, T, 8, 64, 128): RGB in 0..1, visible mask, forward flow, reverse flow, cut out and scaled.
            visible: (B, T, H, W), 1 in the object's visible pixels.
            flow: (B, T, 2, H, W), pixels right and down from frame t to t + 1; the last is the last but one again.
            reverse_flow: (B, T, 2, H, W), from frame t to t - 1; the first is the second again.
            boxes: (B, T, 4), (x0, y0, x1, y1) of each patch in the image, in pixel borders.
        """
        ahead = self.directed(patches[:, :, :6], visible, flow, boxes)
        back = torch.cat([patches[:, :, :4], patches[:, :, 6:]], 2)
        behind = self.directed(back.flip(1), visible.flip(1), reverse_flow.flip(1), boxes.flip(1))
        return Predicted(merge(ahead.warped, behind.warped), ahead, behind)

    def directed(self, patches: Tensor, visible: Tensor, flow: Tensor, boxes: Tensor) -> Directed:
        """A direction: patches (B, T, 6, 64, 128) with that direction's flow; the rest as for `forward`."""
        batch, length = patches.shape[:2]
        embedding = self.st_encoder(patches)
        flat, state = patches.flatten(0, 1), embedding.flatten(0, 1)
        skip = flat[:, 4:5] if self.config.skip == "flow" else flat[:, 3:4]
        mask_patch = self.mask_decoder(state, skip)
        flow_patch = self.flow_decoder(state, flat[:, 4:6])
        size = tuple(visible.shape[-2:])
        pasted = paste(torch.cat([mask_patch, flow_patch], 1), boxes.flatten(0, 1), size)
        full, residual = pasted.split(2, 1)
        motion = residual + base_flow(flow.flatten(0, 1), visible.flatten(0, 1))
        maps = (embedding.flatten(0, 1), mask_patch, flow_patch, full, warp(full, motion), motion)
        return Directed(*(m.unflatten(0, (batch, length)) for m in maps))


class _Encoder(nn.Module):
    """Crops to a vector a frame, and an LSTM over time."""

    def __init__(self, config: SavosConfig):
        super().__init__()
        self.encoder = nn.Sequential(*_down(6, config.widths), _linear(config.widths[-1], config.hidden))
        self.lstm = nn.LSTM(config.hidden, config.hidden, batch_first=True)

    def forward(self, patches: Tensor) -> Tensor:
        return self.lstm(self.encoder(patches.flatten(0, 1)).unflatten(0, patches.shape[:2]))[0]


class _MaskHead(nn.Module):
    """State and skip to (N, 2, 64, 128): probability and confidence."""

    def __init__(self, config: SavosConfig):
        super().__init__()
        self.down_networks = nn.Sequential(*_down(1, config.widths))
        self.last_vm_map = _linear(config.widths[-1], config.hidden)
        self.fm_deconv_map = nn.Sequential(nn.Linear(2 * config.hidden, config.widths[-1]))
        self.up_networks = nn.Sequential(*_up(config.widths))

    def forward(self, state: Tensor, skip: Tensor) -> Tensor:
        features = self.last_vm_map(self.down_networks(skip))
        cell = self.fm_deconv_map(torch.cat([state, features], 1))
        mask, confidence = self.up_networks(cell[..., None, None]).split(1, 1)
        return torch.cat([mask.sigmoid() * (1 - 2 * SQUEEZE) + SQUEEZE, confidence], 1)


class _FlowHead(nn.Module):
    """State and flow to a residual flow (N, 2, 64, 128)."""

    def __init__(self, config: SavosConfig):
        super().__init__()
        widths = config.flow_widths
        self.last_flow_encoder = nn.Sequential(*_down(2, widths), _linear(widths[-1], config.hidden))
        cell = nn.Sequential(nn.Linear(2 * config.hidden, config.widths[-1]))
        self.flow_decoder = nn.Sequential(cell, *_up(config.widths))

    def forward(self, state: Tensor, flow: Tensor) -> Tensor:
        cell = self.flow_decoder[0](torch.cat([state, self.last_flow_encoder(flow)], 1))
        return self.flow_decoder[1:](cell[..., None, None])


def _down(channels: int, widths: tuple[int, ...]) -> list[nn.Module]:
    """Convolutions from a patch to a single cell, each with norm and activation."""
    layers = []
    for width, kernel, stride, padding in zip(widths, KERNELS, STRIDES, PADDINGS, strict=True):
        convolution = nn.Conv2d(channels, width, kernel, stride, padding)
        layers.append(nn.Sequential(convolution, nn.GroupNorm(1, width), nn.LeakyReLU()))
        channels = width
    return layers


def _up(widths: tuple[int, ...]) -> list[nn.Module]:
    """The way back from a single cell to a patch of 2 channels, with norm and activation before each step."""
    layers, shapes = [], list(zip(KERNELS, STRIDES, PADDINGS, strict=True))[::-1]
    for channels, width, shape in zip(widths[::-1], (*widths[-2::-1], 2), shapes, strict=True):
        steps = nn.GroupNorm(1, channels), nn.LeakyReLU(), nn.ConvTranspose2d(channels, width, *shape)
        layers.append(nn.Sequential(*steps))
    return layers


def _linear(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels, width))
