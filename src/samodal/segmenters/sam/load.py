"""From the settings of a run to the amodal SAM as its segmenter."""

from __future__ import annotations

from typing import Literal

from samodal.graphs import check_gpu
from samodal.segmenters.sam.compiled import CompiledSamSegmenter
from samodal.segmenters.sam.model import AmodalSam
from samodal.segmenters.sam.segmenter import SamSegmenter


def load_segmenter(
    checkpoint: str | None = None,
    *,
    weights: str | None = None,
    device: str = "cpu",
    backend: Literal["torch", "compiled"] = "torch",
) -> SamSegmenter:
    """The segmenter of a checkpoint, or of `weights`; the shipped ones without. See `AmodalSam.from_checkpoint`.

    Raises:
        InputError: for `compiled` on another device than an NVIDIA GPU.
    """
    if backend == "compiled":
        check_gpu(device)
    model = AmodalSam.from_checkpoint(checkpoint or weights or "streetsim-small")
    return (CompiledSamSegmenter if backend == "compiled" else SamSegmenter)(model, device)
