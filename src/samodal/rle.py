"""Masks at rest: COCO's run lengths and the few operations on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pycocotools import mask as coco

from samodal.errors import InputError

_LARGEST = 2**32 - 1


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


def overlap(a: Rle, b: Rle) -> int:
    """Number of pixels that two masks of equal size share."""
    return int(coco.area(coco.merge([a.to_coco(), b.to_coco()], intersect=True)))


def iou(a: Rle | None, b: Rle | None) -> float:
    """Intersection over union; 0 where one is absent, nan where both are absent or empty."""
    if a is None or b is None:
        return float("nan") if a is b or (a or b).area == 0 else 0.0
    total = a.area + b.area - overlap(a, b)
    return overlap(a, b) / total if total else float("nan")


def from_runs(runs: Sequence[int] | np.ndarray, size: tuple[int, int]) -> Rle:
    """A mask from plain run lengths, outside first."""
    coded = coco.frPyObjects({"size": list(size), "counts": np.asarray(runs).tolist()}, *size)
    return Rle((int(size[0]), int(size[1])), coded["counts"].decode("ascii"))


def split(ids: np.ndarray) -> dict[int, Rle]:
    """The mask of every id in a (H, W) map of ids, 0 left out; the map is read once, however many there are."""
    flat = np.ravel(ids, order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], len(flat))
    values = flat[starts]
    masks = {}
    for key in np.unique(values).tolist():
        if key:
            edges = np.stack([starts[values == key], ends[values == key]], axis=1).ravel()
            runs = np.diff(edges, prepend=0, append=len(flat))
            masks[key] = from_runs(runs if runs[-1] else runs[:-1], ids.shape)
    return masks


def without(mask: Rle, removed: Rle | None) -> Rle | None:
    """The pixels of a mask that are not in another of equal size; None where none is left."""
    if removed is None:
        return mask
    runs = run_lengths(removed.counts)
    complement = from_runs(runs[1:] if runs[0] == 0 else np.concatenate([[0], runs]), removed.size)
    left = coco.merge([mask.to_coco(), complement.to_coco()], intersect=True)
    rle = Rle(mask.size, left["counts"].decode("ascii"))
    return rle if rle.area else None


def join(masks: Sequence[Rle | None], size: tuple[int, int]) -> Rle:
    """The frames of a video side by side as one mask of (H, W * T); absent ones are empty.

    The IoU of two joined masks is the sum of intersections over the sum of unions (paper, equation 1), so that
    any evaluator of images evaluates videos.

    Raises:
        InputError: if the video has more pixels than COCO's run lengths can count (2071 frames at 1080x1920).
    """
    if len(masks) == 1 and masks[0] is not None:
        return masks[0]
    height, width = size
    if height * width * len(masks) > _LARGEST:
        raise InputError(f"{len(masks)} frames of {height}x{width} are too many to evaluate as one video; cut it")
    runs = [0]
    for mask in masks:
        own = run_lengths(mask.counts).tolist() if mask else [height * width]
        if len(runs) % 2:  # the last run is outside, as the next frame's first one is
            runs[-1] += own[0]
            runs.extend(own[1:])
        elif own[0]:
            runs.extend(own)
        else:  # a mask that leaves one frame at the right border and begins the next at the left one
            runs[-1] += own[1]
            runs.extend(own[2:])
    return from_runs(runs, (height, width * len(masks)))
