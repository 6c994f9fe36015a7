"""Segmenters that begin with frames before they are asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from samodal.parts import Segmenter


@runtime_checkable
class EncodingAhead(Segmenter, Protocol):
    """A segmenter that encodes frames to come, several at once: what a GPU does faster than one after another.

    Attributes:
        batch: how many frames it likes to be given at once.
    """

    batch: int

    def encode_ahead(self, frames: Sequence[np.ndarray]) -> None:
        """Begin with frames of one size, in a thread beside that of `encode`; these arrays are later given to it."""
        ...
