"""KINS: single images of KITTI's object benchmark with amodal masks; each is a sequence of one frame.

    ROOT/training/image_2/NNNNNN.png   update_train_2020.json or instances_train.json     kins:ROOT/train
    ROOT/testing/image_2/NNNNNN.png    update_test_2020.json or instances_val.json        kins:ROOT/test (or /val)

The JSON lies in ROOT or ROOT/annotations; the 2020 generation is taken where both are there, another by its name:
kins:ROOT/instances_train.json. Images keep their native sizes (375x1242, 370x1224, …). Those of the folder that the
JSON does not list are no part of the data set. Source: facts/datasets_metrics.md 2.2.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from samodal.data.asd_labels import InstanceTruth
from samodal.data.kins_labels import KinsImage, read_kins
from samodal.errors import InputError
from samodal.files import read_image
from samodal.parts import Frame
from samodal.tracks import Clip, Track

FRAMES_PER_SECOND = 10.0
"""Of KITTI's camera; a sequence has one frame of it."""

_TRAINING = ("training", ("update_train_2020.json", "instances_train.json"))
_TESTING = ("testing", ("update_test_2020.json", "instances_val.json"))
SPLITS = {"train": _TRAINING, "test": _TESTING, "val": _TESTING}
"""Folder of the images and names of the annotations, newest first; the older generation calls `test` val."""


class KinsVideo:
    """One image as a `samodal.parts.Video` of one frame; the image and its masks are read when they are asked for.

    Ids are those of the annotations. `number` is the image's place in the sorted data set, from 1.
    """

    fps = FRAMES_PER_SECOND
    length = 1

    def __init__(self, folder: Path, image: KinsImage, number: int = 1):
        self.source = str(folder / image.file_name)
        self.name = Path(image.file_name).stem
        self.number = number
        self.size = image.size
        self.frame_names = (image.file_name,)
        self._image = image

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Frame]:
        yield self.frame(0)

    def frame(self, t: int) -> Frame:
        """The one frame; t is 0.

        Raises:
            InputError: if the image is missing, damaged, or not of the size that the annotations state.
        """
        pixels = read_image(Path(self.source))
        if pixels.shape[:2] != self.size:
            raise InputError(
                f"{self.source}: {pixels.shape[0]}x{pixels.shape[1]} (height x width), but its annotations are for "
                f"{self.size[0]}x{self.size[1]}; give KITTI's images as they were downloaded"
            )
        return Frame(t, 0.0, pixels, self.frame_names[t])

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of the one frame, fully hidden ones included; t is 0.

        Raises:
            InputError: if a mask is damaged or of another size.
        """
        return self._image.instances()

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible of the one frame, as if no amodal masks were there: `amodal` is the visible mask."""
        return self._image.visible_instances()

    @cached_property
    def truth(self) -> Clip:
        """All instances, each a track of one frame."""
        tracks = tuple(
            Track(one.id, one.category, None, (one.visible,), (one.amodal,)) for one in self._image.instances()
        )
        return Clip(self.name, self.size, self.frame_names, tracks)


class KinsDataset:
    """The images of one split, sorted by name; iterating gives a `KinsVideo` each.

    Attributes:
        annotations: the JSON file that was read.
        sequences: names of the images without suffix, sorted.
    """

    def __init__(self, folder: Path, annotations: Path):
        self.annotations = annotations
        images = read_kins(annotations)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; it holds KITTI's images (data_object_image_2.zip)")
        there = {path.name for path in folder.iterdir()}
        missing = [image.file_name for image in images if image.file_name not in there]
        if missing:
            raise InputError(
                f"{folder}: {len(missing)} of the {len(images)} images of {annotations.name} are missing, first "
                f"{missing[0]}; was data_object_image_2.zip unpacked completely?"
            )
        videos = [KinsVideo(folder, image, number) for number, image in enumerate(images, start=1)]
        self._videos = {video.name: video for video in videos}
        self.sequences = tuple(self._videos)
        if len(self._videos) < len(videos):
            raise InputError(f"{annotations}: two images differ in nothing but the suffix of their names")

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[KinsVideo]:
        yield from self._videos.values()

    def video(self, sequence: str) -> KinsVideo:
        """The image of this name.

        Raises:
            InputError: if there is none.
        """
        if sequence not in self._videos:
            begins = ", ".join(self.sequences[:3])
            raise InputError(f"{self.annotations}: no image {sequence!r}; it begins with {begins}")
        return self._videos[sequence]

    def truth(self, sequence: str) -> Clip:
        """All instances of an image."""
        return self.video(sequence).truth

    def frame_truth(self, sequence: str, t: int) -> list[InstanceTruth]:
        """The instances of an image; t is 0."""
        return self.video(sequence).frame_truth(t)


def open_kins(path: Path) -> KinsDataset:
    """The data set of ROOT/train, ROOT/test or ROOT/val, or of an annotation file by its name.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    path = Path(path)
    if path.suffix == ".json":
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        folder = "training" if "train" in path.stem else "testing"
        return KinsDataset(root / folder / "image_2", path)
    if path.name not in SPLITS:
        raise InputError(f"{path}: expected ROOT/train or ROOT/test, where ROOT holds training/image_2 and so on")
    root, (folder, names) = path.parent, SPLITS[path.name]
    candidates = [place / name for name in names for place in (root, root / "annotations")]
    found = next((one for one in candidates if one.is_file()), None)
    if found is None:
        raise InputError(f"{root}: neither {names[0]} nor {names[1]} in it or in its folder annotations")
    return KinsDataset(root / folder / "image_2", found)
