"""Samples of a step: crops around boxes that are a little off, as prediction sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from samodal.frontends.cutter.config import CutterConfig
from samodal.images import normalise
from samodal.segmenters.completion.layers import filters
from samodal.training.streets.pictures import NONE, Pictures, chances_of
from samodal.training.streets.views import recoloured

LEAST_SIDE = 10.0
"""Longer side of a box that is learned, in pixels of the picture as it is kept."""
OFF = 0.05
"""Deviation of a side of a told box, in its length."""
GREY = 0.1
"""Share of crops without colours."""
NO_CLASS, NO_OTHERS = 0.15, 0.15
"""Shares of samples that are not told their class, or the boxes of others."""


@dataclass
class Samples:
    """B crops.

    Attributes:
        layers: (B, L, S, S) float32, what the network is told, see `samodal.frontends.cutter.config.LAYERS`.
        kinds: (B,) numbers of classes.
        colours: (B, 3, S, S) float32 in 0..255, as the picture has them.
        visible: (B, S, S) float32 truth, where there is a mask.
        box: (B, S, S) float32, the true box, within the picture.
        masked: (B,) bool, whether there is a mask.
    """

    layers: torch.Tensor
    kinds: torch.Tensor
    colours: torch.Tensor
    visible: torch.Tensor
    box: torch.Tensor
    masked: torch.Tensor


@dataclass
class Crops:
    """Squares of pictures.

    Attributes:
        corner: (B, 2) x and y of the upper left corner, pixel edges.
        step: (B,) pixels of the picture to a pixel of the crop.
        mirrored: (B,) bool.
        size: side in its own pixels.
    """

    corner: torch.Tensor
    step: torch.Tensor
    mirrored: torch.Tensor
    size: int

    def weights(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, S, length) filters down and across, of pictures of so many rows and columns."""
        device = self.corner.device
        to = torch.arange(self.size, device=device, dtype=torch.float32)[:, None]
        pixels = torch.arange(length, device=device, dtype=torch.float32)
        step = self.step[:, None, None]
        across, down = (filters(self.corner[:, n, None, None], step, to, pixels) for n in (0, 1))
        return down, torch.where(self.mirrored[:, None, None], across.flip(1), across)

    def covered(self, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, G, S) shares of rows and of columns within boxes (B, G, 4)."""
        edges = torch.arange(self.size + 1, device=boxes.device) * self.step[:, None]
        shares = []
        for n in (1, 0):
            places = (self.corner[:, n, None] + edges)[:, None]
            low, high = boxes[..., n, None], boxes[..., 2 + n, None]
            share = torch.minimum(torch.maximum(places, low), torch.maximum(low, high)).diff(dim=-1)
            shares.append(share / self.step[:, None, None])
        rows, columns = shares
        return rows, torch.where(self.mirrored[:, None, None], columns.flip(-1), columns)


class Drawer:
    """Draws samples.

    Args:
        pictures: on the device that trains.
        config: of the network.
        shares: of what is drawn: data sets, photos, boxes alone; the rest is other instances with masks.
        hidden: share of samples with a mask that get something put before them.
    """

    def __init__(self, pictures: Pictures, config: CutterConfig, classes: tuple[str, ...],
                 shares: tuple[float, float, float], hidden: float):  # fmt: skip
        self.pictures, self.config, self.hidden = pictures, config, hidden
        sides = (pictures.boxes[..., 2:] - pictures.boxes[..., :2]).amax(-1)
        real = (pictures.kinds >= 0) & (sides >= LEAST_SIDE)
        self.picture, self.slot = real.nonzero(as_tuple=True)
        masked = pictures.places[self.picture, self.slot] > 0
        simulated = pictures.simulated[self.picture]
        photo = masked & pictures.photos[self.picture]
        chances = chances_of(list(zip((simulated, photo, ~masked), shares, strict=True)))
        self.chances, self.photo, self.masked = chances.cumsum(0), photo, masked
        self.fronts = photo.nonzero()[:, 0]
        self.numbers = torch.tensor([config.class_number(name) for name in classes], device=masked.device)

    def __call__(self, count: int, generator: torch.Generator) -> Samples:
        """So many samples."""
        device, pictures, size = self.chances.device, self.pictures, self.config.size

        def draw(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        chosen = torch.searchsorted(self.chances, draw(count).double() * self.chances[-1])
        chosen = chosen.clamp_max(len(self.chances) - 1)
        index, slot = self.picture[chosen], self.slot[chosen]
        boxes, kinds = pictures.boxes[index], pictures.kinds[index]
        rows = torch.arange(count, device=device)
        box = boxes[rows, slot]
        extent = (box[:, 2:] - box[:, :2]).repeat(1, 2)
        noise = torch.randn(count, 4, generator=generator, device=device).clamp(-2.5, 2.5)
        told = box + OFF * extent * noise
        longest = (told[:, 2:] - told[:, :2]).amax(1)
        side = (self.config.context * longest).clamp_min(self.config.least)
        crops = Crops((told[:, :2] + told[:, 2:] - side[:, None]) / 2, side / size, draw(count) < 0.5, size)
        colours, visible = self._cut(index, pictures.places[index, slot], crops)
        inside = _filled(
            crops,
            torch.cat([torch.zeros_like(index)[:, None].repeat(1, 2), pictures.content[index].flip(1)], 1).float()[
                :, None
            ],
        )[:, 0]
        others = self._others(crops, boxes, kinds, slot, draw)
        self._change_backgrounds(chosen, colours, visible, others, inside, draw)
        masked, true_box = self.masked[chosen], _filled(crops, box[:, None])[:, 0] * inside
        self._hide(masked, colours, visible, others, generator, draw)
        others = others * (draw(count) >= NO_OTHERS)[:, None, None]
        changed = recoloured(colours, GREY, generator)
        told_box = _filled(crops, told[:, None])[:, 0]
        layers = torch.cat([normalise(changed) * inside[:, None], torch.stack([told_box, others, inside], 1)], 1)
        number = torch.where(draw(count) < NO_CLASS, 0, self.numbers[kinds[rows, slot]])
        return Samples(layers, number, colours, visible * inside, true_box, masked)

    def _cut(self, index: torch.Tensor, place: torch.Tensor, crops: Crops) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, S, S) colours and (B, S, S) visible masks; 0 beyond the pictures."""
        pictures = self.pictures
        half = torch.float16 if pictures.pixels.is_cuda else torch.float32
        down, across = (w.to(half) for w in crops.weights(pictures.pixels.shape[-1]))
        line = torch.arange(pictures.pixels.shape[-1], device=index.device)
        shown = (line < pictures.content[index, 0, None])[:, :, None] & (line < pictures.content[index, 1, None])[
            :, None
        ]
        owned = (pictures.owners[index] == place[:, None, None]) & (place > 0)[:, None, None]
        layers = torch.cat([pictures.pixels[index].to(half) * shown[:, None] / 255, owned[:, None].to(half)], 1)
        cut = (down[:, None] @ layers @ across.transpose(1, 2)[:, None]).float().clamp(0, 1)
        return 255 * cut[:, :3], cut[:, 3]

    def _others(self, crops: Crops, boxes: torch.Tensor, kinds: torch.Tensor, slot: torch.Tensor, draw) -> torch.Tensor:
        """(B, S, S): the boxes of others, some of them left out."""
        there = (kinds != NONE) & (draw(*kinds.shape) >= 0.1)
        there[torch.arange(len(slot), device=slot.device), slot] = False
        most = max(1, int(there.sum(1).max()))
        order = (~there).int().argsort(dim=1, stable=True)[:, :most]
        chosen = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        there = there.gather(1, order)
        union = torch.zeros(len(slot), crops.size, crops.size, device=slot.device)
        for n in range(most):  # all at once would fill gigabytes
            union = torch.maximum(union, _filled(crops, chosen[:, n : n + 1])[:, 0] * there[:, n, None, None])
        return union

    def _change_backgrounds(self, chosen, colours, visible, others, inside, draw) -> None:
        """Put most objects of photos before a part of another picture."""
        rows = (self.photo[chosen] & (draw(len(chosen)) < 0.7)).nonzero()[:, 0]
        if not len(rows):
            return
        pictures, size = self.pictures, self.config.size
        index = (draw(len(rows)) * len(pictures)).long()
        content = pictures.content[index].float()
        side = content.amin(1) * (0.15 + 0.75 * draw(len(rows)))
        corner = (content.flip(1) - side[:, None]) * draw(len(rows), 2)
        crops = Crops(corner, side / size, draw(len(rows)) < 0.5, size)
        behind, _ = self._cut(index, torch.zeros_like(index), crops)
        mask = visible[rows][:, None]
        colours[rows] = behind + (colours[rows] - behind) * mask
        inside[rows] = 1.0

    def _hide(self, masked, colours, visible, others, generator: torch.Generator, draw) -> None:
        """Put objects cut out of photos before some of what has a mask."""
        rows = (masked & (draw(len(masked)) < self.hidden)).nonzero()[:, 0]
        if not len(rows) or not len(self.fronts):
            return
        size, count = self.config.size, len(rows)
        front = self.fronts[(draw(count) * len(self.fronts)).long()]
        index, slot = self.picture[front], self.slot[front]
        box = self.pictures.boxes[index, slot]
        tall = size * (0.35 + 1.1 * draw(count))  # in pixels of the crop
        step = (box[:, 3] - box[:, 1]) / tall
        middle = size * (0.1 + 0.8 * draw(count))
        bottom = size * (0.6 + 0.5 * draw(count))
        corner = torch.stack([(box[:, 0] + box[:, 2]) / 2 - middle * step, box[:, 3] - bottom * step], 1)
        crops = Crops(corner, step, torch.zeros(count, dtype=torch.bool, device=step.device), size)
        before, mask = self._cut(index, self.pictures.places[index, slot], crops)
        left = (visible[rows] * (1 - mask)).sum((1, 2))
        fits = left > 0.2 * visible[rows].sum((1, 2))
        mask = mask * fits[:, None, None]
        colours[rows] += (before - colours[rows]) * mask[:, None]
        visible[rows] = visible[rows] * (1 - mask)
        filled = _filled(crops, box[:, None])[:, 0] * fits[:, None, None]
        others[rows] = torch.maximum(others[rows], filled)


def _filled(crops: Crops, boxes: torch.Tensor) -> torch.Tensor:
    """(B, G, S, S): how much of each pixel lies in boxes (B, G, 4)."""
    rows, columns = crops.covered(boxes)
    return rows[..., :, None] * columns[..., None, :]
