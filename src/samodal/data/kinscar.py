"""KINS-car, as SAVOS released it: KITTI's raw videos, of which some frames are images of KINS and thereby have truth.

    ROOT/Kitti/raw_video/<date>/<video>/<number>.png
    ROOT/Kins/training/image_2/NNNNNN.png
    ROOT/Kins/update_train_2020.json or instances_train.json (or in Kins/annotations), the first one that is there
    ROOT/car_data/train_data.pkl, val_data.pkl, test_data.pkl
        {video: {object: {t: {"VM": run lengths, "VM_bbox": […], "loss_mask": run lengths}}}}

kinscar:ROOT/test takes the videos of test_data.pkl. A frame has truth where its file is, byte for byte (md5), an image
of KINS: the cars of that image, each a track of one frame. All frames keep their native size. The visible masks in the
pickles (`VM`, of frame number t) are PointTrack's: `KinsCarVideo.detections`, for the front end `kinscar`. `loss_mask`,
the union of the others' visible masks, follows from them and is not read. Source: SAVOS' KINS_Video_Car.zip, and
`SAM/datasets/kins_car.py` of S-AModal (commit 7e70a11).

kinscar:ROOT/test,released-size does as that code: frames and visible masks are resized to 375x1242, and evaluation
compares what comes of them with truth at native size, where images of any other size than 375x1242 can never match.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.data.kins import KinsImage, KinsImages
from samodal.data.pickles import read_pickle
from samodal.errors import InputError, shown
from samodal.files import field, read_mask
from samodal.parts import Frame
from samodal.pictures import image_size
from samodal.results.fields import numbered
from samodal.rle import Rle
from samodal.tracks import Clip, Track

Objects = dict[int, dict[int, dict]]
"""Run lengths as a pickle has them, by object and number of the frame."""

SPLITS = ("train", "val", "test")

RELEASED_SIZE = (375, 1242)
"""(H, W) in pixels to which the released code resizes every image."""

CATEGORY = "car"
"""The one class of KINS that counts."""

NATIVE = "@native"
"""Ends the name of the truth that `released-size` cannot match."""

_OPTION = ",released-size"
_ANNOTATIONS = ("update_train_2020.json", "instances_train.json")


class KinsCarVideo(LabelledVideo):
    """One of KITTI's raw videos: frame t is the t-th image by number.

    Args:
        folder: of the images.
        objects: what the pickle holds of this video.
        images: KINS' annotated images.
        released_size: whether frames and visible masks are resized to `RELEASED_SIZE`.
    """

    def __init__(
        self, folder: Path, objects: Objects, images: KinsImages, number: int = 1, released_size: bool = False
    ):
        self.name, self.number, self.source = folder.name, number, str(folder)
        self.released_size = released_size
        self._objects, self._kins = objects, images
        paths = numbered(folder)
        if not paths:
            raise InputError(f"{folder}: no image named by its number, such as 0000000000.png, in it")
        self.numbers, self.paths = tuple(paths), tuple(paths.values())

    def __getstate__(self) -> dict:
        """What travels to another process: the labels of this video, not those of all KINS."""
        return vars(self) | {"_labelled": self._labelled, "_kins": None}

    @cached_property
    def native_size(self) -> tuple[int, int]:
        """(H, W) of the first image file in pixels."""
        return image_size(self.paths[0])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame in pixels."""
        return RELEASED_SIZE if self.released_size else self.native_size

    def frame(self, t: int) -> Frame:
        """Frame t with its image, resized to `size`."""
        frame = super().frame(t)
        return replace(frame, image=_resized(frame.image, self.size))

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
        return self._cars(self.frame_truth, self.size)

    @property
    def native_truth(self) -> Clip:
        """The cars of all labelled frames at native size, whatever `size` is."""
        return self._cars(self._native_truth, self.native_size)

    @cached_property
    def detections(self) -> Clip:
        """PointTrack's visible masks as tracks of visible columns, in frames of `size`.

        Raises:
            InputError: if a mask is damaged, of another size than the images, or of a frame that is not there.
        """
        tracks = []
        for key, masks in masks_of(self._objects, self.native_size, self.name).items():
            for number in masks.keys() - set(self.numbers):
                raise InputError(f"{self.source}: no image {number:010d}.png, but object {key} has a mask in it")
            column = tuple(_resized_mask(masks.get(number), self.size) for number in self.numbers)
            if any(column):
                tracks.append(Track(key, CATEGORY, None, column, (None,) * self.length))
        return Clip(self.name, self.size, self.frame_names, tuple(tracks))

    @cached_property
    def _labelled(self) -> dict[int, KinsImage]:
        """The image of KINS that a frame is, by t."""
        pairs = ((t, self._kins.same_as(path)) for t, path in enumerate(self.paths))
        return {t: image for t, image in pairs if image is not None}

    def _label(self, t: int) -> KinsImage:
        """What KINS says of frame t."""
        if t not in self._labelled:
            raise InputError(
                f"{self.paths[t]}: no image of KINS, so without labels; to learn from KINS give kins:ROOT/train"
            )
        image = self._labelled[t]
        if image.size != self.native_size:
            raise InputError(
                f"{self.paths[t]}: {self.native_size[0]}x{self.native_size[1]} (height x width), but its annotations "
                f"({image.file_name}) are for {image.size[0]}x{image.size[1]}"
            )
        return image

    def _native_truth(self, t: int) -> list[InstanceTruth]:
        return _cars(self._label(t).instances())

    def _fitted(self, instances: list[InstanceTruth]) -> list[InstanceTruth]:
        """The instances in frames of `size`; those that vanish are left out."""
        if not self.released_size:
            return instances
        resized = [
            replace(car, amodal=_resized_mask(car.amodal, self.size), visible=_resized_mask(car.visible, self.size))
            for car in instances
        ]
        return [car for car in resized if car.amodal is not None]

    def _cars(self, read: Callable[[int], list[InstanceTruth]], size: tuple[int, int]) -> Clip:
        labelled = tuple(sorted(self._labelled))
        tracks = [self._track(car, t) for t in labelled for car in read(t)]
        return Clip(self.name, size, self.frame_names, tuple(tracks), labelled=labelled, linked=False)

    def _track(self, car: InstanceTruth, t: int) -> Track:
        """A car of frame t alone: KINS does not say which cars of two images are the same."""
        before, after = (None,) * t, (None,) * (self.length - t - 1)
        return Track(car.id, car.category, None, (*before, car.visible, *after), (*before, car.amodal, *after))


class KinsCarDataset(Dataset):
    """The videos of one split, sorted by name.

    Args:
        root, split, released_size: see the module.
    """

    noun = "video"

    def __init__(self, root: Path, split: str, released_size: bool = False):
        self.released_size = released_size
        pickled = root / "car_data" / f"{split}_data.pkl"
        objects = read_objects(pickled)
        raw = root / "Kitti" / "raw_video"
        folders = {path.name: path for path in raw.glob("*/*") if path.is_dir()}
        for name in objects:
            if name not in folders:
                raise InputError(f"{raw}: no video {name[:100]} in any date's folder, but {pickled} lists it")
        places = [place / name for name in _ANNOTATIONS for place in (root / "Kins", root / "Kins" / "annotations")]
        annotations = next((path for path in places if path.is_file()), None)
        if annotations is None:
            raise InputError(f"{root / 'Kins'}: neither {_ANNOTATIONS[0]} nor {_ANNOTATIONS[1]} in it")
        images = KinsImages(root / "Kins" / "training" / "image_2", annotations)
        videos = {
            name: KinsCarVideo(folders[name], objects[name], images, number, released_size)
            for number, name in enumerate(objects, start=1)
        }
        for video in videos.values():
            video.label_places = (pickled, annotations)
        super().__init__(root, videos, videos.__getitem__)

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
    return [instance for instance in instances if instance.category == CATEGORY]


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
    resized = Rle.encode(np.asarray(small))
    return resized if resized.area else None


def read_objects(path: Path) -> dict[str, Objects]:
    """What a pickle holds, by name of the video, sorted; masks are drawn by `masks_of`.

    Raises:
        InputError: if it is missing, cut off, of another form, or holds more than plain data.
    """
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected SAVOS' {{video: {{object: {{t: {{'VM': …}}}}}}}}, got {shown(content)}")
    videos: dict[str, Objects] = {}
    for entry in sorted(content, key=str):
        name = PurePosixPath(str(entry)).name  # some list videos as date/video
        if name in videos or not name:
            raise InputError(f"{path}: video {shown(entry)} is there twice, or has no name")
        objects = _numbered(content[entry], f"{path}: {name}", "object")
        videos[name] = {key: _frames(frames, f"{path}: {name}, object {key}") for key, frames in objects.items()}
    return videos


def masks_of(objects: Objects, size: tuple[int, int], where: str) -> dict[int, dict[int, Rle]]:
    """{object: {t: mask}} of a video whose frames are of size (H, W); masks without a pixel are left out.

    Raises:
        InputError: if a mask is damaged or of another size.
    """
    drawn = {}
    for key, frames in objects.items():
        masks = {t: read_mask(value, size, f"{where}, object {key}, t {t}") for t, value in frames.items()}
        drawn[key] = {t: mask for t, mask in masks.items() if mask is not None}
    return drawn


def _frames(content: Any, where: str) -> dict[int, dict]:
    frames = {}
    for t, entry in _numbered(content, where, "frame").items():
        value = field(entry, "VM", f"{where}, t {t}")
        size = value.get("size") if isinstance(value, dict) else None
        if not isinstance(size, list | tuple) or "counts" not in value:
            raise InputError(f"{where}, t {t}: expected run lengths (size, counts) in VM, got {shown(value)}")
        frames[t] = {"size": list(size), "counts": value["counts"]}
    return frames


def _numbered(content: Any, where: str, what: str) -> dict[int, Any]:
    """A dict by whole numbers, which some write as text."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a dict by {what}, got {shown(content)}")
    numbered = {}
    for key, value in content.items():
        if isinstance(key, bool) or not str(key).isdecimal() or len(str(key)) > 18:
            raise InputError(f"{where}: {what} {shown(key)} is no number")
        if int(key) in numbered:
            raise InputError(f"{where}: {what} {int(key)} is there twice")
        numbered[int(key)] = value
    return numbered
