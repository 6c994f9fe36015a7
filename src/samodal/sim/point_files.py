"""Reads the point tracks that `samodal synth --points` wrote; needs no renderer."""

import zipfile
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.sim.motion import PointTracks


def read_points(split: Path, name: str) -> PointTracks:
    """The point tracks of a sequence.

    Args:
        split: folder of a split, such as ROOT/test.
        name: of the sequence.

    Raises:
        InputError: if there are none, or the file is damaged.
    """
    path = Path(split) / "points" / "front" / f"{name}.npz"
    if not path.exists():
        raise InputError(f"{path}: no point tracks; `samodal synth --points` writes them beside the masks")
    try:
        with np.load(path) as content:
            return PointTracks(**{part: content[part] for part in ("xy", "visible", "ids", "anchors")})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged, or not point tracks of StreetSim ({error}); render it again") from None
