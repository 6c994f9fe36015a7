"""AmodalSynthDrive's frame files: an id map of the visible pixels and run lengths of what is occluded.

Source: facts/datasets_metrics.md 2.1, after the loader of S-AModal (7e70a11). A frame is a JSON object keyed
by a string id, `{track_id, category_id, occluded, amodal_mask, occlusion_mask, iscrowd}`, and a
single-channel PNG whose pixels hold that id. The two masks are there only for occluded instances;
of the others the PNG has every pixel.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.files import field, read_json, read_map, read_mask
from samodal.rle import Rle, difference, masks_of_ids

CATEGORIES = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
CATEGORY_IDS = {name: number for number, name in CATEGORIES.items()}

# Published annotations with ids of static classes: a truck as 21 (20230702032750_SoftRainSunset, frame 22)
# and a car as 11 (20230706030929_WetCloudyNoon, frame 71). No road user has either id: both are always mended.
_WRONG_IDS = {21: 27, 11: 26}

_LARGEST_ID = 65535

FRONT = "front"
"""The camera that is read and written unless another is named."""


@dataclass(frozen=True, eq=False)
class InstanceTruth:
    """What is known of one instance in one frame.

    Attributes:
        id: stable within the sequence.
        category: class name, one of `CATEGORIES`.
        amodal: the whole object's pixels inside the image; not empty.
        visible: the part that is not occluded, None where it is hidden completely.
        depth_order: 0 for the nearest; None where the data set does not say. Not part of AmodalSynthDrive.
    """

    id: int
    category: str
    amodal: Rle
    visible: Rle | None
    depth_order: int | None = None


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
    for one in instances:
        if not 0 < one.id <= _LARGEST_ID or str(one.id) in entries:
            raise ValueError(f"frame {t}: id {one.id} is outside [1, {_LARGEST_ID}] or there twice")
        entries[str(one.id)] = _entry(one, t, ids)
    _save_map(folder / f"{frame_stem(t)}_aminseg.png", ids)
    path = folder / f"{frame_stem(t)}_aminseg.json"
    path.write_text(json.dumps(entries, separators=(",", ":")), encoding="utf-8")


def _entry(one: InstanceTruth, t: int, ids: np.ndarray) -> dict:
    """The JSON object of an instance; draws its visible pixels into the id map."""
    visible = one.visible.decode() if one.visible is not None else np.zeros(ids.shape, bool)
    hidden = one.amodal.decode()
    if (visible & ~hidden).any() or (ids[visible] != 0).any():
        raise ValueError(f"frame {t}: visible pixels of {one.id} lie outside its amodal mask or on another instance")
    hidden &= ~visible
    ids[visible] = one.id
    x0, y0, x1, y1 = one.amodal.box
    entry = {
        "track_id": one.id,
        "category_id": CATEGORY_IDS[one.category],
        "occluded": bool(hidden.any()),
        "iscrowd": 0,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }
    if one.depth_order is not None:
        entry["depth_order"] = one.depth_order
    if entry["occluded"]:
        entry["amodal_mask"] = one.amodal.to_coco()
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
    instances = [one for one in instances if one is not None]
    seen = set()
    for one in instances:
        if one.id in seen:
            raise InputError(f"{path}: two instances have the track_id {one.id}")
        seen.add(one.id)
    return instances


def _instance(entry: dict, key: int, drawn: dict[int, Rle], size: tuple[int, int], path: Path) -> InstanceTruth | None:
    where = f"{path}: instance {key}"
    track_id, category = _identity(entry, where)
    if entry.get("iscrowd"):
        return None
    if entry.get("occluded"):
        amodal = read_mask(field(entry, "amodal_mask", where), size, where)
        hidden = read_mask(entry.get("occlusion_mask"), size, where)
        # And-not: the released subtraction in uint8 wraps where the occlusion mask leaves the amodal one.
        visible = difference(amodal, hidden) if amodal is not None else None
    else:
        amodal = visible = drawn.get(key)
    if amodal is None:
        return None
    return InstanceTruth(track_id, category, amodal, visible, entry.get("depth_order"))


def _visible_instance(
    entry: dict, key: int, drawn: dict[int, Rle], size: tuple[int, int], path: Path
) -> InstanceTruth | None:
    track_id, category = _identity(entry, f"{path}: instance {key}")
    visible = None if entry.get("iscrowd") else drawn.get(key)
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
        raise InputError(f"{where} {str(value)[:60]!r} is no whole number") from None
