"""One step's frames and instances, drawn from the cache without leaving the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from samodal.images import FrameTransform
from samodal.training.augment import (
    AugmentSettings,
    Views,
    draw_views,
    grid,
    inside,
    recolour,
    warp_frames,
    warp_masks,
)
from samodal.training.sam.cache import Cache, take, unpack
from samodal.training.sam.paste import Paster


@dataclass
class Batch:
    """What a step learns from: F frames and N instances in them.

    Attributes:
        pixels: (F, 3, h, w) float32, normalised, zero outside the content.
        visible, amodal: (N, h, w) bool.
        index: (N,) int64, the frame of each instance.
        content: (F, 2) int32, (H, W) of what is not padding, and `frame_size`: (F, 2), of the original;
            both only where the frames were not moved.
        unknown: (N, h, w) bool, what the loss leaves out; None where all is known.
    """

    pixels: torch.Tensor
    visible: torch.Tensor
    amodal: torch.Tensor
    index: torch.Tensor
    content: torch.Tensor | None = None
    frame_size: torch.Tensor | None = None
    unknown: torch.Tensor | None = None


class Order:
    """Which frames (or, with one instance per frame, which instances) each step takes.

    Every pass shuffles all of them; a batch holds frames of one input size only. A function of (seed, step),
    so that a resumed run goes on where it stopped.

    Args:
        cache: its tensors may lie on any device.
        batch: frames per step, all processes together.
        instances: instances per frame.
        seed: decides the order.
    """

    def __init__(self, cache: Cache, batch: int, instances: int, seed: int):
        self.batch, self.seed = batch, seed
        self._frame = cache.frame.cpu().numpy()
        self._size = cache.input_size.cpu().numpy()
        self.by_instance = instances == 1
        units = np.arange(len(self._frame)) if self.by_instance else np.unique(self._frame)
        sizes = self._size[self._frame if self.by_instance else units]
        self._groups = [units[(sizes == size).all(1)] for size in np.unique(sizes, axis=0)]
        self.steps_per_epoch = sum(self._steps(group) for group in self._groups)
        self._epoch, self._batches = -1, []

    def _steps(self, group: np.ndarray) -> int:
        return max(1, len(group) // self.batch)

    def __call__(self, step: int) -> np.ndarray:
        """(batch,) indices of the frames (instances) of a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffled(np.random.default_rng((self.seed, epoch, 2)))
        return self._batches[position]

    def input_size(self, step: int) -> tuple[int, int]:
        """(H, W) of the frames of a step."""
        first = self(step)[0]
        height, width = self._size[self._frame[first] if self.by_instance else first].tolist()
        return height, width

    def _shuffled(self, rng: np.random.Generator) -> list[np.ndarray]:
        batches = []
        for group in self._groups:
            # A data set smaller than a batch is repeated to fill it.
            order = np.resize(rng.permutation(group), max(len(group), self.batch))
            steps = self._steps(group)
            batches += list(order[: steps * self.batch].reshape(steps, self.batch))
        return [batches[i] for i in rng.permutation(len(batches))]


class InstanceTable:
    """The instances of every frame as one rectangular table on the device, for drawing without a loop.

    Args:
        cache: on the device.
        occluded_weight: an instance's weight is 1 + this times its occlusion.
    """

    def __init__(self, cache: Cache, occluded_weight: float):
        frames = len(cache.frames)
        self.count = torch.bincount(cache.frame, minlength=frames)
        first = self.count.cumsum(0) - self.count
        slot = torch.arange(len(cache), device=cache.frame.device) - first[cache.frame]
        width = int(self.count.max())
        self.rows = torch.zeros(frames, width, dtype=torch.int64, device=cache.frame.device)
        self.log_weight = torch.full((frames, width), -math.inf, device=cache.frame.device)
        self.rows[cache.frame, slot] = torch.arange(len(cache), device=cache.frame.device)
        self.log_weight[cache.frame, slot] = torch.log1p(occluded_weight * cache.occlusion)

    def draw(self, frames: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """(F, count) instances of (F,) frames by weight, all of them before any a second time."""
        weight = self.log_weight[frames]
        uniform = torch.rand(weight.shape, generator=generator, device=frames.device).clamp_min(1e-12)
        order = (weight - torch.log(-torch.log(uniform))).argsort(dim=1, descending=True)
        place = torch.arange(count, device=frames.device) % self.count[frames, None]
        return self.rows[frames].gather(1, order.gather(1, place))


def draw_batch(
    cache: Cache,
    frames: torch.Tensor,
    chosen: torch.Tensor,
    transform: FrameTransform,
    generator: torch.Generator,
    *,
    augment: AugmentSettings | None,
    out: tuple[int, int],
    cut: bool,
    min_visible: int,
    paste: Paster | None = None,
) -> Batch:
    """Fetch, move and colour the frames of a step.

    Args:
        frames: (F,) indices of frames of one input size.
        chosen: (F, P) instances of these frames.
        augment: None leaves the frames as they are.
        out: (h, w) of the batch, the frames' input size or less.
        cut: whether `out` shows a part of the frames.
        min_visible: instances of which a move leaves fewer visible pixels are replaced by others of the batch.
        paste: covers some instances, of which `amodal` is then what was visible before; None: as the data has them.
    """
    stored, content = cache.frames.shape[-2:], cache.content[frames]
    visible = unpack(take(cache.visible, chosen))
    if paste is None:
        pixels, masks = take(cache.frames, frames), [visible, unpack(take(cache.amodal, chosen))]
    else:
        made = paste(frames, visible, _shown(content, stored), generator)
        pixels, masks = made.pixels, [made.visible, made.amodal, made.unknown]
    if augment is None and not cut:
        shown = _shown(content, out)
        pixels, *masks = (x[..., : out[0], : out[1]] for x in (pixels, *masks))
    else:
        views = draw_views(content, out, augment, generator) if augment else _plain_views(content, out, generator)
        where = grid(views, content, stored, out)
        shown = inside(where, content, stored)
        pixels, masks = warp_frames(pixels, where), [warp_masks(x, where) for x in masks]
    if augment:
        pixels = recolour(pixels, augment, generator)
    batch = Batch(
        transform.normalise(pixels) * shown,
        masks[0].flatten(0, 1),
        masks[1].flatten(0, 1),
        torch.arange(len(frames), device=frames.device).repeat_interleave(masks[0].shape[1]),
        unknown=masks[2].flatten(0, 1) if paste else None,
    )
    if augment is None and not cut:
        batch.content, batch.frame_size = content, cache.frame_size[frames]
    return _without_slivers(batch, min_visible, generator)


def _shown(content: torch.Tensor, out: tuple[int, int]) -> torch.Tensor:
    """(F, 1, h, w) bool: what is content and not padding."""
    y = torch.arange(out[0], device=content.device)
    x = torch.arange(out[1], device=content.device)
    return ((y[:, None] < content[:, 0, None, None]) & (x < content[:, 1, None, None]))[:, None]


def _plain_views(content: torch.Tensor, out: tuple[int, int], generator: torch.Generator) -> Views:
    """Random parts at full scale; what is smaller than `out` stays in the upper left corner."""
    views = draw_views(content, out, AugmentSettings(flip=0.0, zoomed=0.0), generator)
    views.corner.clamp_min_(0)
    return views


def _without_slivers(batch: Batch, min_visible: int, generator: torch.Generator) -> Batch:
    """Replace instances with too few visible pixels by others, without asking how many there are."""
    enough = batch.visible.flatten(1).sum(1) >= min_visible
    other = torch.multinomial(enough.float() + 1e-6, len(enough), replacement=True, generator=generator)
    take = torch.where(enough, torch.arange(len(enough), device=enough.device), other)
    batch.visible, batch.amodal, batch.index = batch.visible[take], batch.amodal[take], batch.index[take]
    if batch.unknown is not None:
        batch.unknown = batch.unknown[take]
    return batch
