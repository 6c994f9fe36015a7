"""What every tracker must stand: one frame, gaps at the start, odd sizes, many points."""

import numpy as np
import pytest

from made_up import Oracle, passing_square
from samodal.errors import InputError
from samodal.method.pipeline import Pipeline
from samodal.method.rules import preset
from samodal.trackers.cotracker import CoTrackerOnline
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still
from samodal.trackers.velocity import Velocity
from samodal.tracks import State
from tiny_cotracker import noise, tiny

pytestmark = pytest.mark.usefixtures("one_thread")

TRACKERS = {
    "lucas_kanade": LucasKanade,
    "velocity": Velocity,
    "still": Still,
    "cotracker3": lambda: CoTrackerOnline(tiny()),
}


def pipeline_over(tracker, truth, observed):
    rules = preset("paper")
    pipeline = Pipeline(Oracle([truth]), tracker, rules)
    return [pipeline.step(observation.frame.image, observation.visible) for observation in observed]


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
def test_a_video_of_one_frame_has_one_result(make):
    (result,) = pipeline_over(make(), *passing_square(1))
    assert [instance.state for instance in result.instances] == [State.VISIBLE]


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
def test_a_gap_at_the_start_says_nothing_and_changes_nothing_later(make):
    truth, observed = passing_square(10, start=36)  # visible, then hidden from frame 4 on
    late = pipeline_over(make(), truth[:1] * 3 + truth, [type(o)(o.frame, []) for o in observed[:3]] + observed)
    at_once = pipeline_over(make(), truth, observed)
    assert [len(result.instances) for result in late[:3]] == [0, 0, 0]
    assert {i.state for result in at_once for i in result.instances} == {State.VISIBLE, State.HIDDEN}
    assert [[i.state for i in r.instances] for r in late[3:]] == [[i.state for i in r.instances] for r in at_once]


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
@pytest.mark.parametrize("size", [(375, 1242), (480, 854)])
def test_points_stay_in_pixels_of_frames_of_any_size(make, size):
    height, width = size
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32)
    tracker = make()
    for t, frame in enumerate(noise(1, *size).repeat(3, axis=0)):
        tracker.observe(frame, t)
        if t == 1:
            tracker.add("a", corners, 0)
    xy, visible, confidence = tracker.positions()["a"]
    assert (xy.shape, visible.shape, confidence.shape) == ((4, 2), (4,), (4,))
    assert (xy.dtype, visible.dtype, confidence.dtype) == (np.float32, bool, np.float32)
    assert np.isfinite(xy).all()
    if make in (LucasKanade, Velocity, Still):  # nothing moves
        assert xy == pytest.approx(corners, abs=0.01)


@pytest.mark.parametrize("make", [LucasKanade, Velocity])
def test_many_points_are_followed_as_few_are(make):
    many, few = make(), make()
    points = np.random.default_rng(0).uniform((4, 4), (56, 36), (5000, 2)).astype(np.float32)
    for t, frame in enumerate(noise(1).repeat(4, axis=0)):
        for tracker, some in ((many, points), (few, points[:5])):
            tracker.observe(np.roll(frame, t, axis=1), t)
            if t == 1:
                tracker.add("a", some, 0)
    for all_of_them, some in zip(many.positions()["a"], few.positions()["a"], strict=True):
        assert len(all_of_them) == 5000
        assert np.array_equal(all_of_them[:5], some)


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
def test_many_keys_are_followed_at_once(make):
    tracker = make()
    for t, frame in enumerate(noise(3)):
        tracker.observe(frame, t)
        if t == 1:
            for key in range(40):
                tracker.add(key, [[key, 20]], t)
    assert list(tracker.positions()) == list(range(40))


@pytest.mark.parametrize("make", [LucasKanade, Velocity, TRACKERS["cotracker3"]])
def test_a_frame_of_another_size_is_refused_until_a_reset(make):
    tracker = make()
    tracker.observe(noise(1)[0], 0)
    tracker.add("a", [[20, 15]], 0)
    with pytest.raises(InputError, match=r"frame 1 is \(\d+, \d+\) and the ones before"):
        tracker.observe(noise(1, 80, 90)[0], 1)
    tracker.reset()
    tracker.observe(noise(1, 80, 90)[0], 0)
    assert tracker.positions() == {}


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
def test_what_a_caller_does_with_the_arrays_afterwards_changes_nothing(make):
    tracker, points = make(), np.array([[20.0, 15.0], [40.0, 25.0]], np.float32)
    tracker.observe(noise(1)[0], 0)
    tracker.add("a", points, 0)
    points += 5
    for part in tracker.positions()["a"]:
        part[:] = 0
    xy, visible, confidence = tracker.positions()["a"]
    assert xy.tolist() == [[20, 15], [40, 25]]
    assert visible.all() and (confidence == 1).all()


@pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS)
def test_after_a_reset_a_tracker_is_as_new_and_a_state_goes_on_elsewhere(make):
    video, point = noise(10), np.array([[30.0, 20.0]], np.float32)

    def last(tracker, frames, added):
        for t, frame in frames:
            tracker.observe(frame, t)
            if t == added:
                tracker.add("a", point, t)
        return tracker.positions()

    used, fresh, begun, other = make(), make(), make(), make()
    last(used, list(enumerate(video[5:])), 1)
    used.reset()
    assert used.positions() == {}
    last(begun, list(enumerate(video))[:6], 3)
    other.load_state(begun.state())
    expected = last(fresh, list(enumerate(video)), 3)
    for positions in (last(used, list(enumerate(video)), 3), last(other, list(enumerate(video))[6:], None)):
        assert positions.keys() == expected.keys()
        for part, expected_part in zip(positions["a"], expected["a"], strict=True):
            assert np.array_equal(part, expected_part)
