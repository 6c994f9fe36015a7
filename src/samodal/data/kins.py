"""KINS: single images of KITTI's object benchmark with amodal masks; each is a sequence of one frame.

    ROOT/training/image_2/NNNNNN.png   update_train_2020.json or instances_train.json     kins:ROOT/train
    ROOT/testing/image_2/NNNNNN.png    update_test_2020.json or instances_val.json        kins:ROOT/test (or /val)

The JSON lies in ROOT or ROOT/annotations; the 2020 generation is taken where both are there, another by its name:
kins:ROOT/instances_train.json. An annotation of either generation may hold its masks as polygons or as run lengths:

    instances_train.json, instances_val.json       segmentation (amodal, polygons), inmodal_seg (run lengths)
    update_train_2020.json, update_test_2020.json  a_segm, i_segm (polygons), oco_id, ico_id

Images keep their native sizes (375x1242, 370x1224, …). Those of the folder that the JSON does not list are no part of
the data set. The polygons of a mask are drawn one by one and united. The file's own areas (`a_area`) are not taken:
masks are counted. Source: https://github.com/qqlu/Amodal-Instance-Segmentation-through-KINS-Dataset
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.errors import InputError, shown
from samodal.files import read_json, read_mask
from samodal.results.fields import Id, Side, category_names, is_crowd, value_of
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


_TRAINING = ("training", ("update_train_2020.json", "instances_train.json"))
_TESTING = ("testing", ("update_test_2020.json", "instances_val.json"))
SPLITS = {"train": _TRAINING, "test": _TESTING, "val": _TESTING}
"""Folder of the images and names of the annotations, newest first; the older generation calls `test` val."""


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
        crowds: how many were left out as crowds.
    """

    file_name: str
    size: tuple[int, int]
    annotations: tuple[KinsAnnotation, ...]
    crowds: int = 0

    def instances(self) -> list[InstanceTruth]:
        """The instances with their masks drawn; the amodal mask is the file's, the visible one is its part of it.

        `depth_order` is the file's order among those that overlap, not through the whole image. An annotation whose
        amodal mask has no pixel is left out.

        Raises:
            InputError: if run lengths are of another size than the image, or a mask is damaged.
        """
        drawn = [_drawn(annotation, self.size) for annotation in self.annotations]
        return [instance for instance in drawn if instance is not None]

    def visible_instances(self) -> list[InstanceTruth]:
        """What is visible, as if no amodal masks were there: `amodal` is the visible mask. No amodal mask is drawn.

        Raises:
            InputError: as `instances`.
        """
        drawn = [
            (annotation, _mask(annotation.visible, self.size, annotation.where)) for annotation in self.annotations
        ]
        return [
            InstanceTruth(annotation.id, annotation.category, mask, mask)
            for annotation, mask in drawn
            if mask is not None
        ]


class KinsVideo(LabelledVideo):
    """One image as a sequence of one frame; ids are those of the annotations."""

    numbers = (0,)
    wrong_size = "but its annotations are for {}; give KITTI's images as they were downloaded"

    def __init__(self, folder: Path, image: KinsImage, number: int = 1):
        self.paths = (folder / image.file_name,)
        self.source, self.name = str(self.paths[0]), self.paths[0].stem
        self.number, self.size = number, image.size
        self._image = image

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of the image, completely hidden ones included; t is 0."""
        return self._image.instances()

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible, as if no amodal masks were there: `amodal` is the visible mask."""
        return self._image.visible_instances()

    def crowds(self, t: int) -> int:
        """How many annotations of the image were left out as crowds."""
        return self._image.crowds


class KinsDataset(Dataset):
    """The images of one split, by name without suffix, sorted.

    Args:
        folder: of the images.
        annotations: the JSON file.
    """

    noun = "image"

    def __init__(self, folder: Path, annotations: Path):
        images = read_kins(annotations)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; it holds KITTI's images (data_object_image_2.zip)")
        there = {path.name for path in folder.iterdir()}
        missing = [image.file_name for image in images if image.file_name not in there]
        if missing:
            raise InputError(
                f"{folder}: {len(missing)} of the {len(images)} images of {annotations.name} are missing, first "
                f"{missing[0][:100]}; was data_object_image_2.zip unpacked completely?"
            )
        videos = {}
        for number, image in enumerate(images, start=1):
            video = KinsVideo(folder, image, number)
            video.label_places = (annotations,)
            videos[video.name] = video
        super().__init__(annotations, videos, videos.__getitem__)
        if len(videos) < len(images):
            raise InputError(f"{annotations}: two images differ in nothing but the suffix of their names")


class KinsImages:
    """KINS' annotated images, to be found by what a file holds.

    Only files of equal length are hashed: of 7481 images that leaves those that are the same.

    Args:
        folder: holds the images.
        annotations: the JSON file.
    """

    def __init__(self, folder: Path, annotations: Path):
        self._folder = folder
        self._by_length: dict[int, list[KinsImage]] = {}
        self._digests: dict[str, str] = {}
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; it holds KITTI's images (data_object_image_2.zip)")
        for image in read_kins(annotations):
            path = folder / image.file_name
            if not path.is_file():
                raise InputError(f"{path}: no such image, but {annotations.name} lists it")
            self._by_length.setdefault(path.stat().st_size, []).append(image)

    def same_as(self, path: Path) -> KinsImage | None:
        """The annotated image whose file equals this one byte for byte.

        Raises:
            InputError: if there are two.
        """
        alike = self._by_length.get(path.stat().st_size, ())
        if not alike:
            return None
        digest = _md5(path)
        same = [image for image in alike if self._digest(image) == digest]
        if len(same) > 1:
            raise InputError(f"{self._folder}: {same[0].file_name} and {same[1].file_name} are the same picture")
        return same[0] if same else None

    def _digest(self, image: KinsImage) -> str:
        if image.file_name not in self._digests:
            self._digests[image.file_name] = _md5(self._folder / image.file_name)
        return self._digests[image.file_name]


def open_kins(path: Path) -> KinsDataset:
    """The data set of ROOT/train, ROOT/test or ROOT/val, or of an annotation file by its name.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    if path.suffix == ".json":
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        folder = "training" if "train" in path.stem else "testing"
        return KinsDataset(root / folder / "image_2", path)
    if path.name not in SPLITS:
        raise InputError(f"{path}: expected ROOT/train or ROOT/test, where ROOT holds training/image_2 and so on")
    root, (folder, names) = path.parent, SPLITS[path.name]
    candidates = [place / name for name in names for place in (root, root / "annotations")]
    annotations = next((path for path in candidates if path.is_file()), None)
    if annotations is None:
        raise InputError(f"{root}: neither {names[0]} nor {names[1]} in it or in its folder annotations")
    return KinsDataset(root / folder / "image_2", annotations)


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
    names = category_names(content, path) or CATEGORIES
    members: dict[int, list[KinsAnnotation]] = {key: [] for key in images}
    keys: set[int] = set()
    crowds: Counter[int] = Counter()
    for entry in content["annotations"]:
        key = value_of(entry, "id", int, f"{path}: an annotation")
        where = f"{path}: annotation {key}"
        if key in keys:
            raise InputError(f"{path}: two annotations have the id {key}")
        keys.add(key)
        image = value_of(entry, "image_id", int, where)
        if image not in images:
            raise InputError(f"{where}: its image_id {image} is not among the images; cut off?")
        if is_crowd(entry, where):
            crowds[image] += 1
        else:
            members[image].append(_annotation(entry, names, where))
    read = [KinsImage(name, size, tuple(members[key]), crowds[key]) for key, (name, size) in images.items()]
    return sorted(read, key=lambda image: image.file_name)


def _images(entries: list, path: Path) -> dict[int, tuple[str, tuple[int, int]]]:
    """{id: (file name, (H, W))}"""
    images: dict[int, tuple[str, tuple[int, int]]] = {}
    names = set()
    for entry in entries:
        key = value_of(entry, "id", int, f"{path}: an image")
        where = f"{path}: image {key}"
        name = PurePosixPath(value_of(entry, "file_name", str, where)).name
        if key in images or name in names:
            raise InputError(f"{where}: the id or its file {name[:100]} is there twice")
        names.add(name)
        images[key] = name, (value_of(entry, "height", Side, where), value_of(entry, "width", Side, where))
    if not images:
        raise InputError(f"{path}: no image in it")
    return images


def _annotation(entry: dict, names: dict[int, str], where: str) -> KinsAnnotation:
    number = value_of(entry, "category_id", Id, where)
    if number not in names:
        raise InputError(f"{where}: unknown category_id {shown(number)}, expected one of {', '.join(map(str, names))}")
    for amodal, visible in _MASKS:
        if amodal in entry and visible in entry:
            shapes = _shape(entry[amodal], f"{where}, {amodal}"), _shape(entry[visible], f"{where}, {visible}")
            order = value_of(entry, "ico_id", int | None, where, None)
            return KinsAnnotation(entry["id"], names[number], *shapes, order, where)
    pairs = " nor ".join(f"{amodal} and {visible}" for amodal, visible in _MASKS)
    raise InputError(f"{where}: neither {pairs} in it; a file converted for another program? Give KINS' own")


def _shape(value: Any, where: str) -> dict | tuple[np.ndarray, ...]:
    if isinstance(value, dict):
        return value
    try:
        polygons = tuple(np.array(polygon, np.float64) for polygon in value or ())
    except (TypeError, ValueError, OverflowError):
        polygons = (np.full(1, np.nan),)
    for polygon in polygons:
        if polygon.ndim != 1 or len(polygon) % 2 or not np.isfinite(polygon).all():
            raise InputError(f"{where}: expected run lengths or polygons [[x, y, x, y, …], …], got {shown(value)}")
    return polygons


def _drawn(annotation: KinsAnnotation, size: tuple[int, int]) -> InstanceTruth | None:
    amodal = _mask(annotation.amodal, size, annotation.where)
    visible = _mask(annotation.visible, size, annotation.where)
    if amodal is None:
        return None
    # The two outlines were drawn by hand one after the other: the visible one leaves the amodal one by some pixels.
    outside = difference(visible, amodal) if visible is not None else None
    inside = difference(visible, outside) if visible is not None else None
    return InstanceTruth(annotation.id, annotation.category, amodal, inside, annotation.order)


def _mask(shape: dict | tuple[np.ndarray, ...], size: tuple[int, int], where: str) -> Rle | None:
    if isinstance(shape, tuple):
        shape = [polygon.tolist() for polygon in shape if len(polygon) >= 2 * _POINT_PAIRS]
    return read_mask(shape, size, where)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
