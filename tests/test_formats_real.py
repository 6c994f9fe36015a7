"""Readers on files that nobody here made; they lie beside the repository and are not part of it."""

import json
from pathlib import Path

import pytest

from samodal.errors import InputError
from samodal.results.open import open_visible

REAL = Path(__file__).parents[2] / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/real beside the repository")

KITTI = (375, 1242)


def count(clip):
    return sum(mask is not None for track in clip.tracks for mask in track.visible)


def test_kitti_0005_has_52_masks_of_4_cars_in_16_frames():
    clip = open_visible(REAL / "kitti_tracking_0005/instances_txt/0005.txt", "0005", KITTI, 16)
    assert count(clip) == 52
    assert {track.id: track.category for track in clip.tracks} == dict.fromkeys((1000, 1001, 1031, 1002), "car")
    car = next(track for track in clip.tracks if track.id == 1000)
    assert [t for t, mask in enumerate(car.visible) if mask] == list(range(14))
    assert clip.info["frames_beyond"] == 297 - 16


def test_all_kitti_sequences_are_read():
    paths = sorted((REAL / "kitti_mots_labels/instances_txt").glob("*.txt"))
    clips = [open_visible(path, path.stem, KITTI, None) for path in paths[:3]]
    expected = [sum(line.split()[2] != "10" for line in path.read_text().splitlines() if line) for path in paths[:3]]
    assert [count(clip) for clip in clips] == expected


def test_bdd_has_87_masks_in_6_frames():
    path = REAL / "bdd100k_mots/labels/00091078-875c1f73.json"
    clip = open_visible(path, "00091078-875c1f73", (720, 1280), 6)
    assert count(clip) == 87 and len(clip.tracks) == 24 and len(clip) == 6


def test_bdd_polygons_agree_with_its_run_lengths(tmp_path):
    from samodal.rle import iou

    path = REAL / "bdd100k_mots/labels/00091078-875c1f73.json"
    frames = json.loads(path.read_text())
    for frame in frames:
        for label in frame["labels"]:
            label.pop("rle")
    (tmp_path / "p.json").write_text(json.dumps(frames))
    drawn = open_visible(tmp_path / "p.json", "v", (720, 1280), 6)
    coded = open_visible(path, "v", (720, 1280), 6)
    worst = {}
    for a, b in zip(drawn.tracks, coded.tracks, strict=True):
        assert a.id == b.id
        for x, y in zip(a.visible, b.visible, strict=True):
            if y is not None and y.area > 2000:
                worst[a.id] = min(worst.get(a.id, 1.0), iou(x, y))
    assert sorted(worst.values())[len(worst) // 2] > 0.9


def test_pointtrack_0001_has_4_cars_with_plain_ids():
    clip = open_visible(REAL / "formats/pointtrack/0001.txt", "0001", KITTI, None)
    assert {track.id for track in clip.tracks} == {1, 2, 3, 4}
    assert count(clip) == 187 and len(clip) == 127


def test_mmtracking_truth_and_results_of_one_sedan():
    folder = REAL / "formats/mmtracking_vis"
    truth = open_visible(folder / "ann.json", "0043f083b5", (720, 1280), 1)
    results = open_visible(folder / "results.json", "0043f083b5", (720, 1280), 1)
    assert [(t.id, t.category) for t in truth.tracks] == [(1, "sedan")]
    assert [(t.id, round(t.score, 4)) for t in results.tracks] == [(3, 0.9985)]


def test_the_coco_vid_sample_has_boxes_only():
    with pytest.raises(InputError, match="a box but no mask"):
        open_visible(REAL / "formats/mmtracking_cocovid/ann.json", "dummy_video", (256, 512), 8)
