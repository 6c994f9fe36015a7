"""The transformer of CoTracker3: attention over time for each point, and over points through virtual tracks.

Source: CoTracker3 (Karaev et al. 2024), section 3, and CoTracker (2023) for the virtual tracks; parameter names,
`virual_tracks` misspelt among them, are those of the released checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.trackers.cotracker.config import CoTrackerConfig


class FeedForward(nn.Module):
    """Two linear layers with a GELU between, exact or by tanh."""

    def __init__(self, inside: int, hidden: int, outside: int, approximate: str = "none"):
        super().__init__()
        self.fc1 = nn.Linear(inside, hidden)
        self.fc2 = nn.Linear(hidden, outside)
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class Attention(nn.Module):
    """Multi-head attention of tokens to a context, which may be themselves."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(hidden, hidden)
        self.to_kv = nn.Linear(hidden, 2 * hidden)
        self.to_out = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, N, C), context (B, M, C), mask (B, 1, 1, M) bool, False where the context is padding."""
        key, value = self.to_kv(context).chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.to_q(x), key, value))
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # (B, heads, N, C / heads)
        return self.to_out(out.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SelfBlock(nn.Module):
    """Self-attention of tokens, then a feed-forward network."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.attn = Attention(hidden, heads)
        self.mlp = FeedForward(hidden, 4 * hidden, hidden, approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        normed = _norm(x)
        x = x + self.attn(normed, normed)
        return x + self.mlp(_norm(x))


class CrossBlock(nn.Module):
    """Attention of tokens to a context, then a feed-forward network."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.norm_context = nn.LayerNorm(hidden)
        self.cross_attn = Attention(hidden, heads)
        self.mlp = FeedForward(hidden, 4 * hidden, hidden, approximate="tanh")

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.cross_attn(_norm(x), self.norm_context(context), mask)
        return x + self.mlp(_norm(x))


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class UpdateFormer(nn.Module):
    """From tokens of points in frames to changes of the estimate."""

    def __init__(self, config: CoTrackerConfig):
        super().__init__()
        hidden, heads, depth = config.hidden, config.heads, config.depth
        self.virual_tracks = nn.Parameter(torch.randn(1, config.virtual, 1, hidden))
        self.input_transform = nn.Linear(config.token, hidden)
        self.time_blocks = nn.ModuleList(SelfBlock(hidden, heads) for _ in range(depth))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock(hidden, heads) for _ in range(depth))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock(hidden, heads) for _ in range(depth))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock(hidden, heads) for _ in range(depth))
        self.flow_head = nn.Linear(hidden, 2)
        self.vis_conf_head = nn.Linear(hidden, 2)

    def forward(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        """(B, N, T, token) to (B, N, T, 4): dx, dy in cells, and changes of the visibility and confidence logits.

        Args:
            real: (B, N) bool, False for padding, which no other point attends to; None where all points are real.
        """
        batch, points, frames, _ = tokens.shape
        virtual = self.virual_tracks.expand(batch, -1, frames, -1)
        x = torch.cat([self.input_transform(tokens), virtual], dim=1)  # (B, N + V, T, C)
        mask = None if real is None else real.repeat_interleave(frames, dim=0)[:, None, None]  # (B T, 1, 1, N)
        depth = zip(
            self.time_blocks,
            self.space_virtual2point_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
            strict=True,
        )
        for over_time, gather, mix, spread in depth:
            x = over_time(x.flatten(0, 1)).unflatten(0, (batch, -1))
            by_frame = x.transpose(1, 2).flatten(0, 1)  # (B T, N + V, C)
            own, shared = by_frame[:, :points], by_frame[:, points:]
            shared = mix(gather(shared, own, mask))
            own = spread(own, shared)
            x = torch.cat([own, shared], dim=1).unflatten(0, (batch, frames)).transpose(1, 2)
        own = x[:, :points]
        return torch.cat([self.flow_head(own), self.vis_conf_head(own)], dim=-1)
