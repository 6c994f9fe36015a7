"""SAIL-VOS, videos of GTA-V with amodal masks: `sailvos:ROOT/train`; `sailvos-cut:ROOT/train` are their scenes.

    ROOT/train.json, ROOT/valid.json    or in ROOT/annotations; or sailvos:ROOT/FILE.json, any other of that form
    ROOT/<video>/images/000003.bmp      as `file_name` says, or the same as .png or .jpg; or in ROOT/<split>

ROOT/val is valid.json, too. A video is the folder of its images, an instance its `obj_id` in it. Images that the JSON
does not list are no part of the data set. Scenes are named <video>__<frame> after the frame that ends them. Which
frames a scene has is read from the first of these beside the annotations or the videos:

    sailvos_cut_structure.json             of VATrack, {scene: [000003.bmp, …]}; what is left of a video stands under
                                           its bare name there, and scenes without a frame are no scenes
    <annotations>_cut_structure.json       what this module wrote before, of the same form

Where neither is there, every image is read once and VATrack's rule applied: a frame begins a scene where the colours
of all pixels (hue 0 to 179, saturation and value 0 to 255) change by 27 or more from the frame before, on average, at
least 5 frames after the last cut and more than 5 before the end. The scene before it is named by that frame's
`frame_id`, the last one by its own last frame's. Source: SAIL-VOS' files (https://sailvos.web.illinois.edu), and
VATrack's converters.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from samodal.data.annotated import AnnotatedDataset, AnnotatedImage, AnnotatedSequence
from samodal.data.coco import SAILVOS, read_amodal_coco
from samodal.data.dataset import Report, refuse
from samodal.errors import InputError
from samodal.files import read_json, safe_name, write_json
from samodal.pictures import read_image

SPLITS = {"train": "train.json", "val": "valid.json", "valid": "valid.json"}
"""The annotations of each split."""

PUBLISHED = "sailvos_cut_structure.json"

LEAST_CHANGE = 27.0
"""Mean absolute change of hue, saturation and value that makes a cut."""
LEAST_FRAMES = 5
"""From one cut to the next; more than so many are left behind the last one."""

_MARK = "__"
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


def cut(sequences: Sequence[AnnotatedSequence], folder: Path, annotations: Path) -> list[AnnotatedSequence]:
    """The scenes of all videos, sorted by name.

    Args:
        folder: of the images.
        annotations: the file that the videos were read from. What is found is kept beside it, where that can be
            written; else it is found anew each time.

    Raises:
        InputError: if a structure is damaged or not of these videos, or an image that must be read is damaged.
    """
    own = annotations.with_name(f"{annotations.stem}_cut_structure.json")
    places = [annotations.with_name(PUBLISHED), folder / PUBLISHED, own]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        path, structure = own, find_structure(sequences, folder)
        with suppress(InputError):
            write_json(own, structure)
    else:
        structure = _checked(read_json(path), path)
    return sorted(
        (scene for video in sequences for scene in _scenes(video, structure, path)), key=lambda scene: scene.name
    )


def find_structure(sequences: Sequence[AnnotatedSequence], folder: Path) -> dict[str, list[str]]:
    """{scene: file names} by VATrack's rule; reads every image.

    Raises:
        InputError: if an image is missing or damaged.
    """
    from samodal.progress import frames_bar

    structure: dict[str, list[str]] = {}
    with frames_bar("cutting", sum(len(sequence.images) for sequence in sequences)) as advance:
        for video in sequences:
            images, begins, before = video.images, [0], None
            for n, image in enumerate(images):
                now = _colours(read_image(folder / image.file_name))
                if before is not None and _begins(images, begins[-1], n) and _change(before, now) >= LEAST_CHANGE:
                    begins.append(n)
                before = now
                advance(1)
            for first, end in zip(begins, [*begins[1:], len(images)], strict=True):
                name = f"{video.name}{_MARK}{images[min(end, len(images) - 1)].number}"
                structure[name] = [Path(image.file_name).name for image in images[first:end]]
    return structure


def _begins(images: Sequence[AnnotatedImage], last: int, n: int) -> bool:
    """Whether image n is far enough from the last cut and from the end to begin a scene."""
    number = images[n].number
    return number - images[last].number >= LEAST_FRAMES and images[-1].number - number > LEAST_FRAMES


def _colours(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to hue, saturation and value as int16."""
    import cv2

    # VATrack hands RGB to a function that expects BGR: its threshold belongs to the hues that come of that.
    return cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16)


def _change(before: np.ndarray, now: np.ndarray) -> float:
    return float(np.abs(now - before).mean())


def _checked(structure: object, path: Path) -> dict[str, list[str]]:
    lists = structure.values() if isinstance(structure, dict) else [None]
    if not all(isinstance(files, list) and all(isinstance(name, str) for name in files) for files in lists):
        raise InputError(f"{path}: expected an object of lists of file names by scene")
    return structure


def _scenes(video: AnnotatedSequence, structure: dict[str, list[str]], path: Path) -> list[AnnotatedSequence]:
    """The scenes of one video; images that are in none are left out."""
    known = {Path(image.file_name).stem: image for image in video.images}
    scenes, taken = [], set()
    for name, files in structure.items():
        if not name.startswith(video.name + _MARK) or not files:
            continue
        safe_name(name, str(path))
        stems = {Path(file).stem for file in files}
        if strange := sorted(stems - known.keys()):
            frame = f"scene {name[:100]} has frame {strange[0][:100]}"
            raise InputError(f"{path}: {frame}, but the annotations do not list it")
        if twice := sorted(stems & taken):
            raise InputError(f"{path}: scene {name[:100]} has frame {twice[0][:100]}, which is in another scene, too")
        taken |= stems
        scenes.append(replace(video, name=name, images=tuple(image for stem, image in known.items() if stem in stems)))
    if not scenes:
        raise InputError(f"{path}: no scene of video {video.name}, which the annotations list")
    return scenes
