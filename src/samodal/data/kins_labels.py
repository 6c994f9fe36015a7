"""KINS' annotation files: images of KITTI with amodal and inmodal (visible) masks of every road user.

Two generations are published, and an annotation of either may hold its masks as polygons or as run lengths:

    instances_train.json, instances_val.json       segmentation (amodal, polygons), inmodal_seg (run lengths)
    update_train_2020.json, update_test_2020.json  a_segm, i_segm (polygons), oco_id, ico_id

Source: facts/datasets_metrics.md 2.2. The polygons of a mask are drawn one by one and united. The file's own areas
(`a_area`) are not taken: masks are counted.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from samodal.data.asd_labels import InstanceTruth
from samodal.errors import InputError
from samodal.files import field, read_json, read_mask
from samodal.rle import Rle, difference

CATEGORIES = {
    1: "cyclist",
    2: "pedestrian",
    3: "rider",
    4: "car",
    5: "tram",
    6: "truck",
    7: "van",
    8: "misc",
}
"""Where a file has no `categories` of its own. Number 3 is unused; other readers call it person sitting."""

_MASKS = (("a_segm", "i_segm"), ("segmentation", "inmodal_seg"))
"""Names of the amodal and the visible mask, by generation: 2020, and before."""

_POINT_PAIRS = 3  # Fewer make no polygon; with two, COCO's library would take them for a box.


@dataclass(frozen=True, eq=False)
class KinsAnnotation:
    """One instance as the file has it, its polygons as arrays: a tenth of the memory of lists.

    Attributes:
        id: unique in the file.
        category: class name.
        amodal, visible: run lengths or polygons, (2 N,) float64 of x, y, x, y, … each.
        order: 0 for the front one of those that overlap, larger behind; None in the older generation.
        where: file and id, for messages.
    """

    id: int
    category: str
    amodal: dict | tuple[np.ndarray, ...]
    visible: dict | tuple[np.ndarray, ...]
    order: int | None
    where: str


@dataclass(frozen=True, eq=False)
class KinsImage:
    """One image of the file.

    Attributes:
        file_name: without folders, such as 000007.png.
        size: (H, W) in pixels as the file says.
        annotations: in the file's order, crowds left out.
    """

    file_name: str
    size: tuple[int, int]
    annotations: tuple[KinsAnnotation, ...]

    def instances(self) -> list[InstanceTruth]:
        """The instances with their masks drawn; the amodal mask is the file's, the visible one is its part of it.

        `depth_order` is the file's order among those that overlap, not through the whole image. An annotation whose
        amodal mask has no pixel is left out.

        Raises:
            InputError: if run lengths are of another size than the image, or a mask is damaged.
        """
        drawn = [_drawn(one, self.size) for one in self.annotations]
        return [one for one in drawn if one is not None]

    def visible_instances(self) -> list[InstanceTruth]:
        """What is visible, as if no amodal masks were there: `amodal` is the visible mask. No amodal mask is drawn.

        Raises:
            InputError: as `instances`.
        """
        drawn = [(one, _mask(one.visible, self.size, one.where)) for one in self.annotations]
        return [InstanceTruth(one.id, one.category, mask, mask) for one, mask in drawn if mask is not None]


def read_kins(path: Path) -> list[KinsImage]:
    """The images of a file of either generation, sorted by file name.

    Raises:
        InputError: if the file is missing, cut off or of another form; if an image, a file name or an annotation is
            there twice; if an annotation has no image, no mask or an unknown class.
    """
    content = read_json(path)
    for name in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(f"{path}: no list {name!r} in it; expected KINS' instances_*.json or update_*_2020.json")
    images = _images(content["images"], path)
    names = _category_names(content.get("categories"), path)
    members: dict[int, list[KinsAnnotation]] = {key: [] for key in images}
    seen = set()
    for entry in content["annotations"]:
        key, image = field(entry, "id", f"{path}: an annotation"), entry.get("image_id")
        if key in seen:
            raise InputError(f"{path}: two annotations have the id {key}")
        seen.add(key)
        if image not in images:
            raise InputError(f"{path}: annotation {key}: its image_id {image} is not among the images; cut off?")
        if not entry.get("iscrowd"):
            members[image].append(_annotation(entry, names, f"{path}: annotation {key}"))
    found = [KinsImage(name, size, tuple(members[key])) for key, (name, size) in images.items()]
    return sorted(found, key=lambda image: image.file_name)


def _images(entries: list, path: Path) -> dict[int, tuple[str, tuple[int, int]]]:
    """{id: (file name, (H, W))}"""
    images: dict[int, tuple[str, tuple[int, int]]] = {}
    names = set()
    for entry in entries:
        key = field(entry, "id", f"{path}: an image")
        where = f"{path}: image {key}"
        name = PurePosixPath(str(field(entry, "file_name", where))).name
        if key in images or name in names:
            raise InputError(f"{where}: the id or its file {name} is there twice")
        names.add(name)
        images[key] = name, (_pixels(entry, "height", where), _pixels(entry, "width", where))
    if not images:
        raise InputError(f"{path}: no image in it")
    return images


def _pixels(entry: dict, name: str, where: str) -> int:
    value = field(entry, name, where)
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{where}: {name} {value!r} is not a number of pixels")
    return value


def _category_names(entries: Any, path: Path) -> dict[int, str]:
    """Class names by number: the file's own where it has some."""
    if not entries:
        return CATEGORIES
    return {field(one, "id", f"{path}: a category"): field(one, "name", f"{path}: a category") for one in entries}


def _annotation(entry: dict, names: dict[int, str], where: str) -> KinsAnnotation:
    number = field(entry, "category_id", where)
    if number not in names:
        raise InputError(f"{where}: unknown category_id {number}, expected one of {sorted(names)}")
    for amodal, visible in _MASKS:
        if amodal in entry and visible in entry:
            shapes = _shape(entry[amodal], f"{where}, {amodal}"), _shape(entry[visible], f"{where}, {visible}")
            return KinsAnnotation(int(entry["id"]), names[number], *shapes, entry.get("ico_id"), where)
    pairs = " nor ".join(f"{amodal} and {visible}" for amodal, visible in _MASKS)
    raise InputError(f"{where}: neither {pairs} in it; a file converted for another program? Give KINS' own")


def _shape(value: Any, where: str) -> dict | tuple[np.ndarray, ...]:
    if isinstance(value, dict):
        return value
    try:
        polygons = tuple(np.array(one, np.float64) for one in value or ())
    except (TypeError, ValueError):
        polygons = (np.full(1, np.nan),)
    for one in polygons:
        if one.ndim != 1 or len(one) % 2 or not np.isfinite(one).all():
            raise InputError(f"{where}: expected run lengths or polygons [[x, y, x, y, …], …], got {str(value)[:60]}")
    return polygons


def _drawn(one: KinsAnnotation, size: tuple[int, int]) -> InstanceTruth | None:
    amodal = _mask(one.amodal, size, one.where)
    visible = _mask(one.visible, size, one.where)
    if amodal is None:
        return None
    # The two outlines were drawn by hand one after the other: the visible one leaves the amodal one by some pixels.
    outside = difference(visible, amodal) if visible is not None else None
    inside = difference(visible, outside) if visible is not None else None
    return InstanceTruth(one.id, one.category, amodal, inside, one.order)


def _mask(shape: dict | tuple[np.ndarray, ...], size: tuple[int, int], where: str) -> Rle | None:
    if isinstance(shape, tuple):
        shape = [polygon.tolist() for polygon in shape if len(polygon) >= 2 * _POINT_PAIRS]
    return read_mask(shape, size, where)
