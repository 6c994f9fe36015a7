"""Pictures as arrays, and the frames of a folder; everything wrong becomes one line with the file's name."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.rle import LARGEST_SIDE

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Suffixes of frames."""
RARE_PICTURES = (".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".jfif", ".jp2")
"""Suffixes of frames in a folder that has none of the others: depth maps, too, are often of these."""
MOST_PIXELS = 178_956_970
"""Pixels of the largest picture that is read: where Pillow refuses, too."""
_DIGITS = re.compile(r"(\d+)")
_SECONDS = re.compile(r"\d+(\.\d+)?")
_BEGIN = b"\xff\xd8"  # of a JPEG
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; the others belong to the pixels of a scan
_SCAN, _END = 0xDA, 0xD9
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_image(
    path: Path, size: tuple[int, int] | None = None, expected: str = "but {} was expected", unturned: bool = False
) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Of 16 bits the upper 8 are taken, as OpenCV does; transparency is dropped.

    Args:
        size: (H, W) that the picture must have.
        expected: what is said of another size; {} stands for `size`.
        unturned: whether a picture that has `size` only as it is stored stays so, for labels drawn on stored pixels.

    Raises:
        InputError: if it is missing, damaged, larger than `MOST_PIXELS`, of another size, or of 32-bit numbers.
    """
    with _picture(path) as picture:
        stored = (picture.height, picture.width)
        if size is not None and tuple(size) not in (stored, stored[::-1]):  # before anything is decoded
            raise _wrong_size(path, stored, size, expected)
        orientation = _orientation(picture)
        stored = (picture.height, picture.width)  # Pillow turns a TIFF itself as it decodes it
        if size is not None and tuple(size) != (stored[::-1] if orientation in _TURNED else stored):
            if not unturned or orientation not in _TURNED:
                raise _wrong_size(path, stored[::-1] if orientation in _TURNED else stored, size, expected)
            orientation = 1
        return _turned(_rgb(picture, path), orientation)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture in pixels, turned upright.

    Raises:
        InputError: if it is missing, no picture, or larger than `MOST_PIXELS`.
    """
    with _picture(path) as picture:
        orientation = _orientation(picture)
        return picture.size if orientation in _TURNED else picture.size[::-1]


def check_single(path: Path) -> tuple[int, int]:
    """The size, as by `image_size`, of a picture that is given for a whole video.

    Raises:
        InputError: as `image_size`, and if it holds several pictures.
    """
    with _picture(path) as picture:
        count = getattr(picture, "n_frames", 1) if picture.format in ("PNG", "WEBP", "GIF", "TIFF") else 1
    if count > 1:
        raise InputError(f"{path}: holds {count} pictures; save them as a folder of pictures, or as a video")
    return image_size(path)


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


def check_pixels(size: tuple[int, int], where: str) -> None:
    """Refuse a frame of (H, W) pixels that is too large to be worked on.

    Raises:
        InputError: names the limit.
    """
    height, width = size
    if max(size) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise InputError(
            f"{where}: {width}x{height} pixels (width x height); the limit is {LARGEST_SIDE} on a side and "
            f"{MOST_PIXELS:,} in all: make it smaller"
        )


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    """An opened picture, not yet decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of half the size at which Pillow refuses, and of odd tags
            with Image.open(path) as picture:
                check_pixels((picture.height, picture.width), str(path))
                yield picture
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d+", str(error))
        pixels = f"{int(claimed[0]):,}" if claimed else "too many"
        raise InputError(f"{path}: {pixels} pixels; the limit is {MOST_PIXELS:,}: make it smaller") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: damaged picture, or none; remove or replace it") from None
    except Exception as error:  # Pillow's readers let through whatever a damaged file leads them to
        raise InputError(f"{path}: damaged picture ({error}); remove or replace it") from None


def _orientation(picture: Any) -> int:
    """How the pixels are to be turned: 1 to 8 as in EXIF; 1, upright, where nothing or nothing sound is said."""
    from PIL import ExifTags

    if picture.format == "TIFF":
        picture.load()
        return 1
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a picture is no worse for damaged notes beside it
        return 1
    return orientation if orientation in range(1, 9) else 1


def _turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels as they are to be shown. Source: EXIF 2.32, tag 0x0112."""
    if orientation in _TURNED:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _rgb(picture: Any, path: Path) -> np.ndarray:
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and picture.format in ("PNG", "PPM")):  # Pillow would cut off at 255
        return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if mode in ("I", "F"):
        raise InputError(f"{path}: its pixels are 32-bit numbers without a known range; save it with 8 or 16 bits")
    if picture.format == "JPEG" and mode == "RGB" and (pixels := _decoded(path)) is not None:
        return pixels
    return np.asarray(picture.convert("RGB"))


def _decoded(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB of a JPEG as it is stored; None where Pillow is to say what is wrong with it.

    OpenCV has the same decoder, and other threads of Python go on meanwhile; Pillow's copies stop them for some 4 ms.
    """
    import cv2

    data = path.read_bytes()
    if not _is_whole(data):  # OpenCV fills up what cannot be read, and its versions differ there
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG is one scan that ends where the file does, after parts that follow one another without a gap."""
    at = len(_BEGIN)
    while data.startswith(_BEGIN) and _MARKER.match(data, at):
        kind, at = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == _SCAN:
            end = _MARKER.search(data, at)
            return end is not None and end[0][1] == _END and end.end() == len(data)
    return False


def _wrong_size(path: Path, size: tuple[int, int], wanted: tuple[int, int], expected: str) -> InputError:
    contrast = expected.format("x".join(map(str, wanted)))
    return InputError(f"{path}: {size[0]}x{size[1]} (height x width), {contrast}")


@dataclass(frozen=True)
class FolderFrames:
    """The pictures of a folder as frames.

    Attributes:
        files: in order; numbers in names are compared as numbers.
        numbers: of the frames, as the names say, each once; None where they say none, or several.
        foreign: pictures without a number among numbered ones, such as cover.jpg: no frames.
    """

    files: tuple[Path, ...]
    numbers: tuple[int, ...] | None
    foreign: tuple[Path, ...] = ()


def frames_in(folder: Path) -> FolderFrames:
    """The frames in a folder; hidden files and folders, such as .DS_Store and ._1.png, are none.

    Raises:
        InputError: if it cannot be read, has no picture, or two for one frame, such as 1.png and 1.jpg.
    """
    files, rare = pictures_in(folder, PICTURES), pictures_in(folder, RARE_PICTURES)
    stems = {file.stem for file in files if _DIGITS.search(file.stem)}
    missing = [file for file in rare if _DIGITS.search(file.stem) and file.stem not in stems]
    if not files:
        files = rare
    elif missing and frame_numbers([*stems, *(file.stem for file in missing)]) is not None:
        files += missing  # others are depth maps, or the like
    if not files:
        raise InputError(f"{folder}: no pictures ({', '.join(PICTURES)}) in this folder{_elsewhere(folder)}")
    numbered = [file for file in files if _DIGITS.search(file.stem)]
    foreign = [file for file in files if not _DIGITS.search(file.stem)]
    if len(numbered) < 10 * len(foreign):
        numbered, foreign = files, []
    numbered.sort(key=_order(numbered))
    for before, after in zip(numbered, numbered[1:], strict=False):
        if before.stem == after.stem:
            raise InputError(
                f"{folder}: {before.name} and {after.name} are both frame {after.stem}; "
                "give a folder with one picture for each frame"
            )
    return FolderFrames(tuple(numbered), frame_numbers([file.stem for file in numbered]), tuple(foreign))


def pictures_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, in no order; links that lead nowhere are among them.

    Raises:
        InputError: if the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != "."]
        return [path for path in paths if path.is_file() or (path.is_symlink() and not path.exists())]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def frame_numbers(stems: Sequence[str]) -> tuple[int, ...] | None:
    """The number of each frame by its name: of "left_0_0012" 12, where all others begin with "left_0_", too.

    Returns:
        None where names differ in more than one number or in words, are times, or two have the same number.
    """
    if any("." in stem and _SECONDS.fullmatch(stem) for stem in stems):
        return None
    parts = [_DIGITS.split(stem) for stem in stems]
    if len({tuple(part[::2]) for part in parts}) != 1 or len(parts[0]) == 1:
        return None
    columns = [tuple(map(int, column)) for column in list(zip(*parts, strict=True))[1::2]]
    several = [column for column in columns if len(set(column)) > 1] or columns[-1:]
    return several[0] if len(several) == 1 and len(set(several[0])) == len(stems) else None


def _order(files: Sequence[Path]) -> Any:
    """The key to sort by: the number where all names are numbers, such as 13.25; else words and numbers in turn."""
    if all(_SECONDS.fullmatch(file.stem) for file in files):
        return lambda file: (Decimal(file.stem), file.name)

    def parts(file: Path) -> tuple:
        words = _DIGITS.split(file.stem)
        return [int(word) if n % 2 else word for n, word in enumerate(words)], file.name

    return parts


def common_size(files: Sequence[Path]) -> tuple[int, int]:
    """(H, W) of most of the pictures, the first one's where none is more common; damaged ones are passed over.

    Raises:
        InputError: if all are damaged, what is wrong with the first.
    """
    sizes, failures = Counter(), []
    for file in files:
        try:
            sizes[image_size(file)] += 1
        except InputError as error:
            failures.append(error)
    if not sizes:
        raise failures[0]
    return sizes.most_common(1)[0][0]


def _elsewhere(folder: Path) -> str:
    """The end of a message where pictures lie one folder deeper."""
    deeper = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._@")
    for below in deeper:
        if count := len(pictures_in(below, PICTURES) or pictures_in(below, RARE_PICTURES)):
            return f"; its subfolder {below.name} has {count} pictures: give that"
    return ""
