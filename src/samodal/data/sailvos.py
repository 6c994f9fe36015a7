"""SAIL-VOS, videos of GTA-V with amodal masks: `sailvos:ROOT/train`; `sailvos-cut:ROOT/train` are their scenes.

    ROOT/train.json, ROOT/valid.json    or in ROOT/annotations; or sailvos:ROOT/FILE.json, any other of that form
    ROOT/<video>/images/000003.bmp      as `file_name` says, or the same as .png or .jpg; or in ROOT/<split>

ROOT/val is valid.json, too. A video is the folder of its images, an instance its `obj_id` in it. Images that the JSON
does not list are no part of the data set. How videos are cut stands in `samodal.data.sailvos_cut`. Source:
SAIL-VOS' files (https://sailvos.web.illinois.edu), and VATrack's converters.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from samodal.data.annotated import AnnotatedDataset, AnnotatedImage, AnnotatedSequence
from samodal.data.coco import SAILVOS, read_amodal_coco
from samodal.data.dataset import Report, refuse
from samodal.data.sailvos_cut import cut
from samodal.errors import InputError

SPLITS = {"train": "train.json", "val": "valid.json", "valid": "valid.json"}
"""The annotations of each split."""

_SUFFIXES = (".bmp", ".png", ".jpg")


class SailvosDataset(AnnotatedDataset):
    """The videos, or scenes, of one annotation file, sorted by name."""

    def unlisted(self) -> list[Path]:
        """None: the folders hold both splits, and images that are no part of either."""
        return []


def open_sailvos(path: Path, report: Report = refuse) -> SailvosDataset:
    """The videos of ROOT/train, ROOT/val or an annotation file.

    Args:
        report: gets each thing that is wrong and can be left out; by default it is raised.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    return SailvosDataset(*_read(Path(path), report), report)


def open_sailvos_cut(path: Path, report: Report = refuse) -> SailvosDataset:
    """The scenes of the videos of ROOT/train, ROOT/val or an annotation file.

    Args, Raises: as for `open_sailvos`.
    """
    annotations, images, sequences = _read(Path(path), report)
    return SailvosDataset(annotations, images, cut(sequences, images, annotations), report)


def _read(path: Path, report: Report) -> tuple[Path, Path, list[AnnotatedSequence]]:
    """The annotation file, the folder that its file names start from, and its videos."""
    annotations, root = _annotations(path)
    sequences = read_amodal_coco(annotations, report, SAILVOS)
    first = Path(sequences[0].images[0].file_name).parts[0]
    folder = next((place for place in (root, root / path.name) if (place / first).is_dir()), None)
    if folder is None:
        raise InputError(f"{root}: no folder {first} in it, of the first video that {annotations.name} lists")
    return annotations, folder, _as_they_lie(sequences, folder)


def _annotations(path: Path) -> tuple[Path, Path]:
    """The annotation file, and ROOT."""
    if path.suffix == ".json":
        return path, path.parent.parent if path.parent.name == "annotations" else path.parent
    if path.name not in SPLITS:
        raise InputError(f"{path}: expected ROOT/train or ROOT/val, where ROOT holds train.json, valid.json and videos")
    root, name = path.parent, SPLITS[path.name]
    annotations = next((path for path in (root / name, root / "annotations" / name) if path.is_file()), None)
    if annotations is None:
        raise InputError(f"{root}: no {name} in it or in its folder annotations")
    return annotations, root


def _as_they_lie(sequences: Sequence[AnnotatedSequence], folder: Path) -> list[AnnotatedSequence]:
    """The same with each image under the suffix that it has on disk; one that is missing keeps its own."""

    def as_it_lies(image: AnnotatedImage) -> AnnotatedImage:
        if (folder / image.file_name).is_file():
            return image
        names = (str(Path(image.file_name).with_suffix(suffix)) for suffix in _SUFFIXES)
        return replace(image, file_name=next((n for n in names if (folder / n).is_file()), image.file_name))

    return [replace(sequence, images=tuple(map(as_it_lies, sequence.images))) for sequence in sequences]
