"""Pasted samples: a silhouette that others hide, of which the whole is known.

The idea is PCNet-M's (Zhan et al. 2020): an object is covered on purpose, or something is put behind it, and a network
learns when to complete and when not. How much is hidden is drawn evenly: chance alone would make most samples easy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from samodal.segmenters.completion.layers import LEVEL
from samodal.training.completion.canvases import SIZE
from samodal.training.completion.silhouettes import Silhouettes

COARSE = 48
"""Side of the grid on which a place for an occluder is searched for, and on which hulls are compared."""
DIRECTIONS = 24
"""Half planes that a hull is cut from."""
HALVINGS = 6
"""Of the way on which an occluder is slid, to hide as much as was drawn."""


@dataclass(frozen=True)
class PasteSettings:
    """How samples are put together; shares are of all samples.

    Attributes:
        longest: smallest and largest longer side of the target, as a share of the canvas.
        alone: nothing hides the target.
        hidden: least and largest share of the target that is to be hidden where something does.
        behind: something stands behind the target.
        second: a second thing stands in front, wherever it comes to lie.
        bar: that second thing is a thin upright bar, as a pole, which no front end names.
        unnamed: a thing in front is not among the neighbours, as no front end names it.
        road: an occluder stands lower in the picture than what it hides, where that is of a class that stands on roads;
            elsewhere it comes from any side.
        ratio: smallest and largest logarithm of the occluder's size relative to the target's.
        stretch: largest change of a silhouette's aspect, as a logarithm.
    """

    longest: tuple[float, float] = (0.3, 0.6)
    alone: float = 0.12
    hidden: tuple[float, float] = (0.03, 0.95)
    behind: float = 0.4
    second: float = 0.3
    bar: float = 0.3
    unnamed: float = 0.12
    road: float = 0.6
    ratio: tuple[float, float] = (-0.8, 0.8)
    stretch: float = 0.15


@dataclass
class Placed:
    """Where B silhouettes stand on their canvases: middle and half extents of their squares, mirrored or not.

    Attributes:
        row: (B,) of `Silhouettes`.
        x, y, half_x, half_y: (B,) in [0, 1], shares of the canvas.
        mirrored: (B,) -1 or 1.
    """

    row: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    half_x: torch.Tensor
    half_y: torch.Tensor
    mirrored: torch.Tensor

    def drawn(self, bank: Silhouettes, size: int) -> torch.Tensor:
        """(B, size, size) bool."""
        place = (torch.arange(size, device=self.x.device) + 0.5) / size
        across = (place - self.x[:, None]) / self.half_x[:, None] * self.mirrored[:, None]
        down = (place - self.y[:, None]) / self.half_y[:, None]
        shape = (len(self.x), size, size)
        where = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], -1)
        squares = bank.bits[self.row][:, None].float()
        return F.grid_sample(squares, where, align_corners=False)[:, 0] >= 0.5


class Paster:
    """Puts samples together on the device of a bank.

    Args:
        bank: silhouettes.
        settings: see `PasteSettings`.
    """

    def __init__(self, bank: Silhouettes, settings: PasteSettings = PasteSettings()):
        self.bank, self.settings = bank, settings

    def __call__(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(count, L, SIZE, SIZE) bool layers of canvases, and (count,) classes of their targets."""
        settings = self.settings

        def chance(share: float) -> torch.Tensor:
            return self._draw(count, 0, 1, generator) < share

        target = self._target(count, generator)
        whole = target.drawn(self.bank, SIZE)
        nothing = torch.zeros_like(whole)
        front = self._covering(target, generator).drawn(self.bank, SIZE) & ~_all(chance(settings.alone))
        second = self._near(target, generator, 1.0).drawn(self.bank, SIZE)
        bar = chance(settings.bar)
        second = torch.where(_all(bar), self._bar(target, generator), second)
        second = second & _all(chance(settings.second))
        second = torch.where(_all(_share(whole & ~front & ~second, whole) < settings.hidden[0]), nothing, second)
        behind = self._near(target, generator, 1.2).drawn(self.bank, SIZE) & _all(chance(settings.behind))
        visible = whole & ~front & ~second
        parts = [
            (front & ~_all(chance(settings.unnamed))),
            (second & ~front & ~_all(bar | chance(settings.unnamed))),
            (behind & ~whole & ~front & ~second),
        ]
        # Which of them are in front is guessed in training as it is in use.
        grounded = self.bank.kind[target.row] > 0
        guessed = [part & _all(stands_in_front(part, visible, grounded)) for part in parts]
        lower = guessed[0] | guessed[1] | guessed[2]
        others = (parts[0] | parts[1] | parts[2]) & ~lower
        layers = torch.stack([visible, lower, others, nothing, whole], 1)
        return layers, self.bank.kind[target.row]

    def _draw(self, count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)

    def _silhouette(self, count: int, longest: torch.Tensor, generator: torch.Generator) -> Placed:
        """Random ones in the middle, with this longer side as a share of the canvas."""
        row = self._draw(count, 0, len(self.bank), generator).long().clamp_max(len(self.bank) - 1)
        stretch = self._draw(count, -self.settings.stretch, self.settings.stretch, generator).exp()
        middle = torch.full_like(longest, 0.5)
        mirrored = torch.where(self._draw(count, 0, 1, generator) < 0.5, -1.0, 1.0)
        return Placed(row, middle, middle.clone(), longest / 2 * stretch, longest / 2 / stretch, mirrored)

    def _target(self, count: int, generator: torch.Generator) -> Placed:
        return self._silhouette(count, self._draw(count, *self.settings.longest, generator), generator)

    def _sized(self, target: Placed, generator: torch.Generator) -> Placed:
        """Random ones whose area is by a random ratio that of the target."""
        count = len(target.x)
        other = self._silhouette(count, torch.ones_like(target.x), generator)
        area = _area(target, self.bank) / _area(other, self.bank)
        scale = area.sqrt() * self._draw(count, *self.settings.ratio, generator).exp()
        scale = torch.minimum(scale, 1.2 / torch.maximum(other.half_x, other.half_y) / 2)
        other.half_x, other.half_y = other.half_x * scale, other.half_y * scale
        return other

    def _covering(self, target: Placed, generator: torch.Generator) -> Placed:
        """Occluders that hide as much of their targets as was drawn, slid there along a random direction."""
        count, settings = len(target.x), self.settings
        other = self._sized(target, generator)
        road = (self._draw(count, 0, 1, generator) < settings.road) & (self.bank.kind[target.row] > 0)
        angle = self._draw(count, 0, 2 * torch.pi, generator)
        side = torch.where(self._draw(count, 0, 1, generator) < 0.5, -1.0, 1.0)
        (_, wanted_h), (_, other_h) = _half(target, self.bank), _half(other, self.bank)
        lower = target.y + wanted_h - other_h + self._draw(count, -0.1, 0.8, generator) * wanted_h
        start_x = target.x + torch.where(road, 0.0, self._draw(count, -0.3, 0.3, generator) * target.half_x)
        start_y = torch.where(road, lower, target.y + self._draw(count, -0.3, 0.3, generator) * target.half_y)
        along_x, along_y = torch.where(road, side, angle.cos()), torch.where(road, 0.0, angle.sin())
        wanted = self._draw(count, *settings.hidden, generator)
        whole = target.drawn(self.bank, COARSE)
        near, far = torch.zeros_like(target.x), torch.full_like(target.x, 1.2)
        for _ in range(HALVINGS):
            way = (near + far) / 2
            other.x, other.y = start_x + way * along_x, start_y + way * along_y
            covers = _share(other.drawn(self.bank, COARSE) & whole, whole) > wanted
            near, far = torch.where(covers, way, near), torch.where(covers, far, way)
        return other

    def _near(self, target: Placed, generator: torch.Generator, reach: float) -> Placed:
        """Others that touch their targets or nearly do, or overlap with them."""
        count, other = len(target.x), self._sized(target, generator)
        angle = self._draw(count, 0, 2 * torch.pi, generator)
        way = self._draw(count, 0.3, reach, generator)
        (w, h), (other_w, other_h) = _half(target, self.bank), _half(other, self.bank)
        other.x = target.x + way * angle.cos() * (w + other_w)
        other.y = target.y + way * angle.sin() * (h + other_h)
        return other

    def _bar(self, target: Placed, generator: torch.Generator) -> torch.Tensor:
        """(B, SIZE, SIZE) bool: upright bars across their targets."""
        count = len(target.x)
        middle = target.x + target.half_x * self._draw(count, -0.7, 0.7, generator)
        half = target.half_x * self._draw(count, 0.03, 0.12, generator)
        place = (torch.arange(SIZE, device=middle.device) + 0.5) / SIZE
        return ((place - middle[:, None]).abs() <= half[:, None])[:, None].expand(count, SIZE, SIZE)


def _half(placed: Placed, bank: Silhouettes) -> tuple[torch.Tensor, torch.Tensor]:
    """Half width and height of what is drawn, as shares of the canvas."""
    extent = bank.extent[placed.row]
    return placed.half_x * extent[:, 0], placed.half_y * extent[:, 1]


def _area(placed: Placed, bank: Silhouettes) -> torch.Tensor:
    w, h = _half(placed, bank)
    return 4 * w * h


def _all(samples: torch.Tensor) -> torch.Tensor:
    return samples[:, None, None]


def _share(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    return part.sum((1, 2)) / whole.sum((1, 2)).clamp_min(1)


def stands_in_front(others: torch.Tensor, masks: torch.Tensor, grounded: torch.Tensor) -> torch.Tensor:
    """`samodal.segmenters.completion.layers.stands_in_front` of B pairs at once, but for coarser hulls.

    Args:
        others, masks: (B, SIZE, SIZE) bool visible masks.
        grounded: (B,) bool.

    Returns:
        (B,) bool; what it is for an empty mask does not matter.
    """
    (top, bottom), (other_top, other_bottom) = _rows(masks), _rows(others)
    lower = other_bottom - bottom
    level = lower.abs() <= LEVEL * torch.maximum(bottom - top, other_bottom - other_top)
    masks, others = (F.max_pool2d(m[:, None].float(), SIZE // COARSE)[:, 0] > 0 for m in (masks, others))
    into, back = (hull(masks) & others).sum((1, 2)), (hull(others) & masks).sum((1, 2))
    by_hulls = (into > back) | ((into == back) & (lower > 0))
    return torch.where(grounded & ~level, lower > 0, by_hulls)


def _rows(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) first row with a pixel and the row after the last one."""
    lines = masks.any(2)
    rows = torch.arange(masks.shape[1], device=masks.device)
    return torch.where(lines, rows, masks.shape[1]).amin(1), torch.where(lines, rows + 1, 0).amax(1)


def hull(masks: torch.Tensor) -> torch.Tensor:
    """The convex hulls of (B, S, S) bool masks, as what some half planes have in common; nothing for an empty mask."""
    place = torch.arange(masks.shape[1], device=masks.device, dtype=torch.float32)
    angle = torch.arange(DIRECTIONS, device=masks.device) * (2 * torch.pi / DIRECTIONS)
    along = angle.cos()[:, None, None] * place + angle.sin()[:, None, None] * place[:, None]
    farthest = torch.where(masks[:, None], along, -torch.inf).amax((2, 3), keepdim=True)
    return (along <= farthest + 1e-3).all(1)
