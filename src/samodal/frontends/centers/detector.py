"""The network together with the encoder that it reads: a frame in, its prediction out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from samodal.errors import InputError
from samodal.frontends.centers.model import Centers, Predicted
from samodal.frontends.centers.weights import load
from samodal.images import FrameTransform
from samodal.segmenters.sam import AmodalSam


@dataclass(frozen=True, eq=False)
class Detector:
    """Both networks on the same device.

    Attributes:
        sam: the amodal SAM whose encoder is used.
        network: reads its embedding.
    """

    sam: AmodalSam
    network: Centers

    @classmethod
    def load(cls, checkpoint: str, device: str = "cpu") -> Self:
        """Weights of `samodal train centers`, and the SAM that they name.

        Raises:
            InputError: if either cannot be read, or they do not belong together.
        """
        network = load(checkpoint)
        # A weight file does not decide what is downloaded.
        sam = AmodalSam.from_checkpoint(network.config.encoder, fetch=False)
        if sam.config.out_channels != network.config.embedding:
            raise InputError(
                f"{checkpoint} reads embeddings of {network.config.embedding} channels, {network.config.encoder} makes "
                f"{sam.config.out_channels}; give the SAM that it was trained with"
            )
        return cls(sam.to(device).eval(), network.to(device).eval())

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def transform(self) -> FrameTransform:
        return self.sam.transform

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> Predicted:
        """The prediction for a (H, W, 3) uint8 RGB frame, as a batch of a single frame."""
        pixels = self.transform.pixels(frame)[None].to(self.device)
        return self.network(self.sam.embed(pixels), pixels)
