"""AmodalSynthDrive, and StreetSim which is written in the same layout.

    <root>/images/front/<sequence>/front_full_%04d_rgb.jpg (or .png)
    <root>/amodal_instance_seg/front/<sequence>/front_full_%04d_aminseg.json and .png

An early release has no folder for the camera: <root>/images/<sequence>/front_full_%04d_rgb.jpg beside those of other
cameras. <root> is one split, as in asd:ROOT/val; asd:ROOT,split=LIST.json:val takes the sequences that a JSON object
lists under "val", and asd:ROOT/val,camera=back another camera. Source: facts/datasets_metrics.md 2.1; the early release
after public loaders of it.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from samodal.data.asd_labels import FRONT, InstanceTruth, frame_stem, read_frame, read_visible_frame
from samodal.errors import InputError, nearest
from samodal.files import read_image, read_json
from samodal.parts import Frame
from samodal.tracks import Clip, Track

FRAMES_PER_SECOND = 10.0

CAMERAS = ("front", "back", "left", "right", "bev")
"""Names of the published cameras; the bird's eye (bev) has no amodal labels."""

_IMAGE = r"{camera}_full_(\d+)_rgb\.(jpg|jpeg|png)"
_LABEL = r"{camera}_full_(\d+)_aminseg\.json"
_OPTION = re.compile(r"(.*),(\w+)=([^,]*)")


class AsdVideo:
    """One sequence as a `samodal.parts.Video`; images and truth are read when they are asked for.

    Frame t is the t-th image by number; its time is its number since the first one at 10 frames a second.
    `number` is the sequence's place in the sorted data set, from 1: its video_id in results of GenVIS.

    Args:
        images, labels: folders of the sequence.
        camera: that the file names begin with.
    """

    fps = FRAMES_PER_SECOND

    def __init__(self, images: Path, labels: Path, number: int = 1, camera: str = FRONT):
        self.name = images.name
        self.number = number
        self.source = str(images)
        self._labels, self._camera = labels, camera
        self._images = _numbered(images, _IMAGE, camera)
        if not self._images:
            raise InputError(f"{self.source}: no image {camera}_full_NNNN_rgb.jpg in it")
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
        return read_frame(self._labels, self._numbers[t], self.size, self._camera)

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return read_visible_frame(self._labels, self._numbers[t], self.size, self._camera)

    @cached_property
    def truth(self) -> Clip | None:
        """All tracks, None where the sequence has no truth at all (a test split); read once.

        Raises:
            InputError: if a label file has no image, a label is damaged, or a track changes its class.
        """
        labels = _numbered(self._labels, _LABEL, self._camera)
        if not labels:
            return None
        for number in sorted(labels.keys() - self._images.keys()):
            raise InputError(f"{self.source}: no image {self._stem(number)}_rgb.jpg for {labels[number]}")
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

    def _stem(self, number: int) -> str:
        return frame_stem(number, self._camera)

    def _add(self, columns: dict[int, dict], one: InstanceTruth, t: int) -> None:
        empty = {"category": one.category, "visible": [None] * self.length, "amodal": [None] * self.length}
        column = columns.setdefault(one.id, empty)
        if column["category"] != one.category:
            raise InputError(
                f"{self._labels}: track {one.id} is a {one.category} in {self._stem(self._numbers[t])} "
                f"but a {column['category']} before"
            )
        column["visible"][t] = one.visible
        column["amodal"][t] = one.amodal


class AsdDataset:
    """The sequences of one split, sorted by name; iterating gives an `AsdVideo` each.

    Args:
        camera: whose images are read.
        names: of the sequences that count; None for all.

    Attributes:
        root: folder of the split.
        sequences: names, sorted, which is also how the released code numbers videos.
    """

    def __init__(self, root: Path, camera: str = FRONT, names: tuple[str, ...] | None = None):
        self.root, self._camera = Path(root), camera
        self._images, self._labels = _folders(self.root, camera)
        there = tuple(sorted(p.name for p in self._images.iterdir() if p.is_dir()))
        if not there:
            raise InputError(f"{self._images}: no sequence in it")
        self.sequences = there if names is None else tuple(sorted(names))
        if missing := [name for name in self.sequences if name not in there]:
            raise InputError(
                f"{self._images}: {len(missing)} of the {len(self.sequences)} sequences of the split are not in it, "
                f"first {missing[0]}"
            )
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
            number = 1 + self.sequences.index(sequence)
            folders = self._images / sequence, self._labels / sequence
            self._videos[sequence] = AsdVideo(*folders, number, self._camera)
        return self._videos[sequence]

    def truth(self, sequence: str) -> Clip:
        """All tracks of a sequence.

        Raises:
            InputError: if it has no truth.
        """
        truth = self.video(sequence).truth
        if truth is None:
            raise InputError(f"{self.root}: sequence {sequence} has no truth in {self._labels.relative_to(self.root)}")
        return truth

    def frame_truth(self, sequence: str, t: int) -> list[InstanceTruth]:
        """The instances of one frame, without reading the rest of the sequence."""
        return self.video(sequence).frame_truth(t)


def open_asd(path: Path) -> AsdDataset:
    """The data set in the folder of a split, such as ROOT/val; ",camera=back" and ",split=LIST.json:val" may follow.

    Raises:
        InputError: if the folder is not of that layout, an option is unknown, or a listed sequence is not there.
    """
    text, options = str(path), {}
    while match := _OPTION.fullmatch(text):
        text, name, value = match.groups()
        if name not in ("camera", "split"):
            raise InputError(f"{path}: unknown option {name!r}{nearest(name, ('camera', 'split'))}")
        options[name] = value
    names = _listed(options["split"]) if "split" in options else None
    return AsdDataset(Path(text), options.get("camera", FRONT), names)


def _listed(text: str) -> tuple[str, ...]:
    """The sequences that LIST.json:NAME means."""
    file, _, name = text.rpartition(":")
    if not file or not name:
        raise InputError(f"split={text}: expected split=LIST.json:NAME, as in split=amsynthdrive.json:val")
    lists = read_json(Path(file))
    if not isinstance(lists, dict) or name not in lists:
        known = ", ".join(lists) if isinstance(lists, dict) else "none, as it is no object"
        raise InputError(f"{file}: no list {name!r} in it; there is {known}")
    names = lists[name]
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise InputError(f"{file}: {name!r} is no list of names of sequences")
    if twice := [one for n, one in enumerate(names) if one in names[:n]]:
        raise InputError(f"{file}: {name!r} has {twice[0]} twice")
    return tuple(names)


def _folders(root: Path, camera: str) -> tuple[Path, Path]:
    """Where the sequences' images and labels lie: in a folder of the camera, or without one in the early release."""
    images, labels = root / "images", root / "amodal_instance_seg"
    if (images / camera).is_dir():
        return images / camera, labels / camera
    there = sorted(path.name for path in images.iterdir() if path.is_dir()) if images.is_dir() else []
    cameras = [name for name in CAMERAS if name in there]
    if there and not cameras and camera in CAMERAS:
        return images, labels
    known = f"; there is {', '.join(cameras)}" if cameras else ""
    raise InputError(f"{root}: no folder images/{camera} in it{known}; give the folder of a split, as in asd:ROOT/val")


def _numbered(folder: Path, pattern: str, camera: str) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    fitting = re.compile(pattern.format(camera=re.escape(camera)))
    matches = ((fitting.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}
