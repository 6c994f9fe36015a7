"""Selectors: points lie on the visible mask, keep off its border, and depend on nothing else."""

import numpy as np
import pytest

from made_up import image_of, square
from samodal.methods.samodal import make_selector
from samodal.prompts.prompt import Prompt
from samodal.prompts.selectors import CenterPoint, ErodedPoints, RandomPoints
from samodal.rules import Rules

FRAME = image_of(0)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("selector", [RandomPoints(5), ErodedPoints(3, 5), ErodedPoints(7, 5), CenterPoint(5)])
def test_all_points_lie_on_the_visible_mask_as_x_y_and_are_positive(selector):
    mask = square(90, 5, side=20)
    prompt = selector(FRAME, mask, [], rng())
    assert prompt.points.shape == (5, 2)
    assert prompt.points.dtype == np.float32
    assert all(mask[int(y), int(x)] for x, y in prompt.points)
    assert prompt.labels.tolist() == [1] * 5


def test_eroded_points_keep_off_the_border():
    mask = square(40, side=9)
    points = [ErodedPoints(7)(FRAME, mask, [], rng(seed)).points[0].tolist() for seed in range(60)]
    assert {tuple(p) for p in points} == {(x, y) for x in (43, 44, 45) for y in (23, 24, 25)}


def test_a_mask_that_erosion_empties_is_used_as_it_is():
    mask = square(40, side=3)
    x, y = ErodedPoints(7)(FRAME, mask, [], rng()).points[0]
    assert mask[int(y), int(x)]


@pytest.mark.parametrize(("x", "expected"), [(40, (44, 24)), (0, (4, 24))])
def test_the_center_is_the_pixel_farthest_from_the_masks_border_and_the_images(x, expected):
    (point,) = CenterPoint()(FRAME, square(x, side=9), [], rng()).points
    assert tuple(point) == expected


def test_the_center_agrees_with_a_slow_search():
    mask = square(20, side=14) | square(30, 30, side=9)
    ys, xs = np.nonzero(~np.pad(mask, 1))
    depth = {(x, y): np.hypot(xs - 1 - x, ys - 1 - y).min() for y, x in zip(*np.nonzero(mask), strict=True)}
    x, y = CenterPoint()(FRAME, mask, [], rng()).points[0]
    assert depth[int(x), int(y)] == pytest.approx(max(depth.values()))


def test_random_points_reach_every_pixel():
    mask = square(40, side=3)
    found = {tuple(RandomPoints()(FRAME, mask, [], rng(seed)).points[0].tolist()) for seed in range(200)}
    assert len(found) == 9


@pytest.mark.parametrize(
    ("prompt", "kind"), [("random", RandomPoints), ("erosion:3", ErodedPoints), ("center", CenterPoint)]
)
def test_the_rules_name_the_selector(prompt, kind):
    selector = make_selector(Rules(prompt=prompt, points=2))
    assert isinstance(selector, kind)
    assert selector.count == 2


def test_points_and_labels_must_agree():
    with pytest.raises(ValueError, match="2 points need as many labels"):
        Prompt(points=np.zeros((2, 2)), labels=np.ones(3))
