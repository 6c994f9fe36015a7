"""Frames with their embeddings, and what is visible in them: embedded once, or anew for each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from samodal.images import normalise
from samodal.progress import frames_bar
from samodal.segmenters.sam import AmodalSam
from samodal.training.vis.clips import Clips
from samodal.training.vis.steps import augment


@dataclass
class Batch:
    """B frames of a step, on the device that trains.

    Attributes:
        embeddings: (B, C, H / 16, W / 16) float32.
        pixels: (B, 3, H, W) float32, normalised.
        owners: (B, H, W) uint8.
        labels: (B, S + 1) int64.
    """

    embeddings: torch.Tensor
    pixels: torch.Tensor
    owners: torch.Tensor
    labels: torch.Tensor


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

    def batch(self, chosen: torch.Tensor, device: torch.device, seed: int) -> Batch:
        """Some of them as they are."""
        held = (self.embeddings[chosen].float(), self.pixels[chosen], self.owners[chosen], self.labels[chosen])
        embeddings, pixels, owners, labels = (part.to(device) for part in held)
        return Batch(embeddings, normalise(pixels), owners, labels)


class Augmented:
    """Every so manieth frame of all clips, never the same: mirrored, zoomed and recoloured, then embedded.

    For a GPU, as the encoder runs in each step.

    Args:
        clips: of the encoder's input size.
        sam: on the device that trains.
    """

    def __init__(self, clips: Clips, sam: AmodalSam, every: int):
        self.clips, self.sam, self.index = clips, sam, every_frame(clips, every)

    def __len__(self) -> int:
        return len(self.index)

    @torch.no_grad()
    def batch(self, chosen: torch.Tensor, device: torch.device, seed: int) -> Batch:
        """Some of them, changed as the seed decides."""
        index = self.index[chosen.numpy()]
        clip = torch.from_numpy(np.searchsorted(self.clips.first, index, side="right") - 1).to(self.clips.device)
        where = torch.from_numpy(index).to(self.clips.frames.device)
        pixels, owners = (part[where].to(device) for part in (self.clips.frames, self.clips.owners))
        generator = torch.Generator(device).manual_seed(seed)
        pixels, owners = augment(pixels.float(), owners, self.clips.content[clip].to(device), generator)
        embeddings = self.sam.embed(self.sam.transform.normalise(pixels)).float()
        return Batch(embeddings, normalise(pixels), owners, self.clips.labels[clip].to(device))


def every_frame(clips: Clips, every: int) -> np.ndarray:
    """The places of every so manieth frame of all clips."""
    return np.concatenate([np.arange(a, a + n, every) for a, n in zip(clips.first, clips.length, strict=True)])


BATCH = 8
"""Frames that are embedded at once: the encoder's memory is bounded by it."""


@torch.inference_mode()
def embed(clips: Clips, sam: AmodalSam, every: int, seed: int) -> Frames:
    """Every so manieth frame of all clips, half of them mirrored, with its embedding.

    Args:
        clips: of the encoder's input size.
        sam: on the device that embeds.
        seed: decides which frames are mirrored.
    """
    index = every_frame(clips, every)
    clip = np.searchsorted(clips.first, index, side="right") - 1
    mirrored = torch.from_numpy(np.random.default_rng(seed).random(len(index)) < 0.5)
    pixels, owners = clips.frames[index], clips.owners[index]
    pixels[mirrored], owners[mirrored] = pixels[mirrored].flip(-1), owners[mirrored].flip(-1)
    device, embeddings = next(sam.parameters()).device, []
    with frames_bar("embed", len(index)) as advance:
        for start in range(0, len(index), BATCH):
            part = sam.transform.normalise(pixels[start : start + BATCH].to(device))
            embeddings.append(sam.embed(part).half().cpu())
            advance(len(part))
    return Frames(torch.cat(embeddings), pixels, owners, clips.labels[clip])
