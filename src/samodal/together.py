"""Several masks of frames of one size at once: a call of NumPy takes longer than its work on the edges of one mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samodal.edges import edges_of_runs, runs_between
from samodal.masks import Mask
from samodal.rle import Rle, all_run_lengths, texts_of


def from_rles(rles: Sequence[Rle]) -> list[Mask]:
    """`Mask.from_rle` of each, all of one size; their edges are known then."""
    if not rles:
        return []
    return _known([edges_of_runs(runs) for runs in all_run_lengths([rle.counts for rle in rles])], rles)


def between(edges: Sequence[np.ndarray], size: tuple[int, int]) -> list[Mask]:
    """Masks of frames of (H, W) pixels from the edges of each, see `samodal.edges`."""
    pixels = size[0] * size[1]
    texts = texts_of([runs_between(own, pixels) for own in edges])
    return _known(edges, [Rle(size, text) for text in texts])


def _known(edges: Sequence[np.ndarray], rles: Sequence[Rle]) -> list[Mask]:
    """Masks of which edges and run lengths are known: their boxes and areas follow."""
    boxes = np.zeros((len(rles), 4), int)
    areas = [int((own[1::2] - own[::2]).sum()) for own in edges]
    if filled := [n for n, own in enumerate(edges) if len(own)]:
        boxes[filled] = _boxes([edges[n] for n in filled], rles[0].size[0])
    rows = zip(rles, boxes.tolist(), areas, edges, strict=True)
    return [Mask.known(rle, box, area, own) for rle, box, area, own in rows]


def _boxes(edges: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """(N, 4) x0, y0, x1, y1 of N masks that are not empty, in frames that are `rows` pixels high."""
    every = np.concatenate(edges)
    starts = np.cumsum([0, *(len(own) // 2 for own in edges[:-1])])
    left, top = np.divmod(every[::2], rows)
    right, bottom = np.divmod(every[1::2] - 1, rows)  # the last pixel of a run, not the one after it
    over = left < right  # such a run fills the foot of a column and the head of the next
    top[over], bottom[over] = 0, rows - 1
    low = [np.minimum.reduceat(values, starts) for values in (left, top)]
    high = [np.maximum.reduceat(values, starts) + 1 for values in (right, bottom)]
    return np.stack([*low, *high], axis=1)
