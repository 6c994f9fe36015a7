"""Saved states of a pipeline and its parts: what they never give is refused, and nothing is half taken over."""

import copy
import json

import numpy as np
import pytest
from torch import nn

from made_up import passing_square
from samodal.errors import InputError
from samodal.method.cuts import CutDetector
from samodal.method.pipeline import Pipeline
from samodal.method.rules import PRESETS
from samodal.method.saved import plain_view, read_view
from samodal.trackers.cotracker.online import CoTrackerOnline
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.rereading import Rereading
from samodal.trackers.still import Still
from samodal.trackers.velocity import Velocity
from test_pipeline import FrameOracle
from tiny_cotracker import tiny

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = [seen.frame.image for seen in passing_square()[1][:4]]
POINTS = np.array([[30, 20], [34, 24]], np.float32)


class Clips(Rereading):
    """A tracker that reads clips and says that nothing moves."""

    def __init__(self):
        super().__init__(nn.Identity(), "cpu", 4)

    def prepare(self, frame):
        return frame[::2, ::2]

    def follow(self, clip, xy, size):
        return xy, np.ones(len(xy), bool), np.ones(len(xy), np.float32)


TRACKERS = {
    "still": Still,
    "lucas_kanade": LucasKanade,
    "velocity": Velocity,
    "clips": Clips,
    "cotracker": lambda: CoTrackerOnline(tiny(0)),
}


def followed(name):
    tracker = TRACKERS[name]()
    for t, image in enumerate(IMAGES):
        tracker.observe(image, t)
        if t == 1:
            tracker.add(7, POINTS, 1)
    return tracker


def places(value, path=()):
    """The path of every entry of a state."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def changed(value, path, new):
    """A copy of a state with another value at a path."""
    if not path:
        return new
    entries = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    entries[path[0]] = changed(entries[path[0]], path[1:], new)
    return entries if isinstance(value, dict) else type(value)(entries.values())


def at(value, path):
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("name", TRACKERS)
def test_every_value_of_a_trackers_state_is_checked_and_a_refused_state_changes_nothing(name):
    state, tracker = followed(name).state(), followed(name)
    before = {key: [part.tolist() for part in parts] for key, parts in tracker.positions().items()}
    tried = 0
    for path in places(state):
        now = at(state, path)
        wrong = ["x", -1, 0.5, {"y": 1}, [[1]]]
        if isinstance(now, np.ndarray):
            wrong += [np.zeros(now.shape, np.int64), now[..., None], now.astype(object)]
        for new in wrong:
            with pytest.raises(InputError) as error:
                tracker.load_state(changed(state, path, new))
            assert len(str(error.value)) < 300 and str(error.value).startswith("state of the tracker")
            tried += 1
    after = {key: [part.tolist() for part in parts] for key, parts in tracker.positions().items()}
    assert after == before and tried > 10
    tracker.load_state(copy.deepcopy(state))
    assert list(tracker.positions()) == [7]


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["frames"].reverse(),
        lambda state: state["frames"].__setitem__(2, (2, state["frames"][2][1][:9])),
        lambda state: state["groups"][7].update(t=1),
        lambda state: state["groups"][7].update(visible=np.ones(3, bool)),
        lambda state: state["frames"].clear(),
    ],
    ids=["frames out of order", "a frame of another size", "points of an older frame", "more flags", "no frame"],
)
def test_values_that_cannot_be_together_are_refused(damage):
    state = followed("lucas_kanade").state()
    damage(state)
    with pytest.raises(InputError, match="state of the tracker"):
        LucasKanade().load_state(state)


GREY, SAMPLE = np.zeros((180, 320), np.uint8), np.zeros((90, 160, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("last", "x"),
        ("last", [GREY[:90], SAMPLE, 0.0]),
        ("last", [GREY, SAMPLE.astype(float), 0.0]),
        ("last", [GREY, SAMPLE, np.nan]),
        ("before", GREY),
        ("shares", [[0.1, 2.0]]),
        ("shares", [[0.0, 0.5]]),
    ],
)
def test_pictures_and_shares_of_the_cuts_are_what_a_detector_keeps(name, value):
    detector = CutDetector(0.5)
    with pytest.raises(InputError, match=f"state of the cuts: {name} cannot be"):
        detector.load_state(detector.state() | {name: value})


def stepped() -> tuple[Pipeline, list]:
    truth, observed = passing_square()
    pipeline = Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS["default"])
    for seen in observed[:12]:
        pipeline.step(seen.frame.image, seen.visible, seen.frame.time)
    return pipeline, observed


OTHERS = {
    "clip": 3,
    "t": 2,
    "time": "now",
    "size": (60, 80),
    "memory": {},
    "tracker": {},
    "cuts": None,
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_pipeline_that_is_refused_its_state_has_forgotten_everything(name):
    pipeline, observed = stepped()
    state = pipeline.state_dict()
    for damaged in (state | {name: OTHERS[name]}, {key: value for key, value in state.items() if key != name}):
        with pytest.raises(InputError):
            pipeline.load_state_dict(damaged)
        assert (pipeline.t, len(pipeline.memory), pipeline.tracker.positions()) == (-1, 0, {})
    pipeline.load_state_dict(state)
    seen = observed[12]
    assert pipeline.step(seen.frame.image, seen.visible, seen.frame.time).t == 12


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [
        ("mean", 2, [900.0, 0.0]),
        ("mean", 2, [3.0, 1e17]),
        ("covariance", 0, [[-1.0, 0.0], [0.0, 1.0]]),
        ("covariance", 1, [[1.0, -50.0], [-50.0, 1.0]]),
        ("covariance", 1, [[1.0, 0.5], [0.0, 1.0]]),
    ],
    ids=["a huge side", "a side that explodes", "a negative variance", "too alike", "not symmetric"],
)
def test_a_belief_that_no_filter_holds_is_refused(name, row, value):
    state = stepped()[0].state_dict()
    state["memory"][0]["belief"][name][row] = value
    with pytest.raises(InputError, match=f"instance 7, its belief: {name} cannot be"):
        stepped()[0].load_state_dict(state)


def test_a_view_is_read_as_it_was_written_and_one_that_cannot_be_is_refused():
    view = stepped()[0].view
    plain = json.loads(json.dumps(plain_view(view)))
    again = read_view(plain, "frame 3")
    assert plain_view(again) == plain and again.origin.dtype == np.float64
    assert np.array_equal(again.origin, view.origin) and (again.focal, again.known) == (view.focal, view.known)
    for damaged in (None, plain | {"origin": [0.0]}, plain | {"heading": "left"}, {"focal": 1.0}):
        with pytest.raises(InputError, match="frame 3, its view"):
            read_view(damaged, "frame 3")


def test_other_points_than_the_tracker_follows_are_refused():
    pipeline, _ = stepped()
    state = pipeline.state_dict()
    (entry,) = state["memory"]
    assert entry["phase"] is not None
    entry["phase"]["start"] = entry["phase"]["start"][:1]
    with pytest.raises(InputError, match="instance 7: the tracker follows other points than its own"):
        pipeline.load_state_dict(state)
