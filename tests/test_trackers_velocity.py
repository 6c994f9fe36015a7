"""The constant-velocity tracker: Lucas-Kanade while a point is believed, straight on afterwards."""

import pickle

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.velocity import Velocity

POINT = np.array([[28.0, 28.0]], np.float32)
STEP = 3
HIDDEN = 8


def view(x: int) -> np.ndarray:
    """A (60, 120, 3) uint8 picture of a smooth texture, moved right by x pixels."""
    rows, columns = np.indices((60, 120))
    waves = np.sin(rows * 0.5) + np.sin((columns - x) * 0.4) + np.sin((columns - x) * 0.23 + rows * 0.31)
    return np.repeat((128 + 40 * waves).astype(np.uint8)[..., None], 3, axis=2)


def passing(count: int) -> list[np.ndarray]:
    """The texture moves right by STEP pixels a frame, and from frame HIDDEN on a grey wall hides it."""
    return [view(STEP * t) if t < HIDDEN else np.full((60, 120, 3), 9, np.uint8) for t in range(count)]


def followed(tracker, frames, xy=POINT, start=0):
    """Positions of points added in frame `start`, in every frame from there."""
    found = []
    for t, frame in enumerate(frames):
        tracker.observe(frame, t)
        if t == start:
            tracker.add("a", xy, t)
        if t >= start:
            found.append(tracker.positions()["a"])
    return found


def test_a_visible_point_is_where_lucas_kanade_finds_it():
    frames = passing(HIDDEN)
    for ours, theirs in zip(followed(Velocity(), frames), followed(LucasKanade(), frames), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_covered_point_goes_straight_on_at_its_median_step():
    found = followed(Velocity(), passing(14))
    steps = np.diff([xy[0] for xy, _, _ in found], axis=0)
    expected = np.median(steps[HIDDEN - 6 : HIDDEN - 1], axis=0)
    assert [bool(visible[0]) for _, visible, _ in found] == [True] * HIDDEN + [False] * 6
    assert steps[HIDDEN - 1 :] == pytest.approx(np.tile(expected, (6, 1)), abs=1e-4)
    assert expected == pytest.approx([STEP, 0], abs=0.1)
    assert found[-1][2].tolist() == [0.0]


def test_one_wrong_step_does_not_change_the_velocity():
    frames = passing(14)
    frames[5] = view(STEP * 5 + 2)
    assert followed(Velocity(), frames)[-1][0][0] == pytest.approx(POINT[0] + [13 * STEP, 0], abs=0.5)


def test_a_point_shown_just_before_it_is_covered_has_the_past_of_its_patch():
    start = HIDDEN - 1
    found = followed(Velocity(), passing(12), POINT + [start * STEP, 0], start)
    assert not found[1][1].any()
    assert found[-1][0][0] == pytest.approx(POINT[0] + [11 * STEP, 0], abs=0.5)


def test_without_frames_before_a_point_that_is_lost_at_once_stays():
    found = followed(Velocity(), [view(0), *passing(HIDDEN + 2)[HIDDEN:]])
    assert np.array_equal(found[-1][0], POINT)
    assert not found[-1][1].any()


def test_points_added_late_catch_up_with_those_added_in_time():
    early, late = Velocity(), Velocity()
    for t, frame in enumerate(passing(10)):
        early.observe(frame, t)
        late.observe(frame, t)
        if t == 6:
            early.add("a", POINT + [6 * STEP, 0], 6)
    late.add("a", POINT + [6 * STEP, 0], 6)
    for ours, other in zip(early.positions()["a"], late.positions()["a"], strict=True):
        assert np.array_equal(ours, other)


def test_points_do_not_influence_each_other():
    others = np.random.default_rng(0).uniform(5, 50, (30, 2)).astype(np.float32)
    alone = followed(Velocity(), passing(10))[-1]
    together = followed(Velocity(), passing(10), np.concatenate([POINT, others]))[-1]
    for ours, other in zip(alone, together, strict=True):
        assert np.array_equal(ours, other[:1])


def test_a_state_goes_on_elsewhere():
    whole, frames = Velocity(), passing(10)
    followed(whole, frames[:5])
    other = Velocity()
    other.load_state(pickle.loads(pickle.dumps(whole.state())))
    for t in range(5, 10):
        whole.observe(frames[t], t)
        other.observe(frames[t], t)
    for ours, two in zip(whole.positions()["a"], other.positions()["a"], strict=True):
        assert np.array_equal(ours, two)


def test_dropped_and_unknown_keys_are_gone():
    tracker = Velocity()
    followed(tracker, passing(3))
    tracker.drop("a")
    tracker.drop("never there")
    assert tracker.positions() == {}


def test_a_frame_that_is_no_longer_kept_is_an_error_that_says_which_are():
    tracker = Velocity(ring=2)
    for t, frame in enumerate(passing(4)):
        tracker.observe(frame, t)
    with pytest.raises(InputError, match=r"keeps the frames \[2, 3\].*frame 0"):
        tracker.add("a", POINT, 0)


def test_a_group_without_points_is_fine():
    assert followed(Velocity(), passing(3), np.zeros((0, 2)))[-1][0].shape == (0, 2)
