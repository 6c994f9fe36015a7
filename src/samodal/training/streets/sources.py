"""Where pictures with boxes come from: data sets of ours, COCO-form JSON files, and folders of cut-out photos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from samodal.categories import ours
from samodal.data.open import opened
from samodal.errors import InputError
from samodal.files import read_json
from samodal.pictures import read_image
from samodal.training.workers import sequences

MOST = 255
"""Instances of a picture whose masks can be told apart; further ones have boxes alone."""
RIDDEN = ("motorcycle", "bicycle")
IGNORED = "ignored"
"""Category of a box that is neither learned nor taken for background, as a crowd."""


@dataclass(frozen=True)
class Item:
    """A picture before it is read.

    Attributes:
        name: file name, or sequence and frame.
        read: where it comes from, for `read_item`.
        labelled: classes of which every visible instance has a box; what is not labelled is not background.
        boxes: (category, x0, y0, x1, y1, polygons) of a COCO-form file.
        simulated: whether a program drew it.
    """

    name: str
    read: tuple[str, ...]
    labelled: frozenset[str]
    boxes: tuple[tuple, ...] = ()
    simulated: bool = False


def items_of(data: str, every: int, pictures: str, classes: tuple[str, ...]) -> Iterator[Item]:
    """What there is, unread.

    Args:
        data: data sets with truth, KIND:PATH, separated by commas; of each sequence every so manieth frame.
        every: see `data`.
        pictures: FILE.json[=CLASS+CLASS…] in COCO form, its pictures in the folder `images` beside it; the classes
            are those that are labelled completely, all where there is no "=". Or CLASS:FOLDER with photos of one object
            each in `images` and their masks in `masks`. Separated by commas.
        classes: that are learned.

    Raises:
        InputError: for a source that cannot be read.
    """
    if data:
        for kind, name in sequences(data, None):
            for t in range(0, opened(kind).video(name).length, every):
                yield Item(f"{name}:{t}", ("video", kind, name, str(t)), frozenset(classes), simulated=True)
    for source in filter(None, pictures.split(",")):
        path, equals, names = source.partition("=")
        if path.endswith(".json"):
            complete = frozenset(filter(None, names.split("+"))) if equals else frozenset(classes)
            yield from _coco(Path(path), complete)
        else:
            yield from _photos(source)


def read_item(item: Item) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    """(H, W, 3) uint8 RGB, (H, W) uint8 owners, and (category, x0, y0, x1, y1, place in owners, 0 without a mask)."""
    way, *rest = item.read
    if way == "video":
        return _frame(*rest)
    image = read_image(Path(rest[0]))
    owners = np.zeros(image.shape[:2], np.uint8)
    if way == "photo":
        category, mask = rest[1], read_image(Path(rest[2]))[..., 0] >= 128
        if mask.shape != owners.shape or not mask.any():
            raise InputError(f"{rest[2]}: expected a mask of {owners.shape} that is not empty, as {rest[0]}")
        owners[mask] = 1
        return image, owners, [(category, *_box(mask), 1)]
    drawn = sorted((n for n, box in enumerate(item.boxes) if box[5]), key=lambda n: -_size(item.boxes[n]))[:MOST]
    canvas = Image.fromarray(owners)
    for place, n in enumerate(drawn, 1):  # what is small is rarely behind
        for polygon in item.boxes[n][5]:
            ImageDraw.Draw(canvas).polygon(list(polygon), fill=place)
    owners = np.asarray(canvas)
    places = {n: place for place, n in enumerate(drawn, 1)}
    return image, owners, [(*box[:5], places.get(n, 0)) for n, box in enumerate(item.boxes)]


def _frame(kind: str, name: str, t: str) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    video = opened(kind).video(name)
    owners, boxes = np.zeros(video.size, np.uint8), []
    for instance in video.labels(int(t)) or ():
        category = ours(instance.category)
        if instance.visible is None or len(boxes) == MOST:
            continue
        mask = instance.visible.decode()
        if not mask.any():
            continue
        owners[mask] = len(boxes) + 1
        boxes.append((category or IGNORED, *_box(mask), len(boxes) + 1))
    return video.frame(int(t)).image, owners, boxes


def _coco(path: Path, complete: frozenset[str]) -> Iterator[Item]:
    content = read_json(path)
    try:
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        boxes: dict[Any, list[tuple]] = {}
        for entry in content["annotations"]:
            x, y, width, height = map(float, entry["bbox"])
            category = names[entry["category_id"]]
            category = IGNORED if entry.get("iscrowd") else ours(category) or category
            polygons = entry.get("segmentation")
            polygons = polygons if isinstance(polygons, list) else []
            polygons = tuple(tuple(map(float, p)) for p in polygons if len(p) >= 6)
            boxes.setdefault(entry["image_id"], []).append((category, x, y, x + width, y + height, polygons))
        for image in content["images"]:
            found = boxes.get(image["id"], [])
            name = image["file_name"]
            yield Item(
                Path(name).name, ("picture", str(path.parent / "images" / name)), complete, tuple(_ridden(found))
            )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no COCO-form file with images, annotations and categories ({error!r})") from None


def _ridden(boxes: list[tuple]) -> Iterator[tuple]:
    """The same with persons on two-wheelers as riders: COCO has no such class."""
    wheels = [box for box in boxes if box[0] in RIDDEN]
    for box in boxes:
        if box[0] == "person" and any(rides(box[1:5], wheel[1:5]) for wheel in wheels):
            yield ("rider", *box[1:])
        else:
            yield box


def rides(person: tuple, wheels: tuple) -> bool:
    """Whether the box of a person is that of somebody on a two-wheeler: above it, and ending within it."""
    x0, y0, x1, y1 = person
    left, top, right, bottom = wheels
    middle = left <= (x0 + x1) / 2 <= right
    return middle and top < y1 < bottom + 0.05 * (bottom - top) and y0 < top + 0.2 * (bottom - top) and y1 > top


def _photos(source: str) -> Iterator[Item]:
    name, colon, folder = source.partition(":")
    masks = {path.stem: path for path in sorted((Path(folder) / "masks").glob("*"))}
    images = [path for path in sorted((Path(folder) / "images").glob("*")) if path.stem in masks]
    if not (colon and images and re.fullmatch(r"\w+", name)):
        raise InputError(f"{source}: expected FILE.json, or CLASS:FOLDER with folders images and masks of equal names")
    for path in images:
        yield Item(path.name, ("photo", str(path), name, str(masks[path.stem])), frozenset())


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _size(box: tuple) -> float:
    return (box[3] - box[1]) * (box[4] - box[2])
