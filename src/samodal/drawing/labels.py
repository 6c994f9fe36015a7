"""Labels of instances: where they cover neither each other nor, where there is room elsewhere, anything tracked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot

import cv2
import numpy as np

from samodal.drawing.palette import Color
from samodal.masks import Mask
from samodal.tracks import UNSEEN, Instance

FONT, TEXT = cv2.FONT_HERSHEY_SIMPLEX, 0.42
"""The face, and its scale in a picture of 540 rows."""
DARK, LIGHT = (18, 18, 18), (255, 255, 255)
GRID = 4
"""Pixels: the side of a cell of the grid in which what is tracked is marked."""
LEAST_SHARE = 0.1
"""Hidden shares below this are not written."""
SMALL = 500
"""Pixels of a mask, in a picture of 540 rows, below which its label is the id alone."""
COVERED, FAR, MOVED, LATER = 6.0, 0.35, 0.8, 0.05
"""Costs of a place: for covering what is tracked, for each label height of distance, for another place than before, for
each place that comes before it."""
RAISED = 5
"""How many rows above or below its instance a label may go, where nearer places are taken."""

Rectangle = tuple[int, int, int, int]


def unit_of(size: tuple[int, int]) -> float:
    """By how much lines and letters in a picture of (H, W) are larger than in one of 540 rows, 1 at least."""
    return max(1.0, min(size) / 540)


def label_of(instance: Instance, hidden_share: float, small: float) -> str:
    """What is written of an instance.

    Args:
        hidden_share: of its whole mask, how much lies under the visible masks of others.
        small: pixels below which the id stands alone.
    """
    state = ""
    if instance.state in UNSEEN and instance.visible is None:
        state = f" {instance.state} {instance.seconds_since_seen:.1f}s"
    elif hidden_share >= LEAST_SHARE:
        state = f" {hidden_share:.0%} hidden"
    return f"{instance.id} {instance.category}{state}" if instance.amodal.area >= small else f"{instance.id}"


@dataclass(frozen=True)
class Label:
    """A text that is to be placed.

    Attributes:
        key: the id of its instance.
        anchor: the box that it belongs to.
        color: of its instance.
    """

    key: int | str
    text: str
    anchor: Rectangle
    color: Color


class Labels:
    """Places the labels of frame after frame; each keeps its side of the instance while there is room."""

    def __init__(self) -> None:
        self._before: dict[int | str, int] = {}

    def draw(self, canvas: np.ndarray, labels: Sequence[Label], masks: Sequence[Mask]) -> list[Rectangle]:
        """Write labels onto a (H, W, 3) uint8 RGB canvas; gives the boxes that they cover.

        Args:
            labels: the most important first; one that finds no room loses its text but for the id, or is left out.
            masks: what they should not cover.
        """
        unit, occupied = unit_of(canvas.shape[:2]), _occupied(masks, canvas.shape[:2])
        taken: list[Rectangle] = []
        placed: list[tuple[Label, str, Rectangle]] = []
        numbers: dict[int | str, int] = {}
        for label in labels:
            for text in dict.fromkeys([label.text, str(label.key)]):
                if (place := self._place(label, text, canvas.shape[:2], unit, occupied, taken)) is not None:
                    numbers[label.key], box = place
                    taken.append(box)
                    placed.append((label, text, box))
                    break
        for label, _, box in placed:  # before all texts, so that no line crosses one
            _lead(canvas, box, label, unit)
        for label, text, box in placed:
            _write(canvas, text, box, label, unit)
        self._before = numbers
        return taken

    def _place(
        self,
        label: Label,
        text: str,
        size: tuple[int, int],
        unit: float,
        occupied: np.ndarray,
        taken: Sequence[Rectangle],
    ) -> tuple[int, Rectangle] | None:
        """The number of the cheapest place that is free, and its box."""
        width, height = extent(text, unit)
        best: tuple[float, int, Rectangle] | None = None
        for number, (x, y) in enumerate(_places(label.anchor, width, height, round(3 * unit))):
            if best is not None and best[0] <= LATER * number:  # no place that follows is cheaper
                break
            x = min(max(x, 0), size[1] - width)
            box = (x, y, x + width, y + height)
            if x < 0 or y < 0 or box[3] > size[0]:
                continue
            cost = FAR * _distance(box, label.anchor) / height + LATER * number
            cost += MOVED * (self._before.get(label.key, number) != number)
            if (best is not None and cost >= best[0]) or any(overlap(box, other) for other in taken):
                continue
            cost += COVERED * _covered(occupied, box)
            if best is None or cost < best[0]:
                best = cost, number, box
        return None if best is None else best[1:]


def extent(text: str, unit: float) -> tuple[int, int]:
    """(width, height) in pixels of a label's box."""
    (width, height), base = cv2.getTextSize(text, FONT, TEXT * unit, max(1, round(unit)))
    return width + round(9 * unit), height + base + round(3 * unit)


def overlap(a: Rectangle, b: Rectangle) -> bool:
    """Whether two boxes share a pixel or touch."""
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def panel(canvas: np.ndarray, box: Rectangle) -> None:
    """Darken a box of the canvas, so that light text can be read on it."""
    x0, y0, x1, y1 = box
    part = canvas[y0:y1, x0:x1]
    part[:] = (part * 0.25 + np.array(DARK) * 0.75).astype(np.uint8)


def _places(anchor: Rectangle, width: int, height: int, gap: int) -> Iterator[tuple[int, int]]:
    """Where the first pixel of a label may lie, the best places first."""
    x0, y0, x1, y1 = anchor
    middle, left, right = (x0 + x1 - width) // 2, x0, x1 - width
    step = height + gap
    yield from ((middle, y0 - step), (left, y0 - step), (right, y0 - step))
    yield from ((middle, y1 + gap), (x1 + gap, (y0 + y1 - height) // 2), (x0 - width - gap, (y0 + y1 - height) // 2))
    yield from ((x1 + gap, y0), (x0 - width - gap, y0), (middle, y0 + 2 * gap))
    for row in range(2, RAISED + 2):
        yield from ((middle, y0 - row * step), (x1 + gap, y0 - row * step), (x0 - width - gap, y0 - row * step))
        yield (middle, y1 + gap + (row - 1) * step)


def _occupied(masks: Sequence[Mask], size: tuple[int, int]) -> np.ndarray:
    """Integral of the grid's cells in which something is tracked."""
    cells = np.zeros((size[0] // GRID + 1, size[1] // GRID + 1), np.uint8)
    for mask in masks:
        mask = mask.clipped()
        row, column = -mask.y % GRID, -mask.x % GRID
        inside = mask.inside[row::GRID, column::GRID]
        y, x = (mask.y + row) // GRID, (mask.x + column) // GRID
        cells[y : y + inside.shape[0], x : x + inside.shape[1]] |= inside
    return cv2.integral(cells)


def _covered(occupied: np.ndarray, box: Rectangle) -> float:
    """Share of a box in which something is tracked."""
    x0, y0, x1, y1 = (n // GRID for n in box)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    x1, y1 = min(x1, occupied.shape[1] - 1), min(y1, occupied.shape[0] - 1)
    count = occupied[y1, x1] - occupied[y0, x1] - occupied[y1, x0] + occupied[y0, x0]
    return float(count) / max(1, (x1 - x0) * (y1 - y0))


def _distance(box: Rectangle, anchor: Rectangle) -> float:
    """Pixels between two boxes, 0 where they meet."""
    across = max(anchor[0] - box[2], box[0] - anchor[2], 0)
    down = max(anchor[1] - box[3], box[1] - anchor[3], 0)
    return hypot(across, down)


def _lead(canvas: np.ndarray, box: Rectangle, label: Label, unit: float) -> None:
    """A line with a dark rim from a label to its instance, where they are too far apart to be seen together."""
    (x0, y0, x1, y1), (a0, b0, a1, b1) = box, label.anchor
    if _distance(box, label.anchor) <= 1.5 * (y1 - y0):
        return
    end = (a0 + a1) // 2, b0 if y1 <= b0 else b1
    start = min(max(end[0], x0), x1), y1 if y1 <= b0 else y0
    for paint, extra in ((DARK, 2), (label.color, 0)):
        cv2.line(canvas, start, end, paint, max(1, round(unit)) + extra, cv2.LINE_AA)


def _write(canvas: np.ndarray, text: str, box: Rectangle, label: Label, unit: float) -> None:
    x0, y0, x1, y1 = box
    panel(canvas, box)
    bar = max(2, round(3 * unit))
    cv2.rectangle(canvas, (x0, y0), (x0 + bar - 1, y1 - 1), label.color, -1)
    (_, height), _ = cv2.getTextSize(text, FONT, TEXT * unit, max(1, round(unit)))
    place = x0 + bar + round(3 * unit), y0 + height + round(2 * unit)
    cv2.putText(canvas, text, place, FONT, TEXT * unit, LIGHT, max(1, round(unit)), cv2.LINE_AA)
