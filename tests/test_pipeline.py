"""The method on the made-up clip: prompts, memory, hidden phase, rules, presets, state."""

from dataclasses import replace

import numpy as np
import pytest

from made_up import SIZE, Oracle, image_of, passing_square, square
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.pipeline import Pipeline
from samodal.method.rules import PRESETS, Rules, preset
from samodal.rle import Rle
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still
from samodal.tracks import State, VisibleInstance


class FrameOracle(Oracle):
    """Answers with the true mask of the frame it was given; frames are recognised by their pixels."""

    def __init__(self, truth, observed):
        super().__init__([])
        self._by_pixels = {o.frame.image.tobytes(): mask for mask, o in zip(truth, observed, strict=True)}

    def encode(self, frames):
        self.truth = [[self._by_pixels[frames[0].tobytes()]]]
        return super().encode(frames)


def run(rules, tracker=None, frames=20, **clip):
    truth, observed = passing_square(frames, **clip)
    method = Pipeline(FrameOracle(truth, observed), tracker or Still(), rules)
    return truth, list(method.run("clip", observed)), method


def iou(mask, rle):
    other = rle.decode()
    return (mask & other).sum() / (mask | other).sum()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_the_whole_object_while_a_part_is_visible(name):
    truth, results, _ = run(PRESETS[name])
    shown = [(t, i) for t, r in enumerate(results) for i in r.instances if i.state == State.VISIBLE]
    assert len(shown) >= 10
    assert all(iou(truth[t], one.amodal) == 1 for t, one in shown)
    assert max(one.occlusion for _, one in shown) >= 0.5


@pytest.mark.parametrize("name", PRESETS)
def test_without_tracking_only_what_is_reported_has_a_mask_and_ids_are_kept(name):
    _, tracked, _ = run(PRESETS[name])
    _, results, _ = run(preset(name, track=False))
    _, observed = passing_square(20)
    for one, result, full in zip(observed, results, tracked, strict=True):
        assert {i.id for i in result.instances} == {v.id for v in one.visible}
        shown = [i for i in full.instances if i.state == State.VISIBLE]
        assert [i.amodal for i in result.instances if i.state == State.VISIBLE] == [i.amodal for i in shown]
    assert any(not one.visible for one in observed) and any(r.instances for r in tracked[-5:])


def test_a_frame_that_was_asked_about_before_its_step_has_the_same_result():
    truth, observed = passing_square(20)
    plain, early = (Pipeline(Oracle([truth]), Still(), PRESETS["paper"]) for _ in range(2))
    for pipeline in (plain, early):
        pipeline.reset("clip")
    for start in range(0, len(observed), 3):
        early.ask(observed[start : start + 3])
    asked = early.segmenter.encoded
    for seen in observed:
        alone, known = (p.step(seen.frame.image, seen.visible, seen.frame.time) for p in (plain, early))
        assert [told(i) for i in known.instances] == [told(i) for i in alone.instances]
    assert 0 < asked == early.segmenter.encoded < plain.segmenter.encoded


def told(instance):
    points = None if instance.points is None else instance.points.tolist()
    return instance.id, instance.state, instance.amodal, instance.visible, instance.score, points


def test_a_frame_that_cannot_be_is_refused_when_it_is_asked_about():
    _, observed = passing_square(3)
    small = replace(observed[0], frame=replace(observed[0].frame, image=np.zeros((8, 9, 3), np.uint8)))
    with pytest.raises(InputError, match="its mask is"):
        Pipeline(Oracle([]), Still(), PRESETS["paper"]).ask([small])


def long_clip(shown):
    """Square 7 moves 1 px a frame for 40 frames; shown(t, mask) is what the front end reports of it."""
    truth = [square(10 + t) for t in range(40)]
    reported = [shown(t, mask) for t, mask in enumerate(truth)]
    visible = [[VisibleInstance(7, "car", 0.9, mask)] if mask is not None else [] for mask in reported]
    return truth, [(image_of(t, mask), seen) for t, (mask, seen) in enumerate(zip(truth, visible, strict=True))]


def test_without_tracking_a_sliver_after_a_long_absence_stands_alone():
    rules = preset("points", track=False)
    sliver = square(49, side=3)
    truth, frames = long_clip(lambda t, mask: mask if t < 5 else sliver if t == 39 else None)
    pipeline = Pipeline(Oracle([truth]), LucasKanade(), rules)
    results = [pipeline.step(image, visible) for image, visible in frames]
    assert [len(result.instances) for result in results] == [1] * 5 + [0] * 34 + [1]
    assert np.array_equal(results[-1].instances[0].amodal.decode(), sliver)


def test_what_is_prompted_for_long_without_a_mask_is_followed_from_its_last_one():
    rules = preset("paper", prompt="center")
    truth, frames = long_clip(lambda t, mask: mask if t < 35 else None)
    oracle = Oracle([])
    pipeline = Pipeline(oracle, LucasKanade(), rules)
    results = []
    for t, (image, visible) in enumerate(frames):
        oracle.truth = [[truth[t]]] if t < 5 else []
        results.append(pipeline.step(image, visible))
    assert all(result.instances[0].amodal is None for result in results[5:35])
    hidden = results[36].instances[0]
    assert hidden.state == State.HIDDEN and iou(truth[36], hidden.amodal) > 0.5


class Blind(Still):
    """Says of every point that it cannot be seen."""

    def positions(self):
        return {k: (xy, ~v, c * 0) for k, (xy, v, c) in super().positions().items()}


@pytest.mark.parametrize(("motion", "tracker"), [("believed", Blind), ("velocity", LucasKanade)])
def test_a_hidden_instance_keeps_its_id_and_goes_on_at_its_velocity(motion, tracker):
    truth, results, _ = run(preset("default", motion=motion), tracker())
    hidden = [(t, i) for t, r in enumerate(results) for i in r.instances if i.state == State.HIDDEN]
    assert {one.id for _, one in hidden} == {7}
    assert all(one.visible is None or one.visible.area < 48 for _, one in hidden)
    assert min(iou(truth[t], one.amodal) for t, one in hidden) > 0.5


def test_with_points_that_stay_the_paper_holds_the_last_mask():
    truth, results, _ = run(PRESETS["paper"])
    last = max(t for t, r in enumerate(results[:13]) if r.instances[0].state == State.VISIBLE)
    following = results[last + 1].instances[0]
    assert following.state == State.HIDDEN
    assert np.array_equal(following.amodal.decode(), truth[last])
    assert following.frames_since_seen == 1
    assert following.seconds_since_seen == pytest.approx(0.1)


def test_the_mask_moves_by_the_mean_displacement_of_the_points():
    class Drifting(Still):
        def positions(self):
            shift = np.array([[2, 0], [6, 4]], np.float32)
            return {k: (xy + shift[: len(xy)], v, c) for k, (xy, v, c) in super().positions().items()}

    truth, results, _ = run(Rules(prompt="center", points=2), Drifting())
    last = max(t for t, r in enumerate(results[:13]) if r.instances[0].state == State.VISIBLE)
    x0 = np.flatnonzero(truth[last].any(axis=0))[0]
    moved = results[last + 1].instances[0].amodal.box
    assert (moved[0], moved[1]) == (x0 + 4, 22)


def test_embedding_happens_once_a_frame_and_not_at_all_when_nothing_is_visible():
    truth, results, method = run(PRESETS["default"])
    with_prompts = sum(any(i.state == State.VISIBLE for i in r.instances) for r in results)
    assert method.segmenter.encoded == with_prompts < len(results)


def test_an_instance_hidden_throughout_is_never_reported():
    method = Pipeline(Oracle([]), Still(), PRESETS["default"])
    _, observed = passing_square(5)
    for one in observed:
        one.visible.clear()
    assert [result.instances for result in method.run("clip", observed)] == [()] * 5


def test_a_default_mask_contains_its_visible_mask_whatever_the_segmenter_says():
    class Wrong(Oracle):
        def _under(self, point):
            return square(100, 40)

    truth, observed = passing_square()
    for result in Pipeline(Wrong([]), Still(), PRESETS["default"]).run("clip", observed):
        for one in result.instances:
            if one.visible is not None:
                visible = one.visible.decode()
                assert (one.amodal.decode() & visible).sum() == visible.sum()
                assert one.state in (State.KEPT, State.HIDDEN)


def test_without_the_union_the_paper_gives_the_segmenters_mask_as_it_is():
    class Small(Oracle):
        def _under(self, point):
            return square(12, side=4)

    _, observed = passing_square(1)
    (result,) = Pipeline(Small([]), Still(), PRESETS["paper"]).run("clip", observed)
    assert np.array_equal(result.instances[0].amodal.decode(), square(12, side=4))


def test_a_sliver_is_moved_along_and_not_prompted_from():
    _, results, _ = run(PRESETS["points"], start=8)  # 16 x 2 visible pixels on either side of the post
    slivers = [one for r in results for one in r.instances if one.visible is not None and one.visible.area < 48]
    assert slivers
    assert all(one.state == State.HIDDEN and one.frames_since_seen == 0 for one in slivers)


def test_what_returns_as_a_sliver_of_32_pixels_is_visible_again_by_default():
    _, results, _ = run(PRESETS["default"], start=8)  # 16 x 2 visible pixels on either side of the post
    instances = [instance for result in results for instance in result]
    assert any(instance.state == State.HIDDEN and instance.visible is None for instance in instances)
    slivers = [instance for instance in instances if instance.visible is not None and instance.visible.area == 32]
    assert len(slivers) == 2
    assert all(instance.state in (State.VISIBLE, State.KEPT) for instance in slivers)


def test_a_sliver_never_seen_better_stands_with_its_visible_mask():
    pipeline = Pipeline(Oracle([]), Still(), PRESETS["default"])
    mask = square(30, side=3)
    (one,) = pipeline.step(image_of(0), [VisibleInstance(1, "car", 0.5, mask)], 0.0).instances
    assert one.state == State.KEPT
    assert np.array_equal(one.amodal.decode(), mask)


def test_the_border_rule_leaves_no_ghost_of_an_instance_that_left():
    def leaving(rules):
        truth = [square(96 + 6 * t) for t in range(6)]
        pipeline = Pipeline(None, Still(), rules)
        counts = []
        for t, mask in enumerate(truth):
            pipeline.segmenter = Oracle([[mask]])
            shown = [VisibleInstance(1, "car", 1.0, mask)] if mask.any() else []
            counts.append(len(pipeline.step(image_of(t, mask), shown, t / 10).instances))
        return counts

    assert leaving(PRESETS["default"]) == [1, 1, 1, 1, 0, 0]
    assert leaving(PRESETS["paper"]) == [1, 1, 1, 1, 1, 1]


def test_the_clamp_limits_the_displacement_to_the_mean_step_of_the_prompts():
    class Jumping(Still):
        def positions(self):
            return {k: (xy + 50, v, c) for k, (xy, v, c) in super().positions().items()}

    rules = Rules(prompt="center", clamp=True)
    pipeline = Pipeline(None, Jumping(), rules)
    for t in range(3):
        mask = square(20 + 3 * t)
        pipeline.segmenter = Oracle([[mask]])
        pipeline.step(image_of(t, mask), [VisibleInstance(1, "car", 1.0, mask)], t / 10)
    boxes = [pipeline.step(image_of(t), [], t / 10).instances[0].amodal.box for t in (3, 4)]
    assert [(b[0], b[1]) for b in boxes] == [(29, 20), (32, 20)]


def test_an_instance_is_forgotten_at_the_end_of_the_first_frame_beyond_remember_s():
    rules = preset("default", remember_s=0.35)
    pipeline = Pipeline(Oracle([[square(40)]]), Still(), rules)
    mask = square(40)
    pipeline.step(image_of(0, mask), [VisibleInstance(1, "car", 0.5, mask)], 0.0)
    shown = [len(pipeline.step(image_of(t), [], t / 10).instances) for t in range(1, 7)]
    assert shown == [1, 1, 1, 1, 0, 0]
    assert len(pipeline.memory) == 0
    assert pipeline.tracker.positions() == {}


def test_hidden_scores_decay_by_the_stated_factor_a_second():
    rules = preset("default", decay=0.25)
    pipeline = Pipeline(Oracle([[square(40)]]), Still(), rules)
    mask = square(40)
    (seen,) = pipeline.step(image_of(0, mask), [VisibleInstance(1, "car", 0.5, mask)], 0.0).instances
    (hidden,) = pipeline.step(image_of(1), [], 0.5).instances
    assert seen.score == pytest.approx(0.8 * 0.5)
    assert hidden.score == pytest.approx(0.8 * 0.5 * 0.5)


def test_memory_stays_bounded_in_tuples_and_instances():
    rules = Rules(prompt="center", memory_tuples=4, memory_instances=3)
    pipeline = Pipeline(None, Still(), rules)
    for t in range(12):
        mask = square(5 * t)
        pipeline.segmenter = Oracle([[mask]])
        pipeline.step(image_of(t, mask), [VisibleInstance(t // 2, "car", 1.0, mask)], t / 10)
    assert [one.id for one in pipeline.memory] == [3, 4, 5]
    assert max(len(one.history.tuples) for one in pipeline.memory) <= 4


def test_a_second_video_starts_from_nothing():
    truth, observed = passing_square(8)
    method = Pipeline(FrameOracle(truth, observed), LucasKanade(), PRESETS["paper"])
    first = [r.instances[0].points.tolist() for r in method.run("a", observed)]
    again = [r.instances[0].points.tolist() for r in method.run("a", observed)]
    other = [r.instances[0].points.tolist() for r in method.run("b", observed)]
    assert first == again != other


@pytest.mark.parametrize("tracker", [Still, LucasKanade])
def test_a_saved_state_goes_on_exactly_where_it_was(tracker):
    truth, observed = passing_square()
    whole = list(Pipeline(FrameOracle(truth, observed), tracker(), PRESETS["default"]).run("clip", observed))
    rules = PRESETS["default"]
    first = Pipeline(FrameOracle(truth, observed), tracker(), rules)
    first.reset("clip")
    for one in observed[:12]:
        first.step(one.frame.image, one.visible, one.frame.time)
    second = Pipeline(FrameOracle(truth, observed), tracker(), rules)
    second.load_state_dict(first.state_dict())
    for one, expected in zip(observed[12:], whole[12:], strict=True):
        result = second.step(one.frame.image, one.visible, one.frame.time)
        assert [(i.id, i.amodal, i.score) for i in result.instances] == [
            (i.id, i.amodal, i.score) for i in expected.instances
        ]


def test_random_prompts_do_not_depend_on_which_other_instances_there_are():
    rules = PRESETS["paper"]
    one, two = VisibleInstance(1, "car", 1.0, square(10)), VisibleInstance(2, "car", 1.0, square(70))
    points = []
    for visible in ([one], [one, two], [two, one]):
        pipeline = Pipeline(Oracle([[square(10), square(70)]]), Still(), rules)
        pipeline.reset("clip")
        result = pipeline.step(image_of(0), visible, 0.0)
        points.append(next(i.points.tolist() for i in result.instances if i.id == 1))
    assert points[0] == points[1] == points[2]


def test_one_frame_and_no_instances_are_fine():
    pipeline = Pipeline(Oracle([]), LucasKanade(), PRESETS["default"])
    assert pipeline.step(np.zeros((*SIZE, 3), np.uint8), []).instances == ()


def good():
    return image_of(0), [VisibleInstance(1, "car", 1.0, square(10))]


REFUSED = {
    "the same id twice": (
        lambda image, seen: (image, [*seen, VisibleInstance(1, "car", 1.0, square(70))]),
        "the id 1 is there twice in one frame",
    ),
    "a smaller frame": (lambda image, seen: (image[:40], []), "40x120 pixels .* but the stream began with 60x120"),
    "a float frame": (
        lambda image, seen: (image / 255, seen),
        r"expected .* uint8 RGB, got float64 of shape \(60, 120, 3\)",
    ),
    "a grey frame": (lambda image, seen: (image[..., 0], seen), r"got uint8 of shape \(60, 120\)"),
    "four channels": (
        lambda image, seen: (np.dstack([image, image[..., :1]]), seen),
        r"got uint8 of shape \(60, 120, 4\)",
    ),
    "a list": (lambda image, seen: (image.tolist(), seen), "got list"),
    "a mask of another size": (
        lambda image, seen: (image, [VisibleInstance(2, "car", 1.0, np.ones((64, 120), bool))]),
        "instance 2: its mask is 64x120 but the frame 60x120",
    ),
    "no instance": (
        lambda image, seen: (image, [np.ones((60, 120), bool)]),
        "expected VisibleInstance objects, got ndarray",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_of_the_frame_is_refused_and_nothing_has_changed(what):
    spoil, message = REFUSED[what]
    refused, never = (Pipeline(Oracle([[square(10)]]), LucasKanade(), PRESETS["default"]) for _ in range(2))
    for pipeline in (refused, never):
        pipeline.step(*good())
    with pytest.raises(InputError, match=message):
        refused.step(*spoil(*good()))
    with pytest.raises(InputError, match="expected seconds"):
        refused.step(*good(), time=float("nan"))
    results = [pipeline.step(image_of(0), []) for pipeline in (refused, never)]
    assert [result.t for result in results] == [1, 1]
    assert results[0].instances[0].amodal == results[1].instances[0].amodal


def test_a_tracker_in_two_pipelines_is_told_of_and_not_silently_wrong():
    tracker = LucasKanade()
    first, second = (Pipeline(Oracle([[square(10)]]), tracker, PRESETS["default"]) for _ in range(2))
    second.step(*good())
    with pytest.raises(InputError, match="the LucasKanade works for another pipeline now"):
        first.step(*good())
    first.reset()
    assert first.step(*good()).t == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"id": (1, 2)}, "expected an int or str as id, got tuple"),
        ({"id": True}, "expected an int or str as id, got bool"),
        ({"category": None}, "expected a class name as text, got None"),
        ({"category": 3}, "expected a class name as text, got 3"),
        ({"score": 1.5}, r"expected a score in \[0, 1\] or None, got 1.5"),
        ({"score": float("nan")}, "expected a score"),
        ({"score": "0.5"}, "expected a score"),
        ({"mask": np.zeros(SIZE, bool)}, "its visible mask is empty"),
        ({"mask": np.ones(SIZE, np.float32)}, "expected bool, got float32"),
        ({"mask": np.ones((2, *SIZE), bool)}, r"expected an array of shape \(H, W\)"),
    ],
)
def test_a_visible_instance_checks_itself_at_birth(wrong, message):
    with pytest.raises(InputError, match=message):
        VisibleInstance(**({"id": 1, "category": "car", "score": None, "mask": square(10)} | wrong))


def test_a_visible_instance_takes_an_array_run_lengths_or_a_cut_out_and_numpys_integers():
    whole = square(10)
    forms = [whole, np.asfortranarray(whole), whole.astype(np.uint8) * 255, Rle.encode(whole), Mask.of(whole)]
    instances = [VisibleInstance(np.int64(7), "car", np.float32(0.5), form) for form in forms]
    assert all(instance.mask == Mask.of(whole) for instance in instances)
    assert all(type(instance.id) is int and type(instance.score) is float for instance in instances)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ("motion", "robsut", "did you mean 'robust'"),
        ("frame_score", "foo", "'iou' or 'iou_x_vis'"),
        ("unite", "maybe", "true or false, got 'maybe'"),
        ("decay", 5, r"a number in \[0, 1\], got 5"),
        ("decay", -1, r"a number in \[0, 1\], got -1"),
        ("border", "abc", r"a whole number in \[0, 1000000\] or null"),
        ("min_visible", 10**30, "in .1, 1000000000. or null"),
        ("prompt", 7, "prompt must be text"),
        ("border", 2.5, "a whole number"),
        ("points", True, "a whole number"),
        ("points", 1_000_000, r"in \[1, 256\]"),
        ("memory_tuples", 0, r"a whole number in \[1, "),
        ("memory_instances", None, "got None"),
        ("memory_tuples", 10**9, "got 1000000000"),
        ("memory_instances", 10**20, "got 100000000000000000000"),
        ("coast_s", "x", "a number at least 0 or null"),
        ("remember_s", float("nan"), "a number"),
        ("min_visible", "x", "a whole number"),
        ("brder", 1, "unknown rule 'brder'; did you mean 'border'"),
    ],
)
def test_a_rule_of_another_type_or_range_is_refused_with_what_it_takes(rule, value, message):
    with pytest.raises(InputError, match=message):
        preset("default", **{rule: value})
