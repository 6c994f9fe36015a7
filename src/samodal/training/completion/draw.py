"""A step's samples: crops of canvases, moved, scaled, mirrored and damaged as real masks are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from samodal.segmenters.completion.config import CompletionConfig
from samodal.segmenters.completion.layers import filters
from samodal.training.completion.canvases import SIZE


@dataclass(frozen=True)
class DamageSettings:
    """What is done to samples; shares are of all of them.

    Attributes:
        zoom: smallest and largest side of a crop, relative to that of prediction.
        wide: share of crops that are cut by the whole object's box, as a second look does.
        shift: farthest shift of a crop, as a share of its side.
        rough: share of visible masks whose border is moved.
        hole: share of visible masks with a hole.
        grown: share of masks that are dilated or eroded.
        no_neighbours: share without neighbours.
        no_class: share of unknown class.
        no_earlier: share that is not told an earlier shape.
        border: share that the border of a picture cuts.
        mirrored: share that is mirrored.
    """

    zoom: tuple[float, float] = (0.85, 1.2)
    wide: float = 0.15
    shift: float = 0.06
    rough: float = 0.5
    hole: float = 0.1
    grown: float = 0.2
    no_neighbours: float = 0.12
    no_class: float = 0.25
    no_earlier: float = 0.6
    border: float = 0.12
    mirrored: float = 0.5


NO_DAMAGE = DamageSettings((1.0, 1.0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
"""Samples as prediction sees them."""


@dataclass
class Samples:
    """B crops.

    Attributes:
        told: (B, S, S) each, what the network is told.
        kind: (B,) classes.
        visible, amodal: (B, S, S) float truth.
        weight: (B, S, S) 1 where the truth is known.
    """

    told: dict[str, torch.Tensor]
    kind: torch.Tensor
    visible: torch.Tensor
    amodal: torch.Tensor
    weight: torch.Tensor


class Drawer:
    """Cuts samples.

    Args:
        config: of the network.
        damage: see `DamageSettings`.
    """

    def __init__(self, config: CompletionConfig, damage: DamageSettings = DamageSettings()):
        self.config, self.damage = config, damage

    def __call__(
        self, layers: torch.Tensor, kind: torch.Tensor, earlier: tuple[torch.Tensor, torch.Tensor] | None,
        generator: torch.Generator,
    ) -> Samples:  # fmt: skip
        """Samples of canvases.

        Args:
            layers: (B, L, SIZE, SIZE) bool, as `Canvases.layers`.
            kind: (B,) classes.
            earlier: (B, SIZE, SIZE) bool amodal masks of the same objects elsewhere and (B,) whether there is any;
                None: a slightly other view of the object itself.
            generator: on the device of the canvases.
        """
        draw, damage = Draw(len(kind), generator), self.damage
        unknown = layers[:, 3]
        layers = self._cut_by_a_border(layers, draw)
        box, whole = boxes(layers[:, 0]), boxes(layers[:, 4])
        first, step, mirrored = self._crops(box, whole, draw)
        cut = _resampled(torch.cat([layers, unknown[:, None]], 1), first, step, mirrored, self.config.size)
        visible, front, behind, outside, amodal, unknown = cut.unbind(1)
        if earlier is None:
            shape, there, given, share = layers[:, 4], torch.ones_like(box[:, 0]) > 0, whole, 0.12
        else:
            (shape, there), share = earlier, 0.06
            given = boxes(shape)
        shape = self._aligned(shape, given, whole, first, step, mirrored, share, draw)
        shape = shape * (there & (draw.uniform() >= damage.no_earlier))[:, None, None]
        told_visible = self._damaged(visible, draw)
        alone = draw.uniform() < damage.no_neighbours
        front, behind = (
            self._grown(layer, draw) * ~alone[:, None, None] * (1 - told_visible) for layer in (front, behind)
        )
        told = {"visible": told_visible, "front": front, "behind": behind, "inside": 1 - outside, "earlier": shape}
        kind = torch.where(draw.uniform() < damage.no_class, 0, kind)
        return Samples(told, kind, visible, amodal, (unknown < 0.5).float())

    def _crops(
        self, box: torch.Tensor, whole: torch.Tensor, draw: Draw
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Edge of the first pixel (B, 2) and step (B,) in pixels of the canvas, and which are mirrored."""
        damage, config = self.damage, self.config
        wide = draw.uniform() < damage.wide
        longest, whole_longest = ((b[:, 2:] - b[:, :2]).amax(1) for b in (box, whole))
        side = torch.where(wide, torch.maximum(1.6 * whole_longest, config.context * longest), config.context * longest)
        middle = torch.where(wide[:, None], whole[:, :2] + whole[:, 2:], box[:, :2] + box[:, 2:]) / 2
        low, high = damage.zoom
        side = side * draw.uniform(low, high)
        middle = middle + damage.shift * side[:, None] * torch.stack([draw.uniform(-1, 1), draw.uniform(-1, 1)], 1)
        mirrored = draw.uniform() < damage.mirrored
        return middle - side[:, None] / 2, side / config.size, mirrored

    def _cut_by_a_border(self, layers: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Some pictures end left, right or below within the object."""
        box = boxes(layers[:, 4])
        share, side = draw.uniform(0.15, 0.85), draw.uniform(0, 3).long().clamp_max(2)
        place = torch.arange(SIZE, device=layers.device)
        x = box[:, 0] + share * (box[:, 2] - box[:, 0])
        y = box[:, 1] + (0.4 + 0.6 * share) * (box[:, 3] - box[:, 1])
        columns = torch.where((side == 0)[:, None], place >= x[:, None], place < x[:, None]) | (side == 2)[:, None]
        rows = (place < y[:, None]) | (side != 2)[:, None]
        window = columns[:, None, :] & rows[:, :, None]
        window |= (draw.uniform() >= self.damage.border)[:, None, None]
        left = (layers[:, 0] & window).sum((1, 2))
        window |= (left < 0.05 * layers[:, 0].sum((1, 2)))[:, None, None]
        cut = layers & window[:, None]
        cut[:, 3], cut[:, 4] = layers[:, 3] | ~window, layers[:, 4]
        return cut

    def _aligned(
        self, shape: torch.Tensor, given: torch.Tensor, whole: torch.Tensor, first: torch.Tensor, step: torch.Tensor,
        mirrored: torch.Tensor, share: float, draw: Draw,
    ) -> torch.Tensor:  # fmt: skip
        """(B, S, S): an earlier shape with its box where that of the whole object is, but for an error."""
        extent = (whole[:, 2:] - whole[:, :2]).clamp_min(1)
        error = torch.stack([draw.normal() for _ in range(4)], 1) * share
        into = whole + error * torch.cat([extent, extent], 1)
        ratio = (given[:, 2:] - given[:, :2]).clamp_min(1) / (into[:, 2:] - into[:, :2]).clamp_min(1)
        return _resampled(
            shape[:, None],
            (first - into[:, :2]) * ratio + given[:, :2],
            step[:, None] * ratio,
            mirrored,
            self.config.size,
        )[:, 0]

    def _damaged(self, visible: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Visible masks as a front end gives them; none is left empty."""
        damage, size = self.damage, self.config.size
        noise = torch.randn(len(visible), 1, size // 8, size // 8, generator=draw.generator, device=visible.device)
        noise = F.interpolate(noise, size=(size, size), mode="bilinear")[:, 0]
        rough = (F.avg_pool2d(visible[:, None], 5, 1, 2)[:, 0] + 0.18 * noise) > draw.uniform(0.35, 0.65)[:, None, None]
        seen = torch.where((draw.uniform() < damage.rough)[:, None, None], rough.float(), visible)
        seen = self._grown(seen, draw)
        box = boxes(visible >= 0.5)
        extent = box[:, 2:] - box[:, :2]
        middle = box[:, :2] + extent * torch.stack([draw.uniform(), draw.uniform()], 1)
        half = extent * torch.stack([draw.uniform(0.05, 0.2), draw.uniform(0.05, 0.2)], 1)
        place = torch.arange(size, device=visible.device)
        columns = (place - middle[:, :1]).abs() <= half[:, :1]
        rows = (place - middle[:, 1:]).abs() <= half[:, 1:]
        hole = columns[:, None, :] & rows[:, :, None] & (draw.uniform() < damage.hole)[:, None, None]
        seen = seen * ~hole
        return torch.where((seen.sum((1, 2)) < 4)[:, None, None], visible, seen)

    def _grown(self, layer: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Some dilated, some eroded by a pixel or two of the crop."""
        large, small = F.max_pool2d(layer[:, None], 3, 1, 1), -F.max_pool2d(-layer[:, None], 3, 1, 1)
        larger = F.max_pool2d(large, 3, 1, 1)
        which = draw.uniform()[:, None, None]
        share = self.damage.grown / 3
        for n, changed in enumerate((large, small, larger)):
            layer = torch.where((which >= n * share) & (which < (n + 1) * share), changed[:, 0], layer)
        return layer


class Draw:
    """Numbers for B samples from a generator."""

    def __init__(self, count: int, generator: torch.Generator):
        self.count, self.generator = count, generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """(B,) evenly from [low, high)."""
        return low + (high - low) * torch.rand(self.count, generator=self.generator, device=self.generator.device)

    def normal(self) -> torch.Tensor:
        """(B,) of a standard normal distribution."""
        return torch.randn(self.count, generator=self.generator, device=self.generator.device)


def boxes(masks: torch.Tensor) -> torch.Tensor:
    """(B, 4) float x0, y0, x1, y1 of (B, H, W) bool masks; zeros where one is empty."""
    sides = []
    for axis in (1, 2):
        lines = masks.any(axis)
        place = torch.arange(lines.shape[1], device=masks.device)
        first = torch.where(lines, place, lines.shape[1]).amin(1)
        end = torch.where(lines, place + 1, 0).amax(1)
        sides.append((torch.minimum(first, end), end))
    (x0, x1), (y0, y1) = sides
    return torch.stack([x0, y0, x1, y1], 1).float()


def _resampled(
    layers: torch.Tensor, first: torch.Tensor, step: torch.Tensor, mirrored: torch.Tensor, size: int
) -> torch.Tensor:
    """(B, L, size, size) in [0, 1] of (B, L, h, w) bool; `first` (B, 2) x and y, `step` (B,) or (B, 2)."""
    if step.ndim == 1:
        step = step[:, None].expand(-1, 2)
    to = torch.arange(size, device=layers.device, dtype=torch.float32)[:, None]
    across, down = (
        filters(first[:, n, None, None], step[:, n, None, None], to,
                torch.arange(layers.shape[3 - n], device=layers.device, dtype=torch.float32))
        for n in (0, 1)
    )  # fmt: skip
    across = torch.where(mirrored[:, None, None], across.flip(1), across)
    half = torch.float16 if layers.is_cuda else torch.float32
    layers, across, down = layers.to(half), across.to(half), down.to(half)
    return (down[:, None] @ layers @ across.transpose(1, 2)[:, None]).float().clamp(0, 1)
