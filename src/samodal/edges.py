"""Masks as edges: where their runs begin and end in turn, as places in the pixels of a frame, down the columns.

Some things follow from edges alone, many times faster than from pixels. All of them are (2 N,) int64, ascending.
"""

from __future__ import annotations

import numpy as np

from samodal.rle import run_lengths


def edges_of(counts: str) -> np.ndarray:
    """Of COCO's compressed run lengths."""
    return edges_of_runs(run_lengths(counts))


def edges_of_runs(runs: np.ndarray) -> np.ndarray:
    """Of plain run lengths, outside first."""
    edges = runs.cumsum()
    return edges[: len(edges) // 2 * 2]  # without the run after the last pixel


def runs_between(edges: np.ndarray, pixels: int) -> np.ndarray:
    """The run lengths, outside first, of a frame of so many pixels."""
    runs = np.diff(edges, prepend=0, append=pixels)
    return runs if runs[-1] or len(runs) == 1 else runs[:-1]


def pixels_in(edges: np.ndarray, rows: int, x: int, y: int, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the pixels of the box that holds the mask.

    Args:
        rows: height of the frame.
        x, y: column and row of the box's first pixel.
        shape: (h, w) of the box.
    """
    height, width = shape
    column, row = np.divmod(edges, rows)
    column[1::2], row[1::2] = np.divmod(edges[1::2] - 1, rows)  # the last pixel of a run, not the one after it
    row[1::2] += 1
    # The same edges where all but the box is left out; a run over the foot of a column has a box as high as the frame.
    lengths = np.diff((column - x) * height + row - y, prepend=0, append=width * height)
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def overlap(a: np.ndarray, b: np.ndarray) -> int:
    """Number of pixels that two masks of frames of one size share."""
    edges = np.concatenate([a, b])
    order = np.argsort(edges, kind="stable")
    steps = np.where(order < len(a), order, order - len(a)) % 2
    inside = np.cumsum(1 - 2 * steps)[:-1]  # 2 where both are
    return int(np.diff(edges[order])[inside == 2].sum())


def places(edges: np.ndarray, rows: int, numbers: np.ndarray) -> np.ndarray:
    """(N, 2) int64 column and row of pixels inside, by their numbers, counted row by row from 0.

    No run may go over the foot of a column.

    Args:
        rows: height of the frame.
        numbers: (N,) below the number of pixels inside.
    """
    (column, begin), end = np.divmod(edges[::2], rows), edges[1::2] % rows
    end[end == 0] = rows  # at the foot of a column
    # How many runs meet a row follows from how many begin and end before it.
    steps = np.zeros(rows + 1, int)
    np.add.at(steps, begin, 1)
    np.add.at(steps, end, -1)
    before = np.cumsum(np.cumsum(steps))
    row = np.searchsorted(before, numbers, side="right")
    left = numbers - np.where(row > 0, before[row - 1], 0)
    columns = [column[(begin <= r) & (r < end)][n] for r, n in zip(row, left, strict=True)]
    return np.stack([np.array(columns, np.int64), row], axis=1)
