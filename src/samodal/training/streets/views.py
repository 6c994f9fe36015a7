"""Canvases of a step: parts of pictures, moved, scaled, mirrored and recoloured, and where their boxes are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from samodal.training.augment import AugmentSettings, Views, grid, inside, recolour, warp_frames
from samodal.training.streets.pictures import IGNORED, NONE, Pictures

COLOURS = AugmentSettings(brightness=0.2, contrast=0.45, saturation=0.7, tint=0.12, noise=12.0, blurred=0.2)
"""Wide enough that cameras, hours and weather fall within."""
GREY = 114.0
"""Of what shows no picture."""
LITTLE = 0.3
"""A box of which less is in view is neither learned nor background."""
SMALLEST = 5.0
"""The same for boxes that are less high, in pixels of the canvas."""


@dataclass(frozen=True)
class ViewSettings:
    """How canvases are made.

    Attributes:
        zoom: smallest and largest scale, in scales at which the picture fits the canvas.
        photo_zoom: the same for photos of single objects, which fill them.
        tiled: share of canvases made of four pictures.
        pasted: share of canvases with objects cut out of photos.
        grey: share of canvases without colours.
        amplitude: whether the spectra of drawn pictures are changed (PASTA, Chattopadhyay et al. 2023).
    """

    zoom: tuple[float, float] = (0.7, 2.4)
    photo_zoom: tuple[float, float] = (0.15, 1.1)
    tiled: float = 0.4
    pasted: float = 0.15
    grey: float = 0.1
    amplitude: bool = True


@dataclass
class Canvas:
    """B canvases of (H, W) with at most G boxes each.

    Attributes:
        pixels: (B, 3, H, W) float32 in 0..255.
        boxes: (B, G, 4) float32, x0, y0, x1, y1, pixel edges, within the canvas.
        kinds: (B, G) int64, classes, `NONE` or `IGNORED`.
    """

    pixels: torch.Tensor
    boxes: torch.Tensor
    kinds: torch.Tensor


class Viewer:
    """Makes canvases.

    Args:
        pictures: on the device that trains.
        chances: (N,) how often each is drawn, in shares of any sum.
        settings: see `ViewSettings`.
    """

    def __init__(self, pictures: Pictures, chances: torch.Tensor, settings: ViewSettings = ViewSettings()):
        self.pictures, self.settings = pictures, settings
        self.chances = chances.double().cumsum(0)
        self.photos = pictures.photos
        self.cut_outs = self.photos.nonzero()[:, 0]

    def __call__(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Canvas:
        """So many canvases of (H, W) pixels, both multiples of two."""
        tiled = round(self.settings.tiled * count)
        height, width = size
        whole = self._tiles(count - tiled, size, generator)
        if tiled:
            small = self._tiles(4 * tiled, (height // 2, width // 2), generator)
            whole = _together(whole, _mosaic(small, tiled))
        if len(self.cut_outs) and self.settings.pasted:
            self._paste(whole, generator)
        whole.pixels = recoloured(whole.pixels, self.settings.grey, generator)
        return whole

    def _tiles(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Canvas:
        pictures, settings = self.pictures, self.settings

        def draw(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=generator, device=self.chances.device)

        index = torch.searchsorted(self.chances, draw(count).double() * self.chances[-1]).clamp_max(len(pictures) - 1)
        chosen = pictures.some(index)
        content = chosen.content.float()
        fit = (torch.tensor(size, device=content.device) / content).amin(1)
        photo = self.photos[index]
        low, high = (torch.where(photo, a, b) for a, b in zip(settings.photo_zoom, settings.zoom, strict=True))
        zoom = fit * low * (high / low) ** draw(count)
        extent = torch.tensor(size, device=content.device) / zoom[:, None]
        corner = ((content - extent) * draw(count, 2)).flip(1)
        views = Views(zoom, corner, draw(count) < 0.5)
        stored = tuple(pictures.pixels.shape[-2:])
        where = grid(views, content, stored, size)
        shown = inside(where, content, stored)
        pixels = torch.where(shown, warp_frames(chosen.pixels, where), GREY)
        if settings.amplitude and bool(chosen.simulated.any()):
            pixels[chosen.simulated] = jittered(pixels[chosen.simulated], generator)
        boxes = chosen.boxes.clone()
        mirrored = torch.stack(
            [content[:, 1:] - boxes[..., 2], boxes[..., 1], content[:, 1:] - boxes[..., 0], boxes[..., 3]], -1
        )
        boxes = torch.where(views.flip[:, None, None], mirrored, boxes)
        boxes = (boxes - corner.repeat(1, 2)[:, None]) * zoom[:, None, None]
        return Canvas(pixels, *within(boxes, chosen.kinds, size))

    def _paste(self, canvas: Canvas, generator: torch.Generator) -> None:
        """Put cut-outs before some canvases; what they cover is neither learned nor background."""
        device, (height, width) = canvas.pixels.device, canvas.pixels.shape[-2:]
        count = len(canvas.kinds)
        draw = torch.rand(count, 7, generator=generator, device=device)
        rows = (draw[:, 0] < self.settings.pasted).nonzero()[:, 0]
        if not len(rows):
            return
        draw = draw[rows]
        chosen = self.pictures.some(self.cut_outs[(draw[:, 1] * len(self.cut_outs)).long()])
        slot = (chosen.places > 0).int().argmax(1)
        box = chosen.boxes[torch.arange(len(rows), device=device), slot]
        kind = chosen.kinds[torch.arange(len(rows), device=device), slot]
        # Feet stand on the road, and who is nearer is taller: nobody hangs in the sky.
        horizon = height * (0.35 + 0.15 * draw[:, 2])
        bottom = horizon + (1.05 * height - horizon) * draw[:, 4] ** 1.5
        tall = ((bottom - horizon) * (0.7 + 0.9 * draw[:, 6])).clamp_min(20)
        zoom = tall / (box[:, 3] - box[:, 1]).clamp_min(1)
        wide = (box[:, 2] - box[:, 0]) * zoom
        left = draw[:, 3] * width - wide / 2
        corner = torch.stack([box[:, 0] - left / zoom, box[:, 3] - bottom / zoom], 1)
        content = chosen.content.float()
        stored = tuple(chosen.pixels.shape[-2:])
        where = grid(Views(zoom, corner, torch.zeros_like(zoom, dtype=torch.bool)), content, stored, (height, width))
        mask = F.grid_sample((chosen.owners == 1)[:, None].float(), where, align_corners=False)
        soft = F.avg_pool2d(mask, 3, 1, 1)
        mask = torch.where((draw[:, 5] < 0.5)[:, None, None, None], soft, mask)
        canvas.pixels[rows] = torch.lerp(canvas.pixels[rows], warp_frames(chosen.pixels, where), mask)
        pasted = torch.stack([left, bottom - tall, left + wide, bottom], 1)[:, None]
        pasted, new = within(pasted, kind[:, None], (height, width))
        covered = _share_within(canvas.boxes[rows], pasted) > 0.6
        boxes, kinds = canvas.boxes[rows], torch.where(covered & (canvas.kinds[rows] >= 0), IGNORED, canvas.kinds[rows])
        room = canvas.boxes.new_zeros(count, 1, 4)
        empty = torch.full((count, 1), NONE, device=device)
        canvas.boxes, canvas.kinds = torch.cat([canvas.boxes, room], 1), torch.cat([canvas.kinds, empty], 1)
        canvas.boxes[rows], canvas.kinds[rows] = torch.cat([boxes, pasted], 1), torch.cat([kinds, new], 1)


def recoloured(pixels: torch.Tensor, grey: float, generator: torch.Generator) -> torch.Tensor:
    """(F, 3, h, w) pictures in 0..255 as other cameras and hours would show them; a share of them grey."""
    draw = torch.rand(3, len(pixels), 1, 1, 1, generator=generator, device=pixels.device)
    bright = 255 * (pixels / 255).clamp(0, 1) ** (0.6 * (1.6 / 0.6) ** draw[0])
    coloured = recolour(bright, COLOURS, generator)
    coarse = F.interpolate(F.avg_pool2d(coloured, 2), scale_factor=2, mode="bilinear", align_corners=False)
    coloured = torch.where(draw[1] < 0.12, coarse, coloured)
    return torch.where(draw[2] < grey, coloured.mean(1, keepdim=True), coloured)


def jittered(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(F, 3, h, w) pictures in 0..255 with other amplitudes of their spectra, the higher the frequency the more.

    Source: PASTA (Chattopadhyay et al. 2023), with its published alpha 3, k 2 and beta 0.25.
    """
    height, width = pixels.shape[-2:]
    spectrum = torch.fft.fft2(pixels.float())
    down, across = (torch.fft.fftfreq(n, device=pixels.device) * n for n in (height, width))
    share = ((down[:, None] ** 2 + across**2) / (height**2 + width**2)).sqrt()
    spread = (2 * 3.0 * share) ** 2 + 0.25
    noise = torch.randn(len(pixels), 1, height, width, generator=generator, device=pixels.device)
    return torch.fft.ifft2(spectrum * (1 + spread * noise).abs()).real.clamp(0, 255)


def within(boxes: torch.Tensor, kinds: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes cut off at the border of a canvas, and their kinds: what is hardly in view is not learned."""
    limit = torch.tensor([size[1], size[0]] * 2, device=boxes.device, dtype=boxes.dtype)
    cut = torch.minimum(boxes.clamp_min(0), limit)
    area, left = ((b[..., 2:] - b[..., :2]).clamp_min(0).prod(-1) for b in (boxes, cut))
    hardly = (left < LITTLE * area) | ((cut[..., 3] - cut[..., 1]) < SMALLEST) | ((cut[..., 2] - cut[..., 0]) < 2)
    kinds = torch.where(hardly & (kinds >= 0), IGNORED, kinds)
    return cut, torch.where(left <= 0, NONE, kinds)


def _mosaic(tiles: Canvas, count: int) -> Canvas:
    """Canvases of four tiles each."""
    height, width = tiles.pixels.shape[-2:]
    pixels = tiles.pixels.unflatten(0, (count, 2, 2))
    pixels = pixels.permute(0, 3, 1, 4, 2, 5).reshape(count, 3, 2 * height, 2 * width)
    boxes, kinds = tiles.boxes.unflatten(0, (count, 4)), tiles.kinds.unflatten(0, (count, 4))
    place = torch.tensor([[0, 0], [width, 0], [0, height], [width, height]], device=boxes.device, dtype=boxes.dtype)
    return Canvas(pixels, (boxes + place.repeat(1, 2)[:, None]).flatten(1, 2), kinds.flatten(1, 2))


def _together(one: Canvas, other: Canvas) -> Canvas:
    """Canvases of both, without the places that hold no box anywhere."""
    most = max(one.kinds.shape[1], other.kinds.shape[1])
    boxes = torch.cat([F.pad(c.boxes, (0, 0, 0, most - c.boxes.shape[1])) for c in (one, other)])
    kinds = torch.cat([F.pad(c.kinds, (0, most - c.kinds.shape[1]), value=NONE) for c in (one, other)])
    order = (kinds == NONE).int().argsort(dim=1, stable=True)[:, : max(1, int((kinds != NONE).sum(1).max()))]
    return Canvas(
        torch.cat([one.pixels, other.pixels]),
        boxes.gather(1, order[..., None].expand(-1, -1, 4)),
        kinds.gather(1, order),
    )


def _share_within(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(B, G) share of each box within the (B, 1, 4) other of its canvas."""
    low, high = torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    return (high - low).clamp_min(0).prod(-1) / (boxes[..., 2:] - boxes[..., :2]).prod(-1).clamp_min(1e-6)
