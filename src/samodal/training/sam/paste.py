"""Amodal masks learned from visible masks alone: things are pasted in front of others, and what they cover is known.

The idea is PCNet's (Zhan et al. 2020, Self-Supervised Scene De-occlusion): a mask is covered by another on purpose.
Here the pixels come along, as the amodal SAM sees the picture, and a part of the frames stays as it is, so that what
is whole is not completed. Where an instance already stood behind another labelled instance, nobody knows whether it
goes on: these pixels are left out of the loss, as in SAVOS' loss mask.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from samodal.errors import InputError
from samodal.training.sam.cache import Cache, centre_point, pack, take, unpack
from samodal.training.sam.prompts import mask_boxes


@dataclass(frozen=True)
class PasteSettings:
    """What is pasted, and where.

    Attributes:
        clean: share of frames that stay as they are.
        most: largest number of things pasted into a frame.
        side: smallest and largest root of the area of what is pasted, relative to that of what it is pasted on.
        zoom: smallest and largest magnification of what is pasted.
        across: farthest horizontal distance of the two middles, as a share of where they would just touch.
        below: lowest and highest step of its lower edge under that of what it is pasted on, in its own heights: what
            is in front stands lower in the picture of a road.
        least: visible pixels of what may be pasted.
    """

    clean: float = 0.25
    most: int = 3
    side: tuple[float, float] = (0.6, 2.0)
    zoom: tuple[float, float] = (0.4, 3.0)
    across: float = 0.85
    below: tuple[float, float] = (-0.15, 0.4)
    least: int = 200


@dataclass
class Pasted:
    """F frames with things pasted into them, and P + 1 instances of each; the last is what was pasted last.

    Attributes:
        pixels: (F, 3, H, W) float32 in 0..255.
        visible: (F, P + 1, H, W) bool, what can still be seen; the last is empty in frames that stay as they are.
        amodal: the same, what was visible before.
        unknown: the same, where another instance was visible before: an instance may go on behind it.
    """

    pixels: torch.Tensor
    visible: torch.Tensor
    amodal: torch.Tensor
    unknown: torch.Tensor


class Paster:
    """Cuts instances out of a cache and pastes them in front of others, on the device.

    Args:
        cache: prepared with `amodal=False`; its `amodal` is never read.
        settings: see `PasteSettings`.

    Raises:
        InputError: if no instance is large enough to be cut out.
    """

    def __init__(self, cache: Cache, settings: PasteSettings = PasteSettings()):
        self._cache, self._settings = cache, settings
        self._taken = torch.zeros(len(cache.frames), *cache.visible.shape[1:], dtype=torch.uint8)
        area = []
        for bits, frame in zip(cache.visible.cpu(), cache.frame.tolist(), strict=True):
            self._taken[frame] |= bits
            area.append(int(unpack(bits).sum()))
        donors = np.flatnonzero(np.array(area) >= settings.least)
        if not len(donors):
            raise InputError(
                f"paste_occluders: no instance has {settings.least} visible pixels at the model's input size, so there "
                "is nothing to paste"
            )
        self._donors = torch.from_numpy(donors).to(cache.frame.device)

    def __call__(
        self, frames: torch.Tensor, visible: torch.Tensor, shown: torch.Tensor, generator: torch.Generator
    ) -> Pasted:
        """Paste into some frames.

        Args:
            frames: (F,) indices.
            visible: (F, P, H, W) bool, instances of these frames.
            shown: (F, 1, H, W) bool, what is content and not padding.
            generator: on the device of `frames`.
        """
        pixels = take(self._cache.frames, frames).float()
        amodal, front = visible, torch.zeros_like(visible[:, :1])
        number = self._numbers(len(frames), generator)
        for turn in range(self._settings.most):
            colour, alpha = self._occluder(amodal, generator)
            alpha = alpha * shown * (turn < number)[:, None, None, None]
            covered = alpha >= 0.5
            pixels = pixels + alpha * (colour - pixels)
            visible = visible & ~covered
            front = torch.where((turn < number)[:, None, None, None], covered, front)
        unknown = unpack(take(self._taken, frames))[:, None] & ~amodal
        return Pasted(
            pixels,
            torch.cat([visible, front], 1),
            torch.cat([amodal, front], 1),
            torch.cat([unknown, torch.zeros_like(front)], 1),
        )

    def _numbers(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """(F,) how many things each frame gets."""
        draw = torch.rand(2, count, generator=generator, device=generator.device)
        return torch.where(draw[0] < self._settings.clean, 0, 1 + (draw[1] * self._settings.most).long())

    def _occluder(self, masks: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(F, 3, H, W) colours and (F, 1, H, W) opacity of an instance placed over one of (F, P, H, W) masks."""
        count, slots, height, width = masks.shape

        def draw(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, generator=generator, device=masks.device)

        chosen = draw(0, slots).long().clamp_max(slots - 1)
        under = masks[torch.arange(count, device=masks.device), chosen]
        rows = self._donors[draw(0, len(self._donors)).long().clamp_max(len(self._donors) - 1)]
        cut, picture = unpack(take(self._cache.visible, rows)), take(self._cache.frames, self._cache.frame[rows])
        settings, cut_place, target = self._settings, _place(cut), _place(under)
        zoom = draw(*settings.side) * (target.area / cut_place.area).sqrt()
        zoom = zoom.clamp(*settings.zoom)
        x = target.x + draw(-settings.across, settings.across) * (target.width + zoom * cut_place.width) / 2
        y = target.bottom + (draw(*settings.below) - 0.5) * zoom * cut_place.height
        side = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        columns = torch.arange(width, device=masks.device) + 0.5
        lines = torch.arange(height, device=masks.device) + 0.5
        columns = side[:, None] * (columns - x[:, None]) / zoom[:, None] + cut_place.x[:, None]
        lines = (lines - y[:, None]) / zoom[:, None] + (cut_place.bottom - cut_place.height / 2)[:, None]
        shape = (count, height, width)
        where = torch.stack(
            [
                (2 * columns / width - 1)[:, None, :].expand(shape),
                (2 * lines / height - 1)[:, :, None].expand(shape),
            ],
            dim=-1,
        )
        colour = F.grid_sample(picture.float(), where, padding_mode="border", align_corners=False)
        return colour, F.grid_sample(cut[:, None].float(), where, align_corners=False)


def pasted(cache: Cache, *, min_visible: int = 12, seed: int = 0) -> Cache:
    """A cache with things pasted into its frames once: data whose hidden parts are known, for choosing a model.

    Args:
        cache: on the CPU, prepared with `amodal=False`.
        min_visible: instances of which fewer pixels stay visible are left out.
        seed: of what is pasted.

    Returns:
        Another cache: `amodal` is what was visible before, `occlusion` and `centre` follow at input size.
    """
    paster, generator = Paster(cache), torch.Generator().manual_seed(seed)
    height, width = cache.frames.shape[-2:]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    frames, keep = cache.frames.clone(), torch.zeros(len(cache), dtype=torch.bool)
    visible, occlusion, centre = cache.visible.clone(), cache.occlusion.clone(), cache.centre.clone()
    for frame in torch.unique(cache.frame).tolist():
        rows = torch.nonzero(cache.frame == frame)[:, 0]
        content = (y < cache.content[frame, 0]) & (x < cache.content[frame, 1])
        made = paster(torch.tensor([frame]), unpack(cache.visible[rows])[None], content[None, None], generator)
        frames[frame] = made.pixels[0].round().to(torch.uint8)
        for row, shown, whole in zip(rows.tolist(), made.visible[0], made.amodal[0], strict=False):
            if int(shown.sum()) < min_visible:
                continue
            keep[row] = True
            visible[row] = torch.from_numpy(pack(shown.numpy()))
            occlusion[row] = 1 - shown.sum() / whole.sum()
            centre[row] = torch.from_numpy(centre_point(shown.numpy()))
    columns = {f.name: getattr(cache, f.name) for f in fields(cache)}
    columns |= {"amodal": cache.visible, "visible": visible, "occlusion": occlusion, "centre": centre}
    columns |= {n: columns[n][keep] for n in ("visible", "amodal", "frame", "occlusion", "centre")}
    counts = cache.counts | {"instances": int(keep.sum())}
    return Cache(**(columns | {"frames": frames, "counts": counts}))


@dataclass
class _Place:
    """Where N masks lie, (N,) float32 each: middle column, lower edge, width, height and number of pixels."""

    x: torch.Tensor
    bottom: torch.Tensor
    width: torch.Tensor
    height: torch.Tensor
    area: torch.Tensor


def _place(masks: torch.Tensor) -> _Place:
    x0, y0, x1, y1 = mask_boxes(masks).unbind(1)
    return _Place((x0 + x1) / 2, y1, x1 - x0, y1 - y0, masks.flatten(1).sum(1).float().clamp_min(1))
