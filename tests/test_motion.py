"""The motion of a group of points of which some follow something else."""

from itertools import combinations

import numpy as np
import pytest

from samodal.method.motion import median, median_velocity, robust_motion

START = np.array([[0, 0], [20, 0], [0, 20], [20, 20], [10, 4], [4, 14], [16, 10]], float)
CENTRE = np.array([10.0, 10.0])


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_median_is_numpys(count):
    values = np.random.default_rng(count).normal(size=(count, 2))
    assert np.array_equal(median(values), np.median(values, axis=0))
    assert median(values[:, 0]) == np.median(values[:, 0])


def moved(shift, scale=1.0):
    return CENTRE + shift + scale * (START - CENTRE)


def estimate(now, weights=None, tolerance=2.0):
    weights = np.ones(len(now)) if weights is None else np.asarray(weights, float)
    return robust_motion(START[: len(now)], now, weights, CENTRE, tolerance)


def test_points_that_agree_give_their_motion_exactly():
    motion = estimate(moved([5, -3], 1.2))
    assert motion.shift == pytest.approx([5, -3])
    assert motion.scale == pytest.approx(1.2)
    assert motion.agreed.all()


def test_points_that_stuck_to_the_occluder_do_not_drag_the_mask_along():
    now = moved([30, 0])
    now[:3] = START[:3]
    motion = estimate(now)
    assert motion.shift == pytest.approx([30, 0])
    assert motion.agreed.tolist() == [False] * 3 + [True] * 4


def test_a_point_without_weight_or_coordinates_has_no_say():
    now = moved([4, 4])
    now[0], now[1] = (1000, 0), (np.nan, 0)
    motion = estimate(now, [0, 1, 1, 1, 1, 1, 1])
    assert motion.shift == pytest.approx([4, 4])
    assert not motion.agreed[:2].any()


@pytest.mark.parametrize("weights", [[0, 0, 0, 0, 0, 0, 0], [np.nan] * 7])
def test_nothing_is_said_where_no_point_is_believed(weights):
    assert estimate(moved([1, 1]), weights) is None


def test_nothing_is_said_where_no_majority_agrees():
    assert estimate(START[:4] + np.array([[0, 0], [0, 0], [30, 0], [0, 30]])) is None


def test_four_points_tell_no_scale():
    assert estimate(moved([0, 0], 1.3)[:4], tolerance=10).scale == 1


def test_points_that_lie_close_together_tell_no_scale():
    near = CENTRE + (START - CENTRE) / 50
    now = near + np.random.default_rng(0).normal(size=near.shape)
    assert robust_motion(near, now, np.ones(7), CENTRE, 3.0).scale == 1


def test_the_order_of_the_points_plays_no_part():
    rng = np.random.default_rng(1)
    now = moved([7, 2], 0.9) + rng.normal(scale=0.3, size=START.shape)
    now[2] += 40
    order = rng.permutation(len(START))
    one, other = estimate(now), robust_motion(START[order], now[order], np.ones(7), CENTRE, 2.0)
    assert one.shift == pytest.approx(other.shift)
    assert one.scale == pytest.approx(other.scale)


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_what_trying_every_subset_finds(seed):
    """The judge fits every subset of five by least squares and takes the one with the smallest error."""
    rng = np.random.default_rng(seed)
    shift, scale = rng.uniform(-20, 20, 2), rng.uniform(0.8, 1.25)
    now = moved(shift, scale) + rng.normal(scale=0.2, size=START.shape)
    now[rng.permutation(7)[:2]] += rng.uniform(20, 40, (2, 2))
    best = min((fit(now, list(subset)) for subset in combinations(range(7), 5)), key=lambda f: f[0])
    motion = estimate(now)
    assert motion.shift == pytest.approx(best[1], abs=1e-6)
    assert motion.scale == pytest.approx(best[2], abs=1e-6)


def fit(now, subset):
    """(error, shift, scale): least squares over [scale, dx, dy], written out as equations."""
    rows, values = [], []
    for i in subset:
        x, y = START[i] - CENTRE
        rows += [[x, 1, 0], [y, 0, 1]]
        values += list(now[i] - CENTRE)
    solution, *_ = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)
    error = float(((np.array(rows) @ solution - np.array(values)) ** 2).sum())
    return error, solution[1:], solution[0]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8])
def test_the_velocity_is_the_median_of_the_slopes_of_all_pairs_but_neighbours(count):
    rng = np.random.default_rng(count)
    centres = [(2 * t + int(rng.integers(2)), rng.random(2) * 50) for t in range(count)]
    pairs = [(a, b) for n, a in enumerate(centres) for b in centres[n + (2 if count > 2 else 1) :]]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]
    assert median_velocity(centres) == pytest.approx(np.median(slopes, axis=0))
