"""The hidden phase: which points are believed, how the mask moves, when it is leaving, lost, forgotten or cut."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from made_up import SIZE, Oracle, image_of, passing_square, square
from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.hidden import HiddenPhase, Surroundings, believed
from samodal.method.history import History, Seen
from samodal.method.pipeline import Pipeline
from samodal.method.prompts.spread import FILLED, matched, spread_points
from samodal.method.rules import PRESETS, preset
from samodal.parts import Decoded, Frame, Observed
from samodal.results.by_track import clip_from_results
from samodal.results.frames import FramesWriter, read_frames
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still
from samodal.tracks import State, VisibleInstance
from test_pipeline import FrameOracle


class Scripted(Still):
    """Says that points have moved by what the script gives for each of them, scaled by the frames since."""

    def __init__(self, script):
        self.script, self.t = script, 0
        super().__init__()

    def observe(self, frame, t):
        self.t = t

    def add(self, key, xy, t):
        super().add(key, xy, t)
        self.since = t

    def positions(self):
        return {key: self.script(xy, self.t - self.since) for key, xy in self._points.items()}


def hidden_after(frames: int, script, hide: int = 6, step: int = 0, **changes):
    """Results of an instance of 16 x 16 pixels that is seen for some frames, moving by `step`, then not at all."""
    rules = preset("default", cut=None, **{"lost_spread": None} | changes)
    pipeline = Pipeline(None, Scripted(script), rules)
    results = []
    for t in range(frames + hide):
        mask = square(40 + step * t)
        pipeline.segmenter = Oracle([[mask]])
        shown = [VisibleInstance(1, "car", 1.0, mask)] if t < frames else []
        results.append(pipeline.step(image_of(t, mask), shown, t / 10))
    return results, pipeline


def sure(xy, n=None):
    return np.full(len(xy), True), np.ones(len(xy), np.float32)


def test_points_on_the_occluder_do_not_drag_the_mask_along():
    def script(xy, n):
        now = xy + np.array([4.0 * n, 0], np.float32)
        now[::3] = xy[::3]  # every third stays on the post
        return now, *sure(xy)

    results, _ = hidden_after(4, script, step=4)
    assert [r.instances[0].amodal.box[0] for r in results] == pytest.approx([40 + 4 * t for t in range(10)], abs=1)
    paper, _ = hidden_after(4, script, step=4, motion="points")
    assert paper[-1].instances[0].amodal.box[0] < 70


def test_a_mask_is_less_sure_by_points_that_shake_than_by_points_that_agree():
    def still(xy, n):
        return xy, *sure(xy)

    def shaking(xy, n):
        return xy + np.random.default_rng(n).normal(0, 2, xy.shape).astype(np.float32), *sure(xy)

    agreed, shaken = (hidden_after(20, script)[0][-1].instances[0].centre_spread for script in (still, shaking))
    assert (shaken > 1.2 * agreed).all()


def test_a_mask_grows_with_its_points():
    def script(xy, n):
        centre = np.array([47.5, 27.5], np.float32)
        return (centre + (xy - centre) * 1.1**n).astype(np.float32), *sure(xy)

    results, _ = hidden_after(2, script)
    areas = [r.instances[0].amodal.area for r in results]
    assert areas[-1] == pytest.approx(256 * 1.1**12, rel=0.15)


def test_points_without_confidence_are_not_believed():
    xy = np.array([[1, 1], [2, 2], [3, 3]], np.float32)
    weights = believed(xy, np.array([True, False, False]), np.array([0.9, 0.6, 0.2]), [], preset("default"))
    assert weights.tolist() == [0.9, 0.6, 0.0]


def test_points_seen_within_another_instance_are_not_believed_and_hidden_ones_are():
    other = square(0, 0, side=10)
    xy = np.array([[5, 5], [5, 5], [50, 5], [-300, 5], [np.nan, 0]], np.float32)
    weights = believed(xy, np.array([True, False, True, True, True]), np.ones(5), [Mask.of(other)], preset("default"))
    assert weights.tolist() == [0, 1, 1, 1, 1]


def test_a_jump_of_all_points_is_not_followed_but_the_velocity_is():
    def script(xy, n):
        return xy + np.array([2 * n if n < 3 else 40, 0], np.float32), *sure(xy)

    results, _ = hidden_after(4, script, hide=4, step=2, motion="robust")
    assert [r.instances[0].amodal.box[0] for r in results[-4:]] == [48, 50, 52, 54]
    without, _ = hidden_after(4, script, hide=4, step=2, motion="robust", jump=None)
    assert without[-1].instances[0].amodal.box[0] == 86


def nothing(xy, n):
    return xy, np.zeros(len(xy), bool), np.zeros(len(xy), np.float32)


def test_where_no_point_is_believed_it_goes_on_at_its_velocity():
    results, _ = hidden_after(4, nothing, step=2, motion="robust")
    assert [r.instances[0].amodal.box[0] for r in results[4:]] == [48, 50, 52, 54, 56, 58]


def test_after_coasting_too_long_it_is_lost_without_a_mask_and_later_forgotten():
    results, pipeline = hidden_after(3, nothing, hide=8, coast_s=0.35, remember_s=0.55)
    states = [[i.state for i in r.instances] for r in results[3:]]
    assert states == [[State.HIDDEN]] * 3 + [[State.LOST]] * 3 + [[]] * 2
    for result in results:
        for one in result.instances:
            if one.state == State.LOST:
                assert (one.amodal, one.visible, one.score, one.points, one.followed) == (None,) * 5
                assert one.frames_since_seen > 0
    assert len(pipeline.memory) == 0


def test_a_lost_instance_that_is_reported_again_is_visible():
    _, pipeline = hidden_after(3, nothing, hide=6, coast_s=0.2)
    mask = square(70)
    pipeline.segmenter = Oracle([[mask]])
    (one,) = pipeline.step(image_of(9, mask), [VisibleInstance(1, "car", 1.0, mask)], 0.9).instances
    assert one.state == State.VISIBLE


def test_a_lost_instance_survives_being_written_and_read(tmp_path):
    results, _ = hidden_after(3, nothing, hide=6, coast_s=0.2)
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE) as writer:
        for result in results:
            writer.write(result)
    track = read_frames(tmp_path / "frames.jsonl").tracks().tracks[0]
    assert track.states[-1] == State.LOST
    assert track.amodal[-1] is None
    assert track.score == pytest.approx(0.8)  # of the frames in which it was reported


def test_a_lost_instance_that_is_prompted_but_not_found_is_reported_once(tmp_path):
    pipeline, mask = Pipeline(None, Scripted(nothing), preset("paper", coast_s=0.2)), square(40)
    results = []
    for t in range(7):
        pipeline.segmenter = Oracle([[mask if t == 0 else np.zeros(SIZE, bool)]])
        shown = [VisibleInstance(1, "car", 1.0, mask)] if t in (0, 5) else []
        results.append(pipeline.step(image_of(t, mask), shown, t / 10))
    states = [[str(i.state) for i in result.instances] for result in results]
    assert states == [["visible"], ["hidden"], ["hidden"], ["lost"], ["lost"], ["visible"], ["lost"]]
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE) as writer:
        for result in results:
            writer.write(result)
    assert len(read_frames(tmp_path / "frames.jsonl").results) == 7


def test_a_sliver_of_a_lost_instance_stands_alone_and_does_not_find_it_again():
    pipeline, mask, sliver = (
        Pipeline(None, Scripted(nothing), preset("default", cut=None, lost_spread=None, coast_s=0.2, min_visible=48)),
        square(40),
        square(40, side=3),
    )
    states = []
    for t in range(8):
        pipeline.segmenter = Oracle([[mask]])
        shown = [VisibleInstance(1, "car", 1.0, mask if t < 3 else sliver)] if t < 3 or t == 6 else []
        (instance,) = pipeline.step(image_of(t, mask), shown, t / 10).instances
        states.append(str(instance.state))
        if t == 6:
            assert instance.visible == instance.amodal == Mask.of(sliver)
    assert states == ["visible"] * 3 + ["hidden"] * 2 + ["lost", "hidden", "lost"]


def leaving(covered: bool, **changes):
    """A square that drives out on the right behind a wall that is another instance, or behind nothing."""
    rules = preset("default", cut=None, **changes)
    pipeline = Pipeline(None, Still(), rules)
    pipeline.tracker = Scripted(nothing)
    wall = np.zeros(SIZE, bool)
    wall[:, 88:] = True
    states = []
    for t in range(9):
        mask = square(60 + 8 * t)
        pipeline.segmenter = Oracle([[mask], [wall]])
        visible = [VisibleInstance("wall", "car", 1.0, wall)] if covered else []
        if t < 4:
            visible.append(VisibleInstance(1, "car", 1.0, mask & ~wall if covered and t == 3 else mask))
        result = pipeline.step(image_of(t, mask), visible, t / 10)
        states.append(next((str(i.state) for i in result.instances if i.id == 1), "-"))
    return states[4:]


def test_an_instance_that_leaves_behind_another_is_leaving_then_gone_and_no_ghost():
    assert leaving(covered=True, motion="robust") == ["hidden", "hidden", "leaving", "leaving", "-"]


def test_an_instance_at_the_edge_with_nothing_in_front_has_left():
    assert leaving(covered=False, motion="robust") == ["hidden", "hidden", "-", "-", "-"]


@pytest.mark.parametrize(
    "left, spread, state",
    [
        (112, 1.5, State.LEAVING),  # half of it is inside
        (117, 1.5, None),  # 3 of 16 columns
        (116, 1.5, State.LEAVING),  # 4 of 16
        (112, 1.7, None),  # nobody knows whether half of it is inside
        (100, 5.0, State.HIDDEN),  # not at the edge
        (130, 0.1, None),  # outside
    ],
)
def test_what_is_surely_inside_the_picture_has_not_left(left, spread, state):
    """A square of 16 pixels that stands at the right edge of 120 columns, with nothing before it."""
    mask, rules = Mask.of(square(80)), preset("default")
    shown = Seen(0, 0.0, None, mask, mask, 1.0, 1.0)
    still, way = np.zeros(2), np.array([left - 80.0, 0])
    phase = HiddenPhase(shown, np.zeros((0, 2), np.float32), still, still, way, 0, 0.0)
    phase.spread = np.array([spread, 0.1])
    assert phase.step(Surroundings(1, 0.1, []), None, replace(rules, motion="points", lost_spread=None)) == state


def turned(width_after: int, height_after: int) -> tuple[Mask, np.ndarray]:
    """The first hidden mask of a square of 16 pixels that became another box, and the sides that the filter has."""
    history, view = History(20), View(84.0, 59.5, 10.0, 0.0, np.zeros(2))
    for t in range(8):
        width, height = (16, 16) if t < 3 else (width_after, height_after)
        whole = np.zeros(SIZE, bool)
        whole[36 - height : 36, 40 : 40 + width] = True
        part = whole & (np.arange(SIZE[1]) < (99 if t < 3 else 44))
        history.add(Seen(t, t / 10, None, Mask.of(part), Mask.of(whole), 1.0, 1.0), view)
    phase = HiddenPhase.begin(history, 8, preset("default"))
    assert phase.anchor.t == 2
    phase.step(Surroundings(8, 0.8, [Mask.of(np.ones(SIZE, bool))], view=view), None, preset("default"))
    return phase.mask, phase.belief.sides(view)


def test_a_mask_becomes_as_wide_and_as_high_as_the_filter_has_it():
    """It turned: its last frames are wider and lower than the one that shows most of it."""
    mask, sides = turned(20, 15)
    assert mask.shape[::-1] == pytest.approx(sides[2:] - sides[:2] + 1, abs=1)
    assert mask.shape[1] > 1.2 * mask.shape[0]


def test_a_mask_that_the_filter_has_far_too_wide_keeps_its_form():
    """Sides that are guessed by a completer can make a pole of a car."""
    mask, sides = turned(36, 9)
    (left, top, right, low), (height, width) = sides, mask.shape
    assert (right - left + 1) / (low - top + 1) > 2.5
    assert width / height == pytest.approx(1.5, abs=0.1)
    assert width * height == pytest.approx((right - left + 1) * (low - top + 1), rel=0.15)


def behind_a_van(**changes) -> list[str]:
    """States of a square that stands still; a van stands before it in frames 3 to 5 and is gone from frame 6 on."""
    rules = preset("default", cut=None, **changes)
    pipeline = Pipeline(None, Scripted(nothing), rules)
    mask, states = square(40), []
    for t in range(12):
        van = square(35 if t < 6 else 90, 10, side=30)
        pipeline.segmenter = Oracle([[van], [mask]])
        visible = [VisibleInstance("van", "car", 1.0, van)] if t >= 3 else []
        if t < 3:
            visible.append(VisibleInstance(1, "car", 1.0, mask))
            pipeline.segmenter = Oracle([[mask]])
        result = pipeline.step(image_of(t, mask), visible, t / 10)
        states.append(next((str(i.state) for i in result.instances if i.id == 1), "-"))
    return states


def test_what_hid_it_has_passed_and_it_is_not_there_so_it_is_lost():
    assert behind_a_van(open_s=0.25) == ["visible"] * 3 + ["hidden"] * 6 + ["lost"] * 3
    assert behind_a_van(open_s=None) == ["visible"] * 3 + ["hidden"] * 9


def test_what_nothing_reported_ever_hid_is_not_lost_for_being_in_the_open():
    results, _ = hidden_after(3, nothing, hide=8, open_s=0.1)
    assert {str(i.state) for r in results[3:] for i in r.instances} == {"hidden"}


def test_moving_a_mask_looks_up_each_pixel():
    mask = np.random.default_rng(0).random((30, 40)) > 0.5
    cases = [
        ((3.2, -1.4), 1.3, (20, 11)),
        ((-8, 5), 0.6, (5.5, 20.5)),
        ((60, 0), 1.1, (0, 0)),
        ((2, 3), (1.0, 1.7), (9, 9)),
    ]
    for shift, scale, centre in cases:
        across, down = np.broadcast_to(scale, 2)
        moved = Mask.of(mask).scaled(np.array(shift), scale, np.array(centre)).decode()
        for y in range(30):
            for x in range(40):
                sx = round((x - centre[0] - shift[0]) / across + centre[0])
                sy = round((y - centre[1] - shift[1]) / down + centre[1])
                assert moved[y, x] == (0 <= sx < 40 and 0 <= sy < 30 and mask[sy, sx])


def test_spread_points_lie_within_the_mask_away_from_its_rim_and_far_apart():
    mask, prompt = square(20, side=30), np.array([[35, 35]], np.float32)
    points = spread_points(Mask.of(mask), prompt, 9)
    assert points[0].tolist() == [35, 35] and len(points) == 9
    assert ((points[:, 0] >= 22) & (points[:, 0] <= 47)).all()
    assert min(np.hypot(*(a - b)) for i, a in enumerate(points) for b in points[:i]) > 7
    assert np.array_equal(points, spread_points(Mask.of(mask), prompt, 9))


def test_a_mask_of_few_pixels_gives_few_points():
    mask = np.zeros(SIZE, bool)
    mask[5, 5:7] = True
    assert len(spread_points(Mask.of(mask), np.array([[5, 5]], np.float32), 16)) == 2


def test_it_is_lost_when_its_place_is_less_sure_than_allowed_and_the_seconds_decide_no_more():
    results, _ = hidden_after(3, nothing, hide=20, lost_spread=0.3, coast_s=0.0)
    hidden = [result.instances[0] for result in results[3:]]
    states = [str(instance.state) for instance in hidden]
    count = states.index("lost")
    assert states == ["hidden"] * count + ["lost"] * (20 - count) and count >= 2
    spreads = [instance.centre_spread.max() for instance in hidden[:count]]
    assert spreads == sorted(spreads) and spreads[-1] <= 0.3 * 16
    longer, _ = hidden_after(3, nothing, hide=20, lost_spread=0.6)
    assert [str(r.instances[0].state) for r in longer[3:]].index("lost") > count
    assert longer[3 + count].instances[0].centre_spread.max() > 0.3 * 16


def test_points_are_followed_where_their_mask_fills_enough_of_the_square_that_is_matched():
    mask = np.random.default_rng(3).random((30, 40)) > 0.6
    mask[5:20, 10:18] = True
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)
    wide = np.pad(mask, 4)
    kept = [[x, y] for x, y in points.astype(int).tolist() if wide[y : y + 9, x : x + 9].mean() >= FILLED]
    assert matched(Mask.of(mask), points, 9).tolist() == kept and 0 < len(kept) < len(points)


@pytest.mark.parametrize("side, followed", [(3, 0), (16, 16)])
def test_a_tracker_of_squares_follows_no_sliver(side, followed):
    rules = preset("default", cut=None)
    pipeline = Pipeline(Oracle([[square(40)]]), Scripted(lambda xy, n: (xy, *sure(xy))), rules)
    pipeline.tracker.patch = 15
    sliver = np.zeros(SIZE, bool)
    sliver[20 : 20 + 16, 40 : 40 + side] = True
    pipeline.step(image_of(0, sliver), [VisibleInstance(1, "car", 1.0, sliver)], 0.0)
    hidden = pipeline.step(image_of(1, sliver), [], 0.1)
    assert len(hidden.instances[0].followed) == followed
    again = Pipeline(Oracle([[square(40)]]), Scripted(lambda xy, n: (xy, *sure(xy))), rules)
    again.memory.load_state(pipeline.memory.state())  # with points or without
    assert [r.phase.start.shape for r in again.memory] == [(followed, 2)]
    paper = Pipeline(Oracle([[square(40)]]), pipeline.tracker, preset("paper", cut=None))
    paper.step(image_of(0, sliver), [VisibleInstance(1, "car", 1.0, sliver)], 0.0)
    assert len(paper.step(image_of(1, sliver), [], 0.1).instances[0].followed) == 1  # as in the paper


DIGESTS = {"paper": "0acadc3eb0cabcce", "released": "9d62ad61cbc4a2e0"}
"""Of the results before there were other rules for the hidden phase than these presets'."""


@pytest.mark.parametrize("name", DIGESTS)
def test_the_presets_of_the_paper_and_its_code_give_what_they_always_gave(name):
    truth, observed = passing_square(24, start=2)
    rows = [
        [[i.id, i.state, i.score and round(i.score, 6), i.amodal.counts, i.points.tolist(), i.frames_since_seen]
         for i in result.instances]
        for result in Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS[name]).run("clip", observed)
    ]  # fmt: skip
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == DIGESTS[name]


def told(result) -> tuple:
    """Everything a result says, floats as bytes."""
    arrays = [[None if a is None else a.tobytes() for a in (i.points, i.followed)] for i in result.instances]
    rest = [(i.id, i.state, i.score, i.visible, i.amodal, i.seconds_since_seen) for i in result.instances]
    return result.t, result.time, result.cut, arrays, rest


def trackers():
    from samodal.trackers.cotracker import CoTrackerOnline
    from tiny_cotracker import tiny

    return {"lucas_kanade": LucasKanade, "cotracker": lambda: CoTrackerOnline(tiny())}


@pytest.mark.parametrize("tracker", ["lucas_kanade", "cotracker"])
@pytest.mark.usefixtures("one_thread")
def test_what_comes_later_changes_nothing_before(tracker):
    truth, observed = passing_square(20)
    make = trackers()[tracker]

    def run(length):
        method = Pipeline(FrameOracle(truth, observed), make(), PRESETS["default"])
        return [told(result) for result in method.run("clip", iter(observed[:length]))]

    whole = run(20)
    assert any(state == State.HIDDEN for *_, rest in whole for _, state, *_ in rest)
    for length in (1, 9, 12, 14, 17):
        assert run(length) == whole[:length]


def other_scene(frames: int, key, start: int) -> tuple[list, list]:
    """As `passing_square` from frame `start` on, with another background and another car elsewhere."""
    rng = np.random.default_rng(5)
    background = np.kron(rng.integers(0, 255, (12, 24)), np.ones((5, 5)))
    truth, observed = [], []
    for t in range(frames):
        mask, image = square(90 - 2 * t, 38), np.repeat(background[..., None], 3, 2).astype(np.uint8)
        image[mask] = (240, 30, 30)
        truth.append(mask)
        observed.append(
            Observed(Frame(start + t, (start + t) / 10, image, ""), [VisibleInstance(key, "bus", 0.9, mask)])
        )
    return truth, observed


@pytest.mark.parametrize("key", [7, 8])
@pytest.mark.parametrize("seam", [8, 13])
def test_no_id_and_no_hidden_mask_survives_the_seam_of_two_clips(seam, key):
    truth, observed = (a[:seam] + b for a, b in zip(passing_square(), other_scene(6, key, seam), strict=True))
    method = Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS["default"])
    results = list(method.run("joined", observed))
    alone = Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS["default"]).run("b", observed[seam:])
    assert [r.t for r in results if r.cut] == [seam]
    for result, own in zip(results[seam:], alone, strict=True):
        assert [(i.id, i.state, i.amodal) for i in result.instances] == [
            (i.id, i.state, i.amodal) for i in own.instances
        ]
    assert [one.id for one in method.memory] == [key]
    assert method.memory.get(key).history.tuples[0][0] == seam
    names = {track.id for track in clip_from_results("joined", SIZE, [""] * len(results), results).tracks}
    assert names == {7, f"7@{seam}" if key == 7 else 8}


def test_without_the_rule_nothing_is_forgotten_at_a_seam():
    truth, observed = (a[:8] + b for a, b in zip(passing_square(), other_scene(3, 8, 8), strict=True))
    method = Pipeline(FrameOracle(truth, observed), LucasKanade(), preset("default", cut=None))
    results = list(method.run("joined", observed))
    assert not any(r.cut for r in results)
    assert 7 in {i.id for i in results[8].instances}


def test_a_cut_is_written_and_read(tmp_path):
    truth, observed = (a[:8] + b for a, b in zip(passing_square(), other_scene(3, 8, 8), strict=True))
    method = Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS["default"])
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE) as writer:
        for result in method.run("joined", observed):
            writer.write(result)
    assert [r.t for r in read_frames(tmp_path / "frames.jsonl").results if r.cut] == [8]


def test_what_is_lost_stays_lost_until_it_is_reported_even_when_points_are_believed_again():
    def script(xy, n):
        return nothing(xy, n) if 2 <= n <= 6 else (xy, *sure(xy))

    results, pipeline = hidden_after(3, script, hide=12, coast_s=0.35, remember_s=None)
    states = [str(result.instances[0].state) for result in results[3:]]
    assert states == ["hidden"] * 4 + ["lost"] * 8
    assert pipeline.tracker.positions() == {}


def test_what_has_left_costs_nothing_and_is_not_followed():
    class Counting(Scripted):
        asked = 0

        def positions(self):
            positions = super().positions()
            Counting.asked += len(positions)
            return positions

    rules = preset("released")
    pipeline = Pipeline(None, Counting(lambda xy, n: (xy, *sure(xy))), rules)
    for t in range(12):
        mask = square(115)  # within 20 pixels of the right edge
        pipeline.segmenter = Oracle([[mask]])
        visible = [VisibleInstance(1, "car", 1.0, mask)] if t < 2 else []
        result = pipeline.step(image_of(t, mask), visible, t / 10)
    assert result.instances == ()
    assert Counting.asked == 1
    phase = pipeline.memory.get(1).phase
    before = phase.shift.copy()
    pipeline.step(image_of(12), [], 1.2)
    assert phase.place == "gone" and phase.mask is None and (phase.shift == before).all()


@pytest.mark.parametrize("prompt", ["box", "mask", "box+mask", "neighbours+box"])
@pytest.mark.parametrize("name", ["paper", "default"])
def test_an_instance_prompted_without_points_hides_and_is_followed_all_the_same(prompt, name):
    class Whole(Oracle):
        def decode(self, features, prompts, index):
            return Decoded(amodal=[Mask.of(self.truth[0][0]) for _ in prompts], iou=[0.8] * len(prompts))

    rules = preset(name, prompt=prompt, cut=None)
    pipeline = Pipeline(None, Still(), rules)
    for t in range(6):
        mask = square(40)
        pipeline.segmenter = Whole([[mask]])
        visible = [VisibleInstance(1, "car", 1.0, mask)] if t < 3 else []
        (instance,) = pipeline.step(image_of(t, mask), visible, t / 10).instances
    assert instance.state == State.HIDDEN and instance.points is None
    assert np.array_equal(instance.amodal.decode(), square(40))
    assert len(instance.followed) == {"paper": 1, "default": 16}[name]
    again = Pipeline(Whole([[mask]]), Still(), rules)
    again.load_state_dict(pipeline.state_dict())
    assert again.step(image_of(6, mask), [], 0.6).instances[0].amodal == instance.amodal


@pytest.mark.parametrize(("iou", "score"), [(1.2, 1.0), (-0.3, 0.0), (0.4, 0.4)])
def test_scores_lie_between_zero_and_one_whatever_the_segmenter_expects(iou, score):
    class Sure(Oracle):
        def decode(self, features, prompts, index):
            return Decoded(amodal=super().decode(features, prompts, index).amodal, iou=[iou] * len(prompts))

    mask = square(40)
    pipeline = Pipeline(Sure([[mask]]), Still(), preset("paper"))
    shown = pipeline.step(image_of(0, mask), [VisibleInstance(1, "car", 0.9, mask)]).instances[0]
    hidden = pipeline.step(image_of(1), []).instances[0]
    assert (shown.score, hidden.score) == (score, score)


def test_visible_points_in_any_other_mask_are_not_believed():
    rng = np.random.default_rng(0)
    for _ in range(50):
        others = [Mask.of(square(int(rng.integers(0, 60)), int(rng.integers(0, 30)), side=7)) for _ in range(4)]
        xy = rng.uniform(-3, 70, (6, 2)).astype(np.float32)
        visible, confidence = rng.random(6) < 0.7, rng.random(6)
        taken = np.array([any(mask.at(point[None])[0] for mask in others) for point in xy]) & visible
        wanted = np.where((confidence >= 0.5) & ~taken, confidence, 0.0)
        assert believed(xy, visible, confidence, others, preset("default", believe=0.5)).tolist() == wanted.tolist()
