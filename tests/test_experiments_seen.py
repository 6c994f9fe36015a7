"""The table of what front ends find in real pictures, on a made-up root of coloured boxes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from samodal.cli.app import main
from samodal.executors import InProcess
from samodal.experiments.config import load
from samodal.experiments.plan import plan
from samodal.experiments.seen import ROWS, Truth, group_of, judge, of_cars, parts_of, seen_scores
from samodal.masks import Mask
from samodal.metrics.seen import Seen
from samodal.rle import Rle
from samodal.tracks import VisibleInstance

SIZE = (100, 160)
COLOURS = {"car": (200, 0, 0), "person": (0, 200, 0)}


class Colours:
    """A front end that takes every red patch for a car and every green one for a person; ids are places."""

    def open(self, video):
        return self

    def reset(self):
        pass

    def step(self, frame, t):
        visible = []
        for category, colour in COLOURS.items():
            patches, count = scipy.ndimage.label((frame == colour).all(-1))
            for n in range(1, count + 1):
                visible.append(VisibleInstance(f"{category} {n}", category, None, patches == n))
        return visible


class FromTheSecondFrame(Colours):
    """The same, but it reports nothing in the first frame of a video."""

    def step(self, frame, t):
        return super().step(frame, t) if t else []


def picture(path: Path, **patches: tuple) -> None:
    """A picture with a coloured box x0, y0, x1, y1 for each name, which begins with the class: car_1, person, …"""
    image = np.full((*SIZE, 3), 90, np.uint8)
    for name, (x0, y0, x1, y1) in patches.items():
        image[y0:y1, x0:x1] = COLOURS[name.partition("_")[0]]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def coded(*boxes: tuple) -> Rle:
    mask = np.zeros(SIZE, bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return Rle.encode(mask)


def streets(folder: Path, pictures: dict[str, list[tuple[str, tuple]]]) -> None:
    """annotations.json of the boxes by picture."""
    names = ["person", "car", "truck", "other_vehicle"]
    annotations = [
        {"image_id": n, "category_id": names.index(name), "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for n, boxes in enumerate(pictures.values())
        for name, (x0, y0, x1, y1) in boxes
    ]
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(pictures)],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotations.json").write_text(json.dumps(content))


def bdd(folder: Path) -> None:
    """One frame: a car that is found, a pedestrian of 20 pixels that is not, and a mistake of 70 pixels."""
    car, pedestrian = (10, 10, 50, 50), (70, 10, 80, 30)
    picture(folder / "images" / "drive" / "0.png", car=car, person=(100, 10, 120, 80))
    labels = [
        {"id": key, "category": name, "rle": coded(box).to_coco(), "attributes": {"crowd": False}}
        for key, name, box in (("1", "car", car), ("2", "pedestrian", pedestrian))
    ]
    (folder / "labels").mkdir()
    frame = {"name": "0.png", "videoName": "drive", "frameIndex": 0, "labels": labels}
    (folder / "labels" / "drive.json").write_text(json.dumps([frame]))


def kitti(folder: Path) -> None:
    """One frame: cars of 50 and of 40 pixels, the second not found, and a region to ignore in two pieces."""
    high, low, left, right = (10, 10, 60, 60), (70, 10, 90, 50), (100, 70, 110, 95), (140, 10, 150, 40)
    # A mistake between the pieces of the region, within a box around both of them.
    picture(folder / "image_02" / "0005" / "000000.png", car_1=high, car_2=left, car_3=(115, 30, 135, 65))
    masks = [(1001, 1, coded(high)), (1002, 1, coded(low)), (10000, 10, coded(left, right))]
    for place, lines in {
        "instances_txt": [f"0 {key} {kind} {SIZE[0]} {SIZE[1]} {mask.counts}\n" for key, kind, mask in masks],
        "label_02": [f"0 1 Car 0 0 0 {high[0]} {high[1]} {high[2] - 1} {high[3] - 1} 1 1 1 0 0 0 0\n"],
    }.items():
        (folder / place).mkdir()
        (folder / place / "0005.txt").write_text("".join(lines))


def make_root(root: Path) -> Path:
    """All materials but coco_people."""
    street = (10, 10, 40, 80)
    bdd(root / "real" / "bdd100k_mots")
    kitti(root / "real" / "kitti_tracking_0005")
    dhaka = root / "realtrain" / "dhaka"
    rickshaw = (100, 10, 130, 80)
    picture(dhaka / "images" / "Pias--1-.png", car_1=street, car_2=rickshaw, person=(140, 10, 150, 30))
    picture(dhaka / "images" / "Rahim_1.png", car=(0, 0, 90, 90))
    truck = ("truck", (50, 10, 80, 80))
    streets(dhaka, {"Pias--1-.png": [("car", street), truck, ("other_vehicle", rickshaw)], "Rahim_1.png": []})
    coco = root / "realtrain" / "coco"
    for n in range(6):
        picture(coco / "images" / f"{n}.png", **({"person": street} if n != 5 else {}))
    streets(coco, {f"{n}.png": [("person", street)] if n in (0, 5) else [] for n in range(6)})
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    return make_root(tmp_path / "root")


def experiments(root: Path, *more: str) -> list[str]:
    out = root.parent / "out"
    return ["experiments", "seen", "--root", str(root), "--out", str(out), "--workers", "1", "--device", "cpu", *more]


FOUND, WAITING = f"{__name__}:Colours", f"{__name__}:FromTheSecondFrame"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The folder with the table of both front ends, of one that there is not, and of one with a limit that it lacks."""
    root = make_root(tmp_path_factory.mktemp("seen") / "root")
    assert main(experiments(root, "--rows", f"centres,{FOUND},videomt:,nonsense=1,area=5,{WAITING}")) == 0
    return root.parent / "out"


@pytest.fixture(scope="module")
def table(written) -> dict[tuple[str, str], dict]:
    """{(front end, row): {heading: value}}"""
    record = json.loads((written / "seen.json").read_text())
    return {
        (row["front_end"], row["row"]): {name: cell and cell["mean"] for name, cell in row["columns"].items()}
        for row in record["table"]
    }


def test_each_row_counts_what_is_labelled_in_its_pictures_alone(table):
    vehicles, people = table[FOUND, "BDD, vehicles"], table[FOUND, "BDD, people"]
    assert (vehicles["recall 32–64"], vehicles["precision 32–64"], vehicles["objects 32–64"]) == (100, 100, 1)
    assert (people["recall 16–32"], people["objects 16–32"], people["precision > 64"]) == (0, 1, 0)
    # The rickshaw may be found, people are not judged, and the other photographer's picture is not looked at.
    dhaka = table[FOUND, "Dhaka, vehicles"]
    assert (dhaka["recall > 64"], dhaka["precision > 64"], dhaka["objects > 64"]) == (50, 100, 2)
    # The first and the sixth picture.
    assert (table[FOUND, "COCO, people"]["recall > 64"], table[FOUND, "COCO, people"]["objects > 64"]) == (50, 2)


def test_of_kitti_the_pieces_of_a_region_may_be_found_and_high_cars_are_judged_by_their_masks(table):
    row = table[FOUND, "KITTI 0005, vehicles"]
    assert (row["recall 32–64"], row["precision 32–64"], row["precision 16–32"]) == (50, 50, None)
    assert (row["cars > 40: number"], row["cars > 40: recall"], row["cars > 40: visible IoU"]) == (1, 100, 100)
    assert 50 < row["cars > 40: whole box IoU"] <= 100


def test_a_front_end_that_waits_for_a_second_frame_sees_a_single_picture_twice(table):
    assert table[WAITING, "COCO, people"]["recall > 64"] == 50
    assert table[WAITING, "BDD, vehicles"]["recall 32–64"] == 0  # a video is a video


def test_what_is_not_there_is_told_and_the_others_run_and_stand_side_by_side(written, table):
    page = (written / "seen.md").read_text()
    assert "* every front end, COCO people, people: not run. no labels in" in page
    assert "* centres, every row: not run. unknown front end 'centres'; did you mean 'centers'?" in page
    assert "| front end | pictures |" in page
    assert list(table)[:3] == [(FOUND, "BDD, vehicles"), (WAITING, "BDD, vehicles"), (FOUND, "BDD, people")]
    assert {row for _, row in table} == ROWS.keys() - {"COCO people, people"}


def test_a_comma_before_a_limit_does_not_end_the_name_of_a_front_end(written, table):
    page = (written / "seen.md").read_text()
    assert "videomt:,nonsense=1,area=5, every row: not run. --vis videomt: unknown limit" in page
    assert {front_end for front_end, _ in table} == {FOUND, WAITING}


def test_what_is_there_is_not_looked_for_again_unless_a_label_has_changed(root, tmp_path):
    rows = {name: {} for name in ("COCO, people", "KITTI 0005, vehicles", "BDD, vehicles")}
    experiment = replace(load("seen"), front_ends={"found": {"vis": FOUND}}, rows=rows)
    runs, _ = plan(experiment, str(root), tmp_path / "out", seeds=1, device="cpu")

    def scores() -> tuple[list, bool]:
        made, reused = seen_scores(runs, root, parts_of(root), InProcess())
        return [score["seen"]["all"]["metrics"]["recall_32"] for score in made], reused

    assert scores() == ([None, 0.5, 1.0], False)
    (drive,), (coco,) = ((tmp_path / "out").rglob(f"seen-*-{name}.json") for name in ("drive", "coco-0"))
    before = drive.stat().st_mtime_ns
    coco.unlink()
    labels = root / "real" / "kitti_tracking_0005" / "instances_txt" / "0005.txt"
    labels.write_text(labels.read_text().partition("\n")[0] + "\n")
    assert scores() == ([None, 1.0, 1.0], True)
    assert coco.exists() and drive.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["seen", "--root", "nowhere"], "nowhere: none of real/bdd100k_mots"),
        (["seen"], "give --root FOLDER"),
        (["real", "--rows", "centers"], "--rows centers: is for the experiment seen alone"),
    ],
)
def test_what_cannot_be_meant_ends_with_a_sentence(tmp_path, capsys, arguments, reason):
    assert main(["experiments", *arguments, "--out", str(tmp_path)]) == 2
    assert reason in capsys.readouterr().err


def test_where_no_front_end_can_be_made_the_reason_is_told(root, capsys):
    assert main(experiments(root, "--rows", "centers:lost.safetensors")) == 2
    assert "no row can run; lost.safetensors" in capsys.readouterr().err


def test_a_row_that_is_no_material_is_refused_with_the_nearest(root, tmp_path, capsys):
    own = tmp_path / "own.yaml"
    own.write_text(json.dumps({"title": "own", "base": "seen", "rows": {"BDD, vehicle": {}}}))
    assert main(["experiments", str(own), *experiments(root)[2:]]) == 2
    assert "row 'BDD, vehicle': no such material and classes" in capsys.readouterr().err


def test_pictures_come_in_parts_and_every_one_is_in_one(root):
    coco = root / "realtrain" / "coco"
    streets(coco, {f"{n:03d}.png": [] for n in range(250)})
    parts = parts_of(root)["COCO"]
    assert [len(part.pictures) for part in parts] == [24, 24, 2]
    assert [name for part in parts for name in part.pictures] == [f"{n:03d}.png" for n in range(0, 250, 5)]
    assert len({part.file for part in parts}) == 3


@pytest.mark.parametrize(
    "category, group",
    [("pedestrian", "people"), ("rider", "people"), ("van", "vehicles"), ("bicycle", "vehicles"),
     ("other_vehicle", None), ("crowd", None), ("ignore", None)],
)  # fmt: skip
def test_a_class_belongs_to_vehicles_people_or_neither(category, group):
    assert group_of(category) == group


def box_mask(*box: int) -> Mask:
    return Mask.of(coded(box))


def test_only_cars_above_40_pixels_with_a_labelled_whole_are_judged_by_their_masks():
    low, high, free = (0, 0, 30, 40), (40, 0, 80, 41), (90, 0, 130, 80)
    truth = [
        Truth("car", low, box_mask(*low), low),
        Truth("car", high, box_mask(*high), (40, 0, 80, 82)),
        Truth("car", free, box_mask(*free)),
    ]
    visible = VisibleInstance(1, "truck", 0.8, box_mask(40, 0, 70, 41))
    pairs = [(visible, box_mask(40, 0, 80, 82))]
    assert judge(Seen(), "vehicles", truth, pairs) == [{"visible": pytest.approx(0.75), "box": 1}]
    assert judge(Seen(), "vehicles", truth, [(visible, None)])[0]["box"] == 0
    assert judge(Seen(), "vehicles", truth, []) == [{"visible": None, "box": None}]


def test_masks_are_averaged_over_the_cars_that_are_found():
    cars = [{"visible": 0.5, "box": 0.6}, {"visible": 0.7, "box": 1.0}, {"visible": None, "box": None}]
    assert of_cars(cars) == {
        "cars_recall": pytest.approx(2 / 3), "cars_visible": pytest.approx(0.6), "cars_box": pytest.approx(0.8),
        "cars_count": 3,
    }  # fmt: skip
    assert set(of_cars([]).values()) == {None}


def test_the_table_real_finds_its_material_in_the_folder_real_of_the_same_root(tmp_path, capsys):
    (tmp_path / "real").mkdir()
    assert main(["experiments", "real", "--root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'real'}: no folder cocoa" in capsys.readouterr().err
