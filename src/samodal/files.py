"""Reading and writing files so that everything wrong becomes one line with the file's name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.outputs import writing
from samodal.rle import Rle, check_coco


def read_text(path: Path) -> str:
    """The content of a text file in UTF-8.

    Raises:
        InputError: if it is missing, cannot be read, or is not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text, found other bytes") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: if it is missing, cut off, or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            "was the file cut off while it was written or copied?"
        ) from None
    except InputError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise InputError(f"{path}: no JSON that can be read ({error})") from None


def read_mask(value: Any, size: tuple[int, int], where: str) -> Rle | None:
    """A COCO-like mask, None where it is absent or has no pixel.

    Args:
        value: run lengths, polygons, or None.
        size: (H, W) that the mask must have.
        where: file, id and frame, for the message.

    Raises:
        InputError: if it is damaged or of another size.
    """
    if not value:
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


def read_image(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB.

    Raises:
        InputError: if it is missing or damaged.
    """
    with _picture(path) as picture:
        return np.asarray(picture.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture in pixels, from its head alone.

    Raises:
        InputError: if it is missing or no picture.
    """
    with _picture(path) as picture:
        return picture.height, picture.width


def read_map(path: Path) -> np.ndarray:
    """A single-channel picture of numbers as (H, W) int32.

    Raises:
        InputError: if it is missing, damaged, or has several channels.
    """
    with _picture(path) as picture:
        pixels = np.asarray(picture)
    if pixels.ndim != 2:
        raise InputError(f"{path}: expected one channel holding ids, found shape {pixels.shape}")
    return pixels.astype(np.int32)


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: damaged picture ({error}); remove or replace it") from None


def field(entry: dict, name: str, where: str) -> Any:
    """A required entry of a JSON object."""
    try:
        return entry[name]
    except (KeyError, TypeError):
        raise InputError(f"{where}: no field {name!r}") from None


def safe_name(name: Any, where: str) -> str:
    """A name from a file that may become a folder's name.

    Raises:
        InputError: if it is no text, or leads out of the folder that it is put in.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(part in name for part in "/\\\0"):
        raise InputError(f"{where}: the name {name!r} cannot name a folder")
    return name


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a JSON file in one step: an interrupted or failed write leaves the file that was there before.

    Raises:
        InputError: if it cannot be written, as on a full disk.
    """
    with writing(path) as partial, partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, allow_nan=False, separators=None if indent else (",", ":"))
