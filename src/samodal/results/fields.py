"""Values of entries in files of others, each checked where it is read: JSON that parses may still hold anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from samodal.checks import Between, fits, in_words
from samodal.errors import InputError, shown
from samodal.rle import LARGEST_SIDE

Id = int | str
FrameNumber = Annotated[int, Between(0, 2**31 - 1)]
Side = Annotated[int, Between(1, LARGEST_SIDE)]
Share = Annotated[float, Between(0, 1)] | None
"""A score, or an occlusion rate."""
Area = Annotated[float, Between(0)]

MOST_FRAMES = 1_000_000
"""Of a video whose frames a file counts without listing them: nine hours at 30 frames per second."""
MOST_VALUES = 100_000_000
"""Frames times tracks of a video; scoring looks at each."""
_DIGITS = 1000  # of a number in a text; Python refuses to read many more
_REQUIRED = object()


def value_of(entry: Any, name: str, hint: Any, where: str, default: Any = _REQUIRED) -> Any:
    """A value of a JSON object, checked against a type; a whole number may be written as 3.0.

    Args:
        hint: what `samodal.checks.fits` knows.
        where: file and entry, for the message.
        default: where the object has no such field; it is required without one.

    Raises:
        InputError: if the entry is no object, or the value is missing or of another type.
    """
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object, got {shown(entry)}")
    if name not in entry:
        if default is _REQUIRED:
            raise InputError(f"{where}: no field {name!r}")
        return default
    value = entry[name]
    if fits(value, hint):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 and fits(int(value), hint):
        return int(value)
    expected = in_words(hint).replace(" (off)", "")
    logit = name in ("score", "scores") and fits(value, float)
    way_out = "; are these outputs of a network before the sigmoid?" if logit else ""
    raise InputError(f"{where}: {name} must be {expected}, got {shown(value)}{way_out}")


def objects(content: dict, name: str, path: Path, noun: str) -> Iterator[tuple[str, dict]]:
    """(where, entry) of each object in a list of a file; an entry goes by its id, or else by its place from 0.

    Raises:
        InputError: if it is no list, or holds anything but objects.
    """
    for n, entry in enumerate(value_of(content, name, list, str(path))):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {noun} at place {n} of {name!r}: expected an object, got {shown(entry)}")
        key = entry.get("id")
        yield f"{path}: {noun} {str(key)[:60]}" if fits(key, Id) else f"{path}: {noun} at place {n} of {name!r}", entry


def annotations_of(content: dict, path: Path) -> Iterator[tuple[str, dict]]:
    """(where, annotation) of each of a file's truth.

    Raises:
        InputError: as for `objects`; also for an id that is there twice.
    """
    known = set()
    for where, annotation in objects(content, "annotations", path, "annotation"):
        key = value_of(annotation, "id", Id | None, where, None)
        if key is not None and key in known:
            raise InputError(f"{where}: a second annotation has this id")
        known.add(key)
        yield where, annotation


def is_number(text: str) -> bool:
    """Whether a text is a whole number from 0 in plain digits, of a length that Python reads."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def numbered(folder: Path) -> dict[int, Path]:
    """The .png of a folder that are named by a frame's number, such as 000012.png, in the order of numbers.

    Raises:
        InputError: if two have the same number, or one is no number of a frame.
    """
    files: dict[int, Path] = {}
    for path in sorted(Path(folder).glob("*.png")):
        if not is_number(path.stem):
            continue
        number = value_of({"number": int(path.stem)}, "number", FrameNumber, str(path))
        if number in files:
            raise InputError(f"{path}: has the same number as {files[number].name}; keep one of them")
        files[number] = path
    return dict(sorted(files.items()))


def is_crowd(entry: dict, where: str, name: str = "iscrowd") -> bool:
    """Whether an entry is marked as a crowd (by a field of this name that is 1), a region of many objects.

    Raises:
        InputError: if the mark is neither 0 nor 1, as the text "0" of some tools.
    """
    mark = entry.get(name)
    if mark not in (0, 1, None):
        raise InputError(f"{where}: {name} must be 0 or 1, got {shown(mark)}")
    return bool(mark)


def refuse_box_alone(entry: dict, name: str, where: str) -> None:
    """Refuse an entry without a mask that has a box: it is of a detector of boxes.

    Args:
        name: of the field, or fields, that should hold a mask.

    Raises:
        InputError: says so.
    """
    boxes = entry.get("bboxes")
    boxes = [entry.get("bbox"), entry.get("box2d"), *(boxes if isinstance(boxes, list) else ())]
    if any(isinstance(box, list | dict) and any(box) for box in boxes):
        raise InputError(f"{where}: a box but no mask; masks are needed ({name})")


def category_names(content: dict, path: Path) -> dict[Id, str]:
    """{id: name} of a file's `categories`, which may be left out.

    Raises:
        InputError: for a category without id or name, or an id that is there twice.
    """
    if content.get("categories") is None:
        return {}
    names: dict[Id, str] = {}
    for where, entry in objects(content, "categories", path, "category"):
        key = value_of(entry, "id", Id, where)
        if key in names:
            raise InputError(f"{where}: a second category has this id")
        names[key] = value_of(entry, "name", str, where)
    return names


def check_frames(length: int, tracks: int, where: object) -> int:
    """The number of frames of a video, if it can be held in memory.

    Raises:
        InputError: if a file counts more frames, or has more tracks in so many.
    """
    if length > MOST_FRAMES or length * tracks > MOST_VALUES:
        raise InputError(
            f"{where}: {tracks} tracks in {length} frames are too many (at most {MOST_FRAMES} frames, and "
            f"{MOST_VALUES} values of all tracks); is a frame number wrong? Else cut the video"
        )
    return length
