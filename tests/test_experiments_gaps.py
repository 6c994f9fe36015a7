"""The table of real gaps, on made-up labels: a car that goes behind nothing that is labelled, for three frames."""

import numpy as np
import pytest

from made_up import SIZE
from samodal.errors import InputError
from samodal.experiments.gaps import moved, parts_of, read_sequence, summarised, with_made_gaps
from samodal.experiments.labelled import LabelledTracker
from samodal.masks import Mask
from samodal.settings import RunSettings
from test_experiments_real import box_line, mask_line, rectangle, write_sequence


@pytest.fixture
def folder(tmp_path):
    """Car 1 moves right by 4 pixels a frame; it has a box in frames 0 to 8, and no mask in 4 to 6."""
    masks = [mask_line(t, 1001, rectangle(10 + 4 * t, 10, 30 + 4 * t, 22)) for t in (0, 1, 2, 3, 7, 8)]
    boxes = [box_line(t, 1001, 0, (10 + 4 * t, 10, 29 + 4 * t, 21)) for t in range(9)]
    write_sequence(tmp_path / "kitti_mots_labels", "0001", masks, boxes)
    return tmp_path / "kitti_mots_labels"


def ious(folder, tracker: str, **changes) -> list[float]:
    return [row["iou"] for row in moved(RunSettings(**changes), read_sequence(folder, "0001"), tracker)]


def test_a_gap_is_a_stretch_with_boxes_and_without_masks_between_frames_with_masks(folder):
    labels = read_sequence(folder, "0001")
    assert labels.last == {(4, 1001): 3, (5, 1001): 3, (6, 1001): 3}
    assert labels.spans() == [(0, 7)]
    assert labels.spans(after=4) == [(0, 11)]


def test_true_points_move_the_mask_with_its_box_and_a_held_mask_stays_behind(folder):
    assert ious(folder, "true", preset="paper") == [1, 1, 1]
    assert ious(folder, "nothing", preset="paper") == pytest.approx([16 / 24, 12 / 28, 8 / 32])
    assert ious(folder, "nothing", method="constant-velocity") == [1, 1, 1]
    assert ious(folder, "nothing", method="hold-last") == ious(folder, "nothing", preset="paper")


def test_points_that_move_as_their_object_are_hidden_behind_another_and_lost_ones_are_not():
    """Fifty points of a box that moves right by 4 pixels a frame, behind a mask over its right half."""
    boxes = {(0, 1): (0.0, 0.0, 20.0, 20.0), (1, 1): (4.0, 0.0, 24.0, 20.0)}
    covered, other = Mask(SIZE, 14, 0, np.ones((20, 10), bool)), Mask(SIZE, 0, 0, np.ones((20, 24), bool))
    xy = np.stack([np.linspace(0, 19, 50), np.full(50, 9.0)], axis=1)
    for noisy in (False, True):
        tracker = LabelledTracker(boxes, [{}, {2: covered, 1: other}], noisy)
        tracker.add(1, xy, 0)
        tracker.observe(None, 1)
        now, visible, confidence = tracker.positions()[1]
        behind = covered.at(now)
        assert visible[~behind].all() and (confidence == 1).all() and behind.any()
        assert not visible[behind].any() if not noisy else 0 < visible[behind].sum() < behind.sum()


@pytest.mark.parametrize("tracker", ["true", "noisy", "nothing"])
def test_with_hindsight_the_mask_is_where_its_box_is_whatever_the_points_do(folder, tracker):
    assert ious(folder, tracker, offline=True) == [1, 1, 1]


def test_hindsight_is_refused_for_rules_and_methods_that_have_none(folder):
    with pytest.raises(InputError, match="--offline needs the rules motion: filter"):
        ious(folder, "true", offline=True, preset="paper")
    with pytest.raises(InputError, match="--offline is for the method samodal, not for hold-last"):
        ious(folder, "nothing", offline=True, method="hold-last")


def test_the_filter_tells_a_spread_that_is_compared_with_where_the_middle_is(folder):
    rules = {"motion": "filter", "anchor_s": None}
    rows = list(moved(RunSettings(rules=rules), read_sequence(folder, "0001"), "true"))
    assert np.mean([row["iou"] for row in rows]) > 0.9 and all(row["off"] < 5 for row in rows)


def test_the_shares_within_the_spread_and_the_halves_are_counted():
    rows = [
        {"tracker": "nothing", "half": half, "iou": iou, "off": off}
        for half, iou, off in (("even", 1.0, 1.0), ("odd", 0.5, 4.0), ("odd", 0.0, None))
    ]
    levels = summarised(rows)
    assert levels["nothing_all"]["metrics"] == {"box_iou": 0.5, "within_50": 0.5, "within_90": 1.0, "count": 3}
    assert levels["nothing_odd"]["metrics"]["box_iou"] == 0.25
    assert levels["true_all"]["metrics"]["box_iou"] is None
    withheld = summarised([{"tracker": "withheld", "iou": iou, "off": off} for iou, off in ((1.0, 1.0), (0.5, 99.0))])
    assert withheld["withheld"]["metrics"] == {"iou": 0.75, "count": 2, "within_50": 0.5, "within_90": 0.5}


def test_made_gaps_begin_after_ten_frames_with_masks_and_end_before_one(tmp_path):
    """Car 1 has 90 frames with masks and boxes, but no box in frame 70; car 2, which is counted from 17 on, has 30."""
    masks = [mask_line(t, 1001, rectangle(10, 10, 30, 22)) for t in range(90)]
    masks += [mask_line(t, 1002, rectangle(40, 10, 50, 22)) for t in range(30)]
    boxes = [box_line(t, 1001, 0, (10, 10, 29, 21)) for t in range(90) if t != 70]
    boxes += [box_line(t, 1002, 1, (40, 10, 49, 21)) for t in range(30)]
    write_sequence(tmp_path, "0001", masks, boxes)
    labels = read_sequence(tmp_path, "0001")
    made = with_made_gaps(labels)
    # Car 1: none in frame 0, before which nothing is seen, and in 60 for 6 frames. Car 2: in 17 for 6 frames.
    assert made.last == {(t, 1001): 59 for t in range(60, 66)} | {(t, 1002): 16 for t in range(17, 23)}
    assert [t for t, shown in enumerate(made.frames) if 1001 not in shown] == list(range(60, 66))
    assert [t for t, shown in enumerate(made.frames[:30]) if 1002 not in shown] == list(range(17, 23))
    assert all(1001 in shown for shown in labels.frames) and made.boxes == labels.boxes


@pytest.mark.parametrize("mask, box, frames", [(55, None, 0), (None, 63, 0), (None, 66, 0), (49, 67, 6)])
def test_a_gap_is_not_made_where_a_mask_or_a_box_is_missing(tmp_path, mask, box, frames):
    """The gap would be in frames 60 to 65; it needs those from 50 to 66."""
    masks = [mask_line(t, 1001, rectangle(10, 10, 30, 22)) for t in range(90) if t != mask]
    boxes = [box_line(t, 1001, 0, (10, 10, 29, 21)) for t in range(90) if t != box]
    write_sequence(tmp_path, "0001", masks, boxes)
    assert len(with_made_gaps(read_sequence(tmp_path, "0001")).last) == frames


def test_a_folder_without_labels_is_told(tmp_path):
    with pytest.raises(InputError, match="no folder kitti_mots_labels"):
        parts_of(tmp_path)
