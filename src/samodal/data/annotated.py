"""Sequences of images with amodal annotations, as JSON files of the COCO family hold them.

Masks stay as they are in the file until they are asked for. What is wrong goes to a `Report`: `refuse` raises it, and
`samodal data check` collects it and goes on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo, Report, collected, refuse
from samodal.data.fields import FRAMES_PER_SECOND
from samodal.data.paths import ImageFolder
from samodal.errors import InputError
from samodal.files import read_mask, safe_name
from samodal.parts import Frame
from samodal.pictures import PICTURES, RARE_PICTURES
from samodal.rle import Rle, difference, overlap, union

_LEAST_INSIDE = 0.5  # Outlines drawn one after the other differ at the border, by no more than some pixels.


@dataclass(frozen=True, eq=False)
class Annotation:
    """One instance in one image, undrawn.

    Attributes:
        key: unique in the image; what `occluders` speaks of.
        id: of the instance, stable within its sequence.
        category: class name.
        amodal: run lengths {"size", "counts"} or polygons [[x, y, x, y, …], …].
        visible: the same, [] for completely hidden; None where the file tells it by `occluders` alone.
        occluders: keys of the annotations in front of it.
        depth_order: 0 for the nearest, None where the file does not say.
        where: file and id, for messages.
    """

    key: int
    id: int
    category: str
    amodal: dict | list
    visible: dict | list | None
    occluders: tuple[int, ...]
    depth_order: int | None
    where: str


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image of a sequence.

    Attributes:
        file_name: relative to the folder of images.
        size: (H, W) in pixels as the file says.
        number: of the frame in its sequence; numbers ascend and may leave gaps.
        annotations: in the file's order, crowds left out.
        crowds: how many were left out as crowds.
    """

    file_name: str
    size: tuple[int, int]
    number: int
    annotations: tuple[Annotation, ...]
    crowds: int = 0

    def instances(self, report: Report = refuse) -> list[InstanceTruth]:
        """The instances with their masks drawn; those without any amodal pixel are left out.

        Visible is what the file says, cut to the amodal mask; where it says nothing, amodal without the amodal masks
        of the occluders.

        Args:
            report: gets each damaged mask, and each visible one that lies mostly outside its amodal one; by default it
                is raised.
        """

        def drawn(annotation: Annotation) -> tuple[Annotation, Rle | None]:
            return annotation, read_mask(annotation.amodal, self.size, annotation.where)

        pairs = collected(self.annotations, drawn, report)
        there = [annotation for annotation, mask in pairs if mask is not None]
        amodal = {annotation.key: mask for annotation, mask in pairs if mask is not None}
        return collected(there, lambda annotation: _instance(annotation, amodal, self.size), report)

    def visible_instances(self, report: Report = refuse) -> list[InstanceTruth]:
        """What is visible, as if no amodal masks were there: `amodal` is the visible mask. No amodal mask is drawn.

        An annotation that tells neither `visible` nor `occluders` is visible as a whole: its one mask is taken.

        Args:
            report: gets each damaged mask, and each annotation whose visible part follows from amodal masks alone; by
                default it is raised.
        """
        drawn = collected(self.annotations, lambda annotation: _visible_instance(annotation, self.size), report)
        return [instance for instance in drawn if instance is not None]


@dataclass(frozen=True, eq=False)
class AnnotatedSequence:
    """A video, or one image on its own.

    Attributes:
        name: unique in the file, fit for a folder's name.
        images: by ascending number, all of one size.
        fps: frames per second; the time of a frame is its number since the first one over this.
    """

    name: str
    images: tuple[AnnotatedImage, ...]
    fps: float = FRAMES_PER_SECOND


class AnnotatedVideo(LabelledVideo):
    """One sequence; `has_amodal` says whether hidden parts are known."""

    wrong_size = "but the annotations state {}; was it resized or turned after it was labelled?"

    def __init__(self, folder: Path, sequence: AnnotatedSequence, number: int = 1, has_amodal: bool = True):
        self.name, self.number, self.source = sequence.name, number, f"{folder}: {sequence.name}"
        self.has_amodal, self.fps, self.size = has_amodal, sequence.fps, sequence.images[0].size
        self.paths = tuple(folder / image.file_name for image in sequence.images)
        self.numbers = tuple(image.number for image in sequence.images)
        self._folder, self._images = folder, sequence.images

    def frame(self, t: int) -> Frame:
        """Frame t with its image."""
        if not self.paths[t].is_file():
            raise InputError(missing(self.paths[t], ImageFolder(self._folder)))
        return super().frame(t)

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of frame t, completely hidden ones included."""
        return self._images[t].instances() if self.has_amodal else super().frame_truth(t)

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return self._images[t].visible_instances()

    def crowds(self, t: int) -> int:
        """How many annotations of frame t were left out as crowds."""
        return self._images[t].crowds

    def labels(self, t: int, report: Report = refuse) -> list[InstanceTruth]:
        """What is known of frame t; only the instances that are damaged are left out."""
        image = self._images[t]
        return image.instances(report) if self.has_amodal else image.visible_instances(report)


class AnnotatedDataset(Dataset):
    """The sequences of an annotation file, sorted by name.

    Args:
        annotations: the JSON file that was read.
        images: the folder of images.
        sequences: what the file holds.
        report: gets each thing that is wrong and can be left out.
        has_amodal: whether hidden parts are known.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        sequences: Sequence[AnnotatedSequence],
        report: Report = refuse,
        has_amodal: bool = True,
    ):
        self.images = images
        if not images.is_dir():
            raise InputError(f"{images}: no such folder of images")
        videos = {}
        for number, sequence in enumerate(sequences, start=1):
            videos[sequence.name] = AnnotatedVideo(images, sequence, number, has_amodal)
            videos[sequence.name].label_places = (annotations,)
        super().__init__(annotations, videos, videos.__getitem__)
        folder = ImageFolder(images)
        for path in (path for video in videos.values() for path in video.paths if not path.is_file()):
            report(missing(path, folder))

    def crowds_alone(self) -> int:
        """How many annotations were left out as crowds, where nothing else is left; else 0."""
        images = [image for video in self for image in video._images]
        return 0 if any(image.annotations for image in images) else sum(image.crowds for image in images)

    def unlisted(self) -> list[Path]:
        """Pictures in the folder that the annotations do not list, sorted."""
        listed = {path for video in self for path in video.paths}
        suffixes = PICTURES + RARE_PICTURES
        pictures = (path for path in self.images.rglob("[!.]*") if path.suffix.lower() in suffixes)
        return sorted(path for path in pictures if path not in listed)


def by_name(sequences: Sequence[AnnotatedSequence], path: Path, report: Report) -> list[AnnotatedSequence]:
    """The sequences of a file sorted by name; names that are there twice, or can name no folder, are reported.

    Raises:
        InputError: if there is none.
    """
    collected(sequences, lambda sequence: safe_name(sequence.name, str(path)), report)
    for name, count in Counter(sequence.name for sequence in sequences).items():
        if count > 1:
            report(f"{path}: {count} sequences would be named {name!r}; give other file names, or names in 'videos'")
    if not sequences:
        raise InputError(f"{path}: no usable image in it")
    return sorted({sequence.name: sequence for sequence in sequences}.values(), key=lambda sequence: sequence.name)


def two_paths(path: Path, kind: str) -> tuple[Path, Path]:
    """ANNOTATIONS.json and IMAGES of what stands after KIND: and a colon.

    Raises:
        InputError: if it is not of this form.
    """
    annotations, comma, images = str(path).partition(".json,")
    if not comma or not images:
        raise InputError(f"{path}: expected {kind}:ANNOTATIONS.json,IMAGES, the file and the folder of its images")
    return Path(f"{annotations}.json"), Path(images)


def missing(path: Path, images: ImageFolder) -> str:
    """What is said of an image that is not in the folder of images, as the annotations list it."""
    near = images.only(path.name)
    hint = "" if near is None else f"; there is {images.folder / near}"
    return f"{path}: no such image, but the annotations list it{hint}"


class TrackCheck:
    """Refuses a track that is in one image twice, or that changes its class; of one sequence, image by image."""

    def __init__(self):
        self._classes: dict[int, str] = {}
        self._seen: set[tuple[str, int]] = set()

    def passed(self, annotation: Annotation, file_name: str) -> Annotation:
        """The annotation itself.

        Raises:
            InputError: names it.
        """
        if (file_name, annotation.id) in self._seen:
            raise InputError(f"{annotation.where}: a second annotation of track {annotation.id} in {file_name}")
        before = self._classes.setdefault(annotation.id, annotation.category)
        if before != annotation.category:
            raise InputError(
                f"{annotation.where}: track {annotation.id} is a {annotation.category} here but a {before} before"
            )
        self._seen.add((file_name, annotation.id))
        return annotation


def _instance(annotation: Annotation, amodal: dict[int, Rle], size: tuple[int, int]) -> InstanceTruth:
    mask = amodal[annotation.key]
    if annotation.visible is None:
        visible = difference(mask, _united([amodal[key] for key in annotation.occluders if key in amodal]))
    else:
        visible = _inside(read_mask(annotation.visible, size, f"{annotation.where}, visible"), mask, annotation.where)
    return InstanceTruth(annotation.id, annotation.category, mask, visible, annotation.depth_order)


def _visible_instance(annotation: Annotation, size: tuple[int, int]) -> InstanceTruth | None:
    if annotation.visible is None and annotation.occluders:
        raise InputError(
            f"{annotation.where}: what is visible of it follows from amodal masks (occluders); give visible instead"
        )
    mask = read_mask(annotation.amodal if annotation.visible is None else annotation.visible, size, annotation.where)
    return (
        None if mask is None else InstanceTruth(annotation.id, annotation.category, mask, mask, annotation.depth_order)
    )


def _inside(visible: Rle | None, amodal: Rle, where: str) -> Rle | None:
    """The part of a visible mask that is in the amodal one."""
    if visible is None:
        return None
    if overlap(visible, amodal) < _LEAST_INSIDE * visible.area:
        raise InputError(f"{where}: most of its visible mask lies outside its amodal one; were they exchanged?")
    return difference(visible, difference(visible, amodal))


def _united(masks: Sequence[Rle]) -> Rle | None:
    return union(masks) if masks else None
