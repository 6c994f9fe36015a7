"""Several masks of frames of one size at once: a call of NumPy takes longer than its work on the edges of one mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samodal import edges
from samodal.masks import Mask
from samodal.rle import Rle, all_run_lengths, texts_of


def from_rles(rles: Sequence[Rle]) -> list[Mask]:
    """`Mask.from_rle` of each, all of one size; their edges are known then."""
    if not rles:
        return []
    return _known([edges.edges_of_runs(runs) for runs in all_run_lengths([rle.counts for rle in rles])], rles)


def between(found: Sequence[np.ndarray], size: tuple[int, int]) -> list[Mask]:
    """Masks of frames of (H, W) pixels from the edges of each, see `samodal.edges`."""
    pixels = size[0] * size[1]
    texts = texts_of([edges.runs_between(own, pixels) for own in found])
    return _known(found, [Rle(size, text) for text in texts])


def pixels_at(masks: Sequence[Mask], numbers: np.ndarray) -> np.ndarray:
    """(N, K, 2) float32 of N masks that are not empty, as by `Mask.pixels_at`; all are of one size.

    Args:
        numbers: (N, K).
    """
    points = np.empty((*numbers.shape, 2), np.float32)
    by_edges = [n for n, mask in enumerate(masks) if not mask.drawn and mask.shape[0] < mask.size[0]]
    for n in set(range(len(masks))) - set(by_edges):
        points[n] = masks[n].pixels_at(numbers[n])
    if by_edges:
        rows = masks[0].size[0]
        points[by_edges] = edges.places([masks[n].edges for n in by_edges], rows, numbers[by_edges])
    return points


def _known(found: Sequence[np.ndarray], rles: Sequence[Rle]) -> list[Mask]:
    """Masks of which edges and run lengths are known: their boxes and areas follow."""
    boxes = np.zeros((len(rles), 5), int)
    if filled := [n for n, own in enumerate(found) if len(own)]:
        boxes[filled] = _boxes([found[n] for n in filled], rles[0].size[0])
    rows = zip(rles, boxes.tolist(), found, strict=True)
    return [Mask.known(rle, box, area, own) for rle, (*box, area), own in rows]


def _boxes(found: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """(N, 5) x0, y0, x1, y1 and area of N masks that are not empty, in frames that are `rows` pixels high."""
    every = np.concatenate(found)
    begin, end = every[::2], every[1::2]
    starts = np.cumsum([0, *(len(own) // 2 for own in found[:-1])])
    column = begin // rows
    top = begin - column * rows
    bottom = top + (end - begin)
    over = bottom > rows  # such a run fills the foot of a column and the head of the next
    top[over], bottom[over] = 0, rows
    left, right = column[starts], (end[np.append(starts[1:], len(end)) - 1] - 1) // rows + 1
    low, high = np.minimum.reduceat(top, starts), np.maximum.reduceat(bottom, starts)
    return np.stack([left, low, right, high, np.add.reduceat(end - begin, starts)], axis=1)
