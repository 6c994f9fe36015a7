"""KITTI MOTS masks as text or as pictures, and PointTrack's text.

Source: https://www.cvlibs.net/datasets/kitti/eval_mots.php, and PointTrack's output. A line is `frame id class height
width run-lengths`; a picture has class * 1000 + number in every pixel. KITTI's ids in the text are of this form too,
PointTrack's are 1, 2, 3, … Class 10 marks a region to ignore, which is never an instance. A file covers a whole KITTI
sequence, of which the video may be the beginning: frames after its last one are left out.
"""

from pathlib import Path

from samodal.errors import InputError
from samodal.files import read_text
from samodal.pictures import image_size, read_map
from samodal.results.columns import VisibleColumns
from samodal.results.fields import Side, is_number, numbered, value_of
from samodal.rle import masks_of_ids
from samodal.tracks import Clip

CATEGORIES = {1: "car", 2: "pedestrian"}
IGNORED = "ignore"
"""Category of regions to ignore, where they are read."""
_IGNORE = 10


def read_kitti(path: Path, name: str, ignored: bool = False) -> Clip:
    """The tracks of a text file or a folder of pictures, on frames of their own size up to the last that they name.

    Args:
        ignored: also read regions to ignore, as crowds of category `IGNORED`.

    Raises:
        InputError: as for `read_kitti_text` and `read_kitti_pictures`.
    """
    if path.is_dir():
        size = image_size(next(iter(_pictures(path).values())))
        return read_kitti_pictures(path, name, size, None, ignored)
    return read_kitti_text(path, name, kitti_text_size(path), None, ignored)


def read_kitti_text(path: Path, name: str, size: tuple[int, int], length: int | None, ignored: bool = False) -> Clip:
    """The tracks of a text file; ids are the file's.

    Args:
        size: (H, W) of the video.
        length: number of frames of the video, which the file does not say; None takes the last one it names.
        ignored: as for `read_kitti`.

    Raises:
        InputError: if a line is damaged, a mask has another size, or an id is there twice in a frame.
    """
    columns = VisibleColumns(path, name, size, length, excerpt=True)
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        where = f"{path}, line {number}"
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 6 or not all(map(is_number, parts[:5])):
            raise InputError(
                f"{where}: expected 'frame id class height width run-lengths', got {line[:60]!r}; boxes without masks "
                "are for --vis boxes:"
            )
        t, key, kind, height, width = map(int, parts[:5])
        category = _category(kind, where)
        if ignored or kind != _IGNORE:
            mask, where = {"size": [height, width], "counts": parts[5]}, f"{where}: track {key}, frame {t}"
            columns.add(key, category, t, mask, where=where, crowd=kind == _IGNORE)
    return columns.clip()


def kitti_text_size(path: Path) -> tuple[int, int]:
    """(H, W) of the frames of a text file, as its first line says.

    Raises:
        InputError: if it has no line, or a damaged one.
    """
    line, where = read_text(path).partition("\n")[0], f"{path}, line 1"
    parts = line.split()
    if len(parts) != 6 or not all(map(is_number, parts[3:5])):
        raise InputError(f"{where}: expected 'frame id class height width run-lengths', got {line[:60]!r}")
    sides = {"height": int(parts[3]), "width": int(parts[4])}
    return value_of(sides, "height", Side, where), value_of(sides, "width", Side, where)


def read_kitti_pictures(
    folder: Path, name: str, size: tuple[int, int], length: int | None, ignored: bool = False
) -> Clip:
    """The tracks of a folder of pictures named by frame, such as 000012.png; ids are the pixel values.

    Raises:
        InputError: if a picture is damaged or has another size.
    """
    columns = VisibleColumns(folder, name, size, length, excerpt=True)
    for t, path in _pictures(folder).items():
        height, width = image_size(path)
        if (height, width) != columns.size:
            raise InputError(
                f"{path}: {height}x{width} (height x width) but the video is "
                f"{columns.size[0]}x{columns.size[1]}; were the results made on another video?"
            )
        for key, mask in masks_of_ids(read_map(path)).items():
            kind = key // 1000
            category = _category(kind, str(path))
            if ignored or kind != _IGNORE:
                columns.add(key, category, t, mask, where=f"{path}: track {key}", crowd=kind == _IGNORE)
    return columns.clip()


def _pictures(folder: Path) -> dict[int, Path]:
    paths = numbered(folder)
    if not paths:
        raise InputError(f"{folder}: no picture named by its frame, such as 000000.png, in it")
    return paths


def _category(kind: int, where: str) -> str:
    if kind == _IGNORE:
        return IGNORED
    if kind not in CATEGORIES:
        raise InputError(f"{where}: unknown class {kind}, expected 1 (car), 2 (pedestrian) or 10 (ignore region)")
    return CATEGORIES[kind]
