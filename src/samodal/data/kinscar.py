"""KINS-car, as SAVOS released it: KITTI's raw videos, of which some frames are images of KINS and thereby have truth.

    ROOT/Kitti/raw_video/<date>/<video>/<number>.png
    ROOT/Kins/training/image_2/NNNNNN.png
    ROOT/Kins/update_train_2020.json or instances_train.json (or in Kins/annotations), the first one that is there
    ROOT/car_data/train_data.pkl, val_data.pkl, test_data.pkl

kinscar:ROOT/test takes the videos of test_data.pkl. A frame has truth where its file is, byte for byte (md5), an image
of KINS: the cars of that image, each a track of one frame. All frames keep their native size. The visible masks in the
pickles, PointTrack's, are `KinsCarVideo.found`, for the front end `kinscar`. Source: facts/datasets_metrics.md 2.3.

kinscar:ROOT/test,released-size does as the released code of S-AModal: frames and visible masks are resized to 375x1242,
and evaluation compares what comes of them with truth at native size, where images of any other size than 375x1242 can
never match (facts 1.8, number 13).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from samodal.data.asd_labels import InstanceTruth
from samodal.data.kins_labels import KinsImage, read_kins
from samodal.data.kinscar_labels import Objects, masks_of, read_found
from samodal.errors import InputError
from samodal.files import read_image
from samodal.parts import Frame
from samodal.rle import Rle
from samodal.tracks import Clip, Track

FRAMES_PER_SECOND = 10.0
"""Of KITTI's camera."""

SPLITS = ("train", "val", "test")

RELEASED_SIZE = (375, 1242)
"""(H, W) in pixels to which the released code resizes every image."""

CATEGORY = "car"
"""The one class of KINS that counts."""

NATIVE = "@native"
"""Ends the name of the truth that `released-size` cannot match."""

_OPTION = ",released-size"
_ANNOTATIONS = ("update_train_2020.json", "instances_train.json")


class KinsImages:
    """KINS' annotated images, to be found by what a file holds.

    Only files of equal length are hashed: of 7481 images that leaves those that are the same.

    Args:
        folder: holds the images.
        annotations: the JSON file.
    """

    def __init__(self, folder: Path, annotations: Path):
        self._folder = folder
        self._by_length: dict[int, list[KinsImage]] = {}
        self._digests: dict[str, str] = {}
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; it holds KITTI's images (data_object_image_2.zip)")
        for image in read_kins(annotations):
            path = folder / image.file_name
            if not path.is_file():
                raise InputError(f"{path}: no such image, but {annotations.name} lists it")
            self._by_length.setdefault(path.stat().st_size, []).append(image)

    def same_as(self, path: Path) -> KinsImage | None:
        """The annotated image whose file equals this one byte for byte.

        Raises:
            InputError: if there are two.
        """
        alike = self._by_length.get(path.stat().st_size, ())
        if not alike:
            return None
        digest = _md5(path)
        same = [image for image in alike if self._digest(image) == digest]
        if len(same) > 1:
            raise InputError(f"{self._folder}: {same[0].file_name} and {same[1].file_name} are the same picture")
        return same[0] if same else None

    def _digest(self, image: KinsImage) -> str:
        if image.file_name not in self._digests:
            self._digests[image.file_name] = _md5(self._folder / image.file_name)
        return self._digests[image.file_name]


class KinsCarVideo:
    """One of KITTI's raw videos as a `samodal.parts.Video`; images and masks are read when they are asked for.

    Frame t is the t-th image by number; its time is its number since the first one at 10 frames a second.
    `number` is the video's place in the sorted data set, from 1.

    Args:
        folder: of the images.
        objects: what the pickle holds of this video.
        images: KINS' annotated images.
        released_size: whether frames and visible masks are resized to `RELEASED_SIZE`.
    """

    fps = FRAMES_PER_SECOND

    def __init__(
        self, folder: Path, objects: Objects, images: KinsImages, number: int = 1, released_size: bool = False
    ):
        self.name = folder.name
        self.number = number
        self.source = str(folder)
        self.released_size = released_size
        self._objects, self._kins = objects, images
        paths = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdigit()}
        if not paths:
            raise InputError(f"{folder}: no image named by its number, such as 0000000000.png, in it")
        self._numbers = sorted(paths)
        self._paths = [paths[number] for number in self._numbers]
        self.length = len(paths)

    def __getstate__(self) -> dict:
        """What travels to another process: the labels of this video, not those of all KINS."""
        return vars(self) | {"_labelled": self._labelled, "_kins": None}

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        for t in range(self.length):
            yield self.frame(t)

    @cached_property
    def native_size(self) -> tuple[int, int]:
        """(H, W) of the first image file in pixels."""
        return read_image(self._paths[0]).shape[:2]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame in pixels."""
        return RELEASED_SIZE if self.released_size else self.native_size

    @property
    def frame_names(self) -> tuple[str, ...]:
        """File names of the images."""
        return tuple(path.name for path in self._paths)

    def frame(self, t: int) -> Frame:
        """Frame t with its image.

        Raises:
            InputError: if the image is damaged or not of the video's size.
        """
        image = read_image(self._paths[t])
        if image.shape[:2] != self.native_size:
            raise InputError(
                f"{self._paths[t]}: {image.shape[0]}x{image.shape[1]} (height x width), but the video begins with "
                f"{self.native_size[0]}x{self.native_size[1]}"
            )
        time = (self._numbers[t] - self._numbers[0]) / FRAMES_PER_SECOND
        return Frame(t, time, _resized(image, self.size), self._paths[t].name)

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The cars of frame t, completely hidden ones included.

        Raises:
            InputError: if the frame is not labelled, a mask is damaged, or the labels are of another size than the
                image.
        """
        return self._fitted(self._native_truth(t))

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible of the cars of frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return self._fitted(_cars(self._label(t).visible_instances()))

    @cached_property
    def truth(self) -> Clip:
        """The cars of all labelled frames, in frames of `size`."""
        return self._clip(self.frame_truth, self.size)

    @property
    def native_truth(self) -> Clip:
        """The cars of all labelled frames at native size, whatever `size` is."""
        return self._clip(self._native_truth, self.native_size)

    @cached_property
    def found(self) -> Clip:
        """PointTrack's visible masks as tracks of visible columns, in frames of `size`.

        Raises:
            InputError: if a mask is damaged, of another size than the images, or of a frame that is not there.
        """
        tracks = []
        for key, masks in masks_of(self._objects, self.native_size, self.name).items():
            for number in masks.keys() - set(self._numbers):
                raise InputError(f"{self.source}: no image {number:010d}.png, but object {key} has a mask in it")
            column = tuple(_resized_mask(masks.get(number), self.size) for number in self._numbers)
            if any(column):
                tracks.append(Track(key, CATEGORY, None, column, (None,) * self.length))
        return Clip(self.name, self.size, self.frame_names, tuple(tracks))

    @cached_property
    def _labelled(self) -> dict[int, KinsImage]:
        """The image of KINS that a frame is, by t."""
        pairs = ((t, self._kins.same_as(path)) for t, path in enumerate(self._paths))
        return {t: image for t, image in pairs if image is not None}

    def _label(self, t: int) -> KinsImage:
        """What KINS says of frame t."""
        if t not in self._labelled:
            raise InputError(
                f"{self._paths[t]}: no image of KINS, so without labels; to learn from KINS give kins:ROOT/train"
            )
        image = self._labelled[t]
        if image.size != self.native_size:
            raise InputError(
                f"{self._paths[t]}: {self.native_size[0]}x{self.native_size[1]} (height x width), but its annotations "
                f"({image.file_name}) are for {image.size[0]}x{image.size[1]}"
            )
        return image

    def _native_truth(self, t: int) -> list[InstanceTruth]:
        return _cars(self._label(t).instances())

    def _fitted(self, instances: list[InstanceTruth]) -> list[InstanceTruth]:
        """The instances in frames of `size`; those that vanish are left out."""
        if not self.released_size:
            return instances
        masks = [(one, *(_resized_mask(m, self.size) for m in (one.amodal, one.visible))) for one in instances]
        return [replace(one, amodal=amodal, visible=seen) for one, amodal, seen in masks if amodal is not None]

    def _clip(self, read: Callable[[int], list[InstanceTruth]], size: tuple[int, int]) -> Clip:
        labelled = tuple(sorted(self._labelled))
        tracks = [self._track(one, t) for t in labelled for one in read(t)]
        return Clip(self.name, size, self.frame_names, tuple(tracks), labelled=labelled, linked=False)

    def _track(self, one: InstanceTruth, t: int) -> Track:
        """An instance of frame t alone: KINS does not say which cars of two images are the same."""
        before, after = (None,) * t, (None,) * (self.length - t - 1)
        return Track(one.id, one.category, None, (*before, one.visible, *after), (*before, one.amodal, *after))


class KinsCarDataset:
    """The videos of one split, sorted by name; iterating gives a `KinsCarVideo` each.

    Attributes:
        sequences: names, sorted.
        released_size: see the module.
    """

    def __init__(self, root: Path, split: str, released_size: bool = False):
        self._root, self.released_size = root, released_size
        pickled = root / "car_data" / f"{split}_data.pkl"
        found = read_found(pickled)
        raw = root / "Kitti" / "raw_video"
        folders = {path.name: path for path in raw.glob("*/*") if path.is_dir()}
        for name in found:
            if name not in folders:
                raise InputError(f"{raw}: no video {name} in any date's folder, but {pickled} lists it")
        places = [place / name for name in _ANNOTATIONS for place in (root / "Kins", root / "Kins" / "annotations")]
        annotations = next((path for path in places if path.is_file()), None)
        if annotations is None:
            raise InputError(f"{root / 'Kins'}: neither {_ANNOTATIONS[0]} nor {_ANNOTATIONS[1]} in it")
        images = KinsImages(root / "Kins" / "training" / "image_2", annotations)
        self._videos = {
            name: KinsCarVideo(folders[name], objects, images, number, released_size)
            for number, (name, objects) in enumerate(found.items(), start=1)
        }
        self.sequences = tuple(self._videos)

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[KinsCarVideo]:
        yield from self._videos.values()

    def video(self, sequence: str) -> KinsCarVideo:
        """The video of this name.

        Raises:
            InputError: if there is none.
        """
        if sequence not in self._videos:
            raise InputError(f"{self._root}: no video {sequence!r}; it begins with {', '.join(self.sequences[:3])}")
        return self._videos[sequence]

    def truth(self, sequence: str) -> Clip:
        """The cars of a video's labelled frames, as the video itself has them."""
        return self.video(sequence).truth

    def judged(self, sequence: str) -> dict[str, Clip]:
        """The truth that results of a video are scored against, by name of the clip.

        With `released_size`, truth of another native size stands in a clip of its own, which no result is of: all of it
        is missed, and all results are false, as in the released evaluation, where masks of unequal size never match.
        """
        video = self.video(sequence)
        if not self.released_size or video.native_size == RELEASED_SIZE:
            return {sequence: video.truth}
        native = video.native_truth
        apart = replace(native, name=sequence + NATIVE)
        return {sequence: replace(native, size=RELEASED_SIZE, tracks=()), apart.name: apart}


def open_kinscar(path: Path) -> KinsCarDataset:
    """The data set of ROOT/train, ROOT/val or ROOT/test, with ",released-size" behind it or not.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    text = str(path)
    plain = Path(text.removesuffix(_OPTION))
    if plain.name not in SPLITS:
        raise InputError(
            f"{text}: expected ROOT/train, ROOT/val or ROOT/test, with ,released-size behind it or not, where ROOT "
            "holds Kitti/raw_video, Kins and car_data"
        )
    return KinsCarDataset(plain.parent, plain.name, text.endswith(_OPTION))


def _cars(instances: list[InstanceTruth]) -> list[InstanceTruth]:
    return [one for one in instances if one.category == CATEGORY]


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _resized_mask(mask: Rle | None, size: tuple[int, int]) -> Rle | None:
    """By the nearest pixel; None where none is left."""
    from PIL import Image

    if mask is None or mask.size == size:
        return mask
    small = Image.fromarray(mask.decode().astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    found = Rle.encode(np.asarray(small))
    return found if found.area else None
