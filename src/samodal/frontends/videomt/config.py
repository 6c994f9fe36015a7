"""What a VidEoMT is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from samodal.checkpoints.config import NetworkConfig
from samodal.errors import InputError
from samodal.frontends.road_users import ROAD_USERS
from samodal.images import FrameTransform


@dataclass(frozen=True)
class VideomtConfig(NetworkConfig):
    """Sizes of the network and how a frame is fitted into its input.

    Attributes:
        classes: names of its classes, without that of "no object", which comes last in its scores.
        size: (H, W) of the input in pixels.
        fit: "pad" keeps the frame's proportions and fills up below and on the right; "stretch" does not, as the
            released models.
        patch: side of a patch in pixels.
        stem: what makes patches of pixels: "patch", a convolution as released, or "convolutions", four of stride 2,
            which learn faster from random weights (arXiv:2106.14881); `patch` is then 16.
        hidden: width of the tokens.
        layers: of the transformer, `blocks` of them at the end with the queries.
        heads: of the attention.
        queries: how many instances can be told apart at a time.
        registers: tokens of no place.
        upscales: doublings from the grid of patches to that of the masks.
        mlp: width of the layers' second half, in multiples of `hidden`; `gated` as in the largest DINOv2.
    """

    classes: tuple[str, ...] = ROAD_USERS
    size: tuple[int, int] = (288, 512)
    fit: Literal["pad", "stretch"] = "pad"
    patch: int = 16
    stem: Literal["patch", "convolutions"] = "convolutions"
    hidden: int = 192
    layers: int = 8
    blocks: int = 3
    heads: int = 6
    queries: int = 40
    registers: int = 0
    upscales: int = 2
    mlp: float = 4
    gated: bool = False
    epsilon: float = 1e-6

    def __post_init__(self):
        if not self.patch or any(side % self.patch or not side for side in self.size):
            raise InputError(f"size {self.size} is no multiple of the patch of {self.patch}")
        if self.stem == "convolutions" and self.patch != 16:
            raise InputError(f"four convolutions of stride 2 make patches of 16 pixels, not of {self.patch}")
        if not self.heads or self.hidden % self.heads:
            raise InputError(f"{self.hidden} channels do not divide into {self.heads} heads")
        if not 1 <= self.blocks <= self.layers or self.upscales > 6:
            raise InputError(f"{self.blocks} of {self.layers} layers have queries, {self.upscales} doublings follow")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.size[0] // self.patch, self.size[1] // self.patch

    @property
    def mask_size(self) -> tuple[int, int]:
        """(h, w) of the masks."""
        return self.grid[0] << self.upscales, self.grid[1] << self.upscales

    @property
    def transform(self) -> FrameTransform:
        """The preparation of frames, shared by training and running."""
        return FrameTransform(self.size, self.patch, "black" if self.fit == "pad" else "stretch")


SIZES = {
    "small": VideomtConfig(),
    "mini": VideomtConfig(size=(192, 336), hidden=96, layers=5, blocks=2, heads=3, queries=24),
}
"""Our own sizes: small (4.5 M parameters), and mini for two CPU cores."""
