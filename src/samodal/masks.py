"""Masks at work: cut-outs, so that an operation touches the pixels of an object and not those of the frame.

A `Mask` holds the size of the frame, a box, and the bits inside the box; its run lengths are made when they are asked
for. Arrays of a whole frame exist only where a network needs pixels. At rest, in tracks and files, a mask is an `Rle`.
An absent mask is None. Boxes are (x0, y0, x1, y1) with x1, y1 one past the last pixel, as COCO counts width and height.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from samodal.edges import edges_of, overlap, pixels_in, places
from samodal.errors import InputError
from samodal.rle import Rle, of_cut_out

_LONG = 512  # pixels of a side up to which OpenCV's single precision is enough for distances


class Mask:
    """A binary mask of a frame, cut out to its box. It is never changed.

    Args:
        size: (H, W) of the frame in pixels.
        x, y: column and row of the first pixel of `inside` in the frame; a moved mask may reach over the border.
        inside: (h, w) bool; empty rows and columns around its pixels are cut off.
    """

    def __init__(self, size: tuple[int, int], x: int, y: int, inside: np.ndarray):
        column, row, inside = _cut(inside)
        self.size, self.x, self.y, self.shape = size, x + column, y + row, inside.shape
        self.__dict__["inside"] = inside
        if not inside.size:
            self.x = self.y = 0

    @classmethod
    def tight(cls, size: tuple[int, int], x: int, y: int, inside: np.ndarray) -> Mask:
        """A mask whose bits fill their box already: not all are False in its first and last row and column."""
        mask = cls.__new__(cls)
        mask.size, mask.x, mask.y, mask.shape = size, x, y, inside.shape
        mask.__dict__["inside"] = inside
        return mask

    @classmethod
    def of(cls, value: Any) -> Mask:
        """A mask of a (H, W) array of bool or whole numbers (any but 0 counts as inside), an `Rle`, or a `Mask`.

        Raises:
            InputError: for another type, shape or dtype.
        """
        if isinstance(value, Mask):
            return value
        if isinstance(value, Rle):
            return cls.from_rle(value)
        if not isinstance(value, np.ndarray):
            raise InputError(f"mask: expected a (H, W) bool array, an Rle or a Mask, got {type(value).__name__}")
        if value.ndim != 2:
            raise InputError(f"mask: expected an array of shape (H, W), got {value.shape}")
        if value.dtype != bool:
            if not np.issubdtype(value.dtype, np.integer):
                raise InputError(f"mask: expected bool, got {value.dtype}; compare with a threshold first, as mask > 0")
            value = value != 0
        size = (int(value.shape[0]), int(value.shape[1]))
        # Rows of the array are read as they lie in memory: the other way round is many times slower.
        if value.flags.f_contiguous:
            y, x, inside = _cut(value.T)
            return cls.tight(size, x, y, np.ascontiguousarray(inside.T))
        return cls.tight(size, *_cut(value))

    @classmethod
    def from_rle(cls, rle: Rle) -> Mask:
        """A mask of run lengths, decoded when its bits are asked for."""
        return cls.known(rle, [int(n) for n in rle.box], rle.area)

    @classmethod
    def known(cls, rle: Rle, box: Sequence[int], area: int, edges: np.ndarray | None = None) -> Mask:
        """A mask of run lengths of which more is known: box, area and edges, see `samodal.edges`."""
        x0, y0, x1, y1 = box
        mask = cls.__new__(cls)
        mask.size, mask.x, mask.y, mask.shape = rle.size, x0, y0, (y1 - y0, x1 - x0)
        mask.__dict__ |= {"rle": rle, "area": area} | ({} if edges is None else {"edges": edges})
        return mask

    @classmethod
    def nowhere(cls, size: tuple[int, int]) -> Mask:
        """A mask without any pixel."""
        return cls.tight(size, 0, 0, np.zeros((0, 0), bool))

    @cached_property
    def edges(self) -> np.ndarray:
        """Its edges within the frame, see `samodal.edges`."""
        return edges_of(self.rle.counts)

    @cached_property
    def inside(self) -> np.ndarray:
        """(h, w) bool: the bits of its box."""
        return pixels_in(self.edges, self.size[0], self.x, self.y, self.shape)

    @cached_property
    def rle(self) -> Rle:
        """Its run lengths within the frame, as COCO's own encoder writes them."""
        mask = self.clipped()
        return of_cut_out(mask.inside, mask.x, mask.y, self.size)

    @property
    def counts(self) -> str:
        """COCO's compressed run lengths."""
        return self.rle.counts

    def to_coco(self) -> dict:
        """{"size": [H, W], "counts": text}: what COCO-like JSON files hold."""
        return self.rle.to_coco()

    def decode(self) -> np.ndarray:
        """The mask as (H, W) bool; what lies outside the frame is lost."""
        mask, whole = self.clipped(), np.zeros(self.size, bool)
        whole[mask.rows, mask.columns] = mask.inside
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.decode().astype(dtype or bool, copy=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask | Rle) and self.rle == (other.rle if isinstance(other, Mask) else other)

    def __hash__(self) -> int:
        return hash(self.rle)

    def __bool__(self) -> bool:
        """Whether it has any pixel."""
        return self.area > 0

    def __repr__(self) -> str:
        return f"Mask({self.area} pixels in box {self.box} of {self.size[0]}x{self.size[1]})"

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def side(self) -> float:
        """Root of the area in pixels."""
        return float(np.sqrt(self.area))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) in pixels."""
        return self.x, self.y, self.x + self.shape[1], self.y + self.shape[0]

    @property
    def centre(self) -> np.ndarray:
        """(2,) x and y of the middle between the box's edges."""
        x0, y0, x1, y1 = self.box
        return np.array([(x0 + x1) / 2, (y0 + y1) / 2])

    @property
    def rows(self) -> slice:
        """The rows of the frame that the box covers; the box must lie within the frame."""
        return slice(self.y, self.y + self.shape[0])

    @property
    def columns(self) -> slice:
        return slice(self.x, self.x + self.shape[1])

    def moved(self, shift: np.ndarray) -> Mask:
        """Moved by (dx, dy), rounded to whole pixels; it may reach over the border of the frame.

        Raises:
            ValueError: if the shift is not finite, as when no point could be followed.

        Source: paper, section 3 (adding the displacement to all coordinates of the mask). The released code
        interpolates a fractional shift; rounding keeps the mask binary.
        """
        if not np.all(np.isfinite(shift)):
            raise ValueError(f"shift must be finite, got {shift}")
        if not self.inside.size:
            return self
        dx, dy = (int(v) for v in np.rint(shift))
        return Mask.tight(self.size, self.x + dx, self.y + dy, self.inside)

    def scaled(self, shift: np.ndarray, scale: float | np.ndarray, centre: np.ndarray) -> Mask:
        """Scaled about a point and moved, within the frame.

        Args:
            shift: (2,) float, (dx, dy) in pixels.
            scale: above 0; 1 is `moved`. Also (2,), of x and of y.
            centre: (2,) float, x and y of the point that moves by exactly `shift`.

        Raises:
            ValueError: if shift or scale is not finite, or scale not above 0.
        """
        across, down = (scale, scale) if np.ndim(scale) == 0 else scale
        if across == down == 1:
            return self.moved(shift).clipped()
        if not (np.isfinite(shift).all() and 0 < across < np.inf and 0 < down < np.inf):
            raise ValueError(f"shift must be finite and scale above 0, got {shift} and {scale}")
        # Each pixel looks up where its centre was; integers are pixel centres.
        x = np.rint((np.arange(self.size[1]) - centre[0] - shift[0]) / across + centre[0]) - self.x
        y = np.rint((np.arange(self.size[0]) - centre[1] - shift[1]) / down + centre[1]) - self.y
        columns, rows = (np.flatnonzero((n >= 0) & (n < m)) for n, m in ((x, self.shape[1]), (y, self.shape[0])))
        if not len(columns) or not len(rows):
            return Mask.nowhere(self.size)
        inside = self.inside[np.ix_(y[rows].astype(int), x[columns].astype(int))]
        return Mask(self.size, int(columns[0]), int(rows[0]), inside)

    def clipped(self) -> Mask:
        """Without what lies outside the frame."""
        (x0, y0, x1, y1), (height, width) = self.box, self.size
        if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
            return self
        cut = self.inside[max(-y0, 0) : max(height - y0, 0), max(-x0, 0) : max(width - x0, 0)]
        return Mask(self.size, max(x0, 0), max(y0, 0), cut)

    def overlap(self, other: Mask) -> int:
        """Number of pixels that both have."""
        if not self.near(other):
            return 0
        if self.size == other.size and not (self.drawn or other.drawn):
            return overlap(self.edges, other.edges)
        own, theirs = self._shared(other)
        return int(np.count_nonzero(own & theirs))

    def near(self, other: Mask, reach: float = 0) -> bool:
        """Whether the boxes overlap, or would if one were moved by less than so many pixels."""
        (h, w), (height, width) = self.shape, other.shape
        across = other.x - reach < self.x + w and self.x - reach < other.x + width
        return across and other.y - reach < self.y + h and self.y - reach < other.y + height

    def iou(self, other: Mask) -> float:
        """Intersection over union, 0 of two without any pixel."""
        shared = self.overlap(other)
        return shared / (self.area + other.area - shared) if shared else 0.0

    def union(self, other: Mask) -> Mask:
        """The pixels of either; the mask itself where it has all those of the other."""
        own = self.inside[self._window(other)]
        if other is self or (own.shape == other.shape and not np.greater(other.inside, own).any()):
            return self
        return union([self, other], self.size)

    def minus(self, other: Mask) -> Mask:
        """Its pixels that the other does not have."""
        if not self.overlap(other):
            return self
        theirs = other.inside[other._window(self)]
        left = self.inside.copy()
        left[self._window(other)] &= ~theirs
        return Mask(self.size, self.x, self.y, left)

    def at(self, xy: np.ndarray) -> np.ndarray:
        """(N,) bool: whether the pixels nearest to (N, 2) points in the frame are inside; nan is not."""
        x0, y0, x1, y1 = self.box
        finite = np.isfinite(xy).all(axis=1, keepdims=True)
        # Far coordinates are brought near first: they do not fit an integer.
        near = np.where(finite, xy, np.array([x0 - 1, y0 - 1])).clip((x0 - 1, y0 - 1), (x1, y1))
        columns, rows = np.rint(near).astype(int).T
        found = np.asarray((columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1))
        found[found] = self.inside[rows[found] - y0, columns[found] - x0]
        return found

    def covered_area(self, others: Iterable[Mask]) -> int:
        """Number of its pixels that any of the others has."""
        cover = np.zeros(self.shape, bool)
        for other in others:
            if self.near(other):
                cover[self._window(other)] |= self._shared(other)[1]
        return int(np.count_nonzero(cover & self.inside))

    def covered_by(self, others: Iterable[Mask]) -> float:
        """Share of its pixels that any of the others has, in [0, 1]; 0 without a pixel."""
        return self.covered_area(others) / self.area if self.area else 0.0

    def depth(self) -> np.ndarray:
        """(h + 2, w + 2) float32: distance in pixels of each pixel of its box, and of a rim of one pixel around it, to
        the nearest pixel outside the mask, beyond the frame included; 0 outside."""
        import cv2

        padded = cv2.copyMakeBorder(self.inside.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        if max(self.shape) > _LONG:
            from scipy.ndimage import distance_transform_edt

            return np.asarray(distance_transform_edt(padded), np.float32)
        # OpenCV (version 5.0) gives other last bits of the roots when it is asked again. Their squares are whole.
        about = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.sqrt(np.rint(about * about))

    def pixels_at(self, numbers: np.ndarray) -> np.ndarray:
        """(N, 2) float32 x and y of the pixels of these numbers, counted row by row from 0: a part of `pixels`."""
        if self.drawn or self.shape[0] == self.size[0]:
            y, x = np.unravel_index(np.flatnonzero(self.inside)[numbers], self.shape)
            return np.stack([x + self.x, y + self.y], axis=1).astype(np.float32)
        return places([self.edges], self.size[0], numbers[None])[0].astype(np.float32)

    def pixels(self) -> np.ndarray:
        """(N, 2) float32 x and y of all its pixels, row by row."""
        return (np.argwhere(self.inside)[:, ::-1] + (self.x, self.y)).astype(np.float32)

    def way_to(self, other: Mask) -> np.ndarray:
        """(2,) the least move after which its box holds that of `other`; where that is larger, their middles meet."""
        (height, width), (h, w) = self.shape, other.shape
        below = np.array([self.x - other.x, self.y - other.y])
        above = np.array([other.x + w - self.x - width, other.y + h - self.y - height])
        return np.where((below > 0) & (above > 0), (above - below) / 2, np.maximum(above, 0) - np.maximum(below, 0))

    @property
    def drawn(self) -> bool:
        """Whether its bits are there already, and not only its run lengths."""
        return "inside" in self.__dict__

    def _window(self, other: Mask) -> tuple[slice, slice]:
        """Rows and columns of `inside` that the other's box covers."""
        (x0, y0, x1, y1), (h, w) = other.box, self.shape
        rows = slice(min(max(y0 - self.y, 0), h), max(min(y1 - self.y, h), 0))
        return rows, slice(min(max(x0 - self.x, 0), w), max(min(x1 - self.x, w), 0))

    def _shared(self, other: Mask) -> tuple[np.ndarray, np.ndarray]:
        """The bits of both where their boxes overlap."""
        return self.inside[self._window(other)], other.inside[other._window(self)]


MaskLike = Mask | Rle | np.ndarray
"""What `Mask.of` takes."""


def union(masks: Iterable[Mask], size: tuple[int, int]) -> Mask:
    """The pixels of any of these masks of frames of (H, W) pixels."""
    masks = [mask for mask in masks if mask.area]
    if len(masks) < 2:
        return masks[0] if masks else Mask.nowhere(size)
    x0, y0 = min(mask.x for mask in masks), min(mask.y for mask in masks)
    x1, y1 = max(mask.x + mask.shape[1] for mask in masks), max(mask.y + mask.shape[0] for mask in masks)
    inside = np.zeros((y1 - y0, x1 - x0), bool)
    for mask in masks:
        h, w = mask.shape
        inside[mask.y - y0 : mask.y - y0 + h, mask.x - x0 : mask.x - x0 + w] |= mask.inside
    return Mask.tight(masks[0].size, x0, y0, inside)


def _cut(bits: np.ndarray) -> tuple[int, int, np.ndarray]:
    """First column and row of the box that holds all True bits of (h, w), and a copy of the bits inside it."""
    rows = np.flatnonzero(bits.any(axis=1))
    if not len(rows):
        return 0, 0, bits[:0, :0]
    band = bits[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(band.any(axis=0))
    return int(columns[0]), int(rows[0]), band[:, columns[0] : columns[-1] + 1].copy()
