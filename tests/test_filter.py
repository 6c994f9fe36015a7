"""The filter of place and size: what it expects, how sure it is, and what points may change of that."""

import numpy as np
import pytest

from made_up import SIZE
from samodal.masks import Mask
from samodal.method.filter import Belief
from samodal.method.hidden import points_variance
from samodal.method.motion import Motion


def square_at(x: int, side: int = 16) -> Mask:
    return Mask(SIZE, x, 20, np.ones((side, side), bool))


def after(*places: int, category: str = "car", expected_iou: float = 1.0) -> Belief:
    """The belief after a square at each x, ten a second."""
    belief = Belief.of(square_at(places[0]), 0.0, expected_iou, category)
    for n, x in enumerate(places[1:], start=1):
        belief = belief.with_mask(square_at(x), n / 10, expected_iou, category)
    return belief


def test_what_moves_evenly_is_expected_to_go_on():
    later = after(10, 12, 14, 16, 18, 20).at(0.7)
    assert later.centre == pytest.approx([20 + 8 + 4, 28], abs=0.7)


def test_a_thing_is_less_sure_of_the_longer_it_is_unseen_and_keeps_its_place_at_last():
    belief = after(10, 12, 14, 16)
    spreads = [belief.at(t).spread[0] for t in (0.4, 0.8, 2.0, 5.0)]
    assert spreads == sorted(spreads) and spreads[-1] > 10 * spreads[0]
    assert belief.at(30.0).centre == pytest.approx(belief.at(20.0).centre, abs=0.1)  # its rate has faded


def test_a_thing_that_stood_still_is_surer_than_a_thing_that_jerked():
    assert after(*[10] * 9).at(1.5).spread[0] < after(10, 10, 13, 13, 17, 15, 20, 19, 24).at(1.5).spread[0] / 2


def test_a_mask_of_which_little_is_expected_hardly_moves_the_belief():
    before = after(10, 10, 10, 10, 10)
    sure, doubted = (before.with_mask(square_at(16), 0.5, iou, "car").centre[0] for iou in (1.0, 0.2))
    assert doubted - 18 < (sure - 18) / 3


def test_a_measurement_of_infinite_variance_changes_nothing():
    belief = after(10, 12, 14)
    same = belief.with_value(np.array([0.0, 0.0, 0.0]), np.full(3, np.inf))
    assert np.array_equal(same.mean, belief.mean) and np.array_equal(same.covariance, belief.covariance)


def test_noisy_points_are_believed_less_than_exact_ones_and_no_scale_is_told_by_a_shift():
    start = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [5, 5], [5, 0]], float)
    rough = start + np.array([[3, 0], [-3, 0], [0, 3], [0, -3], [3, 3], [-3, -3]])
    agreed, centre = np.ones(6, bool), np.array([5.0, 5.0])
    exact = points_variance(Motion(np.zeros(2), 1.01, agreed), start, start, centre, 10.0)
    noisy = points_variance(Motion(np.zeros(2), 1.01, agreed), start, rough, centre, 10.0)
    assert (noisy > 3 * exact).all()
    assert np.isinf(points_variance(Motion(np.zeros(2), 1.0, agreed), start, start, centre, 10.0)[2])
