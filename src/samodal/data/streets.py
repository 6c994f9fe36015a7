"""Pictures of real streets with boxes of what is visible: FOLDER/annotations.json in COCO's form, and FOLDER/images.

Which of them are never trained on is told here, for training and measuring alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from samodal.errors import InputError, shown
from samodal.files import read_json, safe_name
from samodal.results.fields import Id, annotations_of, category_names, is_crowd, objects, value_of

CROWD = "crowd"
"""Category of a region of many objects, whatever they are."""
PHOTOGRAPHERS = {"dhaka": ("Pias", "Asraf")}
"""By folder those whose pictures are kept out of training: one picture of a street is much like the next."""
NUMBERS = re.compile(r".*[05]\.\w+")
"""Of a folder without photographers those pictures are kept out whose number ends in 0 or 5: a fifth."""


@dataclass(frozen=True)
class StreetPicture:
    """A picture and its boxes.

    Attributes:
        path: of the picture.
        boxes: class name, or `CROWD`, and x0, y0, x1, y1 in pixels of each.
    """

    path: Path
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...]


def read_streets(folder: Path) -> list[StreetPicture]:
    """All pictures of a folder, sorted by file name.

    Raises:
        InputError: if annotations.json is missing, damaged, or not in COCO's form.
    """
    path = folder / "annotations.json"
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected COCO's form, an object with images and annotations, got {shown(content)}")
    names, boxes = category_names(content, path), defaultdict(list)
    for where, entry in annotations_of(content, path):
        kind = value_of(entry, "category_id", Id, where)
        if kind not in names:
            raise InputError(f"{where}: its category {kind!r} is not among the categories of the file")
        x, y, width, height = value_of(entry, "bbox", tuple[float, float, float, float], where)
        if not (width > 0 and height > 0):
            raise InputError(f"{where}: expected a bbox of width and height above 0, got {width} and {height}")
        category = CROWD if is_crowd(entry, where) else names[kind]
        boxes[value_of(entry, "image_id", Id, where)].append((category, (x, y, x + width, y + height)))
    pictures = {}
    for where, entry in objects(content, "images", path, "image"):
        name = safe_name(value_of(entry, "file_name", str, where), where)
        pictures[value_of(entry, "id", Id, where)] = StreetPicture(folder / "images" / name, ())
    if strangers := boxes.keys() - pictures.keys():
        raise InputError(f"{path}: annotations of an image {min(strangers, key=str)!r} that is not among its images")
    found = [StreetPicture(picture.path, tuple(boxes[key])) for key, picture in pictures.items()]
    return sorted(found, key=lambda picture: picture.path.name)


def held_out(folder: Path) -> list[StreetPicture]:
    """The pictures of a folder that are never trained on, see `PHOTOGRAPHERS` and `NUMBERS`.

    Raises:
        InputError: as for `read_streets`.
    """
    pictures, photographers = read_streets(folder), PHOTOGRAPHERS.get(folder.name)
    if photographers is None:
        return [picture for picture in pictures if NUMBERS.fullmatch(picture.path.name)]
    return [picture for picture in pictures if re.split(r"[^A-Za-z]", picture.path.name)[0] in photographers]
