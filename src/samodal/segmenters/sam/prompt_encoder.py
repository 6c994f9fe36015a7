"""The prompt encoder: SAM's, for rectangles, with any of points, boxes and masks."""

import math

import torch
from torch import nn
from transformers import SamPromptEncoderConfig
from transformers.models.sam.modeling_sam import SamMaskEmbedding

from samodal.segmenters.sam.config import AmodalSamConfig


class FourierPosition(nn.Module):
    """A place in the image as sines and cosines of random frequencies, which are never trained."""

    def __init__(self, channels: int, size: tuple[int, int]):
        super().__init__()
        self.size = size
        self.positional_embedding = nn.Parameter(torch.randn(2, channels // 2), requires_grad=False)

    def forward(self, xy: torch.Tensor) -> torch.Tensor:
        """(..., 2) x and y in input pixels to (..., channels).

        Normalised by the size of the largest input, so that a place keeps its code however little is padded.
        """
        # bfloat16 would round a place in a wide image to eight pixels.
        with torch.autocast(xy.device.type, enabled=False):
            x, y = xy.float().unbind(-1)
            share = torch.stack([x / self.size[1], y / self.size[0]], -1)
            angle = 2 * math.pi * ((2 * share - 1) @ self.positional_embedding.float())
            return torch.cat([angle.sin(), angle.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Points, boxes and masks as tokens and as a map added to the embedding. Parameter names are transformers'."""

    def __init__(self, config: AmodalSamConfig):
        super().__init__()
        channels = config.out_channels
        self.patch = config.patch
        self.shared_embedding = FourierPosition(channels, config.size)
        self.mask_embed = SamMaskEmbedding(SamPromptEncoderConfig(hidden_size=channels))
        self.no_mask_embed = nn.Embedding(1, channels)
        self.point_embed = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, channels)

    def forward(
        self,
        points: torch.Tensor | None,
        labels: torch.Tensor | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
        count: int,
        grid: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N, T, C) and map (N or 1, C, h, w) of `count` prompts; see `AmodalSam.decode` for the arguments."""
        tokens = [self.no_mask_embed.weight.new_zeros(count, 0, self.no_mask_embed.weight.shape[1])]
        if points is not None:
            tokens.append(self._points(points, labels))
            if boxes is None:
                tokens.append(self.not_a_point_embed.weight.expand(count, 1, -1))
        if boxes is not None:
            tokens.append(self._boxes(boxes))
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *grid)
        if masks is not None:
            dense = self.mask_embed(masks)
        return torch.cat([t.to(dense.dtype) for t in tokens], dim=1), dense

    def positions(self, grid: tuple[int, int]) -> torch.Tensor:
        """The code of every patch's centre, (1, C, h, w)."""
        device = self.no_mask_embed.weight.device
        y, x = ((torch.arange(n, device=device, dtype=torch.float32) + 0.5) * self.patch for n in grid)
        xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2)
        return self.shared_embedding(xy).permute(2, 0, 1)[None]

    def _points(self, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(N, K, C); label 1 is on the instance, 0 off it, -1 no point."""
        code = self.shared_embedding(points + 0.5)
        label = labels[..., None]
        code = torch.where(label == -1, self.not_a_point_embed.weight, code)
        code = torch.where(label == 0, code + self.point_embed[0].weight, code)
        return torch.where(label == 1, code + self.point_embed[1].weight, code)

    def _boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """(N, 2, C): the two corners."""
        corners = self.shared_embedding(boxes.reshape(-1, 2, 2) + 0.5)
        return corners + torch.stack([self.point_embed[2].weight, self.point_embed[3].weight], dim=1)
