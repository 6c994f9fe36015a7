"""Identities by association, and the ids of any front end repaired by it."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import samodal.build
from made_up import SIZE, Oracle, passing_square, post, square
from samodal.build import make_session
from samodal.errors import InputError
from samodal.frontends.per_frame import AssociatedSession, Reassociated, one_owner
from samodal.masks import Mask
from samodal.method import association as association_module
from samodal.method.association import Association, AssociationRules, Detection
from samodal.method.pipeline import Pipeline
from samodal.method.prompts.selectors import CenterPoint
from samodal.method.rules import preset
from samodal.results.frames import read_frames
from samodal.rle import Rle
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.trackers.still import Still
from samodal.tracks import FrameResult, Instance, State, VisibleInstance
from samodal.video import open_video


def car(mask: np.ndarray, hint=None, category: str = "car", score: float | None = 0.9) -> Detection:
    return Detection(category, score, mask, hint)


def ids(association: Association, *detections: Detection) -> list:
    return [one.id for one in association.step(detections)]


def hidden(t: int, **amodal: np.ndarray) -> FrameResult:
    """A result in which instances "i7" and so on are hidden with these amodal masks."""
    ones = [Instance(int(k[1:]), "car", 0.5, State.HIDDEN, None, Rle.encode(m)) for k, m in amodal.items()]
    return FrameResult(t, t / 10, tuple(ones))


@pytest.mark.parametrize(
    "box, way",
    [
        ((12, 12, 4), (0, 0)),
        ((5, 12, 4), (-5, 0)),
        ((18, 20, 4), (2, 4)),
        ((2, 10, 20), (-3, 10)),
        ((40, 2, 20), (40, -3)),
    ],
)
def test_the_way_to_a_mask_is_the_least_that_takes_it_in(box, way):
    ten = Mask.of(square(10, 10, 10))
    assert ten.way_to(Mask.of(square(*box))).tolist() == list(way)


def test_an_empty_mask_overlaps_nothing():
    empty = Mask.of(np.zeros(SIZE, bool))
    assert empty.area == 0
    assert empty.overlap(Mask.of(square(3))) == empty.covered_area([Mask.of(square(3))]) == 0


def test_instances_keep_their_ids_while_they_move_in_any_order():
    association = Association()
    assert ids(association, car(square(10)), car(square(60))) == [1, 2]
    for t in range(1, 6):
        assert ids(association, car(square(60 - 5 * t)), car(square(10 + 3 * t))) == [2, 1]


def test_a_fast_instance_is_found_where_its_velocity_takes_it():
    association = Association()
    for x in (0, 8, 18, 30):
        assert ids(association, car(square(x))) == [1]
    assert ids(association, car(square(40)), car(square(28))) == [1, 2]


def test_a_name_is_never_given_twice_even_when_its_first_bearer_is_forgotten():
    association = Association(AssociationRules(patience=1))
    first = ids(association, car(square(10), hint="a"), car(square(60)))
    for _ in range(3):
        association.step([])
    later = [ids(association, car(square(90), hint="a")), ids(association, car(square(90), hint="a"))]
    assert first == ["a", 1]
    assert later == [["a.2"], ["a.2"]]
    assert ids(association, car(square(30), hint=1)) == ["1.2"]


def test_nothing_detected_is_nothing_known():
    association = Association()
    assert association.step([]) == []
    assert ids(association, car(square(10))) == [1]
    assert association.step([]) == []


def test_of_two_that_compete_the_better_one_keeps_the_id():
    association = Association()
    ids(association, car(square(10)))
    assert ids(association, car(square(15)), car(square(11))) == [2, 1]


def test_another_class_needs_more_overlap():
    association = Association()
    ids(association, car(square(10)))
    assert ids(association, car(square(16), category="truck")) == [2]
    association.reset()
    ids(association, car(square(10)))
    assert ids(association, car(square(10), category="truck")) == [1]


def test_a_weak_detection_continues_but_does_not_begin():
    association = Association(AssociationRules(begin=0.5))
    assert ids(association, car(square(10), score=0.3)) == []
    assert ids(association, car(square(10), score=0.8)) == [1]
    assert ids(association, car(square(11), score=0.3), car(square(60), score=0.3)) == [1]


def test_what_returns_from_behind_the_post_gets_its_old_id_without_any_method():
    association = Association()
    found = [association.step([car(v.mask) for v in one.visible]) for one in passing_square(28)[1]]
    assert {one.id for frame in found for one in frame} == {1}
    assert any(not frame for frame in found)


def test_what_returns_gets_its_old_id_from_the_amodal_mask_that_the_method_predicts():
    # Its own velocity says that it stays at the left; the method knows better.
    association = Association()
    ids(association, car(square(30)))
    association.learn(hidden(0))
    for t, x in enumerate((40, 50, 60), start=1):
        association.step([])
        association.learn(hidden(t, i1=square(x)))
    sliver = square(70) & ~post(50, 24)
    assert ids(association, car(post(50, 24), category="truck"), car(sliver)) == [2, 1]


def test_a_stranger_of_another_shape_or_place_does_not_inherit_an_id():
    for stranger in (square(80), square(35, 15, 40)):
        association = Association()
        ids(association, car(square(30)))
        association.step([])
        association.learn(hidden(1, i1=square(30)))
        assert ids(association, car(stranger)) == [2]


def test_what_should_be_seen_as_a_whole_is_not_a_spot_of_it():
    # Nothing covers the rest of the predicted mask, so a spot inside it is something else.
    association = Association(AssociationRules(hidden=0.6))
    ids(association, car(square(30)))
    association.step([])
    association.learn(hidden(1, i1=square(30)))
    assert ids(association, car(square(34, 24, 4))) == [2]


def test_an_instance_that_the_method_has_lost_returns_only_under_its_own_id():
    lost = Instance(7, "car", None, State.LOST, None, None)
    for hint, expected in ((7, 7), (8, 8)):
        association = Association()
        ids(association, car(square(30), hint=7))
        association.step([])
        association.learn(FrameResult(1, 0.1, (lost,)))
        assert ids(association, car(square(30), hint=hint)) == [expected]


def test_where_the_method_is_wrong_it_is_also_looked_for_straight_on():
    association = Association()
    for x in (10, 14, 18):
        ids(association, car(square(x)))
    for t in (3, 4):
        association.step([])
        association.learn(hidden(t, i1=square(90)))
    assert ids(association, car(square(30))) == [1]


def test_where_the_method_says_nothing_the_association_looks_itself():
    association = Association()
    ids(association, car(square(30)))
    association.step([])
    association.learn(hidden(1, i1=square(80)))
    association.step([])
    association.learn(FrameResult(2, 0.2, ()))
    assert ids(association, car(square(30))) == [1]


def test_a_cut_forgets_what_was_before():
    association = Association()
    ids(association, car(square(30)), car(square(80)))
    ids(association, car(square(30)))
    association.learn(FrameResult(1, 0.1, (), cut=True))
    assert ids(association, car(square(80))) == [3]


def test_results_that_come_too_late_change_nothing():
    early, late = Association(), Association()
    for association in (early, late):
        ids(association, car(square(30)))
        association.step([])
    late.learn(hidden(0, i1=square(80)))
    assert ids(early, car(square(30))) == ids(late, car(square(30))) == [1]


def test_the_unseen_are_forgotten_after_a_while_and_beyond_a_bound():
    association = Association(AssociationRules(patience=3))
    ids(association, car(square(30)))
    for _ in range(4):
        association.step([])
    assert ids(association, car(square(30))) == [2]
    association = Association(AssociationRules(most=1))
    ids(association, car(square(10)), car(square(80)))
    association.step([])
    assert len(association._known) == 1


def test_the_front_ends_own_id_is_a_hint_that_overlap_can_overrule():
    association = Association()
    assert ids(association, car(square(10), hint="a"), car(square(60), hint="b")) == ["a", "b"]
    # Two ids that are swapped in place are swapped back, and stay so while the front end goes on with its own.
    assert ids(association, car(square(11), hint="b"), car(square(61), hint="a")) == ["a", "b"]
    assert ids(association, car(square(12), hint="b"), car(square(62), hint="a")) == ["a", "b"]
    # Where nothing overlaps the hint alone decides.
    assert ids(association, car(square(35), hint="b"), car(square(62), hint="a")) == ["a", "b"]


def test_names_are_remembered_within_a_bound_and_never_taken_from_an_instance_that_is_known(monkeypatch):
    monkeypatch.setattr(association_module, "NAMES", 2)
    association, still = Association(AssociationRules(patience=1, trust=0)), square(10, 2, side=4)
    assert ids(association, car(still, hint="a"), car(square(60, 50, side=4), hint="b")) == ["a", "b"]
    for n, hint in enumerate("cde"):  # each is reported once, far from the others
        assert ids(association, car(still), car(square(40 + 30 * n, 2, side=4), hint=hint)) == ["a", hint]
    assert len(association._given) == 2
    assert ids(association, car(still), car(square(100, 50, side=4), hint="b")) == ["a", "b"]
    assert ids(association, car(still), car(square(20, 50, side=4), hint="a")) == ["a", "a.2"]


def test_a_hint_that_names_another_known_instance_gives_a_new_name():
    association = Association(AssociationRules(trust=0.0))
    ids(association, car(square(10), hint=7))
    assert ids(association, car(square(10), hint=8), car(square(80), hint=7)) == [7, "7.2"]


def test_hints_without_weight_are_ignored():
    association = Association(AssociationRules(trust=0.0))
    ids(association, car(square(10), hint=1))
    assert ids(association, car(square(70), hint=1)) == ["1.2"]


def test_a_perfect_front_ends_ids_are_left_alone():
    rng = np.random.default_rng(0)
    association = Association()
    for t in range(30):
        # Five squares that walk at random through each other, now and then hidden.
        shown = [n for n in range(5) if (t + 3 * n) % 11 > 2]
        order = rng.permutation(shown).tolist()
        squares = [square(int(20 * n + 9 * np.sin(t / 3 + n)), int(20 + 15 * np.cos(t / 4 + 2 * n)), 9) for n in order]
        assert ids(association, *(car(one, hint=n) for one, n in zip(squares, order, strict=True))) == order


@pytest.mark.parametrize("name", ["seen", "hidden", "trust", "other_class", "begin"])
def test_a_rule_out_of_range_is_refused(name):
    with pytest.raises(InputError, match=rf"{name} must be a number in \[0, 1\], got 1.5"):
        AssociationRules(**{name: 1.5})


def test_one_pixel_belongs_to_one_instance():
    strong, weak, copy = car(square(10), score=0.9), car(square(18), score=0.8), car(square(11), score=0.7)
    first, second = one_owner([weak, copy, strong], least=10)
    assert first.mask == Mask.of(square(10))
    assert second.mask == Mask.of(square(18) & ~square(10))
    assert one_owner([car(square(10, side=3))], least=10) == []


class NewIdAfterEachGap:
    """A session whose square gets a new id whenever it returns."""

    def __init__(self, observed):
        self.observed, self.id, self.before = observed, 0, False

    def step(self, frame, t):
        visible = self.observed[t].visible
        self.id += bool(visible) and not self.before
        self.before = bool(visible)
        return [dataclasses.replace(one, id=self.id) for one in visible]

    def reset(self):
        self.id, self.before = 0, False


class OracleOfNow(Oracle):
    """An oracle that answers with the true mask of the frame that it was shown."""

    def __init__(self, observed, truth):
        super().__init__(truth)
        self.masks = {one.frame.image.tobytes(): mask for one, mask in zip(observed, truth, strict=True)}

    def encode(self, frames):
        self.truth = [[self.masks[frames[0].tobytes()]]]
        return super().encode(frames)


def follow(session, observed, truth) -> list[FrameResult]:
    """The pipeline behind a session, with its results told to the session."""
    rules = preset("default", motion="velocity", anchor_s=None)
    pipeline = Pipeline(OracleOfNow(observed, truth[: len(observed)]), Still(), rules, select=CenterPoint(count=3))
    results = []
    for one in observed:
        results.append(pipeline.step(one.frame.image, session.step(one.frame.image, one.frame.t), one.frame.time))
        if hasattr(session, "learn"):
            session.learn(results[-1])
    return results


def test_the_pipeline_and_the_association_hold_an_identity_through_full_occlusion():
    truth, observed = passing_square(24)
    plain = follow(NewIdAfterEachGap(observed), observed, truth)
    assert {one.id for result in plain for one in result.instances} == {1, 2}
    repaired = follow(Reassociated(NewIdAfterEachGap(observed), Association()), observed, truth)
    assert {one.id for result in repaired for one in result.instances} == {1}
    assert [one.state for one in repaired[11].instances] == [State.HIDDEN]


def test_a_segmenter_of_single_frames_gets_identities():
    truth, observed = passing_square(24)
    images = {one.frame.image.tobytes(): one.visible for one in observed}
    session = AssociatedSession(lambda frame: [car(v.mask) for v in images[frame.tobytes()]], Association())
    found = follow(session, observed, truth)
    assert {one.id for result in found for one in result.instances} == {1}
    session.reset()
    assert [one.id for one in session.step(observed[0].frame.image, 0)] == [1]


def test_results_up_to_a_frame_do_not_depend_on_what_follows():
    truth, observed = passing_square(24)
    whole = follow(Reassociated(NewIdAfterEachGap(observed), Association()), observed, truth)
    part = follow(Reassociated(NewIdAfterEachGap(observed), Association()), observed[:17], truth)
    told = [[(i.id, i.state, i.visible, i.amodal, i.score) for i in result.instances] for result in whole]
    assert [[(i.id, i.state, i.visible, i.amodal, i.score) for i in result.instances] for result in part] == told[:17]


def test_visible_instances_come_back_in_order_and_unchanged_but_for_their_ids():
    given = [VisibleInstance(5, "car", 0.4, square(60)), VisibleInstance(3, "person", None, square(10))]

    class Given:
        def step(self, frame, t):
            return given

    found = Reassociated(Given(), Association()).step(np.zeros((*SIZE, 3), np.uint8), 0)
    assert [(one.id, one.category, one.score) for one in found] == [(5, "car", 0.4), (3, "person", None)]
    assert all(a.mask is b.mask for a, b in zip(found, given, strict=True))


def test_ids_can_be_written_as_json():
    association = Association(AssociationRules(trust=0.0))
    ids(association, car(square(10), hint=7))
    assert json.dumps(ids(association, car(square(10), hint=7), car(square(80), hint=9))) == "[7, 9]"


@pytest.fixture
def drive(tmp_path) -> RunSettings:
    """Frames of the square behind the post, and a file in which it returns under a new id."""
    (tmp_path / "frames").mkdir()
    lines = []
    for one in passing_square(20)[1]:
        Image.fromarray(one.frame.image).save(tmp_path / "frames" / f"{one.frame.t:06d}.png")
        key = 1001 if one.frame.t < 12 else 1002
        lines += [f"{one.frame.t} {key} 1 60 120 {v.mask.counts}" for v in one.visible]
    (tmp_path / "mots.txt").write_text("\n".join(lines) + "\n")
    vis = f"file:{tmp_path / 'mots.txt'}"
    return RunSettings(video=str(tmp_path / "frames"), vis=vis, method="copy-visible", overlay=False)


def test_a_run_repairs_the_ids_of_a_file_where_it_is_asked_to(drive, tmp_path):
    video = open_video(drive.video)
    assert run_video(drive, video, tmp_path / "off").tracks == 2
    assert run_video(dataclasses.replace(drive, reassociate=True), video, tmp_path / "on").tracks == 1
    content = read_frames(tmp_path / "on" / "frames.jsonl")
    assert content.settings["reassociate"] is True
    assert {one.id for result in content.results for one in result.instances} == {1001}


def test_where_it_is_not_asked_for_nothing_of_it_is_written(drive, tmp_path):
    run_video(drive, open_video(drive.video), tmp_path)
    assert "reassociate" not in read_frames(tmp_path / "frames.jsonl").settings


def test_a_session_that_learns_is_not_associated_twice(drive, monkeypatch):
    session = AssociatedSession(list, Association())
    front_end = type("Learning", (), {"open": lambda self, video: session})()
    monkeypatch.setattr(samodal.build, "make_front_end", lambda settings: front_end)
    assert make_session(dataclasses.replace(drive, reassociate=True), None) is session


RED, BLUE = (200, 40, 40), (40, 60, 200)


def picture(*painted) -> np.ndarray:
    """A (H, W, 3) grey picture with (mask, colour) painted one after another."""
    image = np.full((*SIZE, 3), 120, np.uint8)
    for mask, colour in painted:
        image[mask] = colour
    return image


def seen_in(association: Association, *painted) -> list[VisibleInstance]:
    """What association makes of a frame with these cars, (mask, colour) each."""
    return association.step([car(mask) for mask, _ in painted], picture(*painted))


def test_of_two_hidden_in_one_place_the_one_returns_that_looks_like_it():
    for colour, expected in ((RED, 1), (BLUE, 2)):
        association = Association()
        seen_in(association, (square(20), RED), (square(60), BLUE))
        for t in range(1, 8):
            seen_in(association)
            association.learn(hidden(t, i1=square(40), i2=square(40)))
        (back,) = seen_in(association, (square(40), colour))
        assert (back.id, back.returned.merged) == (expected, None)
        assert back.returned.margin > 0.1


def test_a_stranger_of_another_colour_does_not_inherit_an_id():
    association = Association(AssociationRules(hidden=0.7))
    seen_in(association, (square(30), RED))
    seen_in(association)
    assert [found.id for found in seen_in(association, (square(30), BLUE))] == [2]


def test_a_sliver_may_return_farther_from_where_it_is_expected():
    association = Association()
    ids(association, car(square(30)))
    association.step([])
    association.learn(hidden(1, i1=square(30)))
    assert ids(association, car(square(48, 24, 2))) == [1]


def returned_as_a_sliver(colour, image: bool = True) -> list[VisibleInstance]:
    """A red car is hidden; far from where it is expected a sliver appears and becomes a whole car, of this colour."""
    association, found = Association(), []
    seen_in(association, (square(30), RED))
    for t in range(1, 4):
        seen_in(association)
        association.learn(hidden(t, i1=square(30)))
    for t, mask in enumerate((square(80, 24, 6), square(78, 21, 12), square(76)), start=4):
        found += association.step([car(mask)], picture((mask, colour)) if image else None)
        association.learn(hidden(t, i1=square(76)))
    return found


def test_a_new_instance_that_turns_out_to_be_a_hidden_one_is_merged_with_it_and_that_is_told():
    sliver, *_, whole = found = returned_as_a_sliver(RED)
    assert (sliver.id, sliver.returned, whole.id) == (2, None, 1)
    (merge,) = [instance.returned for instance in found if instance.returned is not None]
    assert merge.merged == 2
    assert 0 <= merge.margin <= 1


def test_a_new_instance_is_not_merged_with_a_hidden_one_that_looks_unlike_it_or_cannot_be_compared():
    assert {instance.id for instance in returned_as_a_sliver(BLUE)} == {2}
    assert {instance.id for instance in returned_as_a_sliver(RED, image=False)} == {2}


def test_two_that_were_seen_together_are_never_merged():
    association = Association()
    seen_in(association, (square(30), RED))
    seen_in(association, (square(30), RED), (square(60), RED))
    for t in range(2, 6):
        assert [found.id for found in seen_in(association, (square(60), RED))] == [2]
        association.learn(hidden(t, i1=square(60)))


def test_the_front_ends_id_of_what_returns_is_merged_with_the_old_one_once():
    association = Association()
    ids(association, car(square(30), hint=7))
    association.step([])
    first, second = (association.step([car(square(31), hint=8)])[0] for _ in range(2))
    assert (first.id, first.returned.merged) == (7, 8)
    assert (second.id, second.returned) == (7, None)


def test_a_run_lists_the_ids_that_it_merged_and_the_margin_of_each(drive, tmp_path):
    settings = dataclasses.replace(drive, reassociate=True, method="samodal", segmenter=None, preset="default")
    summary = run_video(settings, open_video(drive.video), tmp_path)
    (merge,) = summary.merges
    assert (merge["id"], merge["merged"]) == (1001, 1002) and merge["margin"] > 0
    assert "1 id merged" in str(summary)
    assert json.loads((tmp_path / "run.json").read_text())["summary"]["merges"] == [merge]
    (track,) = json.loads((tmp_path / "tracks.json").read_text())["annotations"]
    (back,) = track["returns"]
    assert (back["t"], back["merged"]) == (merge["t"], 1002)
    told = [(r.t, i.returned.merged) for r in read_frames(tmp_path / "frames.jsonl").results for i in r if i.returned]
    assert told == [(merge["t"], 1002)]


def test_a_run_without_a_merge_says_nothing_of_them(drive, tmp_path):
    summary = run_video(drive, open_video(drive.video), tmp_path)
    assert "merged" not in str(summary)
    assert "merges" not in json.loads((tmp_path / "run.json").read_text())["summary"]
    assert "returned" not in (tmp_path / "frames.jsonl").read_text()


def test_a_weak_new_instance_waits_for_a_second_frame_and_a_sure_one_does_not():
    association = Association(AssociationRules(confirm=2, sure=0.8))
    weak, sure, first = (car(square(x), score=score) for x, score in ((10, 0.5), (60, 0.9), (35, 0.5)))
    assert ids(association, first) == [1]  # nothing was before it, so nothing speaks against it
    assert ids(association, first, weak, sure) == [1, 3]
    assert ids(association, first, weak, sure) == [1, 2, 3]


def test_what_one_frame_alone_shows_is_forgotten():
    association = Association(AssociationRules(confirm=2, sure=0.8))
    weak = car(square(10), score=0.5)
    assert ids(association) == []
    assert ids(association, weak) == []
    assert ids(association) == []
    assert ids(association, weak) == []
    assert ids(association, weak) == [2]


def test_a_detection_beyond_the_reach_of_an_instance_scores_nothing_as_by_moving_it_there():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        mask, where = (Mask.of(square(int(rng.integers(0, 80)), int(rng.integers(0, 40)), side=9)) for _ in range(2))
        reach = float(rng.random() * 12)
        brought = where.moved(np.clip(mask.centre - where.centre, -reach, reach)).clipped()
        wanted = max(mask.iou(where), association_module.OFF * mask.iou(brought))
        assert association_module._step_score(mask, where, reach) == wanted


@pytest.mark.parametrize("seed", range(10))
def test_a_step_scores_the_better_of_where_it_goes_on_and_of_where_it_may_be_brought(seed):
    rng, size = np.random.default_rng(seed), (60, 80)
    x, y, dx, dy = rng.integers(0, 30, 4)
    mask, where = (
        Mask.of(square(20 + x, 20 + y, side=12, size=size)),
        Mask.of(square(20 + x + dx // 8, 20 + dy, size=size)),
    )
    reach = float(rng.integers(0, 12))
    brought = where.moved(np.clip(mask.centre - where.centre, -reach, reach)).clipped()
    wanted = max(mask.iou(where), association_module.OFF * mask.iou(brought))
    assert association_module._step_score(mask, where, reach) == wanted
