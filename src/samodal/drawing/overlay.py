"""Pictures of results: the visible part tinted, the hidden part striped, ids, prompt points and trails."""

import colorsys
import zlib
from collections import defaultdict, deque
from collections.abc import Callable

import cv2
import numpy as np

from samodal.drawing.graph import Rectangle, draw_graph
from samodal.tracks import UNSEEN, FrameResult, Instance

TRAIL_FRAMES = 30
FEW = 4
"""Up to so many points of an instance are drawn large with their whole trail; more would cover it."""

DOUBTED = 0.3
"""Score below which only what is visible of an instance is drawn, not what is guessed of the rest."""


def color_of(key: int | str) -> tuple[int, int, int]:
    """A bright RGB colour that depends on the id alone; ids that follow each other get colours far apart."""
    number = key if isinstance(key, int) else zlib.crc32(str(key).encode())
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.75, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


class Drawer:
    """Draws frame after frame of one clip; keeps the trails of followed points.

    Args:
        color: the RGB colour of an id.
        labels: write ids, classes and hidden shares.
        graph: draw who hides whom.
    """

    def __init__(
        self,
        color: Callable[[int | str], tuple[int, int, int]] = color_of,
        labels: bool = True,
        graph: bool = False,
    ):
        self.color, self.labels, self.graph = color, labels, graph
        self._trails: dict = defaultdict(lambda: deque(maxlen=TRAIL_FRAMES))

    def draw(self, image: np.ndarray, result: FrameResult) -> np.ndarray:
        """A copy of the (H, W, 3) uint8 RGB image with the result on it."""
        canvas = image.copy()
        # Nearer instances tend to be larger and less occluded; drawn last, they stay readable.
        for instance in sorted(result.instances, key=lambda i: -(i.occlusion or 0)):
            if instance.amodal is not None:
                _paint(canvas, instance, self.color(instance.id))
        present = {instance.id for instance in result.instances}
        for forgotten in self._trails.keys() - present:  # an endless stream must not gather trails
            del self._trails[forgotten]
        labelled = [box for instance in result.instances if (box := self._mark(canvas, instance)) is not None]
        if self.graph:
            draw_graph(canvas, result, self.color, labelled if self.labels else None)
        return canvas

    def _mark(self, canvas: np.ndarray, instance: Instance) -> Rectangle | None:
        """Draw points, trails and label; gives the box of the label."""
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
        if instance.amodal is not None and self.labels:
            return _label(canvas, instance, color)
        return None


def _written(points: np.ndarray) -> np.ndarray:
    """Points as frames.jsonl has them, to a hundredth: a run that goes on draws what it reads there."""
    return np.round(np.asarray(points, np.float64), 2)


def _paint(canvas: np.ndarray, instance: Instance, color: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = (int(v) for v in instance.amodal.box)
    window = (slice(y0, y1), slice(x0, x1))  # painting the whole frame for each instance took ten times as long
    amodal = instance.amodal.decode()[window]
    visible = instance.visible.decode()[window] if instance.visible is not None else np.zeros_like(amodal)
    if visible.any() and instance.score is not None and instance.score < DOUBTED:
        amodal = amodal & visible
    rows, columns = np.ogrid[y0:y1, x0:x1]
    stripes = (rows + columns) % 10 < 4
    crop = canvas[window]
    for part, weight in ((visible & amodal, 0.4), (amodal & ~visible & stripes, 0.75), (amodal & ~visible, 0.15)):
        tint = crop[part] * (1 - weight) + np.array(color) * weight
        crop[part] = tint.astype(np.uint8)
    thin = instance.state in UNSEEN or instance.amodal.area < 1500
    outline(canvas, amodal, color, 1 if thin else 2, (x0, y0))


def outline(
    canvas: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], width: int, offset: tuple[int, int] = (0, 0)
) -> None:
    """Draw the contour of a (h, w) bool mask, whose first pixel is (x, y) `offset` of the canvas, onto it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=offset)
    cv2.drawContours(canvas, contours, -1, color, width, cv2.LINE_AA)


def _label(canvas: np.ndarray, instance: Instance, color: tuple[int, int, int]) -> Rectangle:
    text = str(instance.id)
    if instance.amodal.area >= 600:
        text += f" {instance.category}"
    if instance.state in UNSEEN:
        text += f" {instance.state} {instance.seconds_since_seen:.1f}s" if instance.frames_since_seen else " sliver"
    elif instance.occlusion and instance.occlusion >= 0.05:
        text += f" {instance.occlusion:.0%}"
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    x = int(np.clip(instance.amodal.box[0], 0, max(0, canvas.shape[1] - width - 4)))
    y = max(int(instance.amodal.box[1]) - 4, height + 3)
    cv2.rectangle(canvas, (x, y - height - 3), (x + width + 3, y + base - 1), (16, 16, 16), -1)
    cv2.putText(canvas, text, (x + 2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)
    return x, y - height - 3, x + width + 3, y + base - 1
