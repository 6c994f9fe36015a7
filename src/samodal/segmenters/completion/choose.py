"""From the settings of a run to the completer as its segmenter."""

from __future__ import annotations

from typing import Literal

import torch

from samodal.checkpoints.exported import on_onnx
from samodal.checkpoints.fused import fused
from samodal.graphs import check_gpu
from samodal.segmenters.completion.batched import BatchedSegmenter
from samodal.segmenters.completion.segmenter import CompletionSegmenter
from samodal.segmenters.completion.weights import load


def load_segmenter(
    checkpoint: str | None = None,
    *,
    weights: str | None = None,
    device: str = "cpu",
    backend: Literal["torch", "onnx", "compiled"] = "torch",
) -> CompletionSegmenter:
    """The segmenter of a checkpoint, or of `weights`; the shipped ones without.

    Raises:
        InputError: for `compiled` on another device than an NVIDIA GPU, and `onnx` on another one than the CPU.
    """
    if backend == "compiled":
        check_gpu(device)
    network = load(checkpoint or weights or "streetsim-complete").of_whole_masks()
    if backend == "compiled":
        return BatchedSegmenter(network, device, precision=torch.float16, recorded=True)
    if backend == "torch" and str(device).startswith("cuda"):
        return BatchedSegmenter(network, device, recorded=True)
    segmenter = CompletionSegmenter(network, device)
    network = segmenter.network
    segmenter.network = on_onnx(network, *network.exported) if backend == "onnx" else fused(network)
    return segmenter
