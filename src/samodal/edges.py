"""Masks as edges: where their runs begin and end in turn, as places in the pixels of a frame, down the columns.

Some things follow from edges alone, many times faster than from pixels. All of them are (2 N,) int64, ascending.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    runs = np.empty(len(edges) + 1, np.int64)  # NumPy's `diff` with both ends takes three times as long
    runs[:-1], runs[-1] = edges, pixels
    runs[1:] -= edges
    return runs if runs[-1] or len(runs) == 1 else runs[:-1]


def pixels_in(edges: np.ndarray, rows: int, x: int, y: int, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the pixels of the box that holds the mask.

    Args:
        rows: height of the frame.
        x, y: column and row of the box's first pixel.
        shape: (h, w) of the box.
    """
    import cv2

    height, width = shape
    if not len(edges):
        return np.zeros(shape, bool)
    # The same edges where all but the box is left out; a run over the foot of a column has a box as high as the frame.
    column = edges // rows
    row = edges - column * rows
    places = (column - x) * height + row - y
    places[row == 0] += y  # a run that ends at the foot of a column; one that begins at its head has y = 0
    lengths = runs_between(places, width * height)
    columns = np.zeros(len(lengths), np.uint8)
    columns[1::2] = 1
    # OpenCV turns rows into columns four times as fast as NumPy.
    return cv2.transpose(columns.repeat(lengths).reshape(width, height)).view(bool)


def overlap(a: np.ndarray, b: np.ndarray) -> int:
    """Number of pixels that two masks of frames of one size share."""
    if not len(a) or not len(b):
        return 0
    lengths = b[1::2] - b[::2]
    inside = lengths.cumsum().repeat(2)
    inside[::2] -= lengths
    before = np.interp(a, b, inside)  # pixels of b before each edge of a: whole numbers, as all slopes are 0 or 1
    return int((before[1::2] - before[::2]).sum())


def places(edges: Sequence[np.ndarray], rows: int, numbers: np.ndarray) -> np.ndarray:
    """(N, K, 2) int64 column and row of pixels inside N masks, by their numbers, counted row by row from 0.

    No run may go over the foot of a column.

    Args:
        edges: of N masks, none empty.
        rows: height of the frames.
        numbers: (N, K) below the number of pixels inside each.
    """
    every, counts = np.concatenate(edges), [len(own) // 2 for own in edges]
    mask, first = np.arange(len(edges)), np.cumsum([0, *counts[:-1]])
    owner = mask.repeat(counts)
    column = every[::2] // rows
    begin = every[::2] - column * rows
    end = begin + (every[1::2] - every[::2])
    top = np.minimum.reduceat(begin, first) if len(begin) else mask
    below = top.repeat(counts)
    begin, end = begin - below, end - below
    # How many runs meet a row follows from how many begin and end before it.
    lines = int(end.max(initial=0)) + 1
    foot, length = owner * lines, len(edges) * lines
    steps = np.bincount(foot + begin, minlength=length) - np.bincount(foot + end, minlength=length)
    before = steps.reshape(len(edges), lines).cumsum(axis=1).cumsum(axis=1)  # pixels in each row and above it
    apart = mask * (before[:, -1].max() + 1)
    ascending = (before + apart[:, None]).ravel()  # of all masks
    found = np.empty((*numbers.shape, 2), np.int64)
    for k, wanted in enumerate(numbers.T):
        row = ascending.searchsorted(wanted + apart, side="right") - mask * lines
        left = wanted - np.where(row > 0, before[mask, row - 1], 0)
        height = row[owner]
        met = ((begin <= height) & (height < end)).cumsum()  # runs in these rows, of all masks so far
        others = np.where(first > 0, met[first - 1], 0)
        found[:, k, 0], found[:, k, 1] = column[met.searchsorted(others + left + 1)], row + top
    return found
