"""The formats that results are exported to, by name, and exporting to them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from samodal.errors import InputError, missing_extra, nearest
from samodal.registry import Part

if TYPE_CHECKING:
    from samodal.exports.source import Source

FOLDER = "exports"
"""Folder in that of a run where exports lie."""


@dataclass(frozen=True)
class Format(Part):
    """A format; `path` names a function (source, path) that writes it and gives what is to be told, a line each.

    Attributes:
        output: name of the file, or of the folder, where no other is given.
        beside: end of the name of a second file.
        module: that must be installed.
    """

    output: str = ""
    beside: str = ""
    module: str = ""


FORMATS = {
    "coco": Format(
        "samodal.exports.coco:write",
        "COCO JSON of pictures, with whole masks as segmentation, visible masks, occlude_rate, tracks and videos.",
        output="coco.json",
    ),
    "youtubevis": Format(
        "samodal.exports.youtubevis:write",
        "YouTube-VIS results, as its evaluators take them: a list for whole masks, and one for visible ones.",
        output="youtubevis",
    ),
    "mots": Format(
        "samodal.exports.mots:write",
        "KITTI MOTS text of cars and persons: visible.txt; and amodal.txt, whose masks overlap.",
        output="mots",
    ),
    "cvat": Format(
        "samodal.exports.cvat:write_polygons",
        "CVAT for video 1.1, to be corrected: polygon tracks, visible and whole ones in one group.",
        output="cvat.xml",
        beside=".labels.json",
    ),
    "cvat-masks": Format(
        "samodal.exports.cvat:write_masks",
        "CVAT for video 1.1 with exact masks, each a track of a single frame, as CVAT reads no tracks of masks.",
        output="cvat-masks.xml",
        beside=".labels.json",
    ),
    "labelstudio": Format(
        "samodal.exports.labelstudio:write",
        "A Label Studio task with visible and whole boxes, and its labelling configuration; its videos have no masks.",
        output="labelstudio.json",
        beside=".config.xml",
    ),
    "png": Format(
        "samodal.exports.png:write",
        "Pictures of 16 bits with the numbers of visible instances, and one picture for each whole mask.",
        output="png",
    ),
    "parquet": Format(
        "samodal.exports.parquet:write",
        "A row for each instance and frame, for pandas, DuckDB, Polars and Spark.",
        needs="pip install 'samodal[tables]'",
        output="instances.parquet",
        module="pyarrow",
    ),
    "savetxt": Format(
        "samodal.exports.savetxt:write",
        "A text file for each frame as Ultralytics writes it: class, polygon in shares of the frame, score, id.",
        output="savetxt",
    ),
    "fiftyone": Format(
        "samodal.exports.fiftyone:write",
        "A data set of this name in FiftyOne's database, with the detections of each frame.",
        needs="pip install fiftyone (Apache-2.0; it brings MongoDB)",
        output="fiftyone",
        module="fiftyone",
    ),
}


def wanted(text: str) -> list[tuple[str, Path | None]]:
    """The formats of a list that commas separate, each with the path that may follow it, as coco:a.json,mots.

    Raises:
        InputError: for an unknown format, one that is there twice, or one whose library is not installed.
    """
    chosen: dict[str, Path | None] = {}
    for piece in re.split(rf",\s*(?=(?:{'|'.join(FORMATS)})(?:[:,]|$))", text.strip()):
        name, _, path = piece.partition(":")
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}{nearest(name, FORMATS)}")
        _, comma, last = path.rpartition(",")
        if comma and re.fullmatch(r"\s*[\w-]+(:.*)?", last):  # neither a format, nor the end of a file's name
            last = last.partition(":")[0].strip()
            raise InputError(f"unknown format {last!r} after {name}{nearest(last, FORMATS)}")
        if name in chosen:
            raise InputError(f"format {name!r} is there twice")
        _check_installed(name)
        chosen[name] = Path(path) if path else None
    return list(chosen.items())


def _check_installed(name: str) -> None:
    module = FORMATS[name].module
    if module and find_spec(module) is None:
        if module == "pyarrow":
            raise missing_extra(f"format {name}", "tables")
        raise InputError(f"format {name} needs {module}; install it with: {FORMATS[name].needs}")


def export(source: Source, name: str, path: Path) -> Iterator[str]:
    """Write one format; gives what is to be told, a line each: what a format cannot hold, with counts.

    Raises:
        InputError: if the source is damaged, does not fit the format, or `path` cannot be written.
    """
    module, _, function = FORMATS[name].path.partition(":")
    yield from source.notes
    yield from getattr(import_module(module), function)(source, path)


def discard(run: Path) -> None:
    """Remove the exports in the folder of a run, whose results are replaced."""
    for form in FORMATS.values():
        place = run / FOLDER / form.output
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        for file in [place, *([place.with_suffix(form.beside)] if form.beside else [])]:
            file.unlink(missing_ok=True)
    with suppress(OSError):  # what others put there stays
        (run / FOLDER).rmdir()
