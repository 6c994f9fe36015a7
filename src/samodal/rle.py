"""Masks at rest: COCO's run lengths, how files are read into them, and the few operations on them.

COCO's library is written in C and trusts what it is given: it writes past its memory, or takes gigabytes of it, for run
lengths and polygons that fit no frame. Everything from a file is therefore checked in `Rle.from_coco` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as _untyped

from samodal.errors import InputError, shown

coco: Any = _untyped  # its stubs say that run lengths are text, where they are bytes

LARGEST_SIDE = 23170
"""Of a frame, in pixels: COCO's library misreads runs of 2^29 pixels or more."""

_LARGEST_VIDEO = 2**32 - 1  # pixels; run lengths are counted in 32 bits
_LONGEST_NUMBER = 6  # characters; enough for a frame of LARGEST_SIDE, and read alike by COCO's library
_LONGER = re.compile("[P-_]0|[`-o]O")  # a number with a last character that adds nothing to it
_POLYGON_NUMBERS = 6  # Fewer make no polygon; COCO's library would take four for a box.
_LONGEST_OUTLINE = 10**7  # pixels, of all polygons of a mask; the library takes 80 bytes for each
_FARTHEST = 4  # larger sides of the frame from its corner to a polygon's; the library takes memory for what is outside


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
    def encode(cls, mask: np.ndarray) -> Rle:
        """Encode a (H, W) mask; any non-zero value counts as inside."""
        inside = mask if mask.dtype == bool else mask != 0
        return cls._of(coco.encode(np.asfortranarray(inside.view(np.uint8))), mask.shape)

    @classmethod
    def from_coco(cls, value: Any, size: tuple[int, int]) -> Rle:
        """Read what COCO-like files hold: compressed or plain run lengths, or a list of polygons.

        Args:
            value: {"size", "counts"} with counts as text, bytes or a list of integers; or [[x, y, x, y, …], …], of
                which an empty list is a mask without a pixel.
            size: (H, W) of the frame; polygons are drawn on it, run lengths must have it.

        Raises:
            InputError: if it is none of these, of another size, or damaged. Nothing unchecked reaches COCO's library.
        """
        check_coco(value, size)
        if isinstance(value, list):
            if not value:
                return from_runs([size[0] * size[1]], size)
            return cls._of(coco.merge(coco.frPyObjects(value, *size)), size)
        counts = value["counts"]
        if isinstance(counts, bytes):
            counts = counts.decode("latin-1")
        runs = run_lengths(counts) if isinstance(counts, str) else _whole_numbers(counts)
        height, width = size
        if len(runs) > height * width + 1 or (len(runs) and not 0 <= runs.min() <= runs.max() <= height * width):
            raise InputError(f"run lengths that no mask of {height}x{width} pixels has: a damaged file?")
        if not runs[1:].all():  # COCO's library has room for as many runs as a mask has pixels.
            raise InputError("a run of 0 pixels, which only the first one may have: a damaged file?")
        if runs.sum() != height * width:
            raise InputError(f"run lengths that do not add up to {height}x{width} pixels: a truncated file?")
        written = isinstance(counts, str) and not _LONGER.search(counts)  # as COCO's library writes them
        return cls((int(height), int(width)), counts) if written else from_runs(runs, size)

    @classmethod
    def _of(cls, coded: dict, size: Sequence[int]) -> Rle:
        """What COCO's library gave."""
        return cls((int(size[0]), int(size[1])), coded["counts"].decode("ascii"))

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


def check_coco(value: Any, size: tuple[int, int]) -> None:
    """Refuse what is neither run lengths of a frame nor polygons on it; nothing is drawn, nor runs counted.

    Args:
        value: as for `Rle.from_coco`.
        size: (H, W) of the frame.

    Raises:
        InputError: says what was expected.
    """
    if len(size) != 2 or not all(isinstance(side, int | np.integer) and 1 <= side <= LARGEST_SIDE for side in size):
        raise InputError(f"a frame of {_by(size)} (height x width); expected sides of 1 to {LARGEST_SIDE} pixels")
    if isinstance(value, dict) and "counts" in value and isinstance(value.get("size"), list | tuple):
        if list(value["size"]) != list(size):
            raise InputError(
                f"the mask is {_by(value['size'])} but the frame is {_by(size)} (height x width); "
                "is it of another video or image?"
            )
    elif isinstance(value, list) and all(map(_is_polygon, value)):
        outline = sum(_outline(polygon, size) for polygon in value)
        # Memory is taken for each pixel of an outline, and a short text can go to and fro very often.
        if outline > min(4 * size[0] * size[1] + 8 * _FARTHEST * max(size), _LONGEST_OUTLINE):
            raise InputError(f"an outline of {outline:.0f} pixels on a frame of {_by(size)} (height x width)")
    else:
        raise InputError(
            "expected run lengths (size, counts) or polygons [[x, y, x, y, x, y, …], …] of three points or more, "
            f"got {shown(value)}"
        )


def _is_polygon(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < _POLYGON_NUMBERS or len(value) % 2:
        return False
    return all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)


def _outline(polygon: list, size: tuple[int, int]) -> float:
    """Length of a polygon's outline in pixels; its corners are near the frame."""
    farthest = _FARTHEST * max(size)
    for number in polygon:
        if not abs(number) <= farthest:  # also where it is nan
            raise InputError(
                f"a polygon has a corner at {shown(number)}, farther than {farthest} pixels from a frame of "
                f"{_by(size)} (height x width)"
            )
    corners = np.array(polygon, float).reshape(-1, 2)
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


def _by(size: Sequence) -> str:
    return "x".join(map(shown, size))


def _whole_numbers(counts: Any) -> np.ndarray:
    """Plain run lengths as integers."""
    whole = isinstance(counts, list | tuple) and all(isinstance(run, int | np.integer) for run in counts)
    if not whole or any(isinstance(run, bool) for run in counts):
        raise InputError(f"run lengths must be text or a list of whole numbers, got {shown(counts)}")
    try:
        return np.array(counts, np.int64)
    except OverflowError:
        raise InputError("run lengths must be whole numbers of 32 bits") from None


def run_lengths(counts: str) -> np.ndarray:
    """COCO's compressed counts as plain run lengths, outside first. Empty where the text is cut off or damaged."""
    codes = _codes(counts)
    if not counts.isascii() or not len(codes) or codes.max() > 63 or codes[-1] & 0x20:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(codes < 0x20)
    return _summed(_numbers(codes, ends)) if _longest(ends) <= _LONGEST_NUMBER else np.zeros(0, np.int64)


def all_run_lengths(texts: Sequence[str]) -> list[np.ndarray]:
    """The same of one or more texts that are not damaged, as those of every `Rle`."""
    codes = _codes("".join(texts))
    ends = np.flatnonzero(codes < 0x20)
    values, stops = _numbers(codes, ends), ends.searchsorted(np.cumsum([len(text) for text in texts])).tolist()
    return [_summed(values[start:stop]) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _codes(text: str) -> np.ndarray:
    """uint8 of each character: 5 bits of a number, the lowest first, and one that says whether more follow."""
    return np.frombuffer(text.encode("latin-1", "replace"), np.uint8) - np.uint8(48)


def _longest(ends: np.ndarray) -> int:
    """Characters of the longest number; `ends` are the places of their last ones."""
    return int(np.diff(ends, prepend=-1).max())


def _numbers(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The numbers of a text, each of which has its last character at one of `ends`.

    Source: `rleFrString` of pycocotools.
    """
    values = (codes[ends].astype(np.int64) ^ 0x10) - 0x10  # the highest bit is the sign
    starts = np.concatenate([[0], ends[:-1] + 1])
    longer = np.flatnonzero(ends > starts)  # few
    at = ends[longer] - 1
    while len(longer):
        values[longer] = values[longer] << 5 | codes[at] & 0x1F
        more = at > starts[longer]
        longer, at = longer[more], at[more] - 1
    return values


def _summed(values: np.ndarray) -> np.ndarray:
    """Run lengths of the numbers of a text: from the fourth on each is the difference to the run two before."""
    for part in (values[1::2], values[2::2]):
        part.cumsum(out=part)
    return values


def texts_of(runs: Sequence[np.ndarray]) -> list[str]:
    """COCO's compressed counts of one or more masks with these plain run lengths; see `all_run_lengths`.

    Source: `rleToString` of pycocotools.
    """
    numbers = [own.copy() for own in runs]
    for differences, own in zip(numbers, runs, strict=True):
        differences[3:] -= own[1:-2]
    values = np.concatenate(numbers)
    last = values.astype(np.uint8) & 0x1F  # of each number, as if it had one character
    lengths = np.ones(len(values), np.int64)
    longer, parts = np.flatnonzero((values < -16) | (values > 15)), []
    while len(longer):  # few
        parts.append((longer, last[longer] | 0x20))
        values[longer] >>= 5
        last[longer] = values[longer] & 0x1F
        lengths[longer] += 1
        longer = longer[(values[longer] < -16) | (values[longer] > 15)]
    ends = np.cumsum(lengths)
    codes = np.empty(ends[-1], np.uint8)
    codes[ends - 1] = last
    for n, (which, part) in enumerate(parts):
        codes[ends[which] - lengths[which] + n] = part
    text = (codes + np.uint8(48)).tobytes().decode("ascii")
    stops = ends[np.cumsum([len(own) for own in runs]) - 1].tolist()
    return [text[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def from_runs(runs: Sequence[int] | np.ndarray, size: tuple[int, int]) -> Rle:
    """A mask from plain run lengths, outside first; they must add up to its pixels, and only the first may be 0."""
    size = int(size[0]), int(size[1])
    return Rle._of(coco.frPyObjects({"size": list(size), "counts": np.asarray(runs).tolist()}, *size), size)


def of_cut_out(inside: np.ndarray, x: int, y: int, size: tuple[int, int]) -> Rle:
    """The mask of a frame of (H, W) whose pixels are the (h, w) bool bits with the first at column x and row y."""
    (h, w), (height, width) = inside.shape, size
    columns = np.zeros((w, h + 1), bool)  # an empty pixel after each column, so that no run goes on in the next
    columns[:, :h] = inside.T
    flat = columns.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        edges = np.concatenate([[0], edges])
    edges += edges // (h + 1) * (height - h - 1) + (x * height + y)
    # A run that goes on from the foot of a column of the frame to the head of the next has no edge between them.
    joined = edges[1:-1:2] == edges[2::2]
    if joined.any():
        apart = np.ones(len(edges), bool)
        apart[1:-1:2], apart[2::2] = ~joined, ~joined
        edges = edges[apart]
    runs = np.diff(edges, prepend=0, append=height * width)
    return from_runs(runs if runs[-1] or len(runs) == 1 else runs[:-1], size)


def union(masks: Iterable[Rle]) -> Rle:
    """The union of one or more masks of equal size."""
    masks = list(masks)
    return Rle._of(coco.merge([mask.to_coco() for mask in masks]), masks[0].size)


def overlap(a: Rle, b: Rle) -> int:
    """Number of pixels that two masks of equal size share."""
    return int(coco.area(coco.merge([a.to_coco(), b.to_coco()], intersect=True)))


def iou(a: Rle | None, b: Rle | None) -> float:
    """Intersection over union; 0 where one is absent, nan where both are absent or empty."""
    shared = overlap(a, b) if a is not None and b is not None else 0
    total = sum(mask.area for mask in (a, b) if mask is not None) - shared
    return shared / total if total else float("nan")


def difference(mask: Rle, removed: Rle | None) -> Rle | None:
    """The pixels of a mask that are not in another of equal size; None where none is left."""
    if removed is None:
        return mask
    runs = run_lengths(removed.counts)
    complement = from_runs(runs[1:] if runs[0] == 0 else np.concatenate([[0], runs]), removed.size)
    left = Rle._of(coco.merge([mask.to_coco(), complement.to_coco()], intersect=True), mask.size)
    return left if left.area else None


def masks_of_ids(ids: np.ndarray) -> dict[int, Rle]:
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
    if height * width * len(masks) > _LARGEST_VIDEO:
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
