"""What a completer is built from."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.categories import number_among
from samodal.checkpoints.config import NetworkConfig

LAYERS = ("visible", "front", "behind", "inside", "earlier", "neighbours", "contact")
"""What a completer can be told of a crop, see `samodal.segmenters.completion.layers`."""
CLASSES = (
    "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle", "animal",
)  # fmt: skip


@dataclass(frozen=True)
class CompletionConfig(NetworkConfig):
    """A completer.

    Attributes:
        size: side of a crop in its own pixels, a multiple of 16.
        context: side of a crop in longer sides of the visible box, 1 or more.
        least: smallest side of a crop in pixels of the frame.
        layers: what it is told, some of `LAYERS`, in this order.
        classes: that it tells apart; all others are unknown to it.
        width: channels at a quarter of the size of a crop, a multiple of 8; they double with each halving, up to four
            times.
        attention: layers of attention at a sixteenth of the size.
        norm: batch or group.
        hidden_head: whether it also predicts the hidden part on its own.

    Raises:
        ValueError: for a size, context, layer or norm that cannot be.
    """

    size: int = 128
    context: float = 2.5
    least: float = 24.0
    layers: tuple[str, ...] = LAYERS[:5]
    classes: tuple[str, ...] = CLASSES
    width: int = 32
    attention: int = 2
    norm: str = "batch"
    hidden_head: bool = True

    def __post_init__(self):
        if self.size % 16 or not self.size:
            raise ValueError(f"size {self.size} is no multiple of 16")
        if not self.context >= 1:
            raise ValueError(f"context {self.context} is less than 1: a crop holds the whole visible mask")
        if unknown := sorted(set(self.layers) - set(LAYERS)):
            raise ValueError(f"unknown layer {unknown[0]!r}; there are {', '.join(LAYERS)}")
        if self.norm not in ("batch", "group"):
            raise ValueError(f"norm {self.norm!r}: expected batch or group")

    def class_number(self, category: str | None) -> int:
        """Number of a class, from 1; 0 for what is unknown."""
        return number_among(self.classes, category)
