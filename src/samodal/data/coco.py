"""Data of your own: `coco:ANNOTATIONS.json,IMAGES`, the format of docs/data.md; `coco-vid:` and `ytvis:` know less.

Those two, as mmtracking and YouTube-VIS write it, have what is visible alone. A sequence is a video, or one image on
its own. The classes serve any reader of annotated sequences.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from samodal.data.amodal_coco import COCO_VID, read_amodal_coco
from samodal.data.annotated import AnnotatedSequence, Report, refuse
from samodal.data.asd_labels import InstanceTruth
from samodal.data.youtube_vis import read_youtube_vis_truth
from samodal.errors import InputError
from samodal.files import read_image
from samodal.parts import Frame
from samodal.tracks import Clip, Track

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Suffixes by which a file in the folder of images counts as one."""


class AnnotatedVideo:
    """One sequence as a `samodal.parts.Video`; images and masks are read when they are asked for.

    `number` is the sequence's place in the sorted data set, from 1; `has_amodal` whether hidden parts are known.
    """

    def __init__(self, folder: Path, sequence: AnnotatedSequence, number: int = 1, has_amodal: bool = True):
        self.name = sequence.name
        self.has_amodal = has_amodal
        self.number = number
        self.source = f"{folder}: {sequence.name}"
        self.fps = sequence.fps
        self.length = len(sequence.images)
        self.size = sequence.images[0].size
        self.frame_names = tuple(Path(image.file_name).name for image in sequence.images)
        self.paths = tuple(folder / image.file_name for image in sequence.images)
        self._images = sequence.images

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        for t in range(self.length):
            yield self.frame(t)

    def frame(self, t: int) -> Frame:
        """Frame t with its image.

        Raises:
            InputError: if the image is missing, damaged, or not of the size that the annotations state.
        """
        path = self.paths[t]
        if not path.is_file():
            raise InputError(missing(path))
        pixels = read_image(path)
        if pixels.shape[:2] != self.size:
            raise InputError(
                f"{path}: {pixels.shape[0]}x{pixels.shape[1]} (height x width), but the annotations state "
                f"{self.size[0]}x{self.size[1]}; was it resized or turned after it was labelled?"
            )
        time = (self._images[t].number - self._images[0].number) / self.fps
        return Frame(t, time, pixels, self.frame_names[t])

    def frame_truth(self, t: int, report: Report = refuse) -> list[InstanceTruth]:
        """The instances of frame t, completely hidden ones included; nothing else of the sequence is drawn.

        Args:
            report: gets each damaged mask; by default it is raised.

        Raises:
            InputError: if nothing is known of what is hidden.
        """
        if not self.has_amodal:
            raise no_amodal(self.source)
        return self._images[t].instances(report)

    def frame_visible(self, t: int, report: Report = refuse) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return self._images[t].visible_instances(report)

    @cached_property
    def truth(self) -> Clip:
        """All tracks, read once; their amodal columns are empty where nothing is known of what is hidden.

        Raises:
            InputError: if a mask is damaged.
        """
        columns: dict[int, dict] = {}
        for t in range(self.length):
            for one in self.frame_truth(t) if self.has_amodal else self.frame_visible(t):
                empty = {"category": one.category, "visible": [None] * self.length, "amodal": [None] * self.length}
                column = columns.setdefault(one.id, empty)
                column["visible"][t], column["amodal"][t] = one.visible, one.amodal if self.has_amodal else None
        tracks = tuple(
            Track(key, c["category"], None, tuple(c["visible"]), tuple(c["amodal"])) for key, c in columns.items()
        )
        return Clip(self.name, self.size, self.frame_names, tracks)


class AnnotatedDataset:
    """The sequences of an annotation file, sorted by name; iterating gives an `AnnotatedVideo` each.

    Attributes:
        annotations: the JSON file that was read.
        images: the folder of images.
        sequences: names, sorted.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        sequences: Sequence[AnnotatedSequence],
        report: Report = refuse,
        has_amodal: bool = True,
    ):
        self.annotations, self.images = annotations, images
        if not images.is_dir():
            raise InputError(f"{images}: no such folder of images")
        videos = [AnnotatedVideo(images, one, number, has_amodal) for number, one in enumerate(sequences, start=1)]
        for path in (path for video in videos for path in video.paths if not path.is_file()):
            report(missing(path))
        self._videos = {video.name: video for video in videos}
        self.sequences = tuple(self._videos)
        if len(self._videos) < len(videos):
            report(f"{annotations}: two sequences have the same name; give their images other file names")

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[AnnotatedVideo]:
        yield from self._videos.values()

    def video(self, sequence: str) -> AnnotatedVideo:
        """The sequence of this name.

        Raises:
            InputError: if there is none.
        """
        if sequence not in self._videos:
            begins = ", ".join(self.sequences[:3])
            raise InputError(f"{self.annotations}: no sequence {sequence!r}; it begins with {begins}")
        return self._videos[sequence]

    def truth(self, sequence: str) -> Clip:
        """All tracks of a sequence."""
        return self.video(sequence).truth

    def frame_truth(self, sequence: str, t: int) -> list[InstanceTruth]:
        """The instances of one frame, without drawing the rest of the sequence."""
        return self.video(sequence).frame_truth(t)

    def unlisted(self) -> list[Path]:
        """Pictures in the folder that the annotations do not list, sorted."""
        listed = {path for video in self for path in video.paths}
        pictures = (path for path in self.images.rglob("*") if path.suffix.lower() in PICTURES)
        return sorted(path for path in pictures if path not in listed)


def open_coco(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES.

    Args:
        report: gets each thing that is wrong and can be left out; by default it is raised.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    annotations, images = two_paths(path, "coco")
    return AnnotatedDataset(annotations, images, read_amodal_coco(annotations, report), report)


def open_coco_vid(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES in COCO-VID's form, as mmtracking writes it, with visible masks alone.

    Args, Raises: as for `open_coco`.
    """
    annotations, images = two_paths(path, "coco-vid")
    sequences = read_amodal_coco(annotations, report, COCO_VID)
    return AnnotatedDataset(annotations, images, sequences, report, has_amodal=False)


def open_ytvis(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES in YouTube-VIS' form, with visible masks alone.

    Args, Raises: as for `open_coco`.
    """
    annotations, images = two_paths(path, "ytvis")
    sequences = read_youtube_vis_truth(annotations, report)
    return AnnotatedDataset(annotations, images, sequences, report, has_amodal=False)


def two_paths(path: Path, kind: str) -> tuple[Path, Path]:
    """ANNOTATIONS.json and IMAGES of what stands after KIND: and a colon.

    Raises:
        InputError: if it is not of this form.
    """
    annotations, comma, images = str(path).partition(".json,")
    if not comma or not images:
        raise InputError(f"{path}: expected {kind}:ANNOTATIONS.json,IMAGES, the file and the folder of its images")
    return Path(f"{annotations}.json"), Path(images)


def no_amodal(source: str) -> InputError:
    """The error where amodal masks are asked of data that has visible ones alone."""
    return InputError(
        f"{source}: there are no amodal masks; it serves run, train vis, train --paste-occluders "
        "and evaluate --masks visible"
    )


def missing(path: Path) -> str:
    """What is said of an image that is not there."""
    return f"{path}: no such image, but the annotations list it"
