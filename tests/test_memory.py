"""The point memory: what it keeps, how it is read, saved and taken up again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from made_up import passing_square, square
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.hidden import HiddenPhase
from samodal.method.history import RING, History, Seen
from samodal.method.memory import PointMemory
from samodal.method.pipeline import Pipeline
from samodal.method.rules import PRESETS, preset
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.tracks import VisibleInstance
from test_pipeline import FrameOracle

VIEW = View(84.0, 59.5, 10.0, 0.0, np.zeros(2))


def seen(t: int, x: int = 10, visible: int = 16) -> Seen:
    """A square of 16 x 16 pixels at x, of which so many columns are visible."""
    part = square(x) & (np.arange(120) < x + visible)
    return Seen(t, t / 10, np.array([[x + 1, 25]], np.float32), Mask.of(part), Mask.of(square(x)), 0.5, 0.5)


def store(memory: PointMemory, entry: Seen) -> None:
    memory.store(VisibleInstance(7, "car", 1.0, entry.visible), entry, VIEW)


def filled(*entries: Seen) -> PointMemory:
    memory = PointMemory(tuples=4, instances=3)
    for entry in entries:
        store(memory, entry)
    return memory


def history(*entries: Seen) -> History:
    return filled(*entries).get(7).history


def test_all_tuples_are_kept_within_the_bound():
    assert [t for t, _ in history(*(seen(t) for t in range(6))).tuples] == [2, 3, 4, 5]


def test_the_anchor_is_the_newest_frame_that_shows_nearly_the_most():
    shown = history(seen(0, visible=16), seen(1, visible=15), seen(2, visible=6), seen(3, visible=2))
    assert shown.anchor(now=4, anchor_s=0.8).t == 1


@pytest.mark.parametrize("ious, frame", [((0.9, 0.9), 1), ((0.9, 0.6), 0), ((0.6, 0.9), 1), ((None, 0.8), 0)])
def test_an_earlier_anchor_must_promise_a_better_shape_than_the_last(ious, frame):
    """The last of two frames shows 15 of 16 columns: the expected IoU decides, not how sure the front end is."""
    pair = [replace(seen(t, visible=16 - t), score=0.9 - t / 2, iou=iou) for t, iou in enumerate(ious)]
    assert history(*pair).anchor(now=2, anchor_s=0.8).t == frame


def test_without_the_rule_the_anchor_is_the_last_frame():
    assert history(seen(0), seen(1, visible=2)).anchor(now=2, anchor_s=None).t == 1


def test_the_anchor_is_never_older_than_the_trackers_remember_or_the_rule_allows():
    assert history(seen(0), seen(RING - 1, visible=3)).anchor(now=RING, anchor_s=100).t == RING - 1
    assert history(seen(0), seen(4, visible=3)).anchor(now=5, anchor_s=0.3).t == 4


def test_the_shift_from_an_earlier_anchor_begins_with_the_way_to_the_last_frame():
    shown = history(*(seen(t, x=10 + 3 * t, visible=16 if t < 3 else 2) for t in range(5)))
    phase = HiddenPhase.begin(shown, 5, preset("default", anchor_s=0.8))
    assert (phase.anchor.t, phase.shift.tolist()) == (2, [6.0, 0.0])


def test_the_velocity_does_not_mind_a_few_bad_masks():
    memory = PointMemory(tuples=20, instances=1)
    for t in range(12):
        store(memory, seen(t, x=10 + 2 * t + (25 if t > 8 else 0)))
    shown = memory.get(7).history
    slopes = [
        (b - a) / (tb - ta) for i, (ta, a) in enumerate(shown.centres) for tb, b in list(shown.centres)[i + 2 :]
    ]  # the slow judge
    assert shown.velocity() == pytest.approx(np.median(slopes, axis=0))
    assert shown.velocity()[0] == pytest.approx(2, abs=2)


def test_one_sighting_has_no_velocity_and_two_have_their_step():
    assert history(seen(0)).velocity().tolist() == [0, 0]
    assert history(seen(0, x=10), seen(2, x=16)).velocity().tolist() == [3, 0]


def pipeline(truth, observed) -> Pipeline:
    rules = PRESETS["default"]
    made = Pipeline(FrameOracle(truth, observed), LucasKanade(), rules)
    made.reset("clip")
    return made


@pytest.mark.parametrize("stop", [6, 14])
def test_a_saved_memory_goes_on_byte_for_byte(tmp_path, stop):
    truth, observed = passing_square()
    first, second = pipeline(truth, observed), pipeline(truth, observed)
    for one in observed[:stop]:
        first.step(one.frame.image, one.visible, one.frame.time)
    first.memory.save(tmp_path / "memory.json")
    state = first.state_dict()
    second.load_state_dict(state | {"memory": []})
    second.memory.load(tmp_path / "memory.json")
    for one in observed[stop:]:
        results = [p.step(one.frame.image, one.visible, one.frame.time) for p in (first, second)]
        assert told(results[0]) == told(results[1])
    assert first.memory.state() == second.memory.state()


def told(result) -> list:
    return [
        (i.id, i.state, i.score, i.amodal, None if i.followed is None else i.followed.tobytes())
        for i in result.instances
    ]


def test_a_saved_memory_can_be_read_by_eye(tmp_path):
    filled(seen(0), seen(1)).save(tmp_path / "memory.json")
    (one,) = json.loads((tmp_path / "memory.json").read_text())["instances"]
    assert (one["id"], one["category"]) == (7, "car")
    assert one["tuples"] == [[0, [[11, 25]]], [1, [[11, 25]]]]


@pytest.mark.parametrize(("content", "message"), [("[]", "found None"), ('{"memory": 9}', "found 9"), ("{", "JSON")])
def test_what_is_no_memory_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "memory.json").write_text(content)
    with pytest.raises(InputError, match=message):
        PointMemory(1, 1).load(tmp_path / "memory.json")


def test_the_summary_has_a_line_per_instance():
    head, line = filled(seen(0), seen(1)).summary().splitlines()
    assert head.split()[:2] == ["id", "category"]
    assert line.split()[:3] == ["7", "car", "2"]
    assert "t = 1" in line


def with_hidden() -> dict:
    """A saved memory of an instance that was seen once and is hidden now."""
    memory = filled(seen(0))
    (remembered,) = memory
    remembered.phase = HiddenPhase.begin(remembered.history, 1, PRESETS["default"])
    return {"memory": 8, "instances": memory.state()}


def test_an_instance_seen_once_can_be_saved_while_it_is_hidden(tmp_path):
    (tmp_path / "memory.json").write_text(json.dumps(with_hidden(), allow_nan=False))
    memory = PointMemory(4, 3)
    memory.load(tmp_path / "memory.json")
    (remembered,) = memory
    assert np.isinf(remembered.phase.limit).all() and remembered.phase.anchor is remembered.last
    assert memory.state() == with_hidden()["instances"]


def spoil(*path, value) -> dict:
    content = with_hidden()
    place = content["instances"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


EMPTY = {"size": [60, 120], "counts": "PPc0"}


@pytest.mark.parametrize(
    "content",
    [
        {"memory": 8},
        {"memory": 8, "instances": {}},
        {"memory": 8, "instances": [7]},
        {"memory": 8, "instances": with_hidden()["instances"] * 2},
        spoil(0, "id", value=[1]),
        spoil(0, "category", value=None),
        spoil(0, "extra", value=1),
        spoil(0, "recent", value=[]),
        spoil(0, "tuples", value=[[0, []]]),
        spoil(0, "tuples", value=[[0, [["a", 1]]]]),
        spoil(0, "centres", value=[[1, [1, 2]], [0, [1, 2]]]),
        spoil(0, "centres", value=[[0, [1e300, 2]]]),
        spoil(0, "best", "score", value="NaN"),
        spoil(0, "best", "visible", value=EMPTY),
        spoil(0, "best", "amodal", "size", value=[60]),
        spoil(0, "best", "amodal", "counts", value="\u00e9"),
        spoil(0, "recent", 0, "time", value=None),
        spoil(0, "phase", "anchor", value=9),
        spoil(0, "phase", "place", value="elsewhere"),
        spoil(0, "phase", "speed", value=[1]),
        spoil(0, "phase", "covered", value=0),
        spoil(0, "phase", "stretch", value=[1, 0]),
        spoil(0, "belief", "mean", value=[[1, 2]]),
        spoil(0, "belief", "surprise", value=[-1, 0]),
    ],
)
def test_a_memory_that_was_never_saved_is_refused_and_the_old_one_stays(content, tmp_path):
    (tmp_path / "memory.json").write_text(json.dumps(content))
    memory = filled(seen(0))
    with pytest.raises(InputError, match=r"memory\.json: damaged point memory: "):
        memory.load(tmp_path / "memory.json")
    assert [remembered.id for remembered in memory] == [7]


def test_what_no_recent_frame_was_sure_of_is_not_followed():
    memory = filled(seen(0), seen(1))  # scores of 0.5
    assert [remembered.id for remembered in memory.missing([])] == [7]
    assert [remembered.id for remembered in memory.missing([], least=0.5)] == [7]
    assert memory.missing([], least=0.6) == [] and memory.missing([7], least=0.1) == []
