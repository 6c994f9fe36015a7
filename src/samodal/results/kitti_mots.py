"""KITTI MOTS masks as text or as pictures, and PointTrack's text.

Source: https://www.cvlibs.net/datasets/kitti/eval_mots.php, and PointTrack's output. A line is `frame id class height
width run-lengths`; a picture has class * 1000 + number in every pixel. KITTI's ids in the text are of this form too,
PointTrack's are 1, 2, 3, … Class 10 marks a region to ignore, which is never an instance. A file covers a whole KITTI
sequence, of which the video may be the beginning: frames after its last one are left out.
"""

from pathlib import Path

from samodal.errors import InputError
from samodal.files import image_size, read_map, read_text
from samodal.results.columns import VisibleColumns
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
        size = image_size(min(picture for picture in path.glob("*.png") if picture.stem.isdecimal()))
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
        try:
            t, key, kind, height, width = (int(part) for part in parts[:5])
            (counts,) = parts[5:]
        except ValueError:
            raise InputError(
                f"{where}: expected 'frame id class height width run-lengths', got {line[:60]!r}"
            ) from None
        mask = {"size": [height, width], "counts": counts}
        if kind != _IGNORE:
            columns.add(key, _category(kind, where), t, mask)
        elif ignored:
            columns.add(key, IGNORED, t, mask, crowd=True)
    return columns.clip()


def kitti_text_size(path: Path) -> tuple[int, int]:
    """(H, W) of the frames of a text file, as its first line says.

    Raises:
        InputError: if it has no line, or a damaged one.
    """
    parts = read_text(path).partition("\n")[0].split()
    if len(parts) != 6 or not all(part.isdecimal() for part in parts[3:5]):
        raise InputError(f"{path}, line 1: expected 'frame id class height width run-lengths', got {parts[:5]}")
    return int(parts[3]), int(parts[4])


def read_kitti_pictures(
    folder: Path, name: str, size: tuple[int, int], length: int | None, ignored: bool = False
) -> Clip:
    """The tracks of a folder of pictures named by frame, such as 000012.png; ids are the pixel values.

    Raises:
        InputError: if a picture is damaged or has another size.
    """
    columns = VisibleColumns(folder, name, size, length, excerpt=True)
    paths = sorted(path for path in Path(folder).glob("*.png") if path.stem.isdigit())
    if not paths:
        raise InputError(f"{folder}: no picture named by its frame, such as 000000.png, in it")
    for path in paths:
        pixels = read_map(path)
        if pixels.shape != columns.size:
            raise InputError(
                f"{path}: {pixels.shape[0]}x{pixels.shape[1]} (height x width) but the video is "
                f"{columns.size[0]}x{columns.size[1]}; were the results made on another video?"
            )
        for key, mask in masks_of_ids(pixels).items():
            kind = key // 1000
            if kind != _IGNORE:
                columns.add(key, _category(kind, str(path)), int(path.stem), mask)
            elif ignored:
                columns.add(key, IGNORED, int(path.stem), mask, crowd=True)
    return columns.clip()


def _category(kind: int, where: str) -> str:
    if kind not in CATEGORIES:
        raise InputError(f"{where}: unknown class {kind}, expected 1 (car), 2 (pedestrian) or 10 (ignore region)")
    return CATEGORIES[kind]
