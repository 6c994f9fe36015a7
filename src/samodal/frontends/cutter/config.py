"""What a cutter is built from."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.categories import number_among
from samodal.checkpoints.config import NetworkConfig
from samodal.frontends.road_users import ROAD_USERS

LAYERS = ("red", "green", "blue", "box", "others", "inside")
"""What a cutter is told of a crop: normalised colours, and shares of each pixel that lie in its box, in boxes of others
and in the frame."""


@dataclass(frozen=True)
class CutterConfig(NetworkConfig):
    """A cutter.

    Attributes:
        size: side of a crop in its own pixels, a multiple of 16.
        context: side of a crop in longer sides of the box.
        least: smallest side of a crop in pixels of the frame.
        layers: see `LAYERS`.
        classes: that it tells apart; all others are unknown to it.
        width: channels at a quarter of the size of a crop, a multiple of 8.
        attention: layers of attention at a sixteenth of the size.
        norm: batch or group.

    Raises:
        ValueError: for a size, layers or norm that cannot be.
    """

    size: int = 96
    context: float = 1.4
    least: float = 16.0
    layers: tuple[str, ...] = LAYERS
    classes: tuple[str, ...] = ROAD_USERS
    width: int = 24
    attention: int = 2
    norm: str = "batch"

    def __post_init__(self):
        if self.size % 16 or not self.size:
            raise ValueError(f"size {self.size} is no multiple of 16")
        if self.layers != LAYERS:
            raise ValueError(f"layers {', '.join(self.layers)}: this version knows {', '.join(LAYERS)}")
        if self.norm not in ("batch", "group"):
            raise ValueError(f"norm {self.norm!r}: expected batch or group")

    def class_number(self, category: str | None) -> int:
        """Number of a class, from 1; 0 for what is unknown."""
        return number_among(self.classes, category)
