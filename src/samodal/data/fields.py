"""Fields that JSON files of the COCO family share, each checked where it is read."""

import os
from pathlib import Path, PurePosixPath
from typing import Annotated

from samodal.checks import Between
from samodal.data.dataset import Report, collected
from samodal.errors import InputError, shown
from samodal.files import field
from samodal.results.fields import FrameNumber, value_of
from samodal.rle import LARGEST_SIDE

FRAMES_PER_SECOND = 10.0
"""Of videos for which a file states none."""
_LONGEST_PART, _LONGEST_PATH = 255, 1000  # bytes of a name and characters of a path, which file systems take


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
        raise InputError(f"{where}: unknown category_id {shown(number)}, 'categories' lists {sorted(names)}")
    return names[number]


def place_of(annotation: dict, kind: str, owners: dict[int, dict], earlier: set[int], path: Path) -> tuple[str, dict]:
    """Where an annotation stands, for messages, and the image or video that it belongs to.

    Args:
        kind: "image" or "video".
        owners: all of them that the file lists, by id.
        earlier: ids of the annotations before; gets this one's.

    Raises:
        InputError: if the id is there twice, or the file does not list what it belongs to.
    """
    key = whole_number(annotation, "id", f"{path}: an annotation")
    where = f"{path}: annotation {key}"
    if key in earlier:
        raise InputError(f"{where}: a second annotation has this id")
    earlier.add(key)
    number = whole_number(annotation, f"{kind}_id", where)
    if number not in owners:
        raise InputError(f"{where}: unknown {kind}_id {shown(number)}, '{kind}s' does not list it")
    return where, owners[number]


def frame_rate(video: dict, where: str) -> float:
    """Frames per second that a video states.

    Raises:
        InputError: if it is no number from 0.01 to 1000.
    """
    return float(value_of(video, "fps", Annotated[float, Between(0.01, 1000)], where, FRAMES_PER_SECOND))


def usable_path(name: object) -> bool:
    """Whether a name of a file or folder stays inside the folder that it is put in, and a file may have it."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("..")
    try:
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    except UnicodeEncodeError:  # half of a pair that stands for one character
        return False
    fits = longest <= _LONGEST_PART and len(str(path)) <= _LONGEST_PATH and "\0" not in str(path)
    return path.name != "" and not path.is_absolute() and ".." not in path.parts and fits


def whole_number(entry: dict, name: str, where: str) -> int:
    """A required whole number of a JSON object."""
    value = field(entry, name, where)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{where}: {name} {shown(value)} is no whole number")
    return value


def frame_number(entry: dict, name: str, where: str) -> int:
    """A required number of a frame, from 0."""
    whole_number(entry, name, where)
    return value_of(entry, name, FrameNumber, where)


def listed(entry: dict, name: str, where: str) -> list:
    """A list of a JSON object, empty where it is left out or null."""
    value = entry.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where}: {name} is no list but {shown(value)}")
    return value
