"""How many road users of a picture are found, by their height: recall and precision of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

HEIGHTS = (16, 32, 64)
"""Pixels at which the bins of height begin; the last is open, and what is less high than the first is not judged."""
LEAST_IOU = 0.5
"""Of a box with the truth that it finds."""
WITHIN = 0.5
"""Share of a box within an ignored one from which on it is no mistake."""
NOBODY = -1.0
"""Score of a truth that no box finds."""


@dataclass
class Seen:
    """Of any number of pictures, one group of classes.

    Attributes:
        found: score of the box that found each truth, `NOBODY` without.
        heights: of the truths, in pixels.
        scores, tall, right: of each box that is no matter of taste its score, its height, and whether it finds a truth.
    """

    found: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tall: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def add(
        self, boxes: Sequence, scores: Sequence[float], truth: Sequence, ignored: Sequence = ()
    ) -> list[int | None]:
        """Match the boxes of a picture with its truths, the best score first, each with the truth that fits it best.

        Args:
            boxes, truth, ignored: x0, y0, x1, y1 each; ignored are those that may be found or not.

        Returns:
            the place of the box that finds each truth, None without.
        """
        boxes, truth, ignored = (np.asarray(part, float).reshape(-1, 4) for part in (boxes, truth, ignored))
        both = _intersections(boxes, truth)
        ious = both / np.maximum(_areas(boxes)[:, None] + _areas(truth) - both, 1e-9)
        excused = (_intersections(boxes, ignored) / np.maximum(_areas(boxes)[:, None], 1e-9)).max(
            1, initial=0
        ) >= WITHIN
        found, finders = np.full(len(truth), NOBODY), [None] * len(truth)
        for n in np.argsort(-np.asarray(scores, float), kind="stable"):
            free = np.where(found == NOBODY, ious[n], 0.0)
            best = int(free.argmax()) if len(truth) else 0
            right = bool(len(truth)) and bool(free[best] >= LEAST_IOU)
            if right:
                found[best], finders[best] = scores[n], int(n)
            elif excused[n]:
                continue
            self.scores.append(float(scores[n]))
            self.tall.append(float(boxes[n, 3] - boxes[n, 1]))
            self.right.append(right)
        self.found += found.tolist()
        self.heights += (truth[:, 3] - truth[:, 1]).tolist()
        return finders

    def join(self, other: Seen) -> None:
        """Count the pictures of another, too."""
        for part in fields(self):
            getattr(self, part.name).extend(getattr(other, part.name))

    def count(self, low: float, high: float = np.inf) -> int:
        """How many truths there are from `low` to below `high` pixels."""
        return sum(low <= height < high for height in self.heights)

    def recall(self, least: float, low: float, high: float = np.inf) -> float:
        """Share of the truths from `low` to below `high` pixels that a box of this score or more finds; nan of none."""
        found, heights = np.array(self.found), np.array(self.heights)
        judged = (heights >= low) & (heights < high)
        return float((found[judged] >= least).mean()) if judged.any() else np.nan

    def precision(self, least: float, low: float, high: float = np.inf) -> float:
        """Share of the boxes of such heights and scores that find a truth; nan of none."""
        tall, right = np.array(self.tall), np.array(self.right)
        judged = (tall >= low) & (tall < high) & (np.array(self.scores) >= least)
        return float(right[judged].mean()) if judged.any() else np.nan


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) areas."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (high - low).clip(0).prod(-1)
