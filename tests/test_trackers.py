"""Point trackers: the common contract, and Lucas-Kanade's own promises."""

import numpy as np
import pytest

from made_up import image_of, square
from samodal.errors import InputError
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still

TRACKERS = [LucasKanade, Still]
POINT = np.array([[38.0, 28.0]], np.float32)


def frames(count=6, step=3):
    return [image_of(t, square(30 + step * t)) for t in range(count)]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_point_added_now_is_where_it_was_added(tracker):
    tracker = tracker()
    tracker.observe(frames()[0], 0)
    tracker.add("a", POINT, 0)
    xy, visible, confidence = tracker.positions()["a"]
    assert np.array_equal(xy, POINT)
    assert visible.tolist() == [True]
    assert confidence.tolist() == [1.0]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_dropped_and_unknown_keys_are_gone(tracker):
    tracker = tracker()
    tracker.observe(frames()[0], 0)
    tracker.add("a", POINT, 0)
    tracker.drop("a")
    tracker.drop("never there")
    assert tracker.positions() == {}


def test_lucas_kanade_follows_a_moving_texture():
    tracker = LucasKanade(window=9, levels=2)
    for t, frame in enumerate(frames()):
        tracker.observe(frame, t)
        if t == 0:
            tracker.add("a", POINT, 0)
    xy, visible, _ = tracker.positions()["a"]
    assert xy[0] == pytest.approx(POINT[0] + [15, 0], abs=0.5)
    assert visible.all()


def test_points_added_late_catch_up_with_those_added_in_time():
    early, late = LucasKanade(), LucasKanade()
    for t, frame in enumerate(frames(4)):
        early.observe(frame, t)
        late.observe(frame, t)
        if t == 1:
            early.add("a", POINT, 1)
    late.add("a", POINT, 1)
    assert np.array_equal(early.positions()["a"][0], late.positions()["a"][0])


def test_a_frame_may_be_written_over_when_positions_were_asked_for():
    kept, reused = LucasKanade(), LucasKanade()
    buffer = np.empty_like(frames()[0])
    for t, frame in enumerate(frames(4)):
        kept.observe(frame, t)
        buffer[:] = frame
        reused.observe(buffer, t)
        for tracker in (kept, reused):
            tracker.positions()
        buffer[:] = 0
    for tracker in (kept, reused):
        tracker.add("a", POINT, 0)
    assert np.array_equal(kept.positions()["a"][0], reused.positions()["a"][0])
    assert reused.positions()["a"][1].all()


def test_points_do_not_influence_each_other():
    alone, together = LucasKanade(), LucasKanade()
    others = np.random.default_rng(0).uniform(5, 50, (30, 2)).astype(np.float32)
    for t, frame in enumerate(frames(5)):
        for tracker in (alone, together):
            tracker.observe(frame, t)
            if t == 0:
                tracker.add("a", POINT, 0)
        if t == 1:
            together.add("b", others, 1)
    for ours, other in zip(alone.positions()["a"], together.positions()["a"], strict=True):
        assert np.array_equal(ours, other)


def test_a_covered_point_is_not_called_visible():
    tracker = LucasKanade()
    tracker.observe(image_of(0, square(30)), 0)
    tracker.add("a", POINT, 0)
    tracker.observe(image_of(1, square(30), square(22, 12, side=34)), 1)
    assert not tracker.positions()["a"][1].any()


def test_a_point_that_leaves_the_image_is_not_called_visible():
    tracker = LucasKanade(window=9, levels=2)
    for t in range(6):
        tracker.observe(image_of(t, square(90 + 5 * t, side=20)), t)
        if t == 0:
            tracker.add("a", np.array([[104.0, 30.0]], np.float32), 0)
    xy, visible, confidence = tracker.positions()["a"]
    assert not visible.any()
    assert confidence.tolist() == [0.0]


def test_a_frame_that_is_no_longer_kept_is_an_error_that_says_which_are():
    tracker = LucasKanade(ring=2)
    for t, frame in enumerate(frames(4)):
        tracker.observe(frame, t)
    with pytest.raises(InputError, match=r"keeps the frames \[2, 3\].*frame 0"):
        tracker.add("a", POINT, 0)


def test_a_group_without_points_is_fine():
    tracker = LucasKanade()
    for t, frame in enumerate(frames(3)):
        tracker.observe(frame, t)
        if t == 0:
            tracker.add("a", np.zeros((0, 2)), 0)
    assert tracker.positions()["a"][0].shape == (0, 2)
