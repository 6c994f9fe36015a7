"""The table on real pictures and labels: on a made-up root of literal masks, and on the real one where it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.errors import InputError
from samodal.executors import InProcess
from samodal.experiments.config import load
from samodal.experiments.plan import plan
from samodal.experiments.real import NEEDS_PICTURES, parts_of, real_scores
from samodal.masks import Mask
from samodal.metrics.boxes import box_ious, slack, widened
from samodal.parts import Decoded, Features
from samodal.rle import Rle
from toy_data import write_toy

REAL = Path(__file__).parents[2] / "shared" / "real"
SIZE = (40, 100)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def mask_line(t: int, key: int, mask: np.ndarray) -> str:
    return f"{t} {key} {key // 1000} {SIZE[0]} {SIZE[1]} {Rle.encode(mask).counts}\n"


def box_line(t: int, key: int, level: int, box: tuple) -> str:
    kind = "Car" if key < 2000 else "Pedestrian"
    return f"{t} {key % 1000} {kind} 0 {level} 0 {' '.join(map(str, box))} 1 1 1 0 0 0 0\n"


def write_sequence(root: Path, name: str, masks: list[str], boxes: list[str]) -> None:
    for folder, lines in (("instances_txt", masks), ("label_02", boxes)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{name}.txt").write_text("".join(lines))


@pytest.fixture
def root(tmp_path) -> Path:
    """Two sequences without pictures, 0005 and 0006, and an image of COCOA with one region behind another."""
    labels = tmp_path / "real" / "kitti_mots_labels"
    whole, half = rectangle(20, 10, 40, 20), rectangle(60, 10, 70, 20)
    masks = [
        mask_line(0, 1001, whole),
        mask_line(0, 1002, half),
        mask_line(1, 1001, whole),
        mask_line(1, 1003, rectangle(0, 0, 3, 5)),  # 15 pixels: not judged
        mask_line(1, 1004, rectangle(80, 0, 90, 10)),  # without a box: not judged
    ]
    # Boxes name the last column and row: the labels of 1001 are looser than its mask by 2 of 20 pixels on the right.
    boxes = [
        box_line(0, 1001, 0, (20, 10, 41, 19)),
        box_line(0, 1002, 2, (60, 10, 79, 19)),
        box_line(1, 1001, 0, (20, 10, 41, 19)),
        box_line(1, 1003, 1, (0, 0, 50, 30)),
    ]
    for name in ("0005", "0006"):
        write_sequence(labels, name, masks, boxes)
    folder = tmp_path / "real" / "cocoa"
    folder.mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "1.png")
    behind, front = rectangle(10, 10, 30, 30), rectangle(15, 20, 25, 35)
    regions = [
        {"segmentation": Rle.encode(front).to_coco(), "name": "front", "order": 1},
        {
            "segmentation": Rle.encode(behind).to_coco(), "name": "behind", "order": 2, "occlude_rate": 0.25,
            "visible_mask": Rle.encode(behind & ~front).to_coco(), "invisible_mask": {},
        },
    ]  # fmt: skip
    (folder / "1.json").write_text(json.dumps({"image_id": 1, "url": "1.png", "regions": regions}))
    return tmp_path / "real"


def scores(root: Path, tmp_path: Path, rows: dict) -> dict[str, dict]:
    """{row: {level: metrics, or what is needed}} of some rows."""
    experiment = tmp_path / "own.yaml"
    experiment.write_text(json.dumps({"title": "own", "base": "real", "rows": rows}))
    runs, _ = plan(load(str(experiment), trusted=True), str(root), tmp_path / "out", seeds=1, device="cpu")
    made, _ = real_scores(runs, root, parts_of(root), InProcess())
    return {
        run.row: {level: part.get("needs", part["metrics"]) for level, part in score["real"].items()}
        for run, score in zip(runs, made, strict=True)
    }


def test_boxes_are_averaged_by_class_and_occlusion_level_and_slack_is_taken_off_the_later_sequences(root, tmp_path):
    levels = scores(root, tmp_path, {"copy": {"method": "copy-visible"}})["copy"]
    assert levels["car_0"] == {"box_iou": pytest.approx(20 / 22), "count": 4}
    assert levels["car_2"] == {"box_iou": pytest.approx(0.5), "count": 2}
    assert "car_1" not in levels and "pedestrian_0" not in levels
    # Of 0006 alone, and widened to the right by a tenth, which is what 1001 lacks in 0005.
    assert levels["car_0_slack"] == {"box_iou": pytest.approx(1), "count": 2, "without": pytest.approx(20 / 22)}
    assert levels["car_2_slack"] == {"box_iou": pytest.approx(11 / 20), "count": 1, "without": pytest.approx(0.5)}


def test_only_regions_of_which_a_part_is_hidden_count_in_cocoa(root, tmp_path):
    rows = {name: {"method": name} for name in ("copy-visible", "hull-front")}
    levels = scores(root, tmp_path, rows)
    assert levels["copy-visible"]["cocoa_1"] == {"iou": pytest.approx(0.75), "count": 1}
    assert levels["hull-front"]["cocoa_1"] == {"iou": pytest.approx(1), "count": 1}


class MasksAlone:
    """A segmenter that reads no pixel: the visible mask widened to twice its width."""

    def encode(self, frames):
        return Features(None, sizes=tuple(frame.shape[:2] for frame in frames))

    def decode(self, features, prompts, index):
        masks = [Mask(p.mask.size, p.mask.x, p.mask.y, np.repeat(p.mask.inside, 2, axis=1)) for p in prompts]
        return Decoded(masks, [1.0] * len(masks))


def test_a_segmenter_that_reads_masks_alone_works_without_pictures_and_the_embedded_sam_needs_them(root, tmp_path):
    widening = {"segmenter": f"{__name__}:MasksAlone", "rules": {"prompt": "mask"}}
    levels = scores(root, tmp_path, {"widening": widening, "paper": {"preset": "paper"}})
    assert levels["widening"]["car_2"] == {"box_iou": pytest.approx(1), "count": 2}
    assert levels["widening"]["car_0"]["box_iou"] == pytest.approx(22 / 40)
    assert levels["paper"]["car_0"] == levels["paper"]["pedestrian_2"] == NEEDS_PICTURES
    assert 0 <= levels["paper"]["cocoa_1"]["iou"] < 1


def test_the_command_writes_a_table_that_says_what_a_row_needs_and_works_again_from_what_is_there(
    root, tmp_path, capsys
):
    command = ["experiments", "real", "--root", str(root), "--out", str(tmp_path / "out"), "--device", "cpu"]
    command += ["--workers", "1", "--seeds", "1", "--weights.sam=streetsim-small"]
    assert main(command) == 0
    page = (tmp_path / "out" / "real.md").read_text()
    assert "| copy-visible | 75.0 | - | - | - | 90.9 | - | 50.0 | - |" in page
    assert page.count("needs pictures") == 2 * 8 and page.strip() in capsys.readouterr().out
    assert main(command) == 0
    records = [json.loads((tmp_path / "out" / "real.json").read_text())]
    assert records[0]["reused"] and [row["row"] for row in records[0]["table"]][0] == "copy-visible"


@pytest.mark.parametrize("given", [[], ["--root", "nowhere"]])
def test_a_missing_root_is_named(tmp_path, capsys, given):
    assert main(["experiments", "real", "--out", str(tmp_path), *given]) == 2
    assert ("give --root FOLDER" if not given else "nowhere: no folder cocoa") in capsys.readouterr().err


def test_without_a_root_the_other_experiments_go_on(tmp_path, capsys):
    data, own = write_toy(tmp_path / "toy", sequences=1, frames=2, seed=3), tmp_path / "own.yaml"
    columns = {"mIoU": "strict image miou"}
    own.write_text(json.dumps({"title": "own", "columns": columns, "rows": {"copy": {"method": "copy-visible"}}}))
    command = ["experiments", f"real,{own}", "--data", data, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(command) == 0
    assert "real: give --root FOLDER" in capsys.readouterr().out
    assert (tmp_path / "out" / "own.md").exists() and not (tmp_path / "out" / "real.md").exists()


def test_a_damaged_label_names_its_file_and_line(root, tmp_path):
    path = root / "kitti_mots_labels" / "label_02" / "0006.txt"
    path.write_text("0 1 Car zero\n")
    with pytest.raises(InputError, match=f"{path}, line 1: expected 'frame track type"):
        scores(root, tmp_path, {"copy": {"method": "copy-visible"}})


def test_the_slack_of_boxes_is_the_median_share_that_is_missing_on_each_side():
    boxes = [[10, 10, 20, 30]] * 3
    truth = [[9, 10, 22, 30], [9, 8, 22, 31], [5, 10, 22, 30]]
    assert slack(boxes, truth).tolist() == pytest.approx([0.1, 0, 0.2, 0])
    assert widened(boxes[:1], [0.1, 0, 0.2, 0], [[40, 21]]).tolist() == [[9, 10, 21, 30]]
    assert box_ious(boxes[:1], [[10, 20, 20, 40]]).tolist() == pytest.approx([1 / 3])
    assert box_ious(boxes[:1], [[20, 30, 40, 40]]).tolist() == [0]


@pytest.mark.heavy
@pytest.mark.skipif(not REAL.exists(), reason="needs the real pictures and labels beside the project (../shared/real)")
def test_floors_on_real_pictures_are_the_known_ones(tmp_path):
    names = ("copy-visible", "hull", "hull-front")
    levels = scores(REAL, tmp_path, {name: {"method": name} for name in names})
    floor, front = levels["copy-visible"], levels["hull-front"]

    def shown(level: str) -> tuple[float, int]:
        return round(floor[level]["box_iou"], 3), floor[level]["count"]

    assert [shown(f"car_{n}") for n in range(3)] == [(0.851, 6982), (0.767, 4059), (0.576, 2196)]
    assert [shown(f"pedestrian_{n}") for n in range(3)] == [(0.703, 353), (0.632, 50), (0.299, 95)]
    assert [round(floor[f"car_{n}_slack"]["without"], 3) for n in range(3)] == [0.850, 0.742, 0.563]
    assert [shown(f"car_{n}_slack")[0] for n in range(3)] == [0.874, 0.780, 0.596]
    assert floor["kitti_0005"] == {"box_iou": pytest.approx(0.898, abs=5e-4), "count": 52, "area": 1}
    assert [round(floor[f"cocoa_{n}"]["iou"], 3) for n in (1, 2)] == [0.663, 0.745]
    assert [round(front[f"cocoa_{n}"]["iou"], 3) for n in (1, 2)] == [0.833, 0.916]
    # A part of a convex hull never changes a box.
    assert all(front[f"car_{n}"] == levels["hull"][f"car_{n}"] == floor[f"car_{n}"] for n in range(3))
