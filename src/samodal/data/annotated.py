"""Sequences of images with amodal annotations, as JSON files of the COCO family hold them.

Masks stay as they are in the file until they are asked for. What is wrong goes to a `Report`: `refuse` raises it, and
`samodal data check` collects it and goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from samodal.data.asd_labels import InstanceTruth
from samodal.errors import InputError
from samodal.files import field, read_mask, safe_name
from samodal.rle import LARGEST_SIDE, Rle, difference, overlap, union

Report = Callable[[str], None]
"""Gets one line for each thing that is wrong."""

FRAMES_PER_SECOND = 10.0
"""Of videos for which a file states none."""

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

    def instances(self, report: Report = refuse) -> list[InstanceTruth]:
        """The instances with their masks drawn; those without any amodal pixel are left out.

        Visible is what the file says, cut to the amodal mask; where it says nothing, amodal without the amodal masks
        of the occluders.

        Args:
            report: gets each damaged mask, and each visible one that lies mostly outside its amodal one; by default it
                is raised.
        """
        drawn = collected(self.annotations, lambda one: (one, read_mask(one.amodal, self.size, one.where)), report)
        there = [(one, mask) for one, mask in drawn if mask is not None]
        amodal = {one.key: mask for one, mask in there}
        return collected([one for one, _ in there], lambda one: _instance(one, amodal, self.size), report)

    def visible_instances(self, report: Report = refuse) -> list[InstanceTruth]:
        """What is visible, as if no amodal masks were there: `amodal` is the visible mask. No amodal mask is drawn.

        An annotation that tells neither `visible` nor `occluders` is visible as a whole: its one mask is taken.

        Args:
            report: gets each damaged mask, and each annotation whose visible part follows from amodal masks alone; by
                default it is raised.
        """
        drawn = collected(self.annotations, lambda one: _visible_instance(one, self.size), report)
        return [one for one in drawn if one is not None]


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


def by_name(sequences: Sequence[AnnotatedSequence], path: Path, report: Report) -> list[AnnotatedSequence]:
    """The sequences of a file sorted by name; names that are there twice, or can name no folder, are reported.

    Raises:
        InputError: if there is none.
    """
    collected(sequences, lambda sequence: safe_name(sequence.name, str(path)), report)
    for name, count in Counter(one.name for one in sequences).items():
        if count > 1:
            report(f"{path}: {count} sequences would be named {name!r}; give other file names, or names in 'videos'")
    if not sequences:
        raise InputError(f"{path}: no usable image in it")
    return sorted({one.name: one for one in sequences}.values(), key=lambda one: one.name)


def check_size(entry: dict, where: str) -> None:
    """Refuse an image whose `height` and `width` cannot be those of a picture.

    Raises:
        InputError: says which.
    """
    for side in ("height", "width"):
        if not 1 <= whole_number(entry, side, where) <= LARGEST_SIDE:
            raise InputError(f"{where}: {side} {entry[side]} is no number of pixels up to {LARGEST_SIDE}")


def class_names(entries: list, path: Path, report: Report) -> dict[int, str]:
    """{id: name} of a file's `categories`; what is damaged or there twice is reported."""
    names: dict[int, str] = {}

    def add(entry: dict) -> None:
        key = whole_number(entry, "id", f"{path}: a category")
        name = field(entry, "name", f"{path}: category {key}")
        if key in names or not isinstance(name, str) or not name:
            raise InputError(f"{path}: category {key}: the id is there twice, or its name is no text")
        names[key] = name

    collected(entries, add, report)
    return names


def class_of(annotation: dict, names: dict[int, str], where: str) -> str:
    """The class of an annotation.

    Raises:
        InputError: if `names` does not have it.
    """
    number = whole_number(annotation, "category_id", where)
    if number not in names:
        raise InputError(f"{where}: unknown category_id {number!r}, 'categories' lists {sorted(names)}")
    return names[number]


def place_of(annotation: dict, kind: str, owners: dict[int, dict], seen: set[int], path: Path) -> tuple[str, dict]:
    """Where an annotation stands, for messages, and the image or video that it belongs to.

    Args:
        kind: "image" or "video".
        owners: all of them that the file lists, by id.
        seen: ids of the annotations before; gets this one's.

    Raises:
        InputError: if the id is there twice, or the file does not list what it belongs to.
    """
    key = whole_number(annotation, "id", f"{path}: an annotation")
    where = f"{path}: annotation {key}"
    if key in seen:
        raise InputError(f"{where}: a second annotation has this id")
    seen.add(key)
    number = whole_number(annotation, f"{kind}_id", where)
    if number not in owners:
        raise InputError(f"{where}: unknown {kind}_id {number!r}, '{kind}s' does not list it")
    return where, owners[number]


def frame_rate(video: dict, where: str) -> float:
    """Frames per second that a video states.

    Raises:
        InputError: if it is no number above 0.
    """
    fps = video.get("fps", FRAMES_PER_SECOND)
    if not isinstance(fps, int | float) or not 0 < fps < 1e6:
        raise InputError(f"{where}: fps {fps!r} is no number above 0")
    return float(fps)


def usable_path(name: object) -> bool:
    """Whether a name of a file or folder stays inside the folder that it is put in."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("..")
    return path.name != "" and not path.is_absolute() and ".." not in path.parts


def whole_number(entry: dict, name: str, where: str) -> int:
    """A required whole number of a JSON object."""
    value = field(entry, name, where)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{where}: {name} {value!r} is no whole number")
    return value


def listed(entry: dict, name: str, where: str) -> list:
    """A list of a JSON object, empty where it is left out or null."""
    value = entry.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where}: {name} is no list but {str(value)[:60]}")
    return value


class TrackCheck:
    """Refuses a track that is in one image twice, or that changes its class; of one sequence, image by image."""

    def __init__(self):
        self._classes: dict[int, str] = {}
        self._seen: set[tuple[str, int]] = set()

    def passed(self, one: Annotation, file_name: str) -> Annotation:
        """The annotation itself.

        Raises:
            InputError: names it.
        """
        if (file_name, one.id) in self._seen:
            raise InputError(f"{one.where}: a second annotation of track {one.id} in {file_name}")
        before = self._classes.setdefault(one.id, one.category)
        if before != one.category:
            raise InputError(f"{one.where}: track {one.id} is a {one.category} here but a {before} before")
        self._seen.add((file_name, one.id))
        return one


def _instance(one: Annotation, amodal: dict[int, Rle], size: tuple[int, int]) -> InstanceTruth:
    mask = amodal[one.key]
    if one.visible is None:
        visible = difference(mask, _united([amodal[key] for key in one.occluders if key in amodal]))
    else:
        visible = _inside(read_mask(one.visible, size, f"{one.where}, visible"), mask, one.where)
    return InstanceTruth(one.id, one.category, mask, visible, one.depth_order)


def _visible_instance(one: Annotation, size: tuple[int, int]) -> InstanceTruth | None:
    if one.visible is None and one.occluders:
        raise InputError(
            f"{one.where}: what is visible of it follows from amodal masks (occluders); give visible instead"
        )
    mask = read_mask(one.amodal if one.visible is None else one.visible, size, one.where)
    return None if mask is None else InstanceTruth(one.id, one.category, mask, mask, one.depth_order)


def _inside(visible: Rle | None, amodal: Rle, where: str) -> Rle | None:
    """The part of a visible mask that is in the amodal one."""
    if visible is None:
        return None
    if overlap(visible, amodal) < _LEAST_INSIDE * visible.area:
        raise InputError(f"{where}: most of its visible mask lies outside its amodal one; were they exchanged?")
    return difference(visible, difference(visible, amodal))


def _united(masks: Sequence[Rle]) -> Rle | None:
    return union(masks) if masks else None
