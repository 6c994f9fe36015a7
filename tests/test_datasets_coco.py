"""Data of your own: the example of the documentation, and everything that can be wrong with it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damage import change, refusals, twice
from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
SIZE = (40, 60)


def example() -> dict:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(block)


def write(root: Path, content: dict) -> str:
    """The file and a grey image for each of its entries; gives the data set's name for `open_dataset`."""
    for n, image in enumerate(content["images"]):
        path = root / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 40 * n, np.uint8)).save(path)
    (root / "labels.json").write_text(json.dumps(content))
    return f"coco:{root}/labels.json,{root}/images"


def test_the_example_of_the_documentation_is_read(tmp_path):
    dataset = open_dataset(write(tmp_path, example()))
    assert dataset.sequences == ("drive", "yard") and len(dataset) == 2
    drive = dataset.video("drive")
    frames = list(drive)
    assert (drive.size, drive.fps, drive.length) == (SIZE, 10, 2)
    assert [(f.t, f.time, f.name) for f in frames] == [(0, 0.0, "000000.png"), (1, 0.1, "000001.png")]
    assert [f.image[0, 0, 0] for f in frames] == [0, 40]
    car, person = drive.truth.tracks
    assert (car.id, car.category, person.id, person.category) == (1, "car", 2, "person")
    assert [mask.area for mask in (*car.amodal, *person.amodal)] == [400, 400, 200, 200]
    assert [person.occlusion(t) for t in (0, 1)] == [0.5, 1.0] and person.visible[1] is None
    assert person.visible[0].box == (30, 10, 35, 30) and [car.occlusion(t) for t in (0, 1)] == [0, 0]
    (yard,) = dataset.truth("yard").tracks
    assert (yard.id, yard.amodal[0].area, yard.visible[0].area) == (5, 400, 50)
    assert drive.truth is drive.truth


def test_images_come_by_frame_id_and_gaps_keep_their_time(tmp_path):
    content = example()
    content["images"][0]["frame_id"] = 7
    content["videos"][0]["fps"] = 2
    video = open_dataset(write(tmp_path, content)).video("drive")
    assert [(f.name, f.time) for f in video] == [("000001.png", 0.0), ("000000.png", 3.0)]
    assert [one.visible is None for one in video.frame_truth(0)] == [False, True]


def test_without_videos_a_video_is_named_by_its_number_and_crowds_are_left_out(tmp_path):
    content = example()
    del content["videos"]
    content["annotations"][0] |= {"iscrowd": 1}
    content["annotations"][1].pop("occluders")
    dataset = open_dataset(write(tmp_path, content))
    assert dataset.sequences == ("1", "yard")
    assert [(one.id, one.visible.area) for one in dataset.video("1").frame_truth(0)] == [(2, 200)]


def test_a_visible_mask_is_cut_to_the_amodal_one(tmp_path):
    content = example()
    content["annotations"][1] = {**content["annotations"][1], "visible": [[28, 10, 37, 10, 37, 30, 28, 30]]}
    person = open_dataset(write(tmp_path, content)).video("drive").frame_truth(0)[1]
    assert person.visible.box == (28, 10, 35, 30)


WRONG = [
    (
        change("annotations", 4, "visible", "size", [60, 40]),
        "annotation 5, visible: the mask is 60x40",
    ),
    (
        change("annotations", 0, "segmentation", {"size": [4, 6], "counts": [24]}),
        "annotation 1, segmentation: the mask",
    ),
    (change("annotations", 0, "segmentation", [[1, 1, 5, 5]]), "annotation 1, segmentation: .*three points"),
    (change("annotations", 0, "segmentation", [1, 1, 5, 1, 5, 5]), "annotation 1, segmentation: .*polygons"),
    (change("annotations", 0, "segmentation", [[1, 1, 5, 1, 5, float("nan")]]), "annotation 1, segmentation"),
    (change("annotations", 0, "segmentation", None), "annotation 1, segmentation"),
    (change("annotations", 0, "segmentation", []), "annotation 1: segmentation is empty"),
    (
        change("annotations", 0, "segmentation", [[0, 0, 1e30, 0, 1, 1]]),
        "annotation 1, segmentation: a polygon has a corner",
    ),
    (change("annotations", 0, "image_id", {}), "annotation 1: image_id {} is no whole number"),
    (change("annotations", 1, "occluders", 1), "annotation 2: occluders is no list but 1"),
    (change("categories", 0, "id", 2), "category 2: the id is there twice"),
    (change("videos", 0, "fps", 0), "video 1: fps must be a number in .0.01, 1000., got 0"),
    (change("videos", 0, "name", "../elsewhere"), "video 1: .*its name cannot name a folder"),
    (change("videos", 1), "videos is no list but 1"),
    (change("images", 2, "height", 10**9), "image 3: height 1000000000 is no number of pixels up to 23170"),
    (change("annotations", 1, "visible", None), "annotation 2: visible is null"),
    (change("annotations", 1, "occluders", [3]), "annotation 2: its occluder 3 is no other annotation of the same"),
    (change("annotations", 1, "occluders", [2]), "annotation 2: its occluder 2"),
    (change("annotations", 0, "category_id", 9), r"annotation 1: unknown category_id 9, 'categories' lists \[1, 2\]"),
    (change("annotations", 0, "image_id", 9), "annotation 1: unknown image_id 9"),
    (change("annotations", 0, "track_id", "1"), "annotation 1: track_id '1' is no whole number"),
    (change("annotations", 1, "track_id", 1), "annotation 2: a second annotation of track 1 in drive/000000.png"),
    (change("annotations", 2, "category_id", 2), "annotation 3: track 1 is a person here but a car before"),
    (lambda content: content["annotations"][0].pop("track_id"), "annotation 1: no field 'track_id'"),
    (twice("annotations"), "annotation 1: a second annotation has this id"),
    (twice("images"), "image 1: the id or its file drive/000000.png is there twice"),
    (change("images", 1, "frame_id", 0), "video 1: two images have the frame_id 0"),
    (change("images", 0, "video_id", 4), "image 1: unknown video_id 4"),
    (change("images", 2, "width", 0), "image 3: width 0"),
    (lambda content: content.pop("categories"), "no list 'categories' in it; docs/data.md"),
]


@pytest.mark.parametrize(("break_it", "message"), WRONG)
def test_what_does_not_fit_is_refused_when_it_is_opened(tmp_path, break_it, message):
    content = example()
    break_it(content)
    with pytest.raises(InputError, match=message):
        open_dataset(write(tmp_path, content))


TOOLS = {
    "Windows": "night\\\\yard.png",
    "Label Studio on Windows": "..\\\\..\\\\label-studio\\\\media\\\\upload\\\\7\\\\yard.png",
    "Label Studio": "../../label-studio/media/upload/7/yard.png",
    "Label Studio's local files": "/data/local-files/?d=night%5Cyard.png",
    "a drive": "C:\\\\Users\\\\me\\\\night\\\\yard.png",
    "a bucket": "s3://bucket/night/yard.png?token=a/b",
    "another machine": "/data/pictures/yard.png",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_paths_of_labelling_tools_find_the_picture_below_the_folder_of_images(tmp_path, tool):
    data, path = write(tmp_path, example()), tmp_path / "labels.json"
    (tmp_path / "images/night").mkdir()
    (tmp_path / "images/yard.png").rename(tmp_path / "images/night/yard.png")
    path.write_text(path.read_text().replace('"yard.png"', f'"{TOOLS[tool]}"'))
    (name,) = (name for name in open_dataset(data).sequences if name != "drive")
    assert open_dataset(data).video(name).paths == (tmp_path / "images/night/yard.png",)


def test_a_refused_image_is_the_one_problem_with_its_annotations_and_a_missing_one_names_what_is_near(tmp_path):
    data, path, problems = write(tmp_path, example()), tmp_path / "labels.json", []
    path.write_text(path.read_text().replace('"yard.png"', '".."'))
    open_dataset(data, problems.append)
    assert problems == [f"{path}: image 3: file_name '..' is no path inside the folder of images"]
    path.write_text(path.read_text().replace('".."', '"day/yard.png"'))
    problems.clear()
    open_dataset(data, problems.append)
    assert [problem.partition(": ")[2] for problem in problems] == [
        f"no such image, but the annotations list it; there is {tmp_path}/images/yard.png"
    ]


def test_an_image_whose_name_would_lead_out_of_the_results_is_refused(tmp_path):
    data, path = write(tmp_path, example()), tmp_path / "labels.json"
    path.write_text(path.read_text().replace('"yard.png"', '"...png"'))
    (tmp_path / "images/yard.png").rename(tmp_path / "images/...png")
    with pytest.raises(InputError, match=r"labels.json: the name '\.\.' cannot name a folder"):
        open_dataset(data)


def test_masks_that_turn_out_broken_when_drawn_are_refused(tmp_path):
    content = example()
    content["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": [100, 20]}
    content["annotations"][4]["visible"] = [[30, 20, 50, 20, 50, 30, 30, 30]]
    content["images"].append({"id": 4, "file_name": "negative.png", "width": 60, "height": 40})
    runs = {"size": list(SIZE), "counts": [-5, 2405]}
    content["annotations"].append({"id": 6, "image_id": 4, "category_id": 1, "segmentation": runs})
    dataset = open_dataset(write(tmp_path, content))
    with pytest.raises(InputError, match="annotation 6: run lengths that no mask of 40x60"):
        dataset.truth("negative")
    with pytest.raises(InputError, match="annotation 1: run lengths that do not add up to 40x60"):
        dataset.truth("drive")
    with pytest.raises(InputError, match="annotation 5: most of its visible mask lies outside"):
        dataset.truth("yard")


def test_no_damage_ends_in_anything_but_a_refusal(tmp_path):
    whole = example()
    assert refusals(write(tmp_path, whole), tmp_path / "labels.json", whole) > 1000


def test_frames_of_a_video_that_differ_in_size_are_refused(tmp_path):
    content = example()
    content["images"][1]["height"] = 41
    with pytest.raises(InputError, match="000001.png is 41x60 .* but drive/000000.png is 40x60"):
        open_dataset(write(tmp_path, content))


def test_a_cut_off_file_is_refused(tmp_path):
    data = write(tmp_path, example())
    path = tmp_path / "labels.json"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(InputError, match="labels.json: not valid JSON .*cut off"):
        open_dataset(data)


def test_a_missing_damaged_or_resized_image_is_refused(tmp_path):
    data = write(tmp_path, example())
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images/yard.png")
    second = tmp_path / "images/drive/000001.png"
    second.write_bytes(second.read_bytes()[:60])
    dataset = open_dataset(data)
    with pytest.raises(InputError, match="yard.png: 20x30 .*annotations state 40x60"):
        dataset.video("yard").frame(0)
    with pytest.raises(InputError, match="000001.png: damaged"):
        dataset.video("drive").frame(1)
    second.unlink()
    with pytest.raises(InputError, match="000001.png: no such image"):
        open_dataset(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [("coco:labels.json", "expected coco:ANNOTATIONS.json,IMAGES"), ("coco:nowhere.json,images", "no such file")],
)
def test_what_is_named_wrongly_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        open_dataset(text)


def test_two_images_that_would_share_a_name_are_refused(tmp_path):
    content = example()
    content["images"].append({"id": 4, "file_name": "yard.jpg", "width": 60, "height": 40})
    with pytest.raises(InputError, match="2 sequences would be named 'yard'"):
        open_dataset(write(tmp_path, content))


def test_running_and_evaluating_find_every_instance(tmp_path, capsys):
    data, out = write(tmp_path, example()), tmp_path / "out"
    assert main(["run", "--data", data, "--method", "copy-visible", "--no-overlay", "--out", str(out)]) == 0
    command = ["evaluate", str(out), "--truth", data, "--json", str(tmp_path / "scores.json"), "--profile", "strict"]
    assert main(command) == 0
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]["image"]
    # IoU of the visible with the amodal masks: 1, 0.5; 1, 0 (hidden); 0.125.
    assert metrics["miou"] == pytest.approx((1 + 0.5 + 1 + 0 + 0.125) / 5)


def test_a_sam_learns_from_it(tmp_path, capsys, one_thread):
    pytest.importorskip("accelerate")
    from samodal.training.recipes import load_recipe
    from samodal.training.sam.sam import train

    data = write(tmp_path, example())
    settings = load_recipe(
        "kins-paper", data=data, val=data, init="", adapters="keep", size="tiny", epochs=0.0, steps=1, validations=1,
        out=str(tmp_path / "out"), workers=1, device="cpu",
    )  # fmt: skip
    outcome = train(settings)
    assert outcome.steps == 1 and outcome.checkpoint.exists()


@pytest.mark.parametrize("mark", ["0", "no", 2, [1], 0.5])
def test_a_mark_of_a_crowd_is_0_or_1(tmp_path, mark):
    content = example()
    content["annotations"][0]["iscrowd"] = mark
    with pytest.raises(InputError, match="annotation 1: iscrowd must be 0 or 1, got"):
        open_dataset(write(tmp_path, content))


def test_numbers_of_frames_and_rates_have_bounds(tmp_path):
    for place, value in (
        (("images", 0, "frame_id"), 2**31),
        (("videos", 0, "fps"), 1e-300),
        (("videos", 0, "fps"), 2e3),
    ):
        content = example()
        change(*place, value)(content)
        with pytest.raises(InputError, match=f"{place[-1]} must be"):
            open_dataset(write(tmp_path, content))


def test_a_number_of_a_frame_says_nothing_of_an_image_alone(tmp_path):
    content = example()
    content["images"][2]["frame_id"] = "third"
    (frame,) = open_dataset(write(tmp_path, content)).video("yard")
    assert frame.time == 0


@pytest.mark.parametrize("name", ["n" * 300, "a/" * 600 + "b.png", "a\0.png", "\ud800.png"])
def test_a_file_name_that_no_file_system_takes_is_refused(tmp_path, name):
    data = write(tmp_path, example())
    content = example()
    content["images"][0]["file_name"] = name
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="image 1: file_name .* is no path inside the folder of images"):
        open_dataset(data)
