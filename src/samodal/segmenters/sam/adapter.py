"""The adapters of the image encoder (paper, supplement A and Figure 9; SAM-Adapter, Chen et al. 2023)."""

from functools import lru_cache

import torch
from torch import nn


class Adapter(nn.Module):
    """What is added to the input of every encoder layer: a function of the image's edges and of its patches.

    Parameter names are those of the released code, so that its checkpoints load by name.

    Args:
        hidden: width of the encoder.
        layers: number of encoder layers.
        patch: side of a patch in pixels.
        reduction: hidden / reduction is the width inside.
        rate: share of the spectrum's area that the high-pass removes.
        order: "patches" or "released", see `AmodalSamConfig.adapter_order`.
    """

    def __init__(self, hidden: int, layers: int, patch: int, reduction: int, rate: float, order: str = "patches"):
        super().__init__()
        width = hidden // reduction
        self.rate = rate
        self.order = order
        self.shared_mlp = nn.Linear(width, hidden)
        self.embedding_generator = nn.Linear(hidden, width)
        for i in range(layers):
            setattr(self, f"lightweight_mlp_{i}", nn.Sequential(nn.Linear(width, width), nn.GELU()))
        self.prompt_generator = nn.ModuleDict({"proj": nn.Conv2d(3, width, kernel_size=patch, stride=patch)})

    def features(self, pixel_values: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """What all layers share.

        Args:
            pixel_values: (B, 3, H, W), the encoder's input.
            patches: (B, h, w, hidden), its patch embedding before the position is added.

        Returns:
            (B, h, w, hidden / reduction).
        """
        edges = self.prompt_generator["proj"](high_pass(pixel_values, self.rate).to(patches.dtype))
        if self.order == "released":
            batch, _, _, hidden = patches.shape
            # As in the released code: the memory of (h, w, C) read as (C, hw). Its weights were trained on this.
            patches = patches.reshape(batch, hidden, -1).transpose(1, 2).reshape(patches.shape)
        return edges.permute(0, 2, 3, 1) + self.embedding_generator(patches)

    def forward(self, features: torch.Tensor, layer: int) -> torch.Tensor:
        """The addition to the input of one layer, (B, h, w, hidden)."""
        return self.shared_mlp(getattr(self, f"lightweight_mlp_{layer}")(features))

    @torch.no_grad()
    def initialise(self) -> None:
        """SAM-Adapter's start: truncated normal .02 with zero bias, He for the convolution."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                nn.init.zeros_(module.bias)


def high_pass(image: torch.Tensor, rate: float) -> torch.Tensor:
    """The size of what is left of an image without its low frequencies: |Re(inverse of the cut spectrum)|.

    The low frequencies are a square in the middle of the shifted spectrum, so taking them out is a product with
    one matrix per axis: |x - (Re P x Re Q' - Im P x Im Q')|. This equals the Fourier transform of the released
    code to about 3e-6 at 1024x1024, and compiles and exports. A rectangle loses the same share of each axis,
    so that the cut lies at the same number of cycles per pixel whatever the padding.

    Args:
        image: (B, C, H, W).
        rate: share of the spectrum's area that is removed.

    Returns:
        (B, C, H, W) float32, not negative; computed in float32 also under autocast.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        rows_real, rows_imaginary = _low_pass(image.shape[-2], rate, image.device)
        columns_real, columns_imaginary = _low_pass(image.shape[-1], rate, image.device)
        low = rows_real @ image @ columns_real.T - rows_imaginary @ image @ columns_imaginary.T
        return (image - low).abs()


def _low_pass(length: int, rate: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrices of `_cached_low_pass`; a compiler looks past a cache, but not into what is in `CONSTANT`."""
    return _cached_low_pass(length, rate, device)


@lru_cache(maxsize=16)
def _cached_low_pass(length: int, rate: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part of inverse transform x (1 for the kept low frequencies) x transform, (length, length)."""
    # A tensor made in inference mode would stay unusable for training for as long as it is cached.
    with torch.inference_mode(False):
        half = int(length * rate**0.5 / 2)
        # -half is in and +half is not, as in the released slice; this is what makes the imaginary part differ from 0.
        frequencies = torch.arange(length // 2 - half, length // 2 + half, dtype=torch.float64) - length // 2
        offsets = torch.arange(length, dtype=torch.float64)
        angle = 2 * torch.pi / length * frequencies[:, None] * offsets
        real, imaginary = torch.cos(angle).sum(0) / length, torch.sin(angle).sum(0) / length
        difference = torch.arange(length)[:, None] - torch.arange(length)
        wrapped = difference % length
        return real[wrapped].float().to(device), imaginary[wrapped].float().to(device)


CONSTANT = (_low_pass,)
"""As `samodal.images.CONSTANT`."""
