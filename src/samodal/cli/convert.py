"""`samodal convert`: results in the formats of other tools, and corrected ones back in."""

from dataclasses import dataclass, field
from pathlib import Path

from samodal.exports.formats import FORMATS


@dataclass(frozen=True)
class ConvertSettings:
    """Write a run in the formats of other tools, without the model; or read back what was corrected in CVAT."""

    path: Path = field(metadata={"positional": Path})
    """Folder of a run, or of the runs of a data set's clips; with --from cvat, a file of CVAT for video 1.1."""
    to: str = field(metadata={"parts": ("format", FORMATS), "several": True})
    """Formats, separated by commas, each with a path where wanted: coco:labels.json,cvat. By default into the folder
    exports of the run, or beside the file. --to list explains them."""
    from_: str = "run"
    """What is read: run or cvat."""
    images: Path | None = None
    """Folder whose pictures are the frames: a file of CVAT does not tell their names."""
    fps: float = 10.0
    """Frames per second, which a file of CVAT does not tell."""
    overwrite: bool = False
    """Replace exports that are there already."""


def main(settings: ConvertSettings) -> None:
    """Write them, and tell what a format cannot hold, with counts.

    Raises:
        InputError: if something is missing, damaged, or there already.
    """
    from samodal.errors import printable
    from samodal.exports.convert import convert

    for line in convert(settings.path, settings.to, settings.from_, settings.images, settings.fps, settings.overwrite):
        print(printable(line))
