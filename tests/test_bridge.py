"""The way over a gap from both of its ends, beside slower and simpler ways to find it."""

from dataclasses import replace

import numpy as np
import pytest

from made_up import SIZE
from samodal.masks import Mask
from samodal.method.bridge import Bridge, End, placed
from samodal.method.camera import View
from samodal.method.filter import ACCELERATION, FADING_S, GROWTH, Belief
from samodal.method.history import RING, History, Seen

VIEW = View(focal=100.0, middle=59.5, horizon=15.0, heading=0.0, origin=np.zeros(2))


def shown(t: int, x: float, side: int = 16, low: int = 36, score: float = 1.0) -> Seen:
    """A square at frame t, ten a second, of which all is visible."""
    mask = Mask(SIZE, round(x), low - side, np.ones((side, side), bool))
    return Seen(t, t / 10, None, mask, mask, score, score)


def bridge(before: dict[int, float], after: dict[int, float], views=None, **looks) -> Bridge:
    """Between squares at these places by frame."""
    views, history = views or {}, History(RING, shapes=False)
    for t, x in before.items():
        history.add(shown(t, x, **looks), views.get(t, VIEW))
    later = [(shown(t, x, **looks), views.get(t, VIEW)) for t, x in after.items()]
    return Bridge(End.before(history, views.get(max(before), VIEW), 0.8), End.after(later, 0.8))


def middle(belief: Belief, view: View = VIEW) -> float:
    left, _, right, _ = belief.sides(view)
    return (left + right) / 2 - 7.5


def test_what_moves_evenly_is_where_a_straight_line_has_it():
    even = bridge({t: 4 + 2 * t for t in range(8)}, {t: 4 + 2 * t for t in range(20, 28)})
    for t in range(8, 20):
        assert middle(even.at(t / 10, VIEW)) == pytest.approx(4 + 2 * t, abs=0.5)


def test_what_stops_behind_something_is_found_where_it_comes_out_again():
    """It goes at 3 pixels a frame, brakes evenly in frames 10 to 19, and stands when it is seen again."""
    way = np.cumsum([3.0] * 10 + [3 - 0.3 * n for n in range(10)] + [0.0] * 10)
    braking = bridge({t: way[t] for t in range(10)}, {t: way[t] for t in range(20, 28)})
    ahead = braking.before.belief
    straight = {t: way[9] + (way[20] - way[9]) * (t - 9) / 11 for t in range(10, 20)}
    off = {t: abs(middle(braking.at(t / 10, VIEW)) - way[t]) for t in straight}
    assert max(off.values()) < 0.6 * max(abs(straight[t] - way[t]) for t in straight)
    assert abs(middle(ahead.at(1.9, VIEW)) - way[19]) > 10


def test_a_turn_of_the_camera_in_the_gap_is_no_motion_of_the_thing():
    """It stands; the camera turns away from it and back while it is hidden, so that both ends look the same."""
    turns = {t: replace(VIEW, heading=0.1 * np.sin(np.pi * (t - 7) / 12)) for t in range(8, 19)}
    standing = bridge({t: 40.0 for t in range(8)}, {t: 40.0 for t in range(19, 27)})
    place = VIEW.ground(np.array([47.5, 35.0]))
    for t, view in turns.items():
        assert middle(standing.at(t / 10, view), view) == pytest.approx(view.seen(place)[0] - 7.5, abs=0.6)
    assert middle(standing.at(1.3, turns[13]), turns[13]) < 32


def test_it_passes_through_the_masks_at_its_ends_and_is_least_sure_between_them():
    jerking = bridge({0: 10, 1: 11, 2: 15, 3: 15, 4: 21}, {15: 60, 16: 66, 17: 66, 18: 70})
    assert middle(jerking.at(0.4, VIEW)) == pytest.approx(21, abs=0.5)
    assert middle(jerking.at(1.5, VIEW)) == pytest.approx(60, abs=0.5)
    spreads = [jerking.at(t / 10, VIEW).spread(VIEW)[0] for t in range(4, 16)]
    assert max(spreads) == max(spreads[4:8]) > 1.5 * max(spreads[0], spreads[-1])
    ahead = jerking.before.belief
    assert all(spread < ahead.at(t / 10, VIEW).spread(VIEW)[0] for t, spread in enumerate(spreads[1:], start=5))


def test_both_ends_are_fused_as_a_dense_gaussian_has_it():
    """The judge lays out the states before, in and after the gap as one vector of 18 numbers, and conditions it."""
    ends = bridge({t: 4 + 2 * t for t in range(8)}, {t: 6 + 2 * t for t in range(12, 20)})
    ahead, behind = ends.before.belief, ends.after.belief.mirrored()

    def step(seconds: float) -> tuple[np.ndarray, np.ndarray]:
        matrix, noise = np.eye(6), np.zeros((6, 6))
        for n in (0, 1):
            matrix[n, n + 2] = seconds
            noise[n, n], noise[n + 2, n + 2] = ACCELERATION * seconds**3 / 3, ACCELERATION * seconds
            noise[n, n + 2] = noise[n + 2, n] = ACCELERATION * seconds**2 / 2
            noise[n + 4, n + 4] = GROWTH[n] * seconds
        return matrix, noise

    for t in (8, 9, 11):
        (first, shaken), (second, shaken_more) = step(t / 10 - 0.7), step(1.2 - t / 10)
        parts = np.zeros((18, 18))  # independent of one another: the state before, and what shook it since
        parts[:6, :6], parts[6:12, 6:12], parts[12:, 12:] = ahead.covariance, shaken, shaken_more
        lines = np.block(
            [
                [np.eye(6), np.zeros((6, 12))],
                [first, np.eye(6), np.zeros((6, 6))],
                [second @ first, second, np.eye(6)],
            ]
        )
        whole = lines @ parts @ lines.T
        mean = lines @ np.concatenate([ahead.mean, np.zeros(12)])
        gain = whole[:, 12:] @ np.linalg.inv(whole[12:, 12:] + behind.covariance)
        mean, whole = mean + gain @ (behind.mean - mean[12:]), whole - gain @ whole[12:]
        found, sure = ends.at(t / 10, VIEW), np.sqrt(np.diag(whole)[6:12])
        # The rates of the filter fade in 30 s in either direction; those of the judge do not.
        assert np.abs(found.mean - mean[6:12]).max() < 1 / FADING_S
        assert (np.abs(found.mean - mean[6:12]) < 0.2 * sure).all()
        assert np.sqrt(np.diag(found.covariance)) == pytest.approx(sure, rel=0.03)


def test_a_mirrored_belief_goes_backward_and_is_itself_when_it_is_mirrored_again():
    history = History(RING, shapes=False)
    for t in range(8):
        history.add(shown(t, 4 + 2 * t), VIEW)
    back = history.belief.mirrored()
    assert middle(back.at(-0.2, VIEW)) == pytest.approx(8, abs=0.7)
    again = back.mirrored()
    assert again.time == history.belief.time
    assert np.array_equal(again.mean, history.belief.mean)
    assert np.array_equal(again.covariance, history.belief.covariance)


def test_the_shape_is_that_of_the_better_end():
    before, after = {t: 10 for t in range(4)}, {t: 10 for t in range(8, 12)}
    surer = bridge(before, after)
    half = Mask(SIZE, 10, 20, np.ones((16, 8), bool))
    covered = replace(surer.before, anchor=replace(surer.before.anchor, visible=half))
    assert surer.shape.t == 3
    found = Bridge(covered, surer.after)
    assert found.shape is found.after.anchor
    assert found.after.seen.t == 8


def test_a_single_frame_at_each_end_is_enough():
    assert middle(bridge({0: 10}, {10: 30}).at(0.5, VIEW)) == pytest.approx(20, abs=0.5)


def test_equal_times_at_both_ends_are_no_way():
    ends = bridge({0: 10}, {1: 12})
    same = replace(ends.after, seen=replace(ends.after.seen, time=0.0), belief=replace(ends.after.belief, time=-0.0))
    assert np.isfinite(Bridge(ends.before, same).at(0.0, VIEW).sides(VIEW)).all()


def test_a_shape_becomes_as_wide_and_as_high_as_is_believed():
    belief = bridge({0: 10}, {4: 10}).at(0.2, VIEW)
    narrow = Mask(SIZE, 80, 10, np.ones((32, 4), bool))
    assert np.abs(np.array(placed(narrow, belief, VIEW).box) - (10, 20, 26, 36)).max() <= 1


def test_a_history_without_views_is_no_end():
    history = History(RING, shapes=False)
    history.add(shown(0, 10))
    with pytest.raises(ValueError, match="without views"):
        End.before(history, VIEW, 0.8)
