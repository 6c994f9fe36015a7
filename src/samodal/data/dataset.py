"""What every data set is: sequences by name, each a video with labels.

Training, `run --data`, `evaluate` and `data check` call what stands here and ask no data set for its kind. A new kind
is one file with a `LabelledVideo` and a `Dataset`, and a line in `samodal.data.open`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.files import safe_name
from samodal.parts import Frame
from samodal.pictures import read_image
from samodal.rle import Rle
from samodal.threads import readers, side_by_side
from samodal.tracks import Clip, Track

ALL_CROWDS = (
    "{} and left out, so that nothing is left; tools for drawing mark every brush mask so: write iscrowd 0 for a mask "
    "of a single object"
)
"""What is said where all labels are crowds."""

Report = Callable[[str], None]
"""Gets one line for each thing that is wrong."""


def refuse(problem: str) -> None:
    """The report of a reader that takes nothing broken.

    Raises:
        InputError: always.
    """
    raise InputError(problem)


def collected(entries: Iterable, read: Callable[[Any], Any], report: Report) -> list:
    """What `read` makes of each entry; those that it refuses are reported and left out."""
    results = []
    for entry in entries:
        try:
            results.append(read(entry))
        except InputError as error:
            report(str(error))
    return results


@dataclass(frozen=True, eq=False)
class InstanceTruth:
    """What is known of one instance in one frame.

    Attributes:
        id: stable within the sequence.
        category: class name.
        amodal: the whole object's pixels inside the image; not empty.
        visible: the part that is not occluded, None where it is hidden completely.
        depth_order: 0 for the nearest; None where the data set does not say.
    """

    id: int
    category: str
    amodal: Rle
    visible: Rle | None
    depth_order: int | None = None


class LabelledVideo:
    """One sequence as a `samodal.parts.Video`; images and labels are read when they are asked for.

    A kind sets the attributes below and writes `frame_truth` and `frame_visible`.

    Attributes:
        number: its place in the sorted data set, from 1: its video_id in results of GenVIS.
        paths: files of the images.
        numbers: of the frames, ascending with gaps: a frame's time is its number since the first one over `fps`.
        has_amodal: whether anything is known of what is hidden.
        detections: masks of a front end that come with the data set, None where there are none.
        label_places: files, and folders of files, that hold its labels.
    """

    fps = 10.0
    number: int
    paths: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()
    has_amodal = True
    detections: Clip | None = None
    label_places: tuple[Path, ...] = ()
    wrong_size = "but the sequence begins with {}"
    """What is said of an image of another size than `native_size`."""

    @property
    def native_size(self) -> tuple[int, int]:
        """(H, W) of the image files in pixels."""
        return self.size

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.numbers)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """File names of the images."""
        return tuple(path.name for path in self.paths)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        return side_by_side(self.frame, range(self.length), readers())

    def frame(self, t: int) -> Frame:
        """Frame t with its image.

        Raises:
            InputError: if the image is missing, damaged, or not of the sequence's size.
        """
        image = read_image(self.paths[t], self.native_size, self.wrong_size, unturned=True)
        return Frame(t, (self.numbers[t] - self.numbers[0]) / self.fps, image, self.paths[t].name)

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of frame t, completely hidden ones included; nothing else of the sequence is read.

        Raises:
            InputError: if a label is damaged or nothing is known of what is hidden.
        """
        raise InputError(
            f"{self.source}: there are no amodal masks; it serves run, train vis, train --paste-occluders "
            "and evaluate --masks visible"
        )

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        raise NotImplementedError

    def crowds(self, t: int) -> int:
        """How many annotations of frame t were left out as crowds, regions of many objects (`iscrowd` 1)."""
        return 0

    def labels(self, t: int, report: Report = refuse) -> list[InstanceTruth] | None:
        """`frame_truth`, or `frame_visible` where nothing is known of what is hidden.

        Args:
            report: gets what is damaged; what it concerns is then left out. By default it is raised.

        Returns:
            None where nothing of the frame could be read.
        """
        try:
            return self.frame_truth(t) if self.has_amodal else self.frame_visible(t)
        except InputError as error:
            report(str(error))
            return None

    @cached_property
    def truth(self) -> Clip | None:
        """All tracks, read once; None where the sequence has no labels at all, as in a test split.

        Raises:
            InputError: if a label is damaged or a track changes its class.
        """
        return self._clip(range(self.length))

    def _clip(self, labelled: Iterable[int]) -> Clip:
        """The tracks of the labelled frames; where nothing is known of what is hidden, amodal columns are empty."""
        labelled = tuple(labelled)
        columns: dict[int, dict] = {}
        for t in labelled:
            for instance in self.labels(t) or ():
                empty = {"visible": [None] * self.length, "amodal": [None] * self.length}
                column = columns.setdefault(instance.id, {"category": instance.category} | empty)
                if column["category"] != instance.category:
                    raise InputError(
                        f"{self.source}: track {instance.id} is a {instance.category} in {self.frame_names[t]} "
                        f"but a {column['category']} before"
                    )
                column["visible"][t] = instance.visible
                column["amodal"][t] = instance.amodal if self.has_amodal else None
        tracks = tuple(
            Track(key, column["category"], None, tuple(column["visible"]), tuple(column["amodal"]))
            for key, column in columns.items()
        )
        everywhere = len(labelled) == self.length
        return Clip(self.name, self.size, self.frame_names, tracks, None if everywhere else labelled)

    def forget(self) -> None:
        """Let go of masks that were read: those of a large data set do not fit in memory all at once."""
        for name in ("truth", "detections"):
            vars(self).pop(name, None)


class Dataset:
    """The sequences of a data set; iterating gives a `LabelledVideo` each.

    Args:
        source: file or folder that it was read from, for messages.
        names: of the sequences, sorted.
        find: gives the sequence of a name.

    Raises:
        InputError: if a name cannot name the folder of its results.
    """

    noun = "sequence"

    def __init__(self, source: Path | str, names: Iterable[str], find: Callable[[str], LabelledVideo]):
        self.source, self._find = source, find
        self.sequences = tuple(safe_name(name, str(source)) for name in names)
        self._names = frozenset(self.sequences)

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[LabelledVideo]:
        for name in self.sequences:
            yield self.video(name)

    def video(self, sequence: str) -> LabelledVideo:
        """The sequence of this name.

        Raises:
            InputError: if there is none.
        """
        if sequence not in self._names:
            begins = ", ".join(self.sequences[:3])
            raise InputError(f"{self.source}: no {self.noun} {sequence!r}; it begins with {begins}")
        return self._find(sequence)

    def truth(self, sequence: str) -> Clip:
        """All tracks of a sequence.

        Raises:
            InputError: if it has no labels.
        """
        truth = self.video(sequence).truth
        if truth is None:
            raise InputError(f"{self.source}: sequence {sequence} has no truth: there are no labels of it")
        return truth

    def judged(self, sequence: str) -> Mapping[str, Clip]:
        """The truth that results of a sequence are scored against, by name of the clip."""
        return {sequence: self.truth(sequence)}

    def crowds_alone(self) -> int:
        """How many annotations were left out as crowds, where nothing else is left and that is known; else 0."""
        return 0

    def unlisted(self) -> list[Path]:
        """Images in the data set's folder that no label speaks of, sorted."""
        return []
