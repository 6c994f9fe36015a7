"""Frames with their embeddings, made once, and what is visible in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from samodal.progress import frames_bar
from samodal.sam import AmodalSam
from samodal.training.vis.clips import Clips


@dataclass
class Frames:
    """N frames of (H, W) pixels as the network takes them.

    Attributes:
        embeddings: (N, C, H / 16, W / 16) float16, of the frozen encoder.
        pixels: (N, 3, H, W) uint8 RGB.
        owners: (N, H, W) uint8, whose pixel it is: the place of an instance in its clip from 1, 0 for the scenery.
        labels: (N, S + 1) int64, the class of each place, -1 where there is none.
    """

    embeddings: torch.Tensor
    pixels: torch.Tensor
    owners: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.pixels)


@torch.inference_mode()
def embed(clips: Clips, sam: AmodalSam, every: int, seed: int, batch: int = 8) -> Frames:
    """Every so manieth frame of all clips, half of them mirrored, with its embedding.

    Args:
        clips: of the encoder's input size.
        sam: on the device that embeds.
        seed: decides which frames are mirrored.
    """
    index = np.concatenate([np.arange(a, a + n, every) for a, n in zip(clips.first, clips.length, strict=True)])
    clip = np.searchsorted(clips.first, index, side="right") - 1
    mirrored = torch.from_numpy(np.random.default_rng(seed).random(len(index)) < 0.5)
    pixels, owners = clips.frames[index], clips.owners[index]
    pixels[mirrored], owners[mirrored] = pixels[mirrored].flip(-1), owners[mirrored].flip(-1)
    device, embeddings = next(sam.parameters()).device, []
    with frames_bar("embed", len(index)) as advance:
        for start in range(0, len(index), batch):
            part = sam.transform.normalise(pixels[start : start + batch].to(device))
            embeddings.append(sam.embed(part).half().cpu())
            advance(len(part))
    return Frames(torch.cat(embeddings), pixels, owners, clips.labels[clip])
