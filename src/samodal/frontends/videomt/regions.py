"""Which pixels of a frame belong to which query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samodal.frontends.videomt.config import VideomtConfig
from samodal.images import enlargers


@dataclass(frozen=True, eq=False)
class Region:
    """What a query wins of a frame.

    Attributes:
        mask: (H, W) bool; regions of a frame share no pixel.
        area: its pixels.
        own_area: pixels of the query's mask before others won some.
        inside: mean mask probability in the region, 0 where it is empty.
    """

    mask: np.ndarray
    area: int
    own_area: int
    inside: float


def exclusive_regions(
    config: VideomtConfig, masks: np.ndarray, scores: np.ndarray, size: tuple[int, int]
) -> list[Region]:
    """The regions of some queries: a pixel goes to the highest score times mask probability, if that is above a half.

    Masks are enlarged in turn and only where they can be above 0: those of all queries would fill gigabytes for a large
    frame.

    Args:
        masks: (N, h, w) float32 logits.
        scores: (N,) in [0, 1].
        size: (H, W) of the frame.
    """
    best, inside = np.zeros(size, np.float32), np.zeros(size, np.float32)
    owner, own_areas = np.full(size, -1, np.int16), []
    for n, (logits, score) in enumerate(zip(masks, scores.tolist(), strict=True)):
        where, large = _enlarged(config, logits, size)
        probability = 1 / (1 + np.exp(-np.maximum(large, 0)))
        own = large > 0
        wins = own & (probability * score > best[where])
        best[where][wins], inside[where][wins], owner[where][wins] = probability[wins] * score, probability[wins], n
        own_areas.append(int(own.sum()))
    return [_region(owner == n, own_area, inside) for n, own_area in enumerate(own_areas)]


def _region(mask: np.ndarray, own_area: int, inside: np.ndarray) -> Region:
    area = int(mask.sum())
    return Region(mask, area, own_area, float(inside[mask].mean()) if area else 0.0)


def _enlarged(
    config: VideomtConfig, logits: np.ndarray, size: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """A mask's logits at the frame's size, cut to where they can be above 0, and where that is."""
    rows, columns = enlargers(config.transform, config.mask_size, size)
    inside = logits > 0
    y, x = _reach(rows, inside.any(1)), _reach(columns, inside.any(0))
    return (y, x), rows[y] @ logits @ columns[x].T


def _reach(matrix: np.ndarray, cells: np.ndarray) -> slice:
    """The pixels to which any of these cells contributes."""
    touched = np.flatnonzero(matrix[:, cells].any(1))
    return slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)
