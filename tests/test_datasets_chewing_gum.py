"""Chewing Gum: two polygons that pass behind each other, made from a name, and every command that reads data sets."""

import json

import numpy as np
import pytest

from samodal.baselines.savos import Savos, SavosConfig, save
from samodal.cli.app import main
from samodal.data.chewing_gum import LENGTH, SIZE, polygon
from samodal.data.open import open_dataset, several
from samodal.errors import InputError
from samodal.rle import Rle


def test_a_sequence_is_made_from_its_name_alone():
    few, many = open_dataset("chewing-gum:test,3"), open_dataset("chewing-gum:test")
    assert few.sequences == ("test_00000", "test_00001", "test_00002") and len(many) == 1000
    a, b = few.video("test_00002"), many.video("test_00002")
    assert np.array_equal(a.frame(7).image, b.frame(7).image) and a.truth == b.truth
    other = open_dataset("chewing-gum:train,3").video("train_00002")
    assert not np.array_equal(a.frame(7).image, other.frame(7).image)


def test_pictures_show_what_the_masks_say():
    for video in open_dataset("chewing-gum:val,12"):
        assert video.colours[0].max() < 128
        for t in (0, 9, 39):
            image, (whole, seen) = video.frame(t).image, video.masks(t)
            ground = ~(whole[0] | whole[1])
            for region, colour in zip((ground, *seen), video.colours, strict=True):
                assert (image[region] == colour).all()
            assert ground.sum() + seen[0].sum() + seen[1].sum() == SIZE[0] * SIZE[1]


def test_the_nearer_object_is_whole_and_the_farther_one_is_covered_by_it_alone():
    fronts, hidden = set(), 0
    for video in open_dataset("chewing-gum:val,20"):
        fronts.add(video.front)
        for t in range(LENGTH):
            whole, seen = video.masks(t)
            near, far = video.front - 1, 2 - video.front
            assert np.array_equal(seen[near], whole[near])
            assert np.array_equal(seen[far], whole[far] & ~whole[near])
            hidden += int((whole[far] & ~seen[far]).sum())
    assert fronts == {1, 2} and hidden > 20 * LENGTH * 20


def test_one_stands_still_and_the_other_walks_round_it_without_changing_shape():
    for video in open_dataset("chewing-gum:val,8"):
        still, walking = video.centres
        assert (still == (28, 25)).all()
        assert walking[:, 0].min() == 20 and walking[:, 0].max() == 36
        assert walking[:, 1].min() == 17 and walking[:, 1].max() == 33
        assert (np.abs(np.diff(walking, axis=0)).sum(1) == 2).all() and (walking[0] == walking[32]).all()
        first = video.masks(0)[0]
        for t in (1, 13, 39):
            moved = video.masks(t)[0]
            for k in range(2):
                shift = video.centres[k, t] - video.centres[k, 0]
                assert np.array_equal(moved[k], np.roll(first[k], (shift[1], shift[0]), (0, 1)))


def test_the_square_belongs_to_the_farther_object():
    for video in open_dataset("chewing-gum:val,12"):
        (x, y), whole = video.centres[2 - video.front, 0], video.masks(0)[0][2 - video.front]
        quarters = [whole[b : b + 8, a : a + 8].all() for a in (x - 8, x) for b in (y - 8, y)]
        assert any(quarters)


def inside(point, corners) -> bool:
    """Whether a point is in a polygon or on its edge, by the angles at which its corners are seen."""
    seen = corners - point
    angles = np.arctan2(seen[:, 1], seen[:, 0])
    turned = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
    return abs(turned.sum()) > np.pi


def test_polygons_are_drawn_as_a_slow_judge_draws_them():
    for seed in range(6):
        mask = polygon(np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        places = np.sort(rng.choice(44, rng.integers(7, 12), replace=False))
        corners = 8 * np.stack([np.cos(places * np.pi / 22), np.sin(places * np.pi / 22)], 1)
        assert 7 <= len(corners) <= 11
        # Judged a little inside and outside of each pixel's centre, as those on an edge are in.
        for y, x in np.ndindex(mask.shape):
            point = np.array([x - 8.0, y - 8.0])
            nearer = point + 1e-6 * (corners.mean(0) - point)
            assert mask[y, x] == inside(nearer, corners), (seed, x, y)


def test_visible_instances_are_those_of_the_truth():
    video = open_dataset("chewing-gum:val,1").video("val_00000")
    for whole, seen in zip(video.frame_truth(5), video.frame_visible(5), strict=True):
        assert whole.id == seen.id and whole.visible == seen.visible == seen.amodal
    assert [one.depth_order for one in video.frame_truth(5)] == [int(video.front != k) for k in (1, 2)]
    clip = video.truth
    assert len(clip) == 40 and [track.id for track in clip.tracks] == [1, 2]
    assert clip.tracks[1].amodal[5] == Rle.encode(video.masks(5)[0][1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chewing-gum:valid", "expected chewing-gum:SPLIT or chewing-gum:SPLIT,COUNT, where SPLIT is one of train"),
        ("chewing-gum:val,x", "expected chewing-gum:SPLIT"),
        ("chewing-gum:val,0", "no 0 sequences"),
        ("chewing-gum:val,501", r"no 501 sequences; where SPLIT is one of train \(10,000\), val \(500\)"),
        ("chewing:val", "did you mean chewing-gum:val"),
    ],
)
def test_what_is_not_there_is_an_error_with_the_way_out(text, message):
    with pytest.raises(InputError, match=message):
        open_dataset(text)


def test_an_unknown_sequence_is_an_error_and_lists_of_data_sets_keep_the_count():
    with pytest.raises(InputError, match="no sequence 'val_00002'; it begins with val_00000, val_00001"):
        open_dataset("chewing-gum:val,2").video("val_00002")
    assert several("chewing-gum:val,2,asd:a/b") == ["chewing-gum:val,2", "asd:a/b"]


def test_it_is_checked_run_trained_on_and_evaluated(tmp_path, capsys):
    assert main(["data", "check", "chewing-gum:test,2"]) == 0
    assert "2 clips, 80 frames (80 labelled), 4 instances" in capsys.readouterr().out
    arguments = "--data chewing-gum:train,2 --val chewing-gum:val,1 --steps 1 --batch 1 --length 4 --min_area 20"
    assert main(["train", "savos", *arguments.split(), *f"--device cpu --workers 1 --out {tmp_path}".split()]) == 0
    measured = json.loads((tmp_path / "savos.json").read_text())["held_out"]
    assert measured["hidden_frames"] > 0 and measured["amodal_iou_copied"] < 1
    save(Savos(SavosConfig(widths=(4,) * 6, flow_widths=(4,) * 6, hidden=8)), tmp_path / "tiny.safetensors")
    method = f"savos:{tmp_path / 'tiny.safetensors'}"
    run = ["run", "--data", "chewing-gum:test,1", "--method", method, "--out", str(tmp_path / "run"), "--no-overlay"]
    assert main([*run, "--device", "cpu"]) == 0
    scores = tmp_path / "scores.json"
    strict = ["--profile", "strict", "--json", str(scores)]
    assert main(["evaluate", str(tmp_path / "run"), "--truth", "chewing-gum:test,1", *strict]) == 0
    assert "miou_hidden" in scores.read_text()
