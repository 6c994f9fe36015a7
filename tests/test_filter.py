"""The filter of place and size on the ground: what it expects, how sure it is, and what points may change of that."""

from dataclasses import replace

import numpy as np
import pytest

from made_up import SIZE
from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.filter import FREEDOM, Belief, lasting, measured, region

VIEW = View(focal=100.0, middle=59.5, horizon=15.0, heading=0.0, origin=np.zeros(2))


def square_at(x: float, side: int = 16, low: int = 36) -> Mask:
    return Mask(SIZE, round(x), low - side, np.ones((side, side), bool))


def after(*places: float, sure: float = 1.0, views=None) -> Belief:
    """The belief after a square at each x, ten a second."""
    views = views or [VIEW] * len(places)
    first = square_at(places[0])
    belief = Belief.of(first, first, views[0], 0.0, sure)
    for n, x in enumerate(places[1:], start=1):
        mask = square_at(x)
        belief = belief.with_mask(mask, mask, views[n], n / 10, sure)
    return belief


def test_what_moves_evenly_is_expected_to_go_on():
    later = after(10, 12, 14, 16, 18, 20).at(0.7, VIEW)
    assert later.sides(VIEW) == pytest.approx([24, 20, 39, 35], abs=0.7)


def test_what_comes_nearer_grows_and_gains_speed_in_the_picture():
    """A thing as tall as the camera is high, at depths 8, 7.5, 7 …: its top stays on the horizon."""
    view = View(focal=60.0, middle=59.5, horizon=10.0, heading=0.0, origin=np.zeros(2))
    sides, belief = [60 / (8 - 0.5 * n) for n in range(12)], None
    for n in range(9):
        mask = Mask(SIZE, 40, 10, np.ones((round(sides[n]), round(sides[n])), bool))
        if belief is None:
            belief = Belief.of(mask, mask, view, 0.0, 1.0)
        else:
            belief = belief.with_mask(mask, mask, view, n / 10, 1.0)
    low, straight = belief.at(1.1, view).sides(view)[3], 10 + sides[8] + 3 * (sides[8] - sides[7])
    assert abs(low - 10 - sides[11]) < abs(straight - 10 - sides[11]) / 2


def test_a_turn_of_the_camera_is_no_motion_of_the_thing():
    turning = [View(100.0, 59.5, 15.0, 0.02 * n, np.zeros(2)) for n in range(10)]
    place = np.array([0.5, 5.0])
    columns = [view.seen(place)[0] for view in turning]
    belief = after(*[column - 7.5 for column in columns[:6]], views=turning)
    assert np.linalg.norm(belief.mean[2:4]) < 0.6
    moved = belief.at(0.9, turning[9]).sides(turning[9])
    assert (moved[0] + moved[2]) / 2 == pytest.approx(columns[9], abs=0.8)


def test_a_thing_is_less_sure_of_the_longer_it_is_unseen():
    belief = after(10, 12, 14, 16)
    spreads = [belief.at(t, VIEW).spread(VIEW)[0] for t in (0.4, 0.8, 2.0, 5.0)]
    assert spreads == sorted(spreads) and spreads[-1] > 10 * spreads[0]


def entering(*widths: int) -> Belief:
    """The belief after a thing 16 pixels high that reaches so many columns over the left border, ten masks a second."""
    masks = [Mask(SIZE, 0, 20, np.ones((16, width), bool)) for width in widths]
    belief = Belief.of(masks[0], masks[0], VIEW, 0.0, 1.0)
    for n, mask in enumerate(masks[1:], start=1):
        belief = belief.with_mask(mask, mask, VIEW, n / 10, 1.0)
    return belief


@pytest.mark.parametrize("widths", [(1, 60), (1, 1, 60, 100), (1, 119, 1), (2, 119, 119)])
def test_a_strip_that_the_border_cuts_leaves_the_size_sound(widths):
    belief = entering(*widths)
    left, top, right, low = belief.sides(VIEW)
    assert 0 < right - left < 50 * SIZE[1] and 0 < low - top < 50 * SIZE[0]
    assert abs(belief.mean).max() < 30 and np.diag(belief.covariance)[4:].max() < 10


@pytest.mark.parametrize("gap", [300.0, 1e5, 1e9])
def test_a_clock_that_jumps_leaves_the_filter_sound(gap):
    """As in time lapse, or where a camera had no time before."""
    belief, time = after(10, 12, 14), 0.2
    for x in (16, 40, 30, 16):
        time += gap
        assert np.isfinite(belief.at(time, VIEW).spread(VIEW)).all()
        belief = belief.with_mask(square_at(x), square_at(x), VIEW, time, 1.0)
        assert np.linalg.eigvalsh(belief.covariance).min() > 0
    left, _, right, _ = belief.sides(VIEW)
    assert (left + right) / 2 == pytest.approx(23.5, abs=2)


def test_where_the_motion_of_the_camera_is_unknown_all_is_less_sure():
    belief, lost = after(10, 12, 14, 16), View(100.0, 59.5, 15.0, 0.0, np.zeros(2), known=False)
    assert belief.at(2.0, lost).spread(VIEW)[0] > 1.2 * belief.at(2.0, VIEW).spread(VIEW)[0]


def test_a_thing_that_stood_still_is_surer_than_a_thing_that_jerked():
    still, jerking = after(*[10] * 9), after(10, 10, 13, 13, 17, 15, 20, 19, 24)
    assert still.at(1.5, VIEW).spread(VIEW)[0] < jerking.at(1.5, VIEW).spread(VIEW)[0] / 2


def test_a_mask_of_which_little_is_expected_hardly_moves_the_belief():
    before, mask = after(10, 10, 10, 10, 10), square_at(16)
    sure, doubted = (before.with_mask(mask, mask, VIEW, 0.5, iou).seen(VIEW)[0][0] for iou in (1.0, 0.2))
    assert doubted - 10 < (sure - 10) / 3


def test_sides_that_were_added_or_cut_off_are_doubted():
    whole, part = square_at(10), Mask(SIZE, 18, 20, np.ones((16, 8), bool))
    _, variance = measured(whole, part, VIEW, 0.8)
    assert variance[0] > 5 * variance[2] and variance[1] == variance[2] == variance[3]
    at_border = square_at(0)
    _, variance = measured(at_border, at_border, VIEW, 0.8)
    assert variance[0] > 10 * variance[2]


def levelled(level: float) -> View:
    return View(100.0, 59.5, level, 0.0, np.zeros(2), level=level)


def test_a_horizon_that_is_learned_anew_moves_nothing_in_the_picture():
    """Lower by four pixels, it makes all things farther and larger; what was seen of them has not changed."""
    before, belief = levelled(15.0), after(10, 12, 14, 16, 18, 20, views=[levelled(15.0)] * 6)
    later = belief.at(0.6, before)
    moved = belief.at(0.6, levelled(19.0))
    assert moved.sides(levelled(19.0)) == pytest.approx(later.sides(before), abs=0.2)
    assert moved.mean[1] > 1.1 * later.mean[1] and (moved.mean[4:] > later.mean[4:]).all()
    assert (np.diag(moved.covariance)[:4] > np.diag(later.covariance)[:4]).all()


def test_learned_to_and_fro_leaves_the_place_and_what_lies_on_the_horizon_is_far():
    views = [levelled(15.0)] * 3
    one = after(10, 12, 14, views=views).at(0.2, levelled(17.0)).at(0.2, levelled(15.0))
    assert one.mean == pytest.approx(after(10, 12, 14, views=views).mean, abs=1e-9)
    assert np.isfinite(after(10, 12, 14, views=views).at(0.3, levelled(80.0)).mean).all()


@pytest.mark.parametrize("level", [12.0, 30.0, 36.0, 60.0])
def test_what_lies_above_a_horizon_that_is_learned_anew_stays_where_it_was_seen(level):
    before, belief = levelled(15.0), after(10, 10, 10, views=[levelled(15.0)] * 3)
    moved = belief.at(0.2, levelled(level)).sides(levelled(level))
    assert moved == pytest.approx(belief.sides(before), abs=1e-9)


def test_a_nod_of_the_camera_moves_what_is_seen():
    nodded = View(100.0, 59.5, 19.0, 0.0, np.zeros(2), level=15.0)
    belief = after(10, 10, 10, views=[levelled(15.0)] * 3)
    still, down = belief.at(0.3, levelled(15.0)).sides(levelled(15.0)), belief.at(0.3, nodded).sides(nodded)
    assert down - still == pytest.approx([0, 4, 0, 4], abs=1e-6)


def test_regions_hold_their_share_of_what_is_drawn_from_their_distribution():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(200_000, 2)) / np.sqrt(rng.chisquare(FREEDOM, 200_000) / FREEDOM)[:, None]
    inside = np.linalg.norm(drawn, axis=1)
    assert [(inside <= region(share)).mean() for share in (0.1, 0.5, 0.9)] == pytest.approx([0.1, 0.5, 0.9], abs=0.005)
    assert (round(region(0.5), 2), round(region(0.9), 2)) == (1.3, 3.09)  # as the docs say


def test_what_was_guessed_stays_doubted():
    whole = Mask(SIZE, 40, 20, np.ones((10, 40), bool))  # root of the area: 20
    left = Mask(SIZE, 40, 20, np.ones((10, 30), bool))
    exact = ((0.005 * 20) ** 2 + 1 / 12) / 2
    assert lasting(whole, whole, 0.5) == pytest.approx([exact, exact])
    assert lasting(whole, left, 1.0) == pytest.approx([exact, exact])
    assert lasting(whole, left, 0.6) == pytest.approx([exact + (0.4 * 0.4 * 10) ** 2 / 4, exact])


def test_an_unknown_camera_is_thought_to_shake_as_much_as_the_masks_do():
    unknown = View(100.0, 59.5, 15.0, 0.0, np.zeros(2), known=False)
    even, uneven = ([20, 21, 22, 23, 24, 25, 26, 27], [20, 26, 19, 28, 17, 30, 20, 27])
    spreads = [after(*places, views=[unknown] * 8).at(2.7, unknown).covariance[0, 0] for places in (even, uneven)]
    assert 1.5 * spreads[0] < spreads[1]


def on_a_bump(sure: float, frames: int = 20) -> Belief:
    """The belief after a square that stood, and then stands 4 pixels higher, as where a road rises."""
    belief, mask = after(*[20] * 10), square_at(20, low=32)
    for n in range(frames):
        belief = belief.with_mask(mask, mask, VIEW, 1.0 + n / 10, sure)
    return belief


@pytest.mark.parametrize("sure, frames", [(1.0, 5), (0.9, 20), (0.85, 20), (0.7, 60)])
def test_what_little_trusted_masks_tell_again_and_again_is_where_the_mask_is_put(sure, frames):
    """Also while the belief follows slowly: what it has taken up does not count twice."""
    assert on_a_bump(sure, frames).sides(VIEW) == pytest.approx([20, 16, 35, 31], abs=0.8)


def test_a_sliver_at_the_end_does_not_change_where_a_thing_stands_beside_its_way():
    rising, sliver = on_a_bump(0.9, 6), Mask(SIZE, 20, 16, np.ones((4, 16), bool))
    assert rising.seen(VIEW)[0][3] > rising.sides(VIEW)[3] + 1
    after_sliver = rising.with_mask(sliver, sliver, VIEW, 1.6, 0.5)
    assert after_sliver.rest[3] == pytest.approx(rising.rest[3], abs=0.02)


def test_what_masks_differed_by_is_forgotten_in_time():
    rising, doubted = on_a_bump(0.9, 6), square_at(20, low=32)
    soon, late = (rising.with_mask(doubted, doubted, VIEW, t, 0.0).rest[3] for t in (1.6, 120.0))
    assert rising.rest[3] < soon < 0.9 * rising.rest[3] < 2 * late < 0


def test_a_mask_that_was_just_seen_is_put_more_surely_than_its_thing_is_known():
    belief = after(*range(10, 26))
    matrix = belief.seen(VIEW)[1]
    of_sides = np.sqrt(np.diag(matrix @ belief.covariance @ matrix.T))
    assert (belief.spread(VIEW) < of_sides.min() / 10).all()
    doubted = after(*range(10, 26), sure=0.3)
    assert (doubted.spread(VIEW) > 10 * belief.spread(VIEW)).all()


def test_nods_make_y_unsure_within_a_second_as_far_as_there_were_any():
    calm, nodding = after(*[20] * 20), after(20)
    for n in range(1, 20):
        mask = square_at(20, low=36 + 2 * (n % 2))
        nodding = nodding.with_mask(mask, mask, VIEW, n / 10, 1.0)
    early, late = (nodding.at(t, VIEW).spread(VIEW)[1] for t in (2.0, 2.6))
    assert late > 1.5 * early and late > 3 * calm.at(2.6, VIEW).spread(VIEW)[1]


def test_the_first_masks_tell_fast_how_surprising_a_thing_is():
    assert after(*[20] * 4).surprise.max() < 0.6
    assert after(*[20] * 12).surprise.max() < 0.2


def test_time_that_runs_back_twice_runs_forward():
    belief = after(10, 13, 14, 18).at(0.8, VIEW)
    again = belief.mirrored().mirrored()
    for name in ("time", "told", "mean", "covariance", "of_place", "rest"):
        assert np.array_equal(getattr(again, name), getattr(belief, name)), name
    assert belief.mirrored().spread(VIEW) == pytest.approx(belief.spread(VIEW))


@pytest.mark.parametrize("apart", [0.0, 1e-9, 0.1])
def test_a_thing_that_comes_back_as_a_sliver_has_a_spread_at_that_very_time(apart):
    """Of a sliver that grows to a hundred times its size little is known but where its last mask was."""
    view = View(896.0, 639.5, 334.0, 0.0, np.zeros(2))
    boxes = [((80, 212, 971, 497), -0.3), ((1071, 504, 10, 12), -0.2)]
    masks = [(Mask((720, 1280), x, y, np.ones((h, w), bool)), time) for (x, y, w, h), time in boxes]
    behind = Belief.of(masks[0][0], masks[0][0], view, masks[0][1], 1.0)
    behind = behind.with_mask(masks[1][0], masks[1][0], view, masks[1][1], 1.0)
    sliver = Mask((720, 1280), 1069, 505, np.ones((14, 11), bool))
    both = (
        Belief.of(sliver, sliver, view, 0.0, 1.0).at(0.2 - apart, view).fused(behind.at(apart - 0.2, view).mirrored())
    )
    assert np.isfinite(both.spread(view)).all() and (np.diag(both.of_place) > 0).all()


def test_between_two_beliefs_a_place_is_surer_than_from_either_alone():
    before, behind = after(10, 12, 14, 16).at(0.6, VIEW), after(28, 26, 24, 22).mirrored()
    behind = replace(behind, time=0.6, told=0.9)
    both = before.fused(behind)
    assert both.told == pytest.approx(0.3)
    assert (np.diag(both.of_place) <= np.minimum(np.diag(before.of_place), np.diag(behind.of_place)) + 1e-12).all()
