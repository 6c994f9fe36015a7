"""Pictures of results: visible parts tinted, hidden parts hatched, softly where a place is not sure, ids and points."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

import cv2
import numpy as np

from samodal.drawing.graph import draw_graph
from samodal.drawing.labels import DARK, FONT, LIGHT, SMALL, TEXT, Label, Labels, extent, label_of, panel, unit_of
from samodal.drawing.palette import Color, color_of
from samodal.masks import Mask
from samodal.tracks import UNSEEN, FrameResult, Instance

TRAIL_FRAMES = 30
FEW = 4
"""Up to so many points of an instance are drawn large with their whole trail; more would cover it."""
DOUBTED = 0.3
"""Score below which only what is visible of an instance is drawn, not what is guessed of the rest."""
TINT, HATCH, GROUND = 0.3, 0.8, 0.12
"""How much of a pixel is the instance's colour: where it is visible, on a line of the hatching, and between two."""


class Drawer:
    """Draws frame after frame of one clip; keeps the trails of followed points and the places of labels.

    Lines and letters grow with the picture, so that they are read alike at 480 and 2160 rows.

    Args:
        color: the RGB colour of an id.
        labels: write ids, classes and how much of an instance others hide.
        points: draw prompt points, and followed points with their trails.
        legend: say in a corner what is drawn how, and which frame it is.
        whole: draw whole masks alike, whether visible or hidden.
        graph: draw who hides whom.
    """

    def __init__(
        self,
        color: Callable[[int | str], Color] = color_of,
        labels: bool = True,
        points: bool = True,
        legend: bool = False,
        whole: bool = False,
        graph: bool = False,
    ):
        self.color, self.labels, self.points = color, labels, points
        self.legend, self.whole, self.graph = legend, whole, graph
        self._trails: dict = defaultdict(lambda: deque(maxlen=TRAIL_FRAMES))
        self._places = Labels()

    def draw(self, image: np.ndarray, result: FrameResult) -> np.ndarray:
        """A copy of the (H, W, 3) uint8 RGB image with the result on it."""
        canvas, unit = image.copy(), unit_of(image.shape[:2])
        # Nearer instances tend to be larger and less occluded; drawn last, they stay readable.
        drawn = sorted((i for i in result.instances if i.amodal), key=lambda i: -(i.occlusion or 0))
        for instance in drawn:
            _paint(canvas, instance, self.color(instance.id), self.whole, unit)
        present = {instance.id for instance in result.instances}
        for forgotten in self._trails.keys() - present:  # an endless stream must not gather trails
            del self._trails[forgotten]
        for instance in result.instances if self.points else ():
            self._mark(canvas, instance)
        taken = self._places.draw(canvas, self._texts(result, unit), [i.visible for i in drawn if i.visible])
        if self.graph:
            draw_graph(canvas, result, self.color, taken if self.labels else None)
        if self.legend:
            _legend(canvas, result, self.whole, unit)
        return canvas

    def _texts(self, result: FrameResult, unit: float) -> list[Label]:
        """The labels of a frame, those of the largest instances first."""
        if not self.labels:
            return []
        named = sorted((i for i in result.instances if i.amodal), key=lambda i: (i.visible is None, -i.amodal.area))
        return [
            Label(
                instance.id,
                label_of(instance, sum(share for _, share in result.hidden_by[instance.id]), SMALL * unit**2),
                _largest(instance.visible or instance.amodal),
                self.color(instance.id),
            )
            for instance in named
        ]

    def _mark(self, canvas: np.ndarray, instance: Instance) -> None:
        """Draw prompt points, or followed points and their trails."""
        color = self.color(instance.id)
        if instance.followed is not None:
            self._trails[instance.id].append(_written(instance.followed))
            width, radius, length = (2, 4, TRAIL_FRAMES) if len(instance.followed) <= FEW else (1, 1, 5)
            for n in range(len(instance.followed)):
                trail = np.rint([points[n] for points in self._trails[instance.id]][-length:]).astype(np.int32)
                cv2.polylines(canvas, [trail[:, None]], False, color, width, cv2.LINE_AA)
                cv2.circle(canvas, tuple(int(v) for v in trail[-1]), radius, color, -1, cv2.LINE_AA)
        else:
            self._trails.pop(instance.id, None)
            points = [] if instance.points is None else np.rint(_written(instance.points)).astype(int).tolist()
            for x, y in points:
                for edge, width in (((0, 0, 0), 4), ((255, 255, 255), 2)):
                    cv2.line(canvas, (x - 5, y), (x + 5, y), edge, width)
                    cv2.line(canvas, (x, y - 5), (x, y + 5), edge, width)


def hatched(rows: slice, columns: slice, unit: float) -> np.ndarray:
    """(h, w) bool: the lines of the hatching in a window of the frame."""
    down, along = np.ogrid[rows, columns]
    period = round(9 * unit)
    return (down + along) % period < max(2, round(0.34 * period))


def _written(points: np.ndarray) -> np.ndarray:
    """Pixels as frames.jsonl has them, to a hundredth: a run that goes on draws what it reads there."""
    return np.round(np.asarray(points, np.float64), 2)


def outline(
    canvas: np.ndarray,
    mask: np.ndarray,
    color: Color,
    width: int,
    offset: tuple[int, int] = (0, 0),
    edge: int = cv2.LINE_AA,
) -> None:
    """Draw the contour of a (h, w) bool mask, whose first pixel is (x, y) `offset` of the canvas, onto it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=offset)
    cv2.drawContours(canvas, contours, -1, color, width, edge)


def _paint(canvas: np.ndarray, instance: Instance, color: Color, whole: bool, unit: float) -> None:
    mask = instance.amodal.clipped()
    if not mask:
        return
    rows, columns, amodal = mask.rows, mask.columns, mask.inside  # the whole frame would take ten times as long
    visible = instance.visible.decode()[rows, columns] if instance.visible is not None else np.zeros_like(amodal)
    if visible.any() and instance.score is not None and instance.score < DOUBTED:
        amodal = amodal & visible
    crop, corner = canvas[rows, columns], (columns.start, rows.start)
    seen = amodal if whole else visible & amodal
    hidden = amodal & ~seen
    _tint(crop, seen, color, TINT)
    if hidden.any() and instance.visible is None and instance.centre_spread is not None:
        _hatch_softly(canvas, mask, instance.centre_spread, color, unit)
    elif hidden.any():
        lines = hatched(rows, columns, unit)
        _tint(crop, hidden & lines, color, HATCH)
        _tint(crop, hidden & ~lines, color, GROUND)
    thin = max(1, round(unit))
    bold = thin if instance.amodal.area < 1500 * unit**2 else 2 * thin
    outline(canvas, amodal, DARK, bold + 2 * thin, corner, cv2.LINE_8)
    outline(canvas, amodal, color, thin if instance.state in UNSEEN else bold, corner)
    if bold > thin and instance.state in UNSEEN and seen.any():
        outline(canvas, seen, color, bold, corner)


def _hatch_softly(canvas: np.ndarray, mask: Mask, spread: np.ndarray, color: Color, unit: float) -> None:
    """Hatch a hidden mask as densely as its place is sure: over its edge, and less inside, where it may be elsewhere.

    Args:
        spread: (2,) of x and y in pixels (`Instance.centre_spread`).
    """
    sigma = np.clip(_written(spread), 0.5, mask.side / 2).tolist()  # a wider one would leave nothing to see
    reach = [round(2 * one) + 1 for one in sigma]
    inside = np.pad(mask.inside.astype(np.float32), [(reach[1], reach[1]), (reach[0], reach[0])])
    soft = cv2.GaussianBlur(inside, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1], borderType=cv2.BORDER_CONSTANT)
    top, left = mask.y - reach[1], mask.x - reach[0]
    rows, columns = slice(max(top, 0), top + len(soft)), slice(max(left, 0), left + soft.shape[1])
    crop = canvas[rows, columns]
    soft = soft[rows.start - top :, columns.start - left :][: crop.shape[0], : crop.shape[1]]
    lines = hatched(slice(rows.start, rows.start + len(crop)), slice(columns.start, columns.start + len(crop[0])), unit)
    weight = (soft * np.where(lines, HATCH, GROUND))[..., None]
    crop[:] = np.rint(crop + weight * (np.array(color, np.float32) - crop))


def _tint(crop: np.ndarray, part: np.ndarray, color: Color, weight: float) -> None:
    """Mix a colour into a part of a (h, w, 3) uint8 view of the canvas."""
    mixed = np.arange(256)[:, None] * (1 - weight) + np.array(color) * weight
    cv2.copyTo(cv2.LUT(crop, mixed.astype(np.uint8)[None]), part.astype(np.uint8), crop)


def _largest(mask: Mask) -> tuple[int, int, int, int]:
    """The box of the largest piece of a mask: a label belongs there, and to no stray fleck."""
    mask = mask.clipped() or mask
    count, _, pieces, _ = cv2.connectedComponentsWithStats(mask.inside.astype(np.uint8))
    if count < 2:
        return tuple(int(n) for n in mask.box)
    x, y, width, height, _ = pieces[1 + int(np.argmax(pieces[1:, cv2.CC_STAT_AREA]))]
    return int(mask.x + x), int(mask.y + y), int(mask.x + x + width), int(mask.y + y + height)


def _legend(canvas: np.ndarray, result: FrameResult, whole: bool, unit: float) -> None:
    """What is drawn how, the frame and its time, in the corner where there is mostly road or bonnet."""
    words = ["whole objects"] if whole else ["visible", "hidden"]
    words.append(f"frame {result.t}  {result.time:.2f} s")
    widths, height = [extent(word, unit)[0] for word in words], extent("Ag", unit)[1]
    side, gap = round(14 * unit), round(6 * unit)
    total = sum(widths) + (side + gap) * (len(words) - 1) + 2 * gap
    top = canvas.shape[0] - height - gap
    if total > canvas.shape[1] or top < 0:  # a picture too small for it
        return
    panel(canvas, (gap, top, gap + total, top + height))
    x, line = 2 * gap, top + (height - side) // 2
    for n, word in enumerate(words):
        if n < len(words) - 1:
            box = canvas[max(line, 0) : line + side, x : x + side]
            lines = hatched(slice(0, box.shape[0]), slice(0, box.shape[1]), unit)
            box[lines if word == "hidden" else slice(None)] = LIGHT
            x += side
        place = (x + round(4 * unit), top + height - round(6 * unit))
        cv2.putText(canvas, word, place, FONT, TEXT * unit, LIGHT, max(1, round(unit)), cv2.LINE_AA)
        x += widths[n] + gap
