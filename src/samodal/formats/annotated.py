"""Sequences of images with amodal annotations, as JSON files of the COCO family hold them.

Masks stay as they are in the file until they are asked for. What is wrong goes to a `Report`: `refuse` raises it, and
`samodal data check` collects it and goes on.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from samodal.errors import InputError
from samodal.formats.asd import InstanceTruth
from samodal.formats.reading import read_mask
from samodal.formats.runs import without
from samodal.masks import Rle, overlap, union

Report = Callable[[str], None]
"""Gets one line for each thing that is wrong."""

_POLYGON_NUMBERS = 6  # Fewer make no polygon; COCO's library would take four for a box.
_LEAST_INSIDE = 0.5  # Outlines drawn one after the other differ at the border, by no more than some pixels.


def refuse(problem: str) -> None:
    """The report of a reader that takes nothing broken.

    Raises:
        InputError: always.
    """
    raise InputError(problem)


def collected(entries: Iterable, read: Callable[[Any], Any], report: Report) -> list:
    """What `read` makes of each entry; those that it refuses are reported and left out."""
    found = []
    for entry in entries:
        try:
            found.append(read(entry))
        except InputError as error:
            report(str(error))
    return found


@dataclass(frozen=True, eq=False)
class Annotation:
    """One instance in one image, undrawn.

    Attributes:
        key: unique in the image; what `occluders` speaks of.
        id: of the instance, stable within its sequence.
        category: class name.
        amodal: run lengths {"size", "counts"} or polygons [[x, y, x, y, …], …].
        visible: the same, [] for completely hidden; None where the file tells it by `occluders` alone.
        occluders: keys of the annotations in front of it.
        depth_order: 0 for the nearest, None where the file does not say.
        where: file and id, for messages.
    """

    key: int
    id: int
    category: str
    amodal: dict | list
    visible: dict | list | None
    occluders: tuple[int, ...]
    depth_order: int | None
    where: str


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image of a sequence.

    Attributes:
        file_name: relative to the folder of images.
        size: (H, W) in pixels as the file says.
        number: of the frame in its sequence; numbers ascend and may leave gaps.
        annotations: in the file's order, crowds left out.
    """

    file_name: str
    size: tuple[int, int]
    number: int
    annotations: tuple[Annotation, ...]

    def instances(self) -> list[InstanceTruth]:
        """The instances with their masks drawn; those without any amodal pixel are left out.

        Visible is what the file says, cut to the amodal mask; where it says nothing, amodal without the amodal masks
        of the occluders.

        Raises:
            InputError: if a mask is damaged or of another size, or most of a visible mask lies outside its amodal one.
        """
        amodal = {one.key: draw(one.amodal, self.size, one.where) for one in self.annotations}
        return [
            InstanceTruth(one.id, one.category, amodal[one.key], _visible(one, amodal, self.size), one.depth_order)
            for one in self.annotations
            if amodal[one.key] is not None
        ]


@dataclass(frozen=True, eq=False)
class AnnotatedSequence:
    """A video, or one image on its own.

    Attributes:
        name: unique in the file, fit for a folder's name.
        images: by ascending number, all of one size.
        fps: frames per second; the time of a frame is its number since the first one over this.
    """

    name: str
    images: tuple[AnnotatedImage, ...]
    fps: float


def draw(value: dict | list, size: tuple[int, int], where: str) -> Rle | None:
    """The mask of run lengths or polygons on an image of `size`, None where it has no pixel.

    Raises:
        InputError: if it is damaged or of another size.
    """
    check_shape(value, size, where)
    return read_mask(value, size, where)


def check_shape(value: Any, size: tuple[int, int], where: str) -> None:
    """Refuse what is neither run lengths of `size` nor polygons, without drawing it.

    Raises:
        InputError: says which.
    """
    if isinstance(value, dict) and "counts" in value and "size" in value:
        if value["size"] != list(size):
            raise InputError(
                f"{where}: run lengths of size {value['size']} on an image of {list(size)} ([height, width])"
            )
    elif not isinstance(value, list) or not all(_is_polygon(one) for one in value):
        raise InputError(
            f"{where}: expected run lengths (size, counts) or polygons [[x, y, x, y, x, y, …], …] of three points or "
            f"more, got {str(value)[:60]}"
        )


def check_tracks(sequence: AnnotatedSequence) -> None:
    """Refuse a track that is in an image twice, or that changes its class.

    Raises:
        InputError: names the annotation.
    """
    classes: dict[int, str] = {}
    for image in sequence.images:
        seen = set()
        for one in image.annotations:
            if one.id in seen:
                raise InputError(f"{one.where}: a second annotation of track {one.id} in {image.file_name}")
            seen.add(one.id)
            before = classes.setdefault(one.id, one.category)
            if before != one.category:
                raise InputError(f"{one.where}: track {one.id} is a {one.category} here but a {before} before")


def _is_polygon(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < _POLYGON_NUMBERS or len(value) % 2:
        return False
    return all(isinstance(n, int | float) and math.isfinite(n) for n in value)


def _visible(one: Annotation, amodal: dict[int, Rle | None], size: tuple[int, int]) -> Rle | None:
    if one.visible is None:
        return without(amodal[one.key], _united([amodal[key] for key in one.occluders]))
    drawn = draw(one.visible, size, f"{one.where}, visible")
    if drawn is None:
        return None
    if overlap(drawn, amodal[one.key]) < _LEAST_INSIDE * drawn.area:
        raise InputError(f"{one.where}: most of its visible mask lies outside its amodal one; were they exchanged?")
    return without(drawn, without(drawn, amodal[one.key]))


def _united(masks: Sequence[Rle | None]) -> Rle | None:
    there = [mask for mask in masks if mask is not None]
    return union(there) if there else None
