"""KINS in its published layout, on a miniature that is written here: both generations, and damaged ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.rle import Rle
from samodal.training.recipes import load_recipe
from toy_kins import CATEGORIES, annotation_2020, annotation_old, box_polygon, image_entry, write_json, write_kins

SIZES = {7: (8, 12), 2: (10, 14)}
REAL = Path(__file__).parents[2] / "shared" / "real" / "formats"


def box(size: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def annotations(generation: str) -> list[dict]:
    """Image 7: a car behind a pedestrian, in two polygons each; image 2: a van whose visible mask leaves its own."""
    car = [box_polygon(1, 1, 4, 5), box_polygon(6, 1, 8, 5)]
    seen = [box_polygon(1, 1, 3, 5)]
    walker = [box_polygon(3, 0, 6, 7)]
    van = [box_polygon(2, 2, 8, 6)]
    wider = box(SIZES[2], 2, 2, 9, 5)
    if generation == "2020":
        return [
            annotation_2020(11, 7, 4, car, seen, order=1),
            annotation_2020(12, 7, 2, walker, walker, order=0),
            annotation_2020(13, 2, 7, van, Rle.encode(wider).to_coco()),
        ]
    runs = [Rle.encode(box(SIZES[7], *corners)).to_coco() for corners in ((1, 1, 3, 5), (3, 0, 6, 7))]
    return [
        annotation_old(11, 7, 4, car, runs[0]),
        annotation_old(12, 7, 2, walker, runs[1]),
        annotation_old(13, 2, 7, van, Rle.encode(wider).to_coco()),
    ]


def write(root: Path, generation: str = "2020", **changes) -> Path:
    """Training images 7 and 2 of different sizes with their annotations, which `changes` replace."""
    folder = root / "training" / "image_2"
    folder.mkdir(parents=True, exist_ok=True)
    for key, size in SIZES.items():
        Image.fromarray(np.full((*size, 3), 10 * key, np.uint8)).save(folder / f"{key:06d}.png")
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(folder / "000099.png")  # KITTI has more images than KINS
    name = "update_train_2020.json" if generation == "2020" else "instances_train.json"
    content = {
        "images": [image_entry(key, size) for key, size in SIZES.items()],
        "annotations": annotations(generation),
    }
    content |= changes
    write_json(root / name, content["images"], content["annotations"])
    return root / name


@pytest.mark.parametrize("generation", ["2020", "old"])
def test_each_image_is_a_sequence_of_one_frame_with_both_masks(tmp_path, generation):
    write(tmp_path, generation)
    dataset = open_dataset(f"kins:{tmp_path}/train")
    assert dataset.sequences == ("000002", "000007") and len(dataset) == 2
    assert [(v.name, v.number, v.length, v.size) for v in dataset] == [
        ("000002", 1, 1, (10, 14)),
        ("000007", 2, 1, (8, 12)),
    ]
    (frame,) = dataset.video("000007")
    assert (frame.t, frame.time, frame.name, frame.image.shape) == (0, 0.0, "000007.png", (8, 12, 3))
    assert (frame.image == 70).all()
    car, walker = dataset.video("000007").frame_truth(0)
    assert (car.id, car.category, walker.id, walker.category) == (11, "car", 12, "pedestrian")
    # Both polygons of the car, not the first one alone, and none of the pixels between them.
    np.testing.assert_array_equal(car.amodal.decode(), box(SIZES[7], 1, 1, 4, 5) | box(SIZES[7], 6, 1, 8, 5))
    np.testing.assert_array_equal(car.visible.decode(), box(SIZES[7], 1, 1, 3, 5))
    np.testing.assert_array_equal(walker.visible.decode(), box(SIZES[7], 3, 0, 6, 7))
    assert [one.depth_order for one in (car, walker)] == ([1, 0] if generation == "2020" else [None, None])


def test_the_visible_mask_is_kept_within_the_amodal_one(tmp_path):
    write(tmp_path)
    (van,) = open_dataset(f"kins:{tmp_path}/train").video("000002").frame_truth(0)
    np.testing.assert_array_equal(van.amodal.decode(), box(SIZES[2], 2, 2, 8, 6))
    np.testing.assert_array_equal(van.visible.decode(), box(SIZES[2], 2, 2, 8, 5))


def test_truth_has_a_track_of_one_frame_for_every_instance(tmp_path):
    write(tmp_path)
    clip = open_dataset(f"kins:{tmp_path}/train").truth("000007")
    assert (clip.name, clip.size, clip.frames, clip.labelled) == ("000007", (8, 12), ("000007.png",), None)
    assert [(track.id, len(track.amodal)) for track in clip.tracks] == [(11, 1), (12, 1)]
    assert clip.tracks[0].occlusion(0) == pytest.approx(1 - 8 / 20)


def test_crowds_empty_and_hidden_instances(tmp_path):
    entries = annotations("2020")
    entries[0]["iscrowd"] = 1
    entries[1]["i_segm"] = []  # fully hidden
    entries[2]["a_segm"] = [[1.0, 1.0, 3.0, 3.0]]  # a line: no pixel, and no box either
    write(tmp_path, annotations=entries)
    dataset = open_dataset(f"kins:{tmp_path}/train")
    (walker,) = dataset.video("000007").frame_truth(0)
    assert (walker.id, walker.visible) == (12, None)
    assert dataset.video("000002").frame_truth(0) == []


def test_an_image_without_annotations_is_a_sequence_without_instances(tmp_path):
    write(tmp_path, annotations=annotations("2020")[:2])
    dataset = open_dataset(f"kins:{tmp_path}/train")
    assert dataset.sequences == ("000002", "000007") and dataset.truth("000002").tracks == ()


def test_plain_run_lengths_are_read_too(tmp_path):
    entries = annotations("old")
    plain = {"size": [8, 12], "counts": [9, 4, 4, 4, 75]}
    entries[0]["inmodal_seg"] = plain
    write(tmp_path, "old", annotations=entries)
    car, _ = open_dataset(f"kins:{tmp_path}/train").video("000007").frame_truth(0)
    np.testing.assert_array_equal(car.visible.decode(), box(SIZES[7], 1, 1, 3, 5))


def test_the_newer_generation_is_taken_unless_a_file_is_named(tmp_path):
    old, new = write(tmp_path, "old"), write(tmp_path)
    assert open_dataset(f"kins:{tmp_path}/train").source == new
    assert open_dataset(f"kins:{old}").video("000007").frame_truth(0)[0].depth_order is None
    (tmp_path / "annotations").mkdir()
    for path in (old, new):
        path.rename(tmp_path / "annotations" / path.name)
    assert open_dataset(f"kins:{tmp_path}/train").source.name == "update_train_2020.json"
    assert len(open_dataset(f"kins:{tmp_path}/annotations/{old.name}")) == 2


@pytest.mark.parametrize("generation", ["2020", "old"])
@pytest.mark.parametrize("split", ["test", "val"])
def test_test_and_val_are_the_testing_images(tmp_path, generation, split):
    write_kins(tmp_path, images=3, seed=0, generation=generation)
    dataset = open_dataset(f"kins:{tmp_path}/{split}")
    assert len(dataset) == 3 and "/testing/image_2/" in dataset.video("000001").source


def test_classes_are_named_by_the_file_and_else_by_the_published_table(tmp_path):
    path = write(tmp_path)
    content = json.loads(path.read_text())
    assert {one["name"] for one in CATEGORIES} >= {"tram", "misc"}
    content["categories"] = [{"id": 4, "name": "Car"}, {"id": 2, "name": "Person"}, {"id": 7, "name": "Van"}]
    path.write_text(json.dumps(content))
    assert [one.category for one in open_dataset(f"kins:{tmp_path}/train").video("000007").frame_truth(0)] == [
        "Car",
        "Person",
    ]
    del content["categories"]
    path.write_text(json.dumps(content))
    assert open_dataset(f"kins:{tmp_path}/train").video("000002").frame_truth(0)[0].category == "van"


def changed(place: int, **changes) -> list[dict]:
    entries = annotations("2020")
    entries[place] |= changes
    return entries


def without_masks() -> list[dict]:
    return [{key: value for key, value in one.items() if key != "i_segm"} for one in annotations("2020")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": changed(0, id=12)}, "two annotations have the id 12"),
        ({"images": [image_entry(7, SIZES[7])] * 2}, "image 7: the id or its file 000007.png is there twice"),
        ({"images": [image_entry(7, SIZES[7]), image_entry(7, SIZES[7]) | {"id": 2}]}, "000007.png is there twice"),
        ({"annotations": changed(0, image_id=3)}, "annotation 11: its image_id 3 is not among the images"),
        ({"annotations": changed(0, category_id=9)}, "annotation 11: unknown category_id 9"),
        ({"annotations": changed(0, a_segm=[[1, 2, 3]])}, "annotation 11, a_segm: expected run lengths or polygons"),
        ({"annotations": changed(0, a_segm=[["a", "b"] * 3])}, "annotation 11, a_segm: expected run lengths"),
        ({"annotations": changed(0, a_segm=[1, 1, 3, 1, 3, 3])}, "annotation 11, a_segm: expected run lengths"),
        ({"annotations": without_masks()}, "annotation 11: neither a_segm and i_segm nor segmentation and inmodal_seg"),
        ({"images": []}, "no image in it"),
        (
            {"images": [image_entry(7, SIZES[7]) | {"height": "8"}]},
            "image 7: height must be a whole number in .1, 23170., got '8'",
        ),
        ({"images": [image_entry(n, SIZES.get(n, (8, 12))) for n in (7, 2, 55)]}, "1 of the 3 .* first 000055.png"),
    ],
)
def test_annotations_that_cannot_be_right_are_errors_when_they_are_opened(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        open_dataset(f"kins:{tmp_path}/train")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [9, 12], "counts": [108]}, "annotation 11: the mask is 9x12 but the frame is 8x12"),
        ({"size": [8, 12], "counts": [9, 4, 3]}, "annotation 11: run lengths that do not add up to 8x12"),
    ],
)
def test_run_lengths_of_another_size_are_errors_when_they_are_read(tmp_path, mask, message):
    write(tmp_path, annotations=changed(0, i_segm=mask))
    with pytest.raises(InputError, match=message):
        open_dataset(f"kins:{tmp_path}/train").truth("000007")


def test_a_file_that_was_cut_off_says_so(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text()[:-200])
    with pytest.raises(InputError, match="update_train_2020.json: not valid JSON .* cut off"):
        open_dataset(f"kins:{tmp_path}/train")
    path.write_text('{"images": []}')
    with pytest.raises(InputError, match="no list 'annotations' in it"):
        open_dataset(f"kins:{tmp_path}/train")


def test_an_image_of_another_size_or_damaged_or_gone_is_an_error(tmp_path):
    write(tmp_path)
    video = open_dataset(f"kins:{tmp_path}/train").video("000007")
    path = Path(video.source)
    Image.fromarray(np.zeros((12, 8, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="000007.png: 12x8 .* annotations are for 8x12"):
        list(video)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="000007.png: damaged picture"):
        list(video)
    path.unlink()
    with pytest.raises(InputError, match="000007.png: no such file"):
        list(video)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("train", "neither update_train_2020.json nor instances_train.json"),
        ("somewhere", "expected ROOT/train or ROOT/test"),
        ("instances_train.json", "no such file"),
    ],
)
def test_a_folder_of_another_layout_is_an_error(tmp_path, place, message):
    with pytest.raises(InputError, match=message):
        open_dataset(f"kins:{tmp_path}/{place}")


def test_annotations_without_images_and_an_unknown_image_are_errors(tmp_path):
    write_json(tmp_path / "update_test_2020.json", [image_entry(1, (8, 12))], [])
    with pytest.raises(InputError, match="image_2: no such folder; it holds KITTI's images"):
        open_dataset(f"kins:{tmp_path}/test")
    write(tmp_path)
    with pytest.raises(InputError, match="no image '000099'; it begins with 000002, 000007"):
        open_dataset(f"kins:{tmp_path}/train").video("000099")


@pytest.mark.parametrize("generation", ["2020", "old"])
def test_running_and_evaluating_find_every_instance(tmp_path, capsys, generation):
    write_kins(tmp_path / "kins", images=2, seed=1, generation=generation)
    out, data = tmp_path / "out", f"kins:{tmp_path}/kins/test"
    assert main(["run", "--data", data, "--method", "copy-visible", "--no-overlay", "--out", str(out)]) == 0
    truth = [track for clip in open_dataset(data) for track in clip.truth.tracks]
    command = ["evaluate", str(out), "--truth", data, "--masks", "visible", "--json", str(tmp_path / "scores.json")]
    assert main([*command, "--profile", "strict"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    seen = sum(track.visible[0] is not None for track in truth)
    assert scores["counts"]["video"]["predicted_masks"] == seen >= 4
    assert scores["metrics"]["image"]["AP50"] == 1.0


def test_a_sam_learns_from_it(tmp_path, capsys, one_thread):
    pytest.importorskip("accelerate")
    from samodal.training.sam.sam import train

    data = write_kins(tmp_path / "kins", images=2, seed=0)
    settings = load_recipe(
        "kins-paper", data=data, val=f"kins:{tmp_path}/kins/test", init="", adapters="keep", size="tiny", epochs=0.0,
        steps=2, validations=1, out=str(tmp_path / "out"), workers=1, device="cpu",
    )  # fmt: skip
    outcome = train(settings)
    assert outcome.steps == 2 and outcome.checkpoint.exists() and outcome.metrics["val"]


@pytest.mark.parametrize("images", [1, 0])
def test_a_video_instance_segmenter_learns_from_clips_of_one_frame(tmp_path, capsys, one_thread, images):
    data = write_kins(tmp_path / "kins", images=4, seed=0)
    arguments = (
        f"--data {data} --out {tmp_path} --size mini --input 32x96 --steps 2 --batch 4 "
        f"--held_out 1 --images {images} --device cpu --precision float32 --workers 1"
    )
    assert main(["train", "vis", *arguments.split()]) == 0
    facts = json.loads((tmp_path / "vis.json").read_text())
    assert (facts["clips"], facts["frames"], facts["steps"]) == (3, 3, 2)
    truth = [one for video in list(open_dataset(data))[:3] for one in video.frame_truth(0) if one.visible]
    assert {one.category for one in truth} == {"car", "pedestrian"} and facts["instances"] == len(truth)


def test_the_published_files_are_read():
    files = [p for p in REAL.glob("**/*.json") if p.name.startswith(("update_", "instances_"))] if REAL.is_dir() else []
    if not files:
        pytest.skip("no annotation file of KINS in ../shared/real/formats beside the repository")
    from samodal.data.kins import read_kins

    for path in files:
        assert any(image.instances() for image in read_kins(path))
