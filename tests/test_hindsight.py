"""Results with hindsight: what changes in gaps, what does not outside of them, and how late they come."""

from dataclasses import replace

import numpy as np
import pytest

from made_up import passing_square, square
from samodal.build import check_settings, make_method
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.hindsight import AFTER_S, LONGEST_S, Hindsight, Offline
from samodal.method.pipeline import Pipeline
from samodal.method.rules import PRESETS, preset
from samodal.settings import RunSettings
from samodal.trackers.still import Still
from samodal.tracks import FrameResult, Instance, State
from test_pipeline import FrameOracle

VIEW = View(focal=100.0, middle=59.5, horizon=15.0, heading=0.0, origin=np.zeros(2))
RULES = PRESETS["default"]


def seen(key: int, x: float, score: float = 0.8, state: State = State.VISIBLE) -> Instance:
    mask = Mask.of(square(round(x)))
    return Instance(key, "car", score, state, mask, mask, expected_iou=score)


def lost(key: int) -> Instance:
    return Instance(key, "car", None, State.LOST, None, None)


def held(key: int, x: float = 2) -> Instance:
    """What a causal pass reports that has its mask in a wrong place."""
    return Instance(key, "car", 0.1, State.HIDDEN, None, Mask.of(square(round(x))), centre_spread=np.full(2, 9.0))


def frames(*instances: list[Instance], cuts: tuple[int, ...] = (), rate: float = 10) -> list[FrameResult]:
    return [FrameResult(t, t / rate, tuple(there), t in cuts) for t, there in enumerate(instances)]


def passing(gap: dict[int, list[Instance]], count: int = 20, key: int = 7) -> list[FrameResult]:
    """An instance that goes right at 3 pixels a frame, but in the frames of a gap."""
    return frames(*[gap[t] if t in gap else [seen(key, 10 + 3 * t)] for t in range(count)])


def late(results: list[FrameResult], rules=RULES) -> list[FrameResult]:
    hindsight, done = Hindsight(rules), []
    for result in results:
        done += hindsight.add(result, VIEW)
    done += hindsight.rest()
    assert [result.t for result in done] == [result.t for result in results]
    return done


def places(results: list[FrameResult], key: int = 7) -> list[int | None]:
    """First column of an instance's mask by frame."""
    return [r[key].amodal.x if key in r and r[key].amodal else None for r in results]


def near(found: list[int | None], frames: range, start: float = 10, step: float = 3) -> bool:
    return all(found[t] is not None and abs(found[t] - (start + step * t)) <= 1 for t in frames)


def test_what_is_hidden_lost_or_without_an_entry_in_a_gap_gets_its_mask_there():
    gap = {7: [held(7)], 8: [held(7)], 9: [lost(7)], 10: [lost(7)], 11: [], 12: []}
    results = late(passing(gap))
    assert near(places(results), range(20))
    for t in range(7, 13):
        bridged = results[t][7]
        assert (bridged.state, bridged.visible) == (State.HIDDEN, None)
        assert bridged.frames_since_seen == (t - 6 if t > 10 else 0)  # where there was an entry it stays as it was
        assert (bridged.centre_spread < 4).all()


def test_frames_outside_of_gaps_and_other_instances_stay_the_very_same():
    given = passing({t: [held(7), seen(9, 80)] for t in range(7, 12)})
    results = late(given)
    for before, after in zip(given, results, strict=True):
        if 7 <= before.t < 12:
            assert after.ids == [7, 9] and after[9] is before[9] and after[7] is not before[7]
        else:
            assert after is before


def test_an_entry_that_was_missing_comes_in_the_order_of_first_appearances():
    given = frames(*[[seen(1, 90), *([] if 5 <= t < 9 else [seen(2, 10 + t)]), seen(3, 60)] for t in range(16)])
    assert all(result.ids == [1, 2, 3] for result in late(given))


def test_a_gap_without_an_end_stays_causal():
    given = passing({t: [held(7)] for t in range(12, 20)})
    assert all(after is before for before, after in zip(given, late(given), strict=True))


def test_a_gap_that_is_too_long_stays_causal():
    longest = round(LONGEST_S * 10)
    for length, bridged in ((longest - 1, True), (longest, False)):
        gap = {t: [] for t in range(8, 8 + length)}
        results = late(frames(*[gap[t] if t in gap else [seen(7, 40)] for t in range(length + 20)]))
        assert [7 in results[t] for t in gap] == [bridged] * length


def test_nothing_is_bridged_over_a_cut():
    given = passing({t: [] for t in range(7, 12)})
    given[10] = replace(given[10], cut=True)
    assert all(after is before for before, after in zip(given, late(given), strict=True))


def test_a_gap_that_ends_just_before_a_cut_or_the_end_is_bridged_from_what_there_is():
    given = passing({t: [held(7)] for t in range(7, 12)}, count=13)
    assert near(places(late(given)), range(13))
    after = replace(frames(*[[]] * 14)[13], cut=True)
    assert near(places(late([*given, after])), range(13))


def test_several_gaps_of_one_instance_are_bridged_each():
    gap = {t: [held(7)] for t in (5, 6, 7, 9, 10, 11, 14)}
    assert near(places(late(passing(gap))), range(20))


def test_results_come_late_by_a_bound_and_none_waits_where_nothing_is_hidden():
    hindsight, done, given = Hindsight(RULES), 0, frames(*[[seen(7, 40)]] * 8, *[[]] * 400)
    for result in given:
        done += len(hindsight.add(result, VIEW))
        assert result.t + 1 - done <= (LONGEST_S + AFTER_S) * 10 + 1
        if result.t < 8 or result.t > 8 + LONGEST_S * 10:
            assert done == result.t + 1
    assert hindsight.rest() == []


def test_the_longest_gap_and_what_comes_after_it_bound_the_wait_too():
    hindsight, done = Hindsight(RULES), 0
    for result in frames(*[[seen(7, 40)] if t % 100 == 0 else [] for t in range(500)]):
        done += len(hindsight.add(result, VIEW))
        assert result.t + 1 - done <= (LONGEST_S + AFTER_S) * 10 + 2


def test_a_sliver_stays_visible_within_the_mask():
    sliver = Mask.of(square(31, 30, 3))
    gap = {t: [held(7)] for t in range(7, 12)} | {9: [replace(held(7), visible=sliver)]}
    bridged = late(passing(gap))[9][7]
    assert bridged.visible == sliver and bridged.amodal.overlap(sliver) == sliver.area
    assert abs(bridged.amodal.x - 37) <= 7


def test_what_is_kept_in_a_gap_stays_and_tells_nothing():
    gap = {t: [held(7)] for t in range(7, 12)} | {9: [seen(7, 90, state=State.KEPT)]}
    given = passing(gap)
    results = late(given)
    assert results[9] is given[9]
    assert near(places(results), range(9)) and near(places(results), range(10, 20))


def test_what_no_frame_was_sure_of_is_not_bridged():
    doubtful = frames(*[[] if 7 <= t < 12 else [seen(7, 10 + 3 * t, score=0.3)] for t in range(20)])
    assert all(after is before for before, after in zip(doubtful, late(doubtful), strict=True))


def test_an_id_that_comes_back_where_its_instance_cannot_be_is_not_bridged():
    for jump, bridged in ((2, True), (60, False)):
        given = frames(*[[held(7)] if 7 <= t < 10 else [seen(7, 10 if t < 7 else 10 + jump)] for t in range(20)])
        assert [after is not before for before, after in zip(given, late(given), strict=True)][7:10] == [bridged] * 3


def test_the_score_is_what_is_left_of_the_nearer_end():
    given = frames(*[[held(7)] if 7 <= t < 17 else [seen(7, 40, 0.8 if t < 7 else 0.6)] for t in range(30)])
    results = late(given)
    assert results[7][7].score == pytest.approx(0.8 * 0.5**0.1)
    assert results[16][7].score == pytest.approx(0.6 * 0.5**0.1)


def test_where_it_is_outside_the_picture_it_has_no_entry():
    """Between its ends the camera turns so far that the thing is out of the picture."""
    away = replace(VIEW, heading=1.2)
    hindsight, done = Hindsight(RULES), []
    for result in frames(*[[held(7)] if 7 <= t < 17 else [seen(7, 40)] for t in range(30)]):
        done += hindsight.add(result, away if 10 <= result.t < 14 else VIEW)
    done += hindsight.rest()
    assert [7 in done[t] for t in (7, 9, 10, 13, 14, 16)] == [True, True, False, False, True, True]


def test_a_frame_without_a_view_is_an_error_of_the_program():
    with pytest.raises(ValueError, match="without a view"):
        Hindsight(RULES).add(frames([])[0], None)


# Around the pipeline


def pipeline(frames: int = 40):
    truth, observed = passing_square(frames, step=2)
    return Pipeline(FrameOracle(truth, observed), Still(), preset("default")), truth, observed


def test_over_a_whole_video_hidden_masks_are_nearer_to_the_truth_than_causal_ones():
    causal, truth, observed = pipeline()
    plain = list(causal.run("drive", observed))
    results = list(Offline(causal).run("drive", observed))
    hidden = [t for t, seen in enumerate(observed) if not seen.visible]
    ious = [
        np.mean([given[t][7].amodal.iou(Mask.of(truth[t])) if given[t][7].amodal else 0.0 for t in hidden])
        for given in (plain, results)
    ]
    assert len(hidden) == 5 and ious[1] > max(0.9, ious[0])
    same = [t for t in range(40) if plain[t][7].state is State.VISIBLE]
    assert all(told(plain[t]) == told(results[t]) for t in same)


def told(result: FrameResult) -> list:
    return [(i.id, i.state, i.visible, i.amodal, i.score, i.points.tolist()) for i in result]


def test_an_offline_method_cannot_be_asked_for_a_single_frame():
    assert not hasattr(Offline(pipeline()[0]), "step")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "paper"}, "--offline needs the rules motion: filter and track: true.*got motion: points"),
        ({"rules": {"motion": "robust"}}, "got motion: robust"),
        ({"rules": {"track": False}}, "got track: false"),
        ({"method": "hull"}, "--offline is for the method samodal, not for hull"),
    ],
)
def test_what_leaves_no_hindsight_is_refused(changes, message):
    settings = RunSettings(video="drive.mp4", device="cpu", offline=True, **changes)
    for refused in (check_settings, make_method):
        with pytest.raises(InputError, match=message):
            refused(settings)
