"""The network of crops: a small U-Net with attention where the crop is coarsest. Completer and cutter have it."""

from __future__ import annotations

from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FINE = 16
"""Channels at half the size of a crop, where only borders are drawn."""


class CropConfig(Protocol):
    """What the network is built from: side of a crop, layers of its input, classes, and how large it is."""

    size: int
    layers: tuple[str, ...]
    classes: tuple[str, ...]
    width: int
    attention: int
    norm: str


class Unshuffled(nn.Conv2d):
    """A convolution of `pixel_unshuffle(x, factor)`, calculated as one of x with steps of `factor`: to make the
    rearranged copy takes longer than the sums.

    Args:
        layers: of x.
        width: channels of the result.
        size: of the kernel in rearranged pixels, odd.
    """

    def __init__(self, layers: int, width: int, factor: int, size: int = 1):
        super().__init__(factor**2 * layers, width, size)
        self.factor = factor

    def _kernel(self) -> Tensor:
        """(width, layers, K, K) weights of x itself."""
        parted = self.weight.unflatten(1, (-1, self.factor, self.factor))
        return parted.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H / factor, W / factor) of (N, layers, H, W)."""
        padding = self.kernel_size[0] // 2 * self.factor
        return F.conv2d(x, self._kernel(), self.bias, stride=self.factor, padding=padding)

    def plain(self) -> nn.Conv2d:
        """The same as a plain convolution of x."""
        kernel = self._kernel()
        width, layers, side, _ = kernel.shape
        conv = nn.Conv2d(layers, width, side, self.factor, padding=self.kernel_size[0] // 2 * self.factor)
        conv.weight, conv.bias = nn.Parameter(kernel.detach()), self.bias
        return conv


class CropNetwork(nn.Module):
    """Masks of crops.

    Args:
        config: see `CropConfig`.
        masks: how many it gives of each crop.
    """

    def __init__(self, config: CropConfig, masks: int):
        super().__init__()
        self.config = config
        width, count, norm = config.width, len(config.layers), config.norm
        self.stem, self.fine = Unshuffled(count, width, 4), Unshuffled(count, FINE, 2, size=3)
        self.down = nn.ModuleList(
            [nn.Sequential(_Block(width, norm), _Block(width, norm))]
            + [nn.Sequential(_halved(width * n, norm), _Block(2 * width * n, norm), _Block(2 * width * n, norm))
               for n in (1, 2)]
        )  # fmt: skip
        coarse = 4 * width
        self.kinds = nn.Embedding(len(config.classes) + 1, coarse)
        self.places = nn.Parameter(nn.init.normal_(torch.empty(1, (config.size // 16) ** 2, coarse), std=0.02))
        self.attention = nn.ModuleList(_Attention(coarse) for _ in range(config.attention))
        self.up = nn.ModuleList([_Up(coarse, 2 * width, 2 * width, norm), _Up(2 * width, width, width, norm),
                                 _Up(width, FINE, FINE, norm)])  # fmt: skip
        self.masks = nn.Conv2d(FINE, 4 * masks, 3, padding=1)
        self.iou = nn.Sequential(nn.Linear(width + coarse, 64), nn.GELU(), nn.Linear(64, 1))

    @classmethod
    def initialise(cls, config: CropConfig, seed: int) -> Self:
        """A network with random weights, which depend on nothing but the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    @property
    def exported(self) -> tuple[str, dict[str, Tensor], dict[str, tuple[int, ...]]]:
        """What `samodal.checkpoints.exported` is to export: `answers`, for any number of crops."""
        size = self.config.size
        layers, kinds = torch.zeros(2, len(self.config.layers), size, size), torch.zeros(2, dtype=torch.int64)
        return "answers", {"layers": layers, "kinds": kinds}, dict.fromkeys(("layers", "kinds", "masks", "iou"), (0,))

    def answers(self, layers: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the masks (N, masks, S, S), and of their IoU with the truth (N,).

        Args:
            layers: (N, L, S, S) float, in the order of the config.
            kinds: (N,) int64, numbers of classes, 0 for unknown.
        """
        skips, x = [self.fine(layers)], self.stem(layers)
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        tokens = x.flatten(2).transpose(1, 2) + self.places + self.kinds(kinds)[:, None]
        for layer in self.attention:
            tokens = layer(tokens)
        x = tokens.transpose(1, 2).unflatten(2, x.shape[2:])
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            before, x = x, up(x, skip)
        masks = F.pixel_shuffle(self.masks(x), 2)
        return masks, self.iou(torch.cat([before.mean((2, 3)), tokens.mean(1)], 1))[:, 0]


def _norm(width: int, norm: str) -> nn.Module:
    return nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(8, width)


def _halved(width: int, norm: str) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, 2 * width, 2, stride=2, bias=False), _norm(2 * width, norm))


class _Block(nn.Module):
    def __init__(self, width: int, norm: str):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width, norm), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width, norm),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.body(x))

    def fused(self) -> nn.Module:
        """The same, the sum as part of the second convolution; with group norms as it is."""
        return _FusedBlock(*self.body) if len(self.body) == 2 else self


class _FusedBlock(nn.Module):
    """A `_Block` of two `samodal.checkpoints.fused.Fused`."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(self.second(self.first(x), x))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        split = self.mix(self.before(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*split)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.body(self.after(tokens))


class _Up(nn.Module):
    def __init__(self, below: int, skip: int, width: int, norm: str):
        super().__init__()
        self.grow = nn.Conv2d(below, 4 * width, 1, bias=False)
        self.join = nn.Sequential(nn.Conv2d(width + skip, width, 1, bias=False), _norm(width, norm), nn.GELU())
        self.block = _Block(width, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(self.join(torch.cat([self._shuffled(self.grow(x)), skip], 1)))

    def _shuffled(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x, 2)

    def fused(self) -> nn.Module:
        """The same, changed in place: channels come out of `grow` in an order in which four pixels lie side by side."""
        self.grow.weight = nn.Parameter(self.grow.weight.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1))
        self._shuffled = _side_by_side
        return self

    def folded(self) -> nn.Module:
        """The same with fewer sums, for ONNX Runtime; with group norms as it is."""
        return _FoldedUp(self) if isinstance(self.join[1], nn.BatchNorm2d) else self


class _FoldedUp(nn.Module):
    """An `_Up` in evaluation. Nothing is bent between `grow` and `join`, so both are one step for what comes from
    below; what is skipped is weighted on its own and added."""

    def __init__(self, up: _Up):
        super().__init__()
        join = fuse_conv_bn_eval(*up.join[:2])
        width, skip = join.out_channels, join.in_channels - join.out_channels
        own, others = join.weight.detach().split([width, skip], 1)
        grown = up.grow.weight.detach().view(width, 2, 2, -1)
        self.below = nn.ConvTranspose2d(grown.shape[-1], width, 2, stride=2, bias=False)
        self.below.weight = nn.Parameter(torch.einsum("oc,cijb->boij", own.flatten(1), grown))
        self.across, self.block = nn.Conv2d(skip, width, 1), up.block
        self.across.weight, self.across.bias = nn.Parameter(others.contiguous()), join.bias

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(F.gelu(self.across(skip) + self.below(x)))


def _side_by_side(x: Tensor) -> Tensor:
    """(N, C, 2 H, 2 W) of (N, 4 C, H, W), channels last in memory, of which the first C are those of the upper left
    pixels, then those of upper right, lower left and lower right ones."""
    parted = x.permute(0, 2, 3, 1).unflatten(3, (2, 2, -1))
    return parted.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
