"""Outlines of whole objects, to be pasted in front of one another: no picture and no amodal label is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from samodal.errors import InputError
from samodal.files import read_json
from samodal.pictures import read_image
from samodal.segmenters.completion.config import CompletionConfig

SIZE = 128
"""Side of a silhouette's square in its own pixels."""
LEAST = 24
"""Shortest longer side of an outline, in pixels of where it comes from."""
COCO = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 7: "train", 8: "truck"} | {
    number: "animal" for number in range(16, 26)
}
"""Classes of COCO by number, where a completer may know them."""


class Silhouettes:
    """M outlines.

    Attributes:
        bits: (M, SIZE, SIZE) uint8, 1 inside; the box's longer side fills the square, the shorter one is in its middle.
        kind: (M,) int64, numbers of classes.
        extent: (M, 2) float32, width and height of the box as shares of the square, the longer one 1.
    """

    def __init__(self, bits: torch.Tensor, kind: torch.Tensor, extent: torch.Tensor):
        self.bits, self.kind, self.extent = bits, kind, extent

    def __len__(self) -> int:
        return len(self.kind)

    def to(self, device: torch.device) -> Silhouettes:
        """The same on a device."""
        return Silhouettes(self.bits.to(device), self.kind.to(device), self.extent.to(device))


def load_silhouettes(sources: str, config: CompletionConfig, turned: int = 0) -> Silhouettes:
    """The outlines of files and folders that commas separate.

    Args:
        sources: a COCO-form JSON (its "annotations", or "silhouettes", with polygons and `category_id`), or
            CLASS:FOLDER of mask pictures with one object each, as person:masks.
        config: its classes.
        turned: so many copies more of each polygon of unknown class, turned by random angles: such things lie about.

    Raises:
        InputError: if one cannot be read, or nothing in it is large enough.
    """
    shapes: list[tuple[np.ndarray, int]] = []
    for source in sources.split(","):
        path = Path(source)
        before = len(shapes)
        shapes += _polygons(path, config, turned) if path.suffix == ".json" else _pictures(source, config)
        if len(shapes) == before:
            raise InputError(f"{source}: no outline of {LEAST} pixels or more; expected polygons or mask pictures")
    squares = [squared(mask) for mask, _ in shapes]
    return Silhouettes(
        torch.from_numpy(np.stack([bits for bits, _ in squares])),
        torch.tensor([kind for _, kind in shapes]),
        torch.tensor([extent for _, extent in squares], dtype=torch.float32),
    )


def squared(mask: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """(SIZE, SIZE) uint8 of the box of a (H, W) mask, and its width and height as shares of the square."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape
    share = SIZE / max(height, width)
    h, w = max(1, round(height * share)), max(1, round(width * share))
    small = np.asarray(Image.fromarray(cut.astype(np.uint8) * 255).resize((w, h), Image.Resampling.BILINEAR)) >= 128
    square = np.zeros((SIZE, SIZE), np.uint8)
    y, x = (SIZE - h) // 2, (SIZE - w) // 2
    square[y : y + h, x : x + w] = small
    return square, (w / SIZE, h / SIZE)


def _polygons(path: Path, config: CompletionConfig, turned: int) -> list[tuple[np.ndarray, int]]:
    content = read_json(path)
    entries = content.get("annotations", content.get("silhouettes")) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a JSON object with annotations or silhouettes")
    names = {entry["id"]: entry["name"] for entry in content.get("categories", ())} or COCO
    shapes, chance = [], np.random.default_rng(0)
    for n, entry in enumerate(entries):
        polygons = entry.get("segmentation") if isinstance(entry, dict) else None
        if not isinstance(polygons, list):
            continue  # boxes alone, or runs of a crowd
        try:
            rings = [np.array(polygon, np.float32).reshape(-1, 2) for polygon in polygons]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: entry {n}: polygons should be lists of x and y ({error})") from None
        kind = config.class_number(names.get(entry.get("category_id")))
        angles = [0.0, *chance.uniform(0, 2 * np.pi, 0 if kind else turned)]
        masks = [_filled([_turned(ring, angle) for ring in rings]) for angle in angles]
        shapes += [(mask, kind) for mask in masks if mask is not None]
    return shapes


def _turned(ring: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return (ring @ np.array([[cosine, -sine], [sine, cosine]])).astype(np.float32)


def _filled(rings: list[np.ndarray]) -> np.ndarray | None:
    """The mask of polygons within their box, scaled to twice a square's side; None where they are too small."""
    points = np.concatenate(rings) if rings else np.zeros((0, 2), np.float32)
    if len(points) < 3 or not np.isfinite(points).all():
        return None
    corner, extent = points.min(0), float(np.ptp(points, axis=0).max())
    if extent < LEAST:
        return None
    scale = 2 * SIZE / extent
    canvas = Image.new("L", (2 * SIZE + 1, 2 * SIZE + 1))
    for ring in rings:
        ImageDraw.Draw(canvas).polygon(((ring - corner) * scale).ravel().tolist(), fill=1)
    return np.asarray(canvas)


def _pictures(source: str, config: CompletionConfig) -> list[tuple[np.ndarray, int]]:
    name, colon, folder = source.partition(":")
    if not colon or not Path(folder).is_dir():
        raise InputError(f"{source}: no such file or folder; expected FILE.json, or CLASS:FOLDER as person:masks")
    shapes = []
    for path in sorted(Path(folder).iterdir()):
        mask = read_image(path)[..., 0] >= 128
        if mask.any() and max(np.ptp(np.nonzero(mask), axis=1)) >= LEAST:
            shapes.append((mask, config.class_number(name)))
    return shapes
