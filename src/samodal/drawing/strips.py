"""Figures as strips: a few frames of one scene side by side, the same crop in all, one row for each method and truth.

The instance that a strip is about has one colour in every frame; the others are outlined thinly. As in overlays, the
visible part is tinted, the hidden part striped, a cross is a prompt point (paper, Figure 10) and dots are points that
the tracker follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samodal.drawing.overlay import Drawer, outline
from samodal.outputs import writing
from samodal.rle import Rle
from samodal.tracks import FrameResult, Instance

WIDTHS = (1000, 900, 800, 700, 600)
"""Of a figure in pixels; the pages of the documentation show about 1000."""
QUALITIES = (88, 82, 76)
"""Of a JPEG."""
LARGEST = 250_000
"""Bytes of a figure's file: widths and, for each, qualities are tried in turn until it is small enough."""
FOCUS = (255, 214, 10)
"""The colour of the instance that a strip is about: yellow, as in the paper's figures."""
OTHERS = (200, 200, 200)
CULPRIT = (40, 200, 255)
"""The outline of the other instance that a failure is about."""
TRUTH = (60, 255, 110)
"""The outline of the true amodal mask, where a strip has no row for it."""
FAILED = (225, 30, 30)
"""The border of the frame that a failure was found in."""
CONTEXT = 0.3
"""Shown around the masks, in shares of their larger side."""
TALLEST, WIDEST, HIGHEST = 1.0, 2.4, 210
"""Height over width, width over height, and height in pixels that a panel has at most."""
_GAP, _LINE, _TEXT = 4, 19, 13


@dataclass(frozen=True, eq=False)
class Panel:
    """One method, or the truth, in one frame.

    Attributes:
        focus: the instance that the strip is about, None where nothing is said of it.
        others: visible masks of the other instances; what they hide would clutter the picture.
        truth: the true amodal mask, to be outlined over the focus.
        culprit: the visible mask of the one that a failure is about.
        note: short text written into the picture.
        trail: (N, 2) the focus's followed points in the frames just before, oldest first.
    """

    focus: Instance | None
    others: Sequence[Rle]
    note: str = ""
    trail: Sequence[np.ndarray] = ()
    truth: Rle | None = None
    culprit: Rle | None = None


@dataclass(frozen=True, eq=False)
class Strip:
    """One scene.

    Attributes:
        title: above it.
        images: (H, W, 3) uint8 RGB, one for each frame shown.
        heads: a short text for each frame.
        rows: by name, a panel for each frame.
        failed: index of the frame to mark, None for none.
    """

    title: str
    images: Sequence[np.ndarray]
    heads: Sequence[str]
    rows: dict[str, Sequence[Panel]]
    failed: int | None = None


def save_figure(strips: Sequence[Strip], path: Path) -> None:
    """Draw strips below each other and write them as a JPEG of at most `LARGEST` bytes, else as small as it gets.

    Raises:
        InputError: if it cannot be written.
    """
    for width in WIDTHS:
        picture = Image.fromarray(np.concatenate([draw_strip(strip, width) for strip in strips]))
        coded = next((c for c in (_coded(picture, quality) for quality in QUALITIES) if len(c) <= LARGEST), None)
        if coded is not None:
            break
    with writing(path) as partial:
        partial.write_bytes(coded or _coded(picture, QUALITIES[-1]))


def _coded(picture: Image.Image, quality: int) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def draw_strip(strip: Strip, width: int) -> np.ndarray:
    """A strip as (h, width, 3) uint8 RGB on white."""
    count = len(strip.images)
    panels = [panel for row in strip.rows.values() for panel in row]
    masks = [m for p in panels for m in (p.focus and p.focus.amodal, p.truth) if m is not None]
    room = (width - _GAP * (count - 1)) // count
    tallest = min(TALLEST, HIGHEST / room)
    crop = crop_of(masks, strip.images[0].shape[:2], tallest)
    scale = min(room / (crop[2] - crop[0]), room * tallest / (crop[3] - crop[1]))
    size = round(scale * (crop[3] - crop[1])), round(scale * (crop[2] - crop[0]))
    top = 2 * _LINE + 6
    page = Image.new("RGB", (width, top + (size[0] + _GAP) * len(strip.rows) + 10), "white")
    pen = ImageDraw.Draw(page)
    _write(pen, (2, 2), strip.title, _TEXT + 2, "black")
    for n, head in enumerate(strip.heads):
        left, failed = n * (room + _GAP), n == strip.failed
        _write(pen, (left + 2, _LINE + 5), head, _TEXT, FAILED if failed else "black")
        for m, (name, row) in enumerate(strip.rows.items()):
            corner = (left, top + m * (size[0] + _GAP))
            page.paste(Image.fromarray(_draw_panel(strip.images[n], row[n], crop, size)), corner)
            if failed:
                pen.rectangle((*corner, left + size[1] - 1, corner[1] + size[0] - 1), outline=FAILED, width=3)
            _tag(pen, (left + 4, corner[1] + 4), name if n == 0 else "")
            _tag(pen, (left + 4, corner[1] + size[0] - _LINE - 3), row[n].note)
    return np.asarray(page)


def crop_of(masks: Sequence[Rle], size: tuple[int, int], tallest: float) -> tuple[int, int, int, int]:
    """A box (x0, y0, x1, y1) within the image around all masks, with `CONTEXT`, as wide as a panel must be.

    Args:
        masks: of equal size.
        size: (H, W) of the image.
        tallest: height over width that it has at most, unless the image is too narrow for that.
    """
    boxes = np.array([mask.box for mask in masks])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = high - low + 2 * CONTEXT * (boxes[:, 2:] - boxes[:, :2]).max()
    side = np.maximum(side, (side[1] / tallest, side[0] / WIDEST))
    side = np.minimum(np.ceil(side), size[::-1]).astype(int)
    corner = np.clip(np.rint((low + high - side) / 2), 0, np.array(size[::-1]) - side).astype(int)
    return int(corner[0]), int(corner[1]), int(corner[0] + side[0]), int(corner[1] + side[1])


def _draw_panel(image: np.ndarray, panel: Panel, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8: the crop enlarged first and drawn on afterwards, so that lines stay thin."""
    x0, y0, x1, y1 = crop
    height, width = size
    interpolation = cv2.INTER_CUBIC if height > y1 - y0 else cv2.INTER_AREA
    canvas = cv2.resize(image[y0:y1, x0:x1], (width, height), interpolation=interpolation)
    for mask in panel.others:
        outline(canvas, _enlarge(mask, crop, size), OTHERS, 1)
    if panel.culprit is not None:
        outline(canvas, _enlarge(panel.culprit, crop, size), CULPRIT, 2)
    if panel.focus is not None:
        drawer = Drawer(color=lambda _: FOCUS, labels=False)
        past = [replace(panel.focus, visible=None, amodal=None, followed=points) for points in panel.trail]
        for instance in (*past, panel.focus):
            drawn = drawer.draw(canvas, FrameResult(0, 0.0, (fitted(instance, crop, size),)))
        canvas = drawn
    if panel.truth is not None:
        outline(canvas, _enlarge(panel.truth, crop, size), TRUTH, 2)
    return canvas


def fitted(instance: Instance, crop: tuple[int, int, int, int], size: tuple[int, int]) -> Instance:
    """An instance in a panel's pixels."""
    scale = np.array([size[1] / (crop[2] - crop[0]), size[0] / (crop[3] - crop[1])])

    def moved(points: np.ndarray | None) -> np.ndarray | None:
        return None if points is None else ((points - crop[:2] + 0.5) * scale - 0.5).astype(np.float32)

    def coded(mask: Rle | None) -> Rle | None:
        pixels = None if mask is None else _enlarge(mask, crop, size)
        return Rle.encode(pixels) if pixels is not None and pixels.any() else None

    points, followed = moved(instance.points), moved(instance.followed)
    return replace(
        instance, visible=coded(instance.visible), amodal=coded(instance.amodal), points=points, followed=followed
    )


def _enlarge(mask: Rle, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the crop of a mask in a panel's size, its steps smoothed."""
    pixels = mask.decode()[crop[1] : crop[3], crop[0] : crop[2]].astype(np.float32)
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5


def _tag(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str) -> None:
    """White text on a dark bar; nothing where there is none."""
    if text:
        right = corner[0] + round(pen.textlength(text, ImageFont.load_default(_TEXT))) + 8
        pen.rectangle((*corner, right, corner[1] + _LINE - 1), fill=(20, 20, 20))
        _write(pen, (corner[0] + 4, corner[1] + 1), text, _TEXT, "white")


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, height: int, color) -> None:
    pen.text(corner, text, fill=color, font=ImageFont.load_default(height))
