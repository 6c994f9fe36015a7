"""Point tracks of StreetSim and their files; reading them needs no renderer."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samodal.errors import InputError


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Points on the surfaces of instances and of what stands around them, through a whole sequence of T frames.

    Attributes:
        xy: (N, T, 2) float32, pixels, integers at pixel centres; also outside the image, nan behind the camera.
        visible: (N, T) bool, inside the image and not hidden by anything, the instance's own far side included.
        ids: (N,) int32, the instance; 0 for the street and its houses.
        anchors: (N,) int32, the frame in which the point was drawn.
    """

    xy: np.ndarray
    visible: np.ndarray
    ids: np.ndarray
    anchors: np.ndarray

    def to_npz(self) -> bytes:
        """The content of a file that `read_points` reads."""
        packed = io.BytesIO()
        np.savez_compressed(packed, **vars(self))
        return packed.getvalue()


def points_file(split: Path, name: str) -> Path:
    """Where the point tracks of a sequence lie in the folder of its split."""
    return Path(split) / "points" / "front" / f"{name}.npz"


def read_points(split: Path, name: str) -> PointTracks:
    """The point tracks of a sequence.

    Args:
        split: folder of a split, such as ROOT/test.
        name: of the sequence.

    Raises:
        InputError: if there are none, or the file is damaged.
    """
    path = points_file(split, name)
    if not path.exists():
        raise InputError(f"{path}: no point tracks; `samodal synth --points` writes them beside the masks")
    try:
        with np.load(path, allow_pickle=False) as content:
            tracks = PointTracks(**{part: content[part] for part in ("xy", "visible", "ids", "anchors")})
        count, length, _ = tracks.xy.shape
        expected = {"xy": ("f", (count, length, 2)), "visible": ("b", (count, length))}
        expected |= {"ids": ("i", (count,)), "anchors": ("i", (count,))}
        found = {part: (array.dtype.kind, array.shape) for part, array in vars(tracks).items()}
        if found != expected:
            raise ValueError(f"expected {expected}, found {found}")
        return tracks
    except Exception as error:  # numpy and zipfile raise anything for damaged files
        raise InputError(f"{path}: damaged, or not point tracks of StreetSim ({error}); render it again") from None
