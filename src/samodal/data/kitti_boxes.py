"""KITTI's tracking labels, `label_02/<sequence>.txt`: boxes of whole objects, what is hidden of them included.

A line is `frame track type truncated occluded alpha x0 y0 x1 y1` and what is known in 3-D, which is not read. Lines of
type DontCare are regions, not objects. The track is the number within KITTI MOTS' id of the same object, class * 1000 +
number; KITTI MOTS has cars (class 1) and pedestrians (class 2) alone.
Source: KITTI's tracking devkit, readme.txt, "Data Format Description"
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from samodal.errors import InputError
from samodal.files import read_text

MOTS_CLASSES = {"Car": 1, "Van": 1, "Pedestrian": 2}
"""KITTI MOTS' class of each type that has one."""
OCCLUSION_LEVELS = ("fully visible", "partly occluded", "largely occluded", "unknown")


@dataclass(frozen=True)
class KittiBox:
    """The labelled box of one object in one frame.

    Attributes:
        frame: its number, from 0.
        track: stable within the sequence.
        type: Car, Van, Truck, Pedestrian, Person, Cyclist, Tram or Misc.
        truncated: 0 where it lies within the image, else 1 or 2.
        occluded: place in `OCCLUSION_LEVELS`.
        box: x0, y0, x1, y1 in pixels, a projection of the 3-D box: it may reach over the border of the image.
    """

    frame: int
    track: int
    type: str
    truncated: int
    occluded: int
    box: tuple[float, float, float, float]

    @property
    def mots_id(self) -> int | None:
        """The id in KITTI MOTS; None of a type that it does not have."""
        kind = MOTS_CLASSES.get(self.type)
        return None if kind is None else kind * 1000 + self.track

    def inside(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The box within an image of (H, W), its last column and row included: x1 and y1 are one past them."""
        x0, y0, x1, y1 = self.box
        return max(x0, 0.0), max(y0, 0.0), min(x1 + 1, float(size[1])), min(y1 + 1, float(size[0]))


def read_kitti_boxes(path: Path) -> list[KittiBox]:
    """All objects of a sequence, in the file's order.

    Raises:
        InputError: for a file that cannot be read, a damaged line, or a track that is in a frame twice.
    """
    boxes: dict[tuple[int, int], KittiBox] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        parts = line.split()
        if not parts or parts[2:3] == ["DontCare"]:
            continue
        box = _read_line(parts, f"{path}, line {number}")
        if (box.frame, box.track) in boxes:
            raise InputError(f"{path}, line {number}: track {box.track} is in frame {box.frame} twice")
        boxes[box.frame, box.track] = box
    return list(boxes.values())


def _read_line(parts: list[str], where: str) -> KittiBox:
    try:
        frame, track, truncated, occluded = (int(parts[n]) for n in (0, 1, 3, 4))
        x0, y0, x1, y1 = (float(part) for part in parts[6:10])
    except (IndexError, ValueError):
        raise InputError(
            f"{where}: expected 'frame track type truncated occluded alpha x0 y0 x1 y1 …', got {' '.join(parts)[:60]!r}"
        ) from None
    if min(frame, track) < 0 or occluded not in range(len(OCCLUSION_LEVELS)):
        raise InputError(
            f"{where}: expected frame and track from 0 and occluded of 0 to 3, got {frame}, {track} and {occluded}"
        )
    if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x0 < x1 and y0 < y1):
        raise InputError(f"{where}: expected a box of x0 < x1 and y0 < y1, got {x0} {y0} {x1} {y1}")
    return KittiBox(frame, track, parts[2], truncated, occluded, (x0, y0, x1, y1))
