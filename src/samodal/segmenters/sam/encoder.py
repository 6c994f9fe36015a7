"""The image encoder: transformers' SAM layers for rectangles, each on its input plus an adapter."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import (
    SamPatchEmbeddings,
    SamVisionLayer,
    SamVisionNeck,
    SamVisionSdpaAttention,
)

from samodal.segmenters.sam.adapter import Adapter
from samodal.segmenters.sam.config import AmodalSamConfig


class GridAttention(SamVisionSdpaAttention):
    """SAM's attention on a grid that need not be square nor the largest; its tables hold every distance.

    Attributes:
        folded: whether relative positions are more channels of queries and keys instead of a bias for each pair of
            patches. Both are the same sum; the bias of a whole frame of ViT-B takes 400 MB a layer, and with it an
            attention kernel that is slower.
    """

    folded = False

    def __init__(self, config: SamVisionConfig, window: int, grid: tuple[int, int]):
        super().__init__(config, window)
        height, width = (window, window) if window else grid
        if self.use_rel_pos:
            channels = config.hidden_size // config.num_attention_heads
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * height - 1, channels))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * width - 1, channels))

    def get_rel_pos(self, q_size: int, k_size: int, rel_pos: torch.Tensor) -> torch.Tensor:
        """(q_size, k_size, channels) of the distances q - k.

        A smaller grid uses the middle of the table, where its distances are; transformers would stretch it.
        """
        centre = rel_pos.shape[0] // 2
        distance = torch.arange(q_size, device=rel_pos.device)[:, None] - torch.arange(k_size, device=rel_pos.device)
        return rel_pos[distance + centre]

    def forward(self, hidden_states: torch.Tensor, output_attentions: bool = False) -> tuple[torch.Tensor, None]:
        """(B, h, w, C) to the same, and None in place of weights."""
        if not (self.folded and self.use_rel_pos):
            return super().forward(hidden_states, output_attentions)
        height, width = hidden_states.shape[1:3]
        queries, keys, values = self.qkv(hidden_states).unflatten(3, (3, self.num_attention_heads, -1)).unbind(3)
        rows = self.get_rel_pos(height, height, self.rel_pos_h)
        columns = self.get_rel_pos(width, width, self.rel_pos_w)
        by_row, by_column = (torch.einsum(how, queries, table) for how, table in
                             (("bhwnc,hkc->bhwnk", rows), ("bhwnc,wkc->bhwnk", columns)))  # fmt: skip
        # A key that says 1 for its own row and column picks the query's values of these two.
        row, column = (torch.eye(side, dtype=keys.dtype, device=keys.device) for side in (height, width))
        row, column = (own.expand(*keys.shape[:4], -1) for own in (row[:, None, None], column[None, :, None]))
        spare = queries.new_zeros(*queries.shape[:4], -(queries.shape[-1] + height + width) % 8)  # kernels take eights
        queries = torch.cat([queries * self.scale, by_row, by_column, spare], -1)
        keys = torch.cat([keys, row, column, spare], -1)
        queries, keys, values = (part.flatten(1, 2).transpose(1, 2) for part in (queries, keys, values))
        mixed = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        return self.proj(mixed.transpose(1, 2).flatten(2).unflatten(1, (height, width))), None


class GridLayer(SamVisionLayer):
    """A SAM layer with `GridAttention`; window 0 attends to the whole grid."""

    def __init__(self, config: SamVisionConfig, window: int, grid: tuple[int, int]):
        super().__init__(config, window)
        self.attn = GridAttention(config, window, grid)


class AmodalVisionEncoder(nn.Module):
    """Patches, position, layers on x + adapter(x), neck (paper, Figure 9). Parameter names are transformers'."""

    def __init__(self, config: AmodalSamConfig):
        super().__init__()
        parts = _vision_config(config)
        self.patch_embed = SamPatchEmbeddings(parts)
        self.pos_embed = nn.Parameter(torch.zeros(1, *config.grid, config.hidden))
        self.layers = nn.ModuleList(
            GridLayer(parts, 0 if i in config.global_layers else config.window, config.grid)
            for i in range(config.layers)
        )
        self.neck = SamVisionNeck(parts)
        self.adapter = new_adapter(config) if config.adapters else None

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, C, h, w); H and W multiples of the patch, at most the model's size."""
        # The patch embedding's own forward refuses every size but the largest.
        projection = self.patch_embed.projection
        patches = projection(pixel_values.to(projection.weight.dtype)).permute(0, 2, 3, 1)  # (B, h, w, hidden)
        height, width = patches.shape[1:3]
        hidden = patches + self.pos_embed[:, :height, :width]
        if self.adapter is None:
            for layer in self.layers:
                hidden = layer(hidden)
        else:
            features = self.adapter.features(pixel_values, patches)
            for i, layer in enumerate(self.layers):
                hidden = layer(hidden + self.adapter(features, i))
        return self.neck(hidden)

    def fold(self) -> None:
        """Let relative positions be channels, see `GridAttention.folded`."""
        for layer in self.layers:
            layer.attn.folded = True


def new_adapter(config: AmodalSamConfig) -> Adapter:
    """Adapters of the shape that a config asks for."""
    values = (config.adapter_reduction, config.adapter_rate, config.adapter_order)
    return Adapter(config.hidden, config.layers, config.patch, *values)


def _vision_config(config: AmodalSamConfig) -> SamVisionConfig:
    parts = SamVisionConfig(
        hidden_size=config.hidden,
        output_channels=config.out_channels,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        # An integer is asked for; what depends on it is replaced by the true grid.
        image_size=max(config.size),
        patch_size=config.patch,
        mlp_ratio=config.mlp_ratio,
        use_rel_pos=config.relative_positions,
        window_size=config.window,
        global_attn_indexes=list(config.global_layers),
        num_pos_feats=config.out_channels // 2,
    )
    parts._attn_implementation = "sdpa"
    return parts
