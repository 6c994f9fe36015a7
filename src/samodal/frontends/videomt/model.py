"""The network: pixels to tokens, and queries that go through the last layers with them, frame after frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.frontends.videomt.config import VideomtConfig


class Predicted(NamedTuple):
    """The prediction of the queries for a batch of frames.

    Attributes:
        classes: (B, Q, classes + 1) logits, the last of "no object".
        masks: (B, Q, h, w) logits; above 0 is inside.
    """

    classes: Tensor
    masks: Tensor


class Network(nn.Module):
    """VidEoMT. `tokens` takes frames alone, in any number; `step` takes a frame and the queries of the frame before.

    Source: `VideomtForUniversalSegmentation` of transformers 5.23 (Apache-2.0), whose parameter names these are.
    """

    def __init__(self, config: VideomtConfig):
        super().__init__()
        self.config = config
        width = config.hidden
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.layernorm = nn.LayerNorm(width, config.epsilon)
        self.query = nn.Embedding(config.queries, width)
        self.query_updater = nn.Linear(width, width)
        self.upscale_block = nn.ModuleDict({"block": nn.ModuleList(Upscale(width) for _ in range(config.upscales))})
        self.mask_head = MaskHead(width)
        self.class_predictor = nn.Linear(width, len(config.classes) + 1)

    @property
    def device(self) -> torch.device:
        return self.query.weight.device

    def initialise(self) -> None:
        """Random weights to train from; the queries bring nothing from the last frame until that is learned."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.embeddings.position_embeddings.weight, std=0.02)
        nn.init.trunc_normal_(self.embeddings.cls_token, std=0.02)
        nn.init.zeros_(self.query_updater.weight)

    def tokens(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised frames as (B, N, C) tokens, before the queries join them."""
        x = self.embeddings(pixels)
        for layer in self.layers[: -self.config.blocks]:
            x = layer(x)
        return x

    def step(self, tokens: Tensor, queries: Tensor | None = None) -> tuple[list[Predicted], Tensor]:
        """A frame of each of B videos.

        Args:
            tokens: (B, N, C), from `tokens`.
            queries: (B, Q, C), those of the frame before; None in the first frame.

        Returns:
            What is predicted after each of the last blocks (in evaluation after the last block only), and the queries
            for the next frame.
        """
        count = self.config.queries
        current = self.query.weight.expand(len(tokens), -1, -1)
        if queries is not None:
            current = current + self.query_updater(queries)
        x, predicted = torch.cat([current, tokens], dim=1), []  # (B, Q + N, C)
        last = self.config.blocks - 1
        for n, layer in enumerate(self.layers[-self.config.blocks :]):
            x = layer(x)
            if self.training or n == last:
                predicted.append(self.predict(self.layernorm(x)))
        return predicted, x[:, :count]

    def predict(self, x: Tensor) -> Predicted:
        """Classes and masks from (B, Q + N, C) normalised queries and tokens."""
        queries, patches = x[:, : self.config.queries], x[:, self.config.queries + self.embeddings.prefix :]
        features = patches.transpose(1, 2).unflatten(2, self.config.grid)  # (B, C, rows, columns)
        for block in self.upscale_block["block"]:
            features = block(features)
        return Predicted(
            self.class_predictor(queries), torch.einsum("bqc,bchw->bqhw", self.mask_head(queries), features)
        )


class Embeddings(nn.Module):
    """Frames as tokens with their places, behind tokens of no place."""

    def __init__(self, config: VideomtConfig):
        super().__init__()
        width = config.hidden
        self.prefix = 1 + config.registers
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, width))
        projection = nn.Conv2d(3, width, config.patch, config.patch) if config.stem == "patch" else stem(width)
        self.patch_embeddings = nn.ModuleDict({"projection": projection})
        self.position_embeddings = nn.Embedding(config.grid[0] * config.grid[1], width)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](pixels).flatten(2).transpose(1, 2)
        patches = patches + self.position_embeddings.weight
        count = len(pixels)
        return torch.cat([self.cls_token.expand(count, -1, -1), self.register_tokens.expand(count, -1, -1), patches], 1)


def stem(width: int) -> nn.Sequential:
    """Four convolutions of stride 2 and a fifth that mixes channels: pixels to patches of 16."""
    channels = (3, width // 8, width // 4, width // 2, width)
    layers: list[nn.Module] = []
    for before, after in zip(channels, channels[1:], strict=False):
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.GroupNorm(1, after), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 1))


class Layer(nn.Module):
    """Attention and a small network on each token, both scaled."""

    def __init__(self, config: VideomtConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden, config.epsilon)
        self.attention = Attention(config.hidden, config.heads)
        self.layer_scale1 = Scale(config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden, config.epsilon)
        self.mlp = (Gated if config.gated else Mlp)(config.hidden, int(config.hidden * config.mlp))
        self.layer_scale2 = Scale(config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale1(self.attention(self.norm1(x)))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            f(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, d)
            for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Scale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.lambda1


class Mlp(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Gated(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        inner = -(-int(inner * 2 / 3) // 8) * 8
        self.gate_proj, self.up_proj = nn.Linear(width, inner), nn.Linear(width, inner)
        self.down_proj = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Upscale(nn.Module):
    """(B, C, h, w) to (B, C, 2h, 2w)."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(width, width, 2, 2)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.layernorm2d = nn.LayerNorm(width, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(F.gelu(self.conv1(x)))
        return self.layernorm2d(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MaskHead(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(x)))))
