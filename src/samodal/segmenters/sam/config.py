"""What an amodal SAM is built from, as plain values that travel with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from samodal.checkpoints.config import NetworkConfig
from samodal.errors import InputError
from samodal.images import MEAN, STD, FrameTransform


@dataclass(frozen=True)
class AmodalSamConfig(NetworkConfig):
    """Sizes of the network and the preparation of its frames; the defaults are SAM ViT-B with the paper's adapters.

    Attributes:
        size: (H, W) of the model input in pixels, multiples of `patch`; released models are square.
        patch: side of a patch in pixels.
        pad: "full" pads every frame to `size` as released; "patch" only to the next multiple of `patch`.
        mean, std: of RGB in 0..255.
        hidden, layers, heads, mlp_ratio: of the image encoder.
        window: side of the attention windows in patches.
        global_layers: encoder layers that attend to the whole image instead of windows.
        relative_positions: whether attention has SAM's decomposed relative positions.
        out_channels: channels of the embedding, and width of prompt encoder and mask decoder.
        decoder_layers, decoder_heads, decoder_mlp: of the mask decoder.
        adapters: whether the encoder has adapters; False is a plain SAM.
        adapter_reduction: hidden / adapter_reduction is the width of the adapters (32 as released).
        adapter_rate: share of the spectrum's area that the adapters' high-pass removes (.25 as released).
        adapter_order: which patch an adapter's patch feature speaks of: "patches", its own; "released", a fixed
            mixture of places and channels, as the released code reshapes (B, h, w, C) into (B, C, hw) without a
            transpose. Released weights with adapters need the second.
    """

    size: tuple[int, int] = (1024, 1024)
    patch: int = 16
    pad: Literal["full", "patch"] = "full"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    window: int = 14
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    relative_positions: bool = True
    out_channels: int = 256
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    adapters: bool = True
    adapter_reduction: int = 32
    adapter_rate: float = 0.25
    adapter_order: Literal["patches", "released"] = "patches"

    def __post_init__(self):
        if self.patch < 4 or any(side % self.patch or not side for side in self.size):
            raise InputError(f"model input of {self.size[0]}x{self.size[1]} is no multiple of the patch, {self.patch}")
        if self.pad not in ("full", "patch"):
            raise InputError(f'pad is "full" or "patch", got {self.pad!r}')
        # Heads are in no shape of the decoder's parameters; its attention across has half the channels.
        if self.hidden % self.heads or self.out_channels % (2 * self.decoder_heads):
            raise InputError(f"channels {self.hidden} and {self.out_channels} do not divide into their heads")
        if min(self.std) <= 0 or self.adapter_rate > 1:
            raise InputError(f"std {self.std} and adapter_rate {self.adapter_rate} should be above 0 and at most 1")

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the largest embedding, in patches."""
        return self.size[0] // self.patch, self.size[1] // self.patch

    @property
    def transform(self) -> FrameTransform:
        """The preparation of frames, shared by training and running."""
        return FrameTransform(self.size, self.patch, self.pad, self.mean, self.std)

    @classmethod
    def named(cls, name: str) -> AmodalSamConfig:
        """One of SIZES: vit_b, vit_l, vit_h (as released), small (ours), tiny (for tests)."""
        if name not in SIZES:
            raise InputError(f"no size is named {name!r}; there are {', '.join(SIZES)}")
        return SIZES[name]


SIZES = {
    "vit_b": AmodalSamConfig(),
    "vit_l": AmodalSamConfig(hidden=1024, layers=24, heads=16, global_layers=(5, 11, 17, 23)),
    "vit_h": AmodalSamConfig(hidden=1280, layers=32, heads=16, global_layers=(7, 15, 23, 31)),
    "small": AmodalSamConfig(
        size=(288, 512), pad="patch", hidden=192, layers=8, heads=6, window=8, global_layers=(2, 5, 7),
        out_channels=128, decoder_mlp=512, adapter_reduction=8,
    ),
    "tiny": AmodalSamConfig(
        size=(128, 224), pad="patch", hidden=64, layers=3, heads=4, window=4, global_layers=(1, 2),
        out_channels=64, decoder_mlp=128, adapter_reduction=8,
    ),
}  # fmt: skip
