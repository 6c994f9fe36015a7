"""AmodalSynthDrive, and StreetSim which is written in the same layout.

    <root>/images/front/<sequence>/front_full_%04d_rgb.jpg (or .png)
    <root>/amodal_instance_seg/front/<sequence>/front_full_%04d_aminseg.json and .png

Source: facts/datasets_metrics.md 2.1. <root> is one split, as in asd:ROOT/val. Only the front camera is read.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from samodal.errors import InputError
from samodal.formats.asd import InstanceTruth, frame_stem, read_frame, read_visible_frame
from samodal.formats.reading import read_image
from samodal.parts import Frame
from samodal.tracks import Clip, Track

FRAMES_PER_SECOND = 10.0

_IMAGE = re.compile(r"front_full_(\d+)_rgb\.(jpg|jpeg|png)")
_LABEL = re.compile(r"front_full_(\d+)_aminseg\.json")


class AsdVideo:
    """One sequence as a `samodal.parts.Video`; images and truth are read when they are asked for.

    Frame t is the t-th image by number; its time is its number since the first one at 10 frames a second.
    `number` is the sequence's place in the sorted data set, from 1: its video_id in results of GenVIS.
    """

    fps = FRAMES_PER_SECOND

    def __init__(self, root: Path, name: str, number: int = 1):
        self.name = name
        self.number = number
        self.source = str(root / "images" / "front" / name)
        self._labels = root / "amodal_instance_seg" / "front" / name
        self._images = _numbered(Path(self.source), _IMAGE)
        if not self._images:
            raise InputError(f"{self.source}: no image front_full_NNNN_rgb.jpg in it")
        self._numbers = sorted(self._images)
        self.length = len(self._numbers)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        for t in range(self.length):
            yield self.frame(t)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first image in pixels."""
        from PIL import Image

        path = self._images[self._numbers[0]]
        try:
            with Image.open(path) as picture:
                return picture.height, picture.width
        except OSError as error:
            raise InputError(f"{path}: damaged picture ({error})") from None

    @property
    def frame_names(self) -> tuple[str, ...]:
        """File names of the images."""
        return tuple(self._images[number].name for number in self._numbers)

    def frame(self, t: int) -> Frame:
        """Frame t with its image.

        Raises:
            InputError: if the image is damaged or not of the sequence's size.
        """
        number = self._numbers[t]
        image = read_image(self._images[number])
        if image.shape[:2] != self.size:
            raise InputError(
                f"{self._images[number]}: {image.shape[0]}x{image.shape[1]} (height x width), "
                f"but the sequence begins with {self.size[0]}x{self.size[1]}"
            )
        time = (number - self._numbers[0]) / FRAMES_PER_SECOND
        return Frame(t, time, image, self._images[number].name)

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of frame t, fully hidden ones included; nothing else of the sequence is read."""
        return read_frame(self._labels, self._numbers[t], self.size)

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return read_visible_frame(self._labels, self._numbers[t], self.size)

    @cached_property
    def truth(self) -> Clip | None:
        """All tracks, None where the sequence has no truth at all (a test split); read once.

        Raises:
            InputError: if a label file has no image, a label is damaged, or a track changes its class.
        """
        labels = _numbered(self._labels, _LABEL)
        if not labels:
            return None
        for number in sorted(labels.keys() - self._images.keys()):
            raise InputError(f"{self.source}: no image {frame_stem(number)}_rgb.jpg for {labels[number]}")
        labelled = tuple(t for t, number in enumerate(self._numbers) if number in labels)
        columns: dict[int, dict] = {}
        for t in labelled:
            for one in self.frame_truth(t):
                self._add(columns, one, t)
        tracks = tuple(
            Track(key, c["category"], None, tuple(c["visible"]), tuple(c["amodal"])) for key, c in columns.items()
        )
        return Clip(
            self.name,
            self.size,
            self.frame_names,
            tracks,
            labelled=None if len(labelled) == self.length else labelled,
        )

    def _add(self, columns: dict[int, dict], one: InstanceTruth, t: int) -> None:
        empty = {"category": one.category, "visible": [None] * self.length, "amodal": [None] * self.length}
        column = columns.setdefault(one.id, empty)
        if column["category"] != one.category:
            raise InputError(
                f"{self._labels}: track {one.id} is a {one.category} in {frame_stem(self._numbers[t])} "
                f"but a {column['category']} before"
            )
        column["visible"][t] = one.visible
        column["amodal"][t] = one.amodal


class AsdDataset:
    """The sequences of one split, sorted by name; iterating gives an `AsdVideo` each.

    Attributes:
        root: folder of the split.
        sequences: names, sorted, which is also how the released code numbers videos.
    """

    def __init__(self, root: Path):
        self.root = Path(root)
        folder = self.root / "images" / "front"
        if not folder.is_dir():
            raise InputError(f"{root}: no folder images/front in it; give the folder of a split, as in asd:ROOT/val")
        self.sequences = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
        if not self.sequences:
            raise InputError(f"{folder}: no sequence in it")
        self._videos: dict[str, AsdVideo] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[AsdVideo]:
        for name in self.sequences:
            yield self.video(name)

    def video(self, sequence: str) -> AsdVideo:
        """The sequence of this name.

        Raises:
            InputError: if there is none.
        """
        if sequence not in self.sequences:
            raise InputError(f"{self.root}: no sequence {sequence!r}; it begins with {', '.join(self.sequences[:3])}")
        if sequence not in self._videos:
            self._videos[sequence] = AsdVideo(self.root, sequence, 1 + self.sequences.index(sequence))
        return self._videos[sequence]

    def truth(self, sequence: str) -> Clip:
        """All tracks of a sequence.

        Raises:
            InputError: if it has no truth.
        """
        truth = self.video(sequence).truth
        if truth is None:
            raise InputError(f"{self.root}: sequence {sequence} has no truth in amodal_instance_seg/front")
        return truth

    def frame_truth(self, sequence: str, t: int) -> list[InstanceTruth]:
        """The instances of one frame, without reading the rest of the sequence."""
        return self.video(sequence).frame_truth(t)


def open_asd(root_split: Path) -> AsdDataset:
    """The data set in the folder of a split, such as ROOT/val."""
    return AsdDataset(Path(root_split))


def _numbered(folder: Path, pattern: re.Pattern) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}
