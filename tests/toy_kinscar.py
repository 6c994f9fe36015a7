"""A miniature KINS-car in SAVOS' layout: raw videos, KINS' images among their frames, and PointTrack's pickles."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from samodal.rle import Rle
from toy_kins import annotation_2020, annotation_old, box_polygon, image_entry, write_json

VIDEO = "2011_09_26_drive_0001_sync"
OTHER = "2011_09_28_drive_0002_sync"
SIZES = {VIDEO: (20, 40), OTHER: (18, 38)}
FRAMES = 4
MATCHES = {(VIDEO, 1): 7, (VIDEO, 3): 2, (OTHER, 0): 5}
"""Frames that are images of KINS, and their numbers there."""


def box(size: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def seen_by_pointtrack(video: str, t: int) -> np.ndarray:
    """The visible part of the car in frame t, which moves a pixel a frame."""
    return box(SIZES[video], 4 + t, 5, 10 + t, 12)


def found(video: str) -> dict:
    """What the pickle holds of a video: one car in all frames, and one without any mask."""
    empty = Rle.encode(np.zeros(SIZES[video], bool)).to_coco()
    frames = {}
    for t in range(FRAMES):
        rle = Rle.encode(seen_by_pointtrack(video, t))
        frames[t] = {
            "VM": {"size": list(rle.size), "counts": rle.counts.encode("ascii")},
            "VM_bbox": np.array([5, 12, 4 + t, 10 + t]),
            "loss_mask": empty,
        }
    return {3: frames, 8: {0: {"VM": empty, "VM_bbox": [0, 0, 0, 0], "loss_mask": empty}}}


def pickled() -> dict:
    return {video: found(video) for video in SIZES}


def write_kinscar(root: Path, content: object = None, generation: str = "2020", protocol: int = 4, **changes) -> str:
    """Two videos of four frames, three of them labelled; gives what `open_dataset` takes.

    Args:
        content: of the pickle.
        changes: lists that stand for those of KINS' JSON, `images` and `annotations`.
    """
    rng = np.random.default_rng(5)
    images = root / "Kins" / "training" / "image_2"
    images.mkdir(parents=True)
    for video, size in SIZES.items():
        folder = root / "Kitti" / "raw_video" / video[:10] / video
        folder.mkdir(parents=True)
        for t in range(FRAMES):
            path = folder / f"{t:010d}.png"
            Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(path)
            if (video, t) in MATCHES:
                (images / f"{MATCHES[video, t]:06d}.png").write_bytes(path.read_bytes())
    Image.fromarray(rng.integers(0, 255, (20, 40, 3), np.uint8)).save(images / "000001.png")  # of no video
    entries = [image_entry(1, (20, 40))] + [image_entry(key, SIZES[video]) for (video, _), key in MATCHES.items()]
    entry = annotation_2020 if generation == "2020" else annotation_old
    name = "update_train_2020.json" if generation == "2020" else "instances_train.json"
    labels = []
    for (_, t), key in MATCHES.items():
        car, seen = box_polygon(4 + t, 5, 16 + t, 12), box_polygon(4 + t, 5, 10 + t, 12)
        labels.append(entry(10 * key, key, 4, [car], [seen]))
        labels.append(entry(10 * key + 1, key, 2, [box_polygon(0, 0, 3, 4)], [box_polygon(0, 0, 3, 4)]))
    write_json(root / "Kins" / name, changes.get("images", entries), changes.get("annotations", labels))
    (root / "car_data").mkdir()
    (root / "car_data" / "test_data.pkl").write_bytes(pickle.dumps(content or pickled(), protocol))
    return f"kinscar:{root}/test"
