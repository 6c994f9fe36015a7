"""The occlusion graph on a picture: an arrow from what hides to what is hidden, with the hidden share."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from samodal.drawing.labels import DARK, FONT, Rectangle, overlap, unit_of
from samodal.drawing.palette import Color
from samodal.masks import Mask
from samodal.tracks import FrameResult, Instance

LEAST_DRAWN = 0.05
"""Smaller shares of a mask are in the files, but their arrows would cover the picture."""
SHORTEST = 26
"""Pixels, in a picture of 540 rows; where two middles are nearer, the arrow comes from above."""
TEXT = 0.38

Point = tuple[int, int]


def draw_graph(
    canvas: np.ndarray, result: FrameResult, color: Callable[[int | str], Color], taken: list[Rectangle] | None
) -> None:
    """Draw the arrows of a frame onto a (H, W, 3) uint8 RGB canvas, the largest shares on top.

    Of two instances that hide each other, the arrow shows the larger share alone.

    Args:
        color: the RGB colour of an id; an arrow has that of the instance which hides.
        taken: (x0, y0, x1, y1) of the labels that are there already, which the shares keep clear of; None: no shares.
    """
    shares = {(front, behind): share for front, behind, share in result.edges() if share >= LEAST_DRAWN}
    drawn = [pair for pair, share in shares.items() if share >= shares.get(pair[::-1], 0)]
    unit = unit_of(canvas.shape[:2])
    arrows = [
        (*_ends(result[front], result[behind], round(SHORTEST * unit)), shares[front, behind], color(front))
        for front, behind in drawn
    ]
    for start, end, share, tint in reversed(arrows):
        _arrow(canvas, start, end, round(unit * (1 + 3 * share)), tint)
    if taken is not None:
        taken = list(taken)
        for start, end, share, tint in arrows:
            _write(canvas, f"{share:.0%}", start, end, tint, taken)


def _ends(front: Instance, behind: Instance, shortest: int) -> tuple[Point, Point]:
    """Where an arrow starts and ends, in pixels."""
    start, end = _middle(front.visible), _middle(behind.visible or behind.amodal)
    if np.hypot(end[0] - start[0], end[1] - start[1]) < shortest:
        start = (end[0] + shortest // 2, end[1] - shortest)
    return start, end


def _middle(mask: Mask) -> Point:
    """(x, y) of the mask's pixel that is nearest to the mean of all."""
    rows, columns = np.nonzero(mask.inside)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[nearest]) + int(mask.x), int(rows[nearest]) + int(mask.y)


def _arrow(canvas: np.ndarray, start: Point, end: Point, width: int, color: Color) -> None:
    # The tip is as long as its line is thick, and never most of the arrow.
    tip = min((6 + 2 * width) / float(np.hypot(end[0] - start[0], end[1] - start[1])), 0.4)
    for paint, extra in ((DARK, 2), (color, 0)):
        cv2.arrowedLine(canvas, start, end, paint, width + extra, cv2.LINE_AA, tipLength=tip)
        cv2.circle(canvas, start, width + 1 + extra // 2, paint, -1, cv2.LINE_AA)


def _write(canvas: np.ndarray, text: str, start: Point, end: Point, color: Color, taken: list[Rectangle]) -> None:
    """A share in a dark box beside or on its arrow, where nothing is written yet; left out where there is no room."""
    unit = unit_of(canvas.shape[:2])
    thick = max(1, round(unit))
    (width, height), _ = cv2.getTextSize(text, FONT, TEXT * unit, thick)
    for x, y in _places(start, end, (width, height)):
        box = (x - 2, y - height - 2, x + width + 2, y + 2)
        inside = box[0] >= 0 and box[1] >= 0 and box[2] < canvas.shape[1] and box[3] < canvas.shape[0]
        if inside and not any(overlap(box, other) for other in taken):
            taken.append(box)
            cv2.rectangle(canvas, box[:2], box[2:], DARK, -1)
            cv2.putText(canvas, text, (x, y), FONT, TEXT * unit, color, thick, cv2.LINE_AA)
            return


def _places(start: Point, end: Point, size: tuple[int, int]) -> Iterator[Point]:
    """Where a text of (width, height) may begin: on a long arrow at its middle, then to both sides, and further on."""
    way = np.subtract(end, start).astype(float)
    length = float(np.hypot(*way))
    across = np.array([-way[1], way[0]]) / length * (np.array(size) / 2 + 5)
    sides = (0, 1, -1) if length > 3 * size[0] else (1, -1, 2, -2)
    for along in (0.5, 0.35, 0.65, 0.2, 0.8):
        for side in sides:
            x, y = start + along * way + side * across
            yield round(x - size[0] / 2), round(y + size[1] / 2)
