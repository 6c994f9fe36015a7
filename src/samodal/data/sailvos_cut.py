"""SAIL-VOS-cut: the videos of SAIL-VOS cut into scenes, named <video>__<frame> after the frame that ends them.

Which frames a scene has is read from the first of these beside the annotations or the videos:

    sailvos_cut_structure.json             of VATrack, {scene: [000003.bmp, …]}; what is left of a video stands under
                                           its bare name there, and scenes without a frame are no scenes
    <annotations>_cut_structure.json       what this module found before, of the same form

Where neither is there, every image is read once and VATrack's rule applied: a frame begins a scene where the colours
of all pixels (hue 0 to 179, saturation and value 0 to 255) change by 27 or more from the frame before, on average, at
least 5 frames after the last cut and more than 5 before the end. The scene before it is named by that frame's
`frame_id`, the last one by its own last frame's. Source: VATrack's converter.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from samodal.data.annotated import AnnotatedImage, AnnotatedSequence
from samodal.errors import InputError
from samodal.files import read_image, read_json, safe_name, write_json

PUBLISHED = "sailvos_cut_structure.json"

LEAST_CHANGE = 27.0
"""Mean absolute change of hue, saturation and value that makes a cut."""
LEAST_FRAMES = 5
"""From one cut to the next; more than so many are left behind the last one."""

_MARK = "__"


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
            raise InputError(f"{path}: scene {name} has frame {strange[0]}, but the annotations do not list it")
        if twice := sorted(stems & taken):
            raise InputError(f"{path}: scene {name} has frame {twice[0]}, which is in another scene, too")
        taken |= stems
        scenes.append(replace(video, name=name, images=tuple(image for stem, image in known.items() if stem in stems)))
    if not scenes:
        raise InputError(f"{path}: no scene of video {video.name}, which the annotations list")
    return scenes
