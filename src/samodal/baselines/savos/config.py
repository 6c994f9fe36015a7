"""What the SAVOS network is built from, and the size of what it looks at."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.checkpoints.config import NetworkConfig
from samodal.errors import InputError

PATCH = (64, 128)
"""(height, width) of the crops of an object; the kernels take them down to a single cell."""
SKIPS = ("flow", "visible")


@dataclass(frozen=True)
class SavosConfig(NetworkConfig):
    """The defaults are those of the model that was released for KINS-car.

    Attributes:
        widths: channels of the six convolutions of the encoder and of the mask head's skip.
        flow_widths: channels of the six convolutions that read the flow for the flow head.
        hidden: size of the state of the LSTM and of what each convolution stack ends in.
        skip: what the mask head sees beside the state: `flow` is the horizontal flow, as the released code does and
            its checkpoint expects; `visible` is the visible mask, as it was meant to be.
        enlarge: sides of the crop over those of the visible mask's box.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 256, 512)
    flow_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 256)
    hidden: int = 256
    skip: str = "flow"
    enlarge: float = 1.5

    def __post_init__(self):
        if self.skip not in SKIPS:
            raise InputError(f"SAVOS: skip {self.skip!r} is unknown; expected one of {', '.join(SKIPS)}")
        if not 1 <= self.enlarge <= 10:
            raise InputError(f"SAVOS: enlarge is from 1 to 10, got {self.enlarge}")


SIZES = {
    "released": SavosConfig(),
    "small": SavosConfig(widths=(12, 24, 48, 96, 96, 160), flow_widths=(8, 16, 24, 48, 96, 96), hidden=128),
}
"""By name: as published, and a size of 2.3 M parameters, under 5 MB in 16 bit."""
