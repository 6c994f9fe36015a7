"""COCOA: published annotations where they are at hand, and a miniature of the published layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError

REAL = Path(__file__).parents[2] / "shared/real/cocoa"
SIZE = (20, 30)
NAME = "COCO_val2014_000000000009"
CUP = {
    "segmentation": [0, 0, 10, 0, 10, 10, 0, 10],
    "name": "Espresso  cup ",
    "isStuff": 0,
    "occlude_rate": 0.4,
    "order": 2,
    "visible_mask": {"size": list(SIZE), "counts": [0, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 490]},
}
TABLE = {
    "segmentation": {"size": list(SIZE), "counts": [100, 200, 300]},
    "name": "table", "isStuff": 1, "occlude_rate": 0, "order": 1,
}  # fmt: skip


@pytest.fixture
def content():
    return {
        "images": [{"id": 9, "file_name": f"{NAME}.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [{"id": 1, "image_id": 9, "regions": [dict(TABLE), dict(CUP)], "size": 2}],
    }


def write(root: Path, content: dict) -> str:
    (root / "images").mkdir(exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / "images" / f"{NAME}.jpg")
    (root / "labels.json").write_text(json.dumps(content))
    return f"cocoa:{root}/labels.json,{root}/images"


def test_a_miniature_is_read(tmp_path, content):
    dataset = open_dataset(write(tmp_path, content))
    assert dataset.sequences == (NAME,) and dataset.video(NAME).size == SIZE
    table, cup = dataset.video(NAME).frame_truth(0)
    assert (table.id, table.category, table.depth_order, table.amodal.area) == (1, "table", 0, 200)
    assert table.visible.area == 200
    assert (cup.id, cup.category, cup.depth_order, cup.amodal.area) == (2, "espresso cup", 1, 100)
    assert cup.visible.area == 60


def test_one_annotation_alone_takes_the_size_of_its_image(tmp_path, content):
    alone = {**content["annotations"][0], "url": f"https://somewhere/{NAME}.jpg"}
    data = write(tmp_path, alone)
    dataset = open_dataset(data)
    assert dataset.sequences == (NAME,) and dataset.video(NAME).size == SIZE
    Image.fromarray(np.zeros((21, 30, 3), np.uint8)).save(tmp_path / "images" / f"{NAME}.jpg")
    with pytest.raises(InputError, match=r"region 1, segmentation: the mask is 20x30 but the frame is"):
        open_dataset(data)


def regions(content: dict) -> list:
    return content["annotations"][0]["regions"]


WRONG = [
    (lambda c: regions(c)[1].pop("visible_mask"), "region 2: its occlude_rate is 0.4, but it has no visible_mask"),
    (lambda c: regions(c)[1].update(segmentation=[1, 1, 5, 5]), "region 2, segmentation: .*three points"),
    (lambda c: regions(c)[0].pop("name"), "image 9, region 1: no field 'name'"),
    (lambda c: regions(c)[0].update(name=7), "image 9, region 1: name 7 is no text"),
    (lambda c: c["annotations"][0].pop("regions"), "image 9: no field 'regions'"),
    (lambda c: c["images"][0].update(height=21), r"region 1, segmentation: the mask is 20x30 but the frame is"),
    (lambda c: c["annotations"][0].update(image_id=8), "annotation 1: unknown image_id 8"),
    (lambda c: c["annotations"].append(c["annotations"][0]), "a second annotation of image 9"),
    (lambda c: c["images"].append(c["images"][0]), "image 9: a second image has this id"),
    (lambda c: c.pop("images"), "no list 'images' in it; expected COCO_amodal"),
    (lambda c: c["images"][0].update(file_name="other.jpg"), "other.jpg: no such image"),
]


@pytest.mark.parametrize(("break_it", "message"), WRONG)
def test_what_does_not_fit_is_refused(tmp_path, content, break_it, message):
    break_it(content)
    with pytest.raises(InputError, match=message):
        open_dataset(write(tmp_path, content))


def test_two_images_of_one_name_are_refused(tmp_path, content):
    content["images"].append({**content["images"][0], "id": 10, "file_name": f"more/{NAME}.jpg"})
    content["annotations"].append({**content["annotations"][0], "image_id": 10})
    data = write(tmp_path, content)
    (tmp_path / "images/more").mkdir()
    (tmp_path / f"images/more/{NAME}.jpg").write_bytes((tmp_path / f"images/{NAME}.jpg").read_bytes())
    with pytest.raises(InputError, match="2 sequences would be named"):
        open_dataset(data)


def test_an_annotation_alone_without_its_image_names_those_that_would_do(tmp_path, content):
    data = write(tmp_path, content["annotations"][0])
    with pytest.raises(InputError, match="none of the images labels.jpg, labels.png"):
        open_dataset(data)


@pytest.mark.skipif(not REAL.is_dir(), reason="no published annotations in ../shared/real/cocoa beside the repository")
@pytest.mark.parametrize(("number", "floor", "instances"), [(1, 0.6632, 2), (2, 0.7447, 11)])
def test_copying_the_visible_mask_scores_the_known_floor_on_published_images(
    tmp_path, capsys, number, floor, instances
):
    data, out = f"cocoa:{REAL}/{number}.json,{REAL}", tmp_path / "out"
    assert main(["run", "--data", data, "--method", "copy-visible", "--no-overlay", "--out", str(out)]) == 0
    results = json.loads((out / str(number) / "tracks.json").read_text())
    truth = open_dataset(data).truth(str(number)).tracks
    assert len(truth) == len(results["annotations"]) == instances
    # Copied masks are the visible ones: their IoU is the share of the object that can be seen.
    hidden = [track.occlusion(0) for track in truth if track.occlusion(0) > 0]
    assert 1 - np.mean(hidden) == pytest.approx(floor, abs=5e-5)
    command = ["evaluate", str(out), "--truth", data, "--profile", "strict", "--json", str(tmp_path / "scores.json")]
    assert main(command) == 0
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]["image"]
    whole = instances - len(hidden)
    assert metrics["miou"] == pytest.approx((whole + len(hidden) * floor) / instances, abs=5e-5)
