"""What followed points tell of the sides of a hidden box: a square of 16 pixels with points in it."""

import numpy as np
import pytest

from made_up import SIZE
from samodal.masks import Mask
from samodal.method.followed import sides_told
from samodal.method.motion import robust_motion

SQUARE = Mask(SIZE, 40, 20, np.ones((16, 16), bool))
CENTRE = np.array([47.5, 27.5])
START = CENTRE + [[-7, -7], [7, -7], [-7, 7], [7, 7], [0, 0], [-7, 0], [7, 0], [0, -7], [0, 7]]
EXPECTED = np.array([50.0, 30.0, 69.0, 39.0])


def told(now: np.ndarray, start: np.ndarray = START) -> tuple[np.ndarray, np.ndarray]:
    motion = robust_motion(start, now, np.ones(len(start)), CENTRE, 2.0)
    return sides_told(motion, start, now, SQUARE, EXPECTED)


def test_points_of_what_turns_tell_its_width_and_its_height_each_for_itself():
    sides, _ = told(CENTRE + [10, 2] + (START - CENTRE) * [1.2, 1.0])
    assert sides == pytest.approx([57.5 - 9, 29.5 - 7.5, 57.5 + 9, 29.5 + 7.5], abs=0.2)


def test_too_few_points_tell_the_place_but_no_size():
    sides, _ = told(START[:4] + [5, 0], START[:4])
    assert sides == pytest.approx([52.5 - 9.5, 27.5 - 4.5, 52.5 + 9.5, 27.5 + 4.5])


def test_points_in_one_column_tell_the_place_and_leave_the_width_to_the_scale_of_the_whole():
    column = CENTRE + [[0, y] for y in (-7, -4, 0, 3, 5, 7)]
    sides, variance = told(CENTRE + [6, 0] + 1.2 * (column - CENTRE), column)
    assert sides == pytest.approx([53.5 - 9, 27.5 - 9, 53.5 + 9, 27.5 + 9], abs=0.1)
    assert variance[0] == variance[2] and variance[1] < variance[0] < 25


def test_noisy_points_tell_less_surely_than_exact_ones():
    noise = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1], [1, 0]])
    (_, exact), (_, noisy) = told(START), told(START + noise)
    assert (noisy > 1.5 * exact).all()


def test_noise_is_no_turn():
    noise = np.array([[2, 0], [-2, 0], [2, 1], [-2, -1], [1, 1], [2, -1], [-2, -1], [-1, 1], [1, 0]])
    sides, _ = told(START + noise)
    width, height = sides[2:] - sides[:2]
    assert 0.85 < width / height < 1.15
