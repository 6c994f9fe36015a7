"""Gaps that are made by withholding masks: which they are, and that what is said there is compared with the masks."""

import numpy as np
import pytest

from samodal.experiments.withheld import FIRST, Window, moved, windows
from samodal.masks import Mask
from samodal.parts import Frame, Observed
from samodal.settings import RunSettings
from samodal.tracks import VisibleInstance

SIZE = (60, 200)
SIDE = 24  # 576 pixels


def square(x: int, side: int = SIDE) -> Mask:
    mask = np.zeros(SIZE, bool)
    mask[20 : 20 + side, x : x + side] = True
    return Mask.of(mask)


def drive(columns: dict[int, list[int]], side: int = SIDE) -> list[Observed]:
    """Frames in which square `key` begins at these columns, on a picture without any texture."""
    black = np.zeros((*SIZE, 3), np.uint8)
    return [
        Observed(
            Frame(t, t / 10, black, str(t)),
            [VisibleInstance(key, "car", None, square(xs[t], side)) for key, xs in columns.items() if t < len(xs)],
        )
        for t in range(max(map(len, columns.values())))
    ]


def test_windows_begin_every_second_frame_and_end_while_the_track_is_seen():
    frames = drive({7: [10] * 9})
    assert FIRST == 3
    assert windows(frames) == [Window(7, 3, 7), Window(7, 5, 9), Window(7, 3, 9)]


@pytest.mark.parametrize("columns", [[10] * 6, [10] * 5 + [0] * 9, [10] * 5 + [SIZE[1] - SIDE] * 9])
def test_a_track_that_ends_or_is_cut_by_the_border_gives_no_window(columns):
    assert {window.key for window in windows(drive({7: columns, 1: [50] * 14}))} == {1}


def test_small_tracks_give_no_window():
    assert windows(drive({7: [10] * 9}, side=22)) == []


def test_what_moves_is_missed_by_its_last_mask_and_met_by_going_straight_on():
    frames = drive({7: [10 + 6 * t for t in range(7)]})
    held = [row["iou"] for row in moved(RunSettings(method="hold-last"), frames)]
    assert held == pytest.approx([18 / 30, 12 / 36, 6 / 42, 0])
    straight = list(moved(RunSettings(method="constant-velocity"), frames))
    assert [row["iou"] for row in straight] == [1, 1, 1, 1] and {row["length"] for row in straight} == {4}


def test_others_are_given_and_a_mask_that_is_given_up_counts_nothing():
    frames = drive({7: [10] * 7, 1: [100] * 3})
    rows = list(moved(RunSettings(method="hold-last"), frames))
    assert [row["iou"] for row in rows] == [1, 1, 1, 1]
    black = list(moved(RunSettings(preset="points", rules={"coast_s": 0.0, "believe": 1.0}), frames))
    assert [row["iou"] for row in black] == [0, 0, 0, 0]


def test_with_hindsight_the_frames_after_a_window_tell_of_it():
    """It brakes while it is withheld: going straight on is wrong, and between both ends is right."""
    frames = drive({7: [10, 20, 30, 40, 48, 54, 58, 60, 60, 60, 60, 60]})
    first = Window(7, 3, 7)
    assert windows(frames)[0] == first
    plain, late = ([row["iou"] for row in moved(RunSettings(offline=offline), frames)][:4] for offline in (False, True))
    assert min(late) > min(plain) + 0.2 and len(late) == 4


def test_the_visible_mask_is_the_whole_one_to_the_preset_default():
    frames = drive({7: [10] * 7})
    assert [row["iou"] for row in moved(RunSettings(), frames)] == pytest.approx([1, 1, 1, 1], abs=0.15)


def test_how_far_a_mask_is_off_is_told_in_its_own_spread_where_it_has_one():
    still = drive({7: [10] * 7})
    assert all(0 <= row["off"] < 9 for row in moved(RunSettings(), still))
    assert [row["off"] for row in moved(RunSettings(method="hold-last"), still)] == [None] * 4
    jumping = drive({7: [10, 10, 10, 60, 60, 60, 60]})
    assert all(row["off"] > 100 for row in moved(RunSettings(), jumping))
