"""A miniature KINS in exactly the published layout: KITTI's folders, and annotations of either generation."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from samodal.rle import Rle
from toy_data import scene

FILES = {
    "2020": ("update_train_2020.json", "update_test_2020.json"),
    "old": ("instances_train.json", "instances_val.json"),
}
CATEGORIES = [
    {"supercategory": "Living Thing", "id": 1, "name": "cyclist"},
    {"supercategory": "Living Thing", "id": 2, "name": "pedestrian"},
    {"supercategory": "vehicles", "id": 4, "name": "car"},
    {"supercategory": "vehicles", "id": 5, "name": "tram"},
    {"supercategory": "vehicles", "id": 6, "name": "truck"},
    {"supercategory": "vehicles", "id": 7, "name": "van"},
    {"supercategory": "vehicles", "id": 8, "name": "misc"},
]


def box_polygon(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """The corners of the pixels [x0, x1) x [y0, y1)."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def annotation_2020(key: int, image: int, category: int, amodal, visible, order: int = 0, **more) -> dict:
    """An annotation as update_*_2020.json has them."""
    return {
        "id": key, "image_id": image, "category_id": category, "iscrowd": 0, "oco_id": 1, "ico_id": order,
        "a_segm": amodal, "i_segm": visible, "a_bbox": [0, 0, 1, 1], "i_bbox": [0, 0, 1, 1], "a_area": 1, "i_area": 1,
    } | more  # fmt: skip


def annotation_old(key: int, image: int, category: int, amodal, visible, **more) -> dict:
    """An annotation as instances_*.json has them."""
    return {
        "id": key, "image_id": image, "category_id": category, "iscrowd": 0, "segmentation": amodal,
        "inmodal_seg": visible, "bbox": [0, 0, 1, 1], "inmodal_bbox": [0, 0, 1, 1], "area": 1,
    } | more  # fmt: skip


def image_entry(key: int, size: tuple[int, int]) -> dict:
    return {"id": key, "file_name": f"{key:06d}.png", "height": size[0], "width": size[1]}


def write_json(path: Path, images: list[dict], annotations: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))


def write_kins(
    root: Path,
    images: int,
    seed: int,
    generation: str = "2020",
    sizes: tuple[tuple[int, int], ...] = ((96, 318), (94, 306)),
) -> str:
    """Write both splits with `images` pictures of three shapes each; gives ROOT/train as `open_dataset` takes it."""
    rng = np.random.default_rng(seed)
    for folder, file in zip(("training", "testing"), FILES[generation], strict=True):
        (root / folder / "image_2").mkdir(parents=True)
        entries, annotations = [], []
        for number in range(images):
            size = sizes[number % len(sizes)]
            picture, instances = scene(rng, size)
            Image.fromarray(picture).save(root / folder / "image_2" / f"{number:06d}.png")
            entries.append(image_entry(number, size))
            for place, one in enumerate(instances):
                key, category = len(annotations) + 1, 4 if one.category == "car" else 2
                seen = one.visible or Rle.encode(np.zeros(size, bool))
                masks = one.amodal.to_coco(), seen.to_coco()
                if generation == "2020":
                    annotations.append(annotation_2020(key, number, category, *masks, order=2 - place))
                else:
                    annotations.append(annotation_old(key, number, category, *masks))
        write_json(root / file, entries, annotations)
    return f"kins:{root}/train"
