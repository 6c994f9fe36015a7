"""Real frames with real masks, where they lie beside the project; what the shipped weights make of them."""

from pathlib import Path

import numpy as np
import pytest

from samodal.data.kitti_boxes import read_kitti_boxes
from samodal.metrics.boxes import box_ious
from samodal.results.frames import read_frames
from samodal.rle import Rle, iou
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import open_video

REAL = Path(__file__).parents[2] / "shared" / "real"
KITTI = REAL / "kitti_tracking_0005"
BDD = REAL / "bdd100k_mots"

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="needs the real frames beside the project (../shared/real)")


@pytest.fixture(scope="module")
def kitti(tmp_path_factory):
    out = tmp_path_factory.mktemp("kitti")
    settings = RunSettings(
        video=str(KITTI / "image_02" / "0005"), vis=f"file:{KITTI / 'instances_txt' / '0005.txt'}", overlay=False
    )
    run_video(settings, open_video(settings.video), out)
    return read_frames(out / "frames.jsonl").results


def test_kitti_gives_four_tracks_and_an_amodal_mask_for_each_visible_one(kitti):
    instances = [one for result in kitti for one in result.instances]
    assert {one.id for one in instances} == {1000, 1001, 1002, 1031}
    assert sum(one.visible is not None for one in instances) == 52
    assert all(one.amodal is not None for one in instances if one.visible is not None)


def test_kittis_car_1000_leaves_no_ghost_when_it_has_left_the_image(kitti):
    assert [one.id for result in kitti[14:] for one in result.instances if one.id == 1000] == []


def test_boxes_of_kittis_visible_masks_agree_with_its_labels(kitti):
    truth = {(box.frame, box.mots_id): box.box for box in read_kitti_boxes(KITTI / "label_02" / "0005.txt")}
    pairs = [(one, truth[r.t, one.id]) for r in kitti for one in r.instances if one.visible is not None]
    boxes = [box for _, box in pairs]
    visible = np.mean(box_ious([instance.visible.box for instance, _ in pairs], boxes))
    amodal = np.mean(box_ious([instance.amodal.box for instance, _ in pairs], boxes))
    print(f"mean box IoU with label_02 over {len(pairs)} masks: visible {visible:.3f}, amodal {amodal:.3f}")
    # Nothing is asked of the amodal boxes: the shipped weights have never seen a real street.
    assert visible == pytest.approx(0.898, abs=0.002)


def test_bdd_runs_with_its_own_ids(tmp_path):
    settings = RunSettings(
        video=str(BDD / "images" / "00091078-875c1f73"),
        vis=f"file:{BDD / 'labels' / '00091078-875c1f73.json'}",
        overlay=False,
    )
    summary = run_video(settings, open_video(settings.video), tmp_path)
    assert (summary.frames, summary.visible) == (6, 87)
    ids = {one.id for r in read_frames(tmp_path / "frames.jsonl").results for one in r.instances}
    assert {406, 609} <= ids


@pytest.fixture(scope="module")
def withheld(tmp_path_factory):
    """KITTI's masks without those of car 1031 in frames 5 to 8, as a file, and these by frame."""
    out = tmp_path_factory.mktemp("withheld") / "0005.txt"
    lines = (KITTI / "instances_txt" / "0005.txt").read_text().splitlines()
    taken = [line for line in lines if line.split()[1] == "1031" and 5 <= int(line.split()[0]) <= 8]
    out.write_text("\n".join(line for line in lines if line not in taken) + "\n")
    masks = {}
    for line in taken:
        t, _, _, height, width, counts = line.split()
        masks[int(t)] = Rle((int(height), int(width)), counts)
    return out, masks


def followed(withheld, out: Path, **changes) -> list[float]:
    """IoU of what is said of car 1031 in frames 5 to 8 with the masks that were kept from the front end."""
    file, masks = withheld
    settings = RunSettings(
        video=str(KITTI / "image_02" / "0005"), vis=f"file:{file}", overlay=False, frames="0:10", **changes
    )
    run_video(settings, open_video(settings.video), out)
    results = read_frames(out / "frames.jsonl").results
    told = {r.t: one.amodal for r in results for one in r.instances if one.id == 1031 and one.amodal is not None}
    return [iou(told.get(t), mask) for t, mask in masks.items()]


def test_a_car_that_the_front_end_misses_is_followed_better_than_by_its_last_mask(withheld, tmp_path):
    # The visible masks stand for the amodal ones (min_cover), since the shipped weights have never seen a real street:
    # what is compared is the motion alone.
    own = {"rules": {"min_cover": 1.0}}
    moved = followed(withheld, tmp_path / "moved", **own)
    paper = followed(withheld, tmp_path / "paper", preset="paper", **own)
    held = followed(withheld, tmp_path / "held", method="hold-last")
    as_shipped = followed(withheld, tmp_path / "shipped")
    for name, values in (("moved", moved), ("paper", paper), ("hold-last", held), ("as shipped", as_shipped)):
        print(f"{name}: {np.mean(values):.3f}", np.round(values, 3))
    assert len(moved) == 4 and np.mean(moved) > np.mean(held) + 0.02
