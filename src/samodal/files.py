"""Reading and writing text files so that everything wrong becomes one line with the file's name."""

import codecs
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from samodal.errors import InputError, printable, shown
from samodal.outputs import writing
from samodal.rle import Rle, check_coco

LONGEST_NAME = 240
"""Bytes; file systems take 255, and endings are added."""

MISTAKEN = (
    (rb"$", "an empty file"),
    (rb"\s*<(!doctype|html)", "a web page, not the download that it offers"),
    (rb"version https://git-lfs", "a Git LFS pointer (`git lfs pull` fetches the content)"),
    (rb"\s*<\?xml", "XML, which is not read"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf", "an archive to be unpacked"),
)
"""How files begin that are often taken for others, and what they are."""
ZIP = (rb"PK\x03\x04", "an archive to be unpacked")


def mistaken(path: str | Path, packed: bool = False) -> str | None:
    """What a file is that is often taken for another; None for all others.

    Args:
        packed: a zip archive is one, too; torch's files of weights are such archives.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return None
    known = (*MISTAKEN, ZIP) if packed else MISTAKEN
    return next((what for pattern, what in known if re.match(pattern, head, re.IGNORECASE)), None)


def read_text(path: Path) -> str:
    """The content of a text file in UTF-8, or in UTF-16 with a byte order mark, as Windows' shell writes it.

    Byte order marks are dropped, and every line ends with a line feed.

    Raises:
        InputError: if it is missing, cannot be read, or is not text.
    """
    with opened_text(path) as file:
        return file.read()


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """A text file, open for reading; encodings and what fails in the `with` statement are as in `read_text`."""
    try:
        with Path(path).open(encoding=encoding_of(path)) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        kind = mistaken(path, packed=True) or f"other bytes at {error.start}; save it as UTF-8"
        raise InputError(f"{path}: expected text, found {kind}") from None


def encoding_of(path: Path) -> str:
    """The encoding of a text file by its byte order mark, which is dropped on reading; UTF-8 where it has none."""
    with Path(path).open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: if it is missing, cut off, or not JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text, str(path))
    except InputError:
        if kind := mistaken(path):
            raise InputError(f"{path}: not valid JSON: it is {kind}") from None
        raise


def parse_json(text: str | bytes, where: str) -> Any:
    """The content of a JSON text.

    Args:
        where: it stands, for the message.

    Raises:
        InputError: if it is cut off, or not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        hint = "was the file cut off while it was written or copied?"
        hint = "does it hold a document on each line?" if error.msg == "Extra data" else hint
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not valid JSON at {place} ({error.msg}); {hint}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise InputError(f"{where}: no JSON that can be read ({error})") from None


def read_mask(value: Any, size: tuple[int, int], where: str) -> Rle | None:
    """A COCO-like mask, None where it is absent or has no pixel.

    Args:
        value: run lengths, polygons (an empty list of them is no pixel), or None.
        size: (H, W) that the mask must have.
        where: file, id and frame, for the message.

    Raises:
        InputError: if it is damaged or of another size.
    """
    if value is None:
        return None
    with named(where):
        mask = Rle.from_coco(value, size)
    return mask if mask.area else None


def check_mask(value: Any, size: tuple[int, int], where: str) -> None:
    """Refuse what cannot be a mask of a frame, without drawing it.

    Args:
        value, size, where: as for `read_mask`.

    Raises:
        InputError: if it is neither run lengths of this size nor polygons.
    """
    with named(where):
        check_coco(value, size)


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say in front of an InputError from inside which file and entry it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def field(entry: dict, name: str, where: str) -> Any:
    """A required entry of a JSON object."""
    try:
        return entry[name]
    except (KeyError, TypeError):
        raise InputError(f"{where}: no field {name!r}") from None


def safe_name(name: Any, where: str) -> str:
    """A name from a file that may become a folder's name.

    Raises:
        InputError: if it is no text, leads out of the folder that it is put in, is longer than file systems take, or
            would control a terminal.
    """
    if not isinstance(name, str) or not _names_folder(name):
        raise InputError(f"{where}: the name {shown(name)} cannot name a folder")
    return name


def _names_folder(name: str) -> bool:
    try:
        content = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    # Names on disk need not be UTF-8; such bytes are no reason to refuse them.
    text = content.decode("utf-8", "replace")
    leads_out = name in ("", ".", "..") or any(part in name for part in "/\\") or bool(Path(name).drive)
    return not leads_out and printable(text) == text and len(content) <= LONGEST_NAME


def inside(folder: Path, name: Any, where: str = "output") -> Path:
    """Where the output of a name from a file lies: right below a folder, never elsewhere. Raises as `safe_name`."""
    return Path(folder) / safe_name(name, where)


def text_of(value: Any) -> str:
    """JSON without spaces; a number that JSON does not have is an error."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a JSON file in one step: an interrupted or failed write leaves the file that was there before.

    Raises:
        InputError: if it cannot be written, as on a full disk.
    """
    with writing(path) as partial, partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, allow_nan=False, separators=None if indent else (",", ":"))
