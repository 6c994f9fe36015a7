"""AmodalSynthDrive, and StreetSim which is written in the same layout.

    <root>/images/front/<sequence>/front_full_%04d_rgb.jpg (or .png)
    <root>/amodal_instance_seg/front/<sequence>/front_full_%04d_aminseg.json and .png

An early release has no folder for the camera: <root>/images/<sequence>/front_full_%04d_rgb.jpg beside those of other
cameras. <root> is one split, as in asd:ROOT/val; asd:ROOT,split=LIST.json:val takes the sequences that a JSON object
lists under "val", and asd:ROOT/val,camera=back another camera.

A label is a JSON object keyed by a string id, `{track_id, category_id, occluded, amodal_mask, occlusion_mask,
iscrowd}`, and a single-channel PNG whose pixels hold that id. The two masks are there only for occluded instances; of
the others the PNG has every pixel.

Source: public loaders of the data set, among them that of S-AModal (commit 7e70a11).
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from samodal.categories import CATEGORIES, CATEGORY_IDS
from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.errors import InputError, nearest, shown
from samodal.files import field, read_json, read_mask
from samodal.pictures import image_size, read_map
from samodal.results.fields import FrameNumber, is_crowd, value_of
from samodal.rle import Rle, difference, masks_of_ids
from samodal.tracks import Clip

CAMERAS = ("front", "back", "left", "right", "bev")
"""Names of the published cameras; the bird's eye (bev) has no amodal labels."""

FRONT = "front"
"""The camera that is read and written unless another is named."""

_IMAGE = r"{camera}_full_(\d+)_rgb\.(jpg|jpeg|png)"
_LABEL = r"{camera}_full_(\d+)_aminseg\.json"
_OPTION = re.compile(r"(.*),(\w+)=([^,]*)")
_LARGEST_ID = 65535

# Published annotations with ids of static classes: a truck as 21 (20230702032750_SoftRainSunset, frame 22)
# and a car as 11 (20230706030929_WetCloudyNoon, frame 71). No road user has either id: both are always mended.
_WRONG_IDS = {21: 27, 11: 26}


class AsdVideo(LabelledVideo):
    """One sequence of a split: frame t is the t-th image by number.

    Args:
        images, labels: folders of the sequence.
        camera: that the file names begin with.
    """

    def __init__(self, images: Path, labels: Path, number: int = 1, camera: str = FRONT):
        self.name, self.number, self.source = images.name, number, str(images)
        self._labels, self._camera, self.label_places = labels, camera, (labels,)
        files = _numbered(images, _IMAGE, camera)
        if not files:
            raise InputError(f"{self.source}: no image {camera}_full_NNNN_rgb.jpg in it")
        self.numbers = tuple(sorted(files))
        self.paths = tuple(files[number] for number in self.numbers)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first image in pixels."""
        return image_size(self.paths[0])

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """The instances of frame t, completely hidden ones included."""
        return read_frame(self._labels, self.numbers[t], self.size, self._camera)

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        return read_visible_frame(self._labels, self.numbers[t], self.size, self._camera)

    def crowds(self, t: int) -> int:
        """How many entries of frame t are marked as crowds and left out."""
        path = self._labels / f"{frame_stem(self.numbers[t], self._camera)}_aminseg.json"
        return sum(is_crowd(entry, f"{path}: instance {key}") for key, entry in read_json(path).items())

    @cached_property
    def truth(self) -> Clip | None:
        """All tracks, None where the sequence has no truth at all (a test split); read once.

        Raises:
            InputError: if a label file has no image, a label is damaged, or a track changes its class.
        """
        labels = _numbered(self._labels, _LABEL, self._camera)
        for number in sorted(labels.keys() - set(self.numbers)):
            raise InputError(f"{self.source}: no image {frame_stem(number, self._camera)}_rgb.jpg for {labels[number]}")
        return self._clip(t for t, number in enumerate(self.numbers) if number in labels) if labels else None


class AsdDataset(Dataset):
    """The sequences of one split, sorted by name, which is also how the released code numbers videos.

    Args:
        root: folder of the split.
        camera: whose images are read.
        names: of the sequences that count; None for all.
    """

    def __init__(self, root: Path, camera: str = FRONT, names: tuple[str, ...] | None = None):
        self.root = root
        images, labels = _folders(root, camera)
        there = sorted(path.name for path in images.iterdir() if path.is_dir())
        if not there:
            raise InputError(f"{images}: no sequence in it")
        sequences = there if names is None else sorted(names)
        if missing := [name for name in sequences if name not in there]:
            raise InputError(
                f"{images}: {len(missing)} of the {len(sequences)} sequences of the split are not in it, "
                f"first {missing[0]}"
            )

        @cache
        def find(name: str) -> AsdVideo:
            return AsdVideo(images / name, labels / name, 1 + sequences.index(name), camera)

        super().__init__(root, sequences, find)


def open_asd(path: Path, kind: type[AsdDataset] = AsdDataset) -> AsdDataset:
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
    return kind(Path(text), options.get("camera", FRONT), names)


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
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{file}: {name!r} is no list of names of sequences")
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
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
    names = [(match[1], path) for match, path in matches if match]
    return {value_of({"number": int(text)}, "number", FrameNumber, str(path)): path for text, path in names}


def frame_stem(number: int, camera: str = FRONT) -> str:
    """How the files of a frame begin: front_full_0007."""
    return f"{camera}_full_{number:04d}"


def write_frame(folder: Path, t: int, instances: Iterable[InstanceTruth], size: tuple[int, int]) -> None:
    """Write `front_full_%04d_aminseg.json` and `.png` in AmodalSynthDrive's encoding.

    Args:
        folder: created where it is missing.
        t: the number in the file names.
        instances: with ids in [1, 65535]; visible masks do not overlap and lie within the amodal ones.
        size: (H, W) of the frame.

    Raises:
        ValueError: if an instance breaks these rules, as such a file could not be read back.

    `bbox` ([x, y, w, h] of the amodal mask) and `depth_order` are additions that other readers ignore.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.zeros(size, np.uint16)
    entries = {}
    for instance in instances:
        if not 0 < instance.id <= _LARGEST_ID or str(instance.id) in entries:
            raise ValueError(f"frame {t}: id {instance.id} is outside [1, {_LARGEST_ID}] or there twice")
        entries[str(instance.id)] = _entry(instance, t, ids)
    _save_map(folder / f"{frame_stem(t)}_aminseg.png", ids)
    path = folder / f"{frame_stem(t)}_aminseg.json"
    path.write_text(json.dumps(entries, separators=(",", ":")), encoding="utf-8")


def _entry(instance: InstanceTruth, t: int, ids: np.ndarray) -> dict:
    """The JSON object of an instance; draws its visible pixels into the id map."""
    visible = instance.visible.decode() if instance.visible is not None else np.zeros(ids.shape, bool)
    hidden = instance.amodal.decode()
    if (visible & ~hidden).any() or (ids[visible] != 0).any():
        raise ValueError(
            f"frame {t}: visible pixels of {instance.id} lie outside its amodal mask or on another instance"
        )
    hidden &= ~visible
    ids[visible] = instance.id
    x0, y0, x1, y1 = instance.amodal.box
    entry = {
        "track_id": instance.id,
        "category_id": CATEGORY_IDS[instance.category],
        "occluded": bool(hidden.any()),
        "iscrowd": 0,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }
    if instance.depth_order is not None:
        entry["depth_order"] = instance.depth_order
    if entry["occluded"]:
        entry["amodal_mask"] = instance.amodal.to_coco()
        entry["occlusion_mask"] = Rle.encode(hidden).to_coco()
    return entry


def _save_map(path: Path, ids: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(ids).save(path)


def read_frame(folder: Path, t: int, size: tuple[int, int] | None = None, camera: str = FRONT) -> list[InstanceTruth]:
    """The instances of a frame in the file's order; those without any amodal pixel are left out.

    The visible mask is amodal and not occlusion, or for an instance that is not occluded the PNG's pixels
    with its id. Annotations marked `iscrowd` are no instances and are left out.

    Args:
        folder: holds `front_full_%04d_aminseg.json` and `.png`.
        t: the number in the file names.
        size: (H, W) that the frame must have; None takes the PNG's.
        camera: that the file names begin with.

    Raises:
        InputError: if a file is missing or cut off, a mask has another size, a class is unknown, or an id is
            there twice.
    """
    return _read(folder, t, size, camera, _instance)


def read_visible_frame(
    folder: Path, t: int, size: tuple[int, int] | None = None, camera: str = FRONT
) -> list[InstanceTruth]:
    """The instances of a frame from the PNG alone, as if nothing were known of what is hidden: amodal is visible.

    Of the JSON only ids and classes are read, so that its masks may be missing or wrong. Instances without a pixel in
    the PNG are left out.

    Args:
        folder, t, size, camera: as for `read_frame`.

    Raises:
        InputError: as `read_frame`, but not for masks.
    """
    return _read(folder, t, size, camera, _visible_instance)


def _read(folder: Path, t: int, size: tuple[int, int] | None, camera: str, read: Callable) -> list[InstanceTruth]:
    """The instances of a frame, each made by `read` from its entry and the id map."""
    path = Path(folder) / f"{frame_stem(t, camera)}_aminseg.json"
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object keyed by instance id, found a {type(content).__name__}")
    ids = read_map(path.with_suffix(".png"))
    if size is not None and ids.shape != tuple(size):
        raise InputError(
            f"{path.with_suffix('.png')}: expected {size[0]}x{size[1]} (height x width) as the image, "
            f"found {ids.shape[0]}x{ids.shape[1]}"
        )
    drawn = masks_of_ids(ids)
    instances = [read(entry, _whole(key, f"{path}: key"), drawn, ids.shape, path) for key, entry in content.items()]
    instances = [instance for instance in instances if instance is not None]
    track_ids = set()
    for instance in instances:
        if instance.id in track_ids:
            raise InputError(f"{path}: two instances have the track_id {instance.id}")
        track_ids.add(instance.id)
    return instances


def _instance(entry: dict, key: int, drawn: dict[int, Rle], size: tuple[int, int], path: Path) -> InstanceTruth | None:
    where = f"{path}: instance {key}"
    track_id, category = _identity(entry, where)
    if is_crowd(entry, where):
        return None
    if value_of(entry, "occluded", bool | int | None, where, None):
        amodal = read_mask(field(entry, "amodal_mask", where), size, where)
        hidden = read_mask(entry.get("occlusion_mask"), size, where)
        # And-not: the released subtraction in uint8 wraps where the occlusion mask leaves the amodal one.
        visible = difference(amodal, hidden) if amodal is not None else None
    else:
        amodal = visible = drawn.get(key)
    if amodal is None:
        return None
    return InstanceTruth(track_id, category, amodal, visible, value_of(entry, "depth_order", int | None, where, None))


def _visible_instance(
    entry: dict, key: int, drawn: dict[int, Rle], size: tuple[int, int], path: Path
) -> InstanceTruth | None:
    track_id, category = _identity(entry, f"{path}: instance {key}")
    visible = None if is_crowd(entry, f"{path}: instance {key}") else drawn.get(key)
    return None if visible is None else InstanceTruth(track_id, category, visible, visible)


def _identity(entry: dict, where: str) -> tuple[int, str]:
    """Track id and class name of an entry."""
    track_id = _whole(field(entry, "track_id", where), f"{where}: track_id")
    number = _whole(field(entry, "category_id", where), f"{where}: category_id")
    number = _WRONG_IDS.get(number, number)
    if number not in CATEGORIES:
        raise InputError(f"{where}: unknown category_id {number}, expected one of {sorted(CATEGORIES)}")
    return track_id, CATEGORIES[number]


def _whole(value: Any, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where} {shown(value)} is no whole number") from None
