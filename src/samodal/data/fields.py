"""Fields that JSON files of the COCO family share, each checked where it is read."""

from pathlib import Path, PurePosixPath

from samodal.data.dataset import Report, collected
from samodal.errors import InputError
from samodal.files import field
from samodal.rle import LARGEST_SIDE

FRAMES_PER_SECOND = 10.0
"""Of videos for which a file states none."""


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
