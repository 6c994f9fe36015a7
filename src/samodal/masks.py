"""Masks at rest (run lengths) and the few operations on them that everything else is made of.

A mask is a (H, W) bool array for the one frame that is being worked on, and an `Rle` everywhere else:
a 1080x1920 mask is 2 MB dense and about a kilobyte as run lengths. An absent mask is None, never an
empty one. Boxes are (x0, y0, x1, y1) with x1, y1 one past the last pixel, as COCO counts width and height.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pycocotools import mask as coco

from samodal.errors import InputError


@dataclass(frozen=True)
class Rle:
    """A binary mask as COCO's compressed run lengths (down the columns).

    Attributes:
        size: (H, W) in pixels.
        counts: COCO's compressed string.
    """

    size: tuple[int, int]
    counts: str

    @classmethod
    def encode(cls, mask: np.ndarray) -> "Rle":
        """Encode a (H, W) mask; any non-zero value counts as inside."""
        inside = mask if mask.dtype == bool else mask != 0
        coded = coco.encode(np.asfortranarray(inside.view(np.uint8)))
        return cls((int(mask.shape[0]), int(mask.shape[1])), coded["counts"].decode("ascii"))

    @classmethod
    def from_coco(cls, value: dict | list, size: tuple[int, int]) -> "Rle":
        """Read what COCO-like files hold: compressed or plain run lengths, or a list of polygons.

        Args:
            value: {"size", "counts"} with counts as text, bytes or a list of integers; or [[x, y, x, y, …], …].
            size: (H, W) of the frame; polygons are drawn on it, run lengths must have it.

        Raises:
            InputError: if the run lengths are of another size or do not add up to it.
        """
        if isinstance(value, list):
            coded = coco.merge(coco.frPyObjects(value, *size))
            return cls(size, coded["counts"].decode("ascii"))
        found = tuple(int(n) for n in value["size"])
        if found != tuple(size):
            raise InputError(f"mask of size {found[0]}x{found[1]} on a frame of {size[0]}x{size[1]} (height x width)")
        counts = value["counts"]
        if isinstance(counts, list):
            counts = coco.frPyObjects({"size": list(size), "counts": counts}, *size)["counts"]
        rle = cls(found, counts.decode("ascii") if isinstance(counts, bytes) else counts)
        if run_lengths(rle.counts).sum() != size[0] * size[1]:
            raise InputError(f"run lengths that do not add up to {size[0]}x{size[1]} pixels: a truncated file?")
        return rle

    def decode(self) -> np.ndarray:
        """The mask as (H, W) bool."""
        return coco.decode(self.to_coco()).view(bool)  # it holds 0 and 1 alone

    def to_coco(self) -> dict:
        """{"size": [H, W], "counts": text}: what COCO-like JSON files hold."""
        return {"size": list(self.size), "counts": self.counts}

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(coco.area(self.to_coco()))

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) in pixels; all zero for an empty mask."""
        x, y, w, h = coco.toBbox(self.to_coco()).tolist()
        return x, y, x + w, y + h


def run_lengths(counts: str) -> np.ndarray:
    """COCO's compressed counts as plain run lengths, outside first.

    Each character holds 5 bits of a number, the lowest first, and a bit that says whether more follow; from the
    fourth run on the number is the difference to the run two before. Empty where the text is cut off or damaged.
    """
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes)))))
    values = np.add.reduceat((codes & 0x1F) << shift, starts)
    negative = (codes[ends] & 0x10) != 0
    values -= negative.astype(np.int64) << (shift[ends] + 5)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def union(masks: Iterable[Rle]) -> Rle:
    """The union of one or more masks of equal size."""
    masks = list(masks)
    merged = coco.merge([m.to_coco() for m in masks])
    return Rle(masks[0].size, merged["counts"].decode("ascii"))


def merged(masks: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The pixels of any of these (H, W) bool masks; all False of none. One by one: `reduce` is many times slower."""
    total = np.zeros(size, bool, order="F")  # as `Rle.decode` lays them out
    for mask in masks:
        np.logical_or(total, mask, out=total)
    return total


def overlap(a: Rle, b: Rle) -> int:
    """Number of pixels that two masks of equal size share."""
    return int(coco.area(coco.merge([a.to_coco(), b.to_coco()], intersect=True)))


def iou(a: Rle | None, b: Rle | None) -> float:
    """Intersection over union; 0 where one is absent, nan where both are absent or empty."""
    if a is None or b is None:
        return float("nan") if a is b or (a or b).area == 0 else 0.0
    total = a.area + b.area - overlap(a, b)
    return overlap(a, b) / total if total else float("nan")


def shift_mask(mask: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move a mask by a whole number of pixels; what leaves the frame is lost.

    Args:
        mask: (H, W) bool.
        shift: (2,) float, (dx, dy) in pixels, rounded to the nearest pixel.

    Raises:
        ValueError: if shift is not finite, as when no point could be followed.

    Source: paper section 3 (adding the displacement to all coordinates of the mask). The released code
    interpolates a fractional shift; rounding keeps the mask binary.
    """
    if not np.all(np.isfinite(shift)):
        raise ValueError(f"shift must be finite, got {shift}")
    height, width = mask.shape
    dx, dy = (int(v) for v in np.rint(shift))
    moved = np.zeros_like(mask)
    if abs(dx) < width and abs(dy) < height:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved


def move_mask(mask: np.ndarray, shift: np.ndarray, scale: float, centre: np.ndarray) -> np.ndarray:
    """Scale a mask about a point and move it; what leaves the frame is lost.

    Args:
        mask: (H, W) bool.
        shift: (2,) float, (dx, dy) in pixels.
        scale: above 0; 1 is `shift_mask`.
        centre: (2,) float, x and y of the point that moves by exactly `shift`.

    Raises:
        ValueError: if shift or scale is not finite, or scale not above 0.
    """
    if scale == 1:
        return shift_mask(mask, shift)
    if not (np.isfinite(shift).all() and 0 < scale < np.inf):
        raise ValueError(f"shift must be finite and scale above 0, got {shift} and {scale}")
    height, width = mask.shape
    # Each pixel looks up where its centre was; integers are pixel centres.
    x = np.rint((np.arange(width) - centre[0] - shift[0]) / scale + centre[0])
    y = np.rint((np.arange(height) - centre[1] - shift[1]) / scale + centre[1])
    columns, rows = (x >= 0) & (x < width), (y >= 0) & (y < height)
    moved = np.zeros_like(mask)
    moved[np.ix_(rows, columns)] = mask[np.ix_(y[rows].astype(int), x[columns].astype(int))]
    return moved
