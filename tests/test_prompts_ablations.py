"""Selectors of the paper's study of prompts, beside slow and obvious searches."""

import cv2
import numpy as np
import pytest

from made_up import image_of, square
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.prompts.ablations import MaxDistancePoint, MaxEntropyPoint, SalientPoint, local_entropy
from samodal.method.prompts.choose import make_selector

FRAME = image_of(0)
L_SHAPE = square(20, 10, side=6) | square(20, 40, side=3) | square(70, 12, side=2)


def rng(seed=0):
    return np.random.default_rng(seed)


def slow_entropy(grey, x, y):
    """Bits of the 9 x 9 square around one pixel, value by value."""
    near = grey[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].ravel().tolist()
    shares = [near.count(value) / len(near) for value in set(near)]
    return -sum(share * np.log2(share) for share in shares)


@pytest.mark.parametrize("kind", [SalientPoint, MaxDistancePoint, MaxEntropyPoint])
@pytest.mark.parametrize(
    "mask", [square(90, 5, side=20), square(119, 59), square(0, 0, side=1), L_SHAPE, square(-5, 50)]
)
def test_all_points_lie_on_the_visible_mask_as_x_y_and_are_positive(kind, mask):
    prompt = kind(count=4)(FRAME, Mask.of(mask), [], rng())
    assert prompt.points.shape == (4, 2)
    assert prompt.points.dtype == np.float32
    assert all(mask[int(y), int(x)] for x, y in prompt.points)
    assert prompt.labels.tolist() == [1] * 4


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [("saliency", SalientPoint), ("max-distance", MaxDistancePoint), ("max-entropy", MaxEntropyPoint)],
)
def test_the_rules_name_the_selector_and_its_number_of_points(prompt, kind):
    selector = make_selector(prompt, points=3)
    assert isinstance(selector, kind)
    assert selector.count == 3


@pytest.mark.parametrize("prompt", ["saliency:3", "random:3", "erosion:big", "erosion:0"])
def test_an_argument_that_cannot_be_meant_is_refused(prompt):
    with pytest.raises(InputError, match=f"prompt '{prompt}'"):
        make_selector(prompt, points=1)


@pytest.mark.parametrize("seed", range(5))
def test_the_farthest_pixel_agrees_with_a_slow_search(seed):
    pixels = [(x, y) for y, x in np.argwhere(L_SHAPE)]
    start = pixels[rng(seed).integers(len(pixels))]
    first, second = MaxDistancePoint(2)(FRAME, Mask.of(L_SHAPE), [], rng(seed)).points
    assert np.hypot(*(first - start)) == pytest.approx(max(np.hypot(x - start[0], y - start[1]) for x, y in pixels))
    nearest = [min(np.hypot(*(np.subtract(p, q))) for q in (start, first)) for p in pixels]
    assert min(np.hypot(*(second - q)) for q in (start, first)) == pytest.approx(max(nearest))


def test_the_farthest_pixel_of_a_line_is_one_of_its_ends_whatever_its_direction():
    upright, lying = np.zeros((60, 120), bool), np.zeros((60, 120), bool)
    upright[5:50, 100] = lying[5, 10:110] = True
    for line, ends in ((upright, {(100, 5), (100, 49)}), (lying, {(10, 5), (109, 5)})):
        found = [MaxDistancePoint()(FRAME, Mask.of(line), [], rng(seed)).points[0] for seed in range(20)]
        assert {tuple(point) for point in found} == ends


def test_entropy_of_squares_known_by_heart():
    grey = np.zeros((9, 9), np.uint8)
    assert np.abs(local_entropy(grey)).max() < 1e-12
    grey.flat[:] = np.arange(81)
    assert local_entropy(grey)[4, 4] == pytest.approx(np.log2(81))
    assert local_entropy(grey)[0, 0] == pytest.approx(np.log2(25))  # a corner sees 5 x 5 of it


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_difference_of_entropy_agrees_with_a_slow_search(seed):
    frame = np.where(np.arange(120)[None, :, None] < 70, rng(9).integers(0, 256, (60, 120, 3)), 90).astype(np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    mask = square(60, 0, side=20)
    pixels = [(x, y) for y, x in np.argwhere(mask)]
    entropy = {p: slow_entropy(grey, *p) for p in pixels}
    start = pixels[rng(seed).integers(len(pixels))]
    x, y = MaxEntropyPoint()(frame, Mask.of(mask), [], rng(seed)).points[0]
    differences = [abs(value - entropy[start]) for value in entropy.values()]
    assert abs(entropy[int(x), int(y)] - entropy[start]) == pytest.approx(max(differences))


def test_the_one_bright_spot_of_a_grey_thing_is_salient():
    frame = np.full((120, 160, 3), 90, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[30:90, 20:120] = True
    frame[50:54, 100:104] = 255
    x, y = SalientPoint()(frame, Mask.of(mask), [], rng()).points[0]
    assert abs(x - 101.5) <= 4 and abs(y - 51.5) <= 4


def test_a_brighter_spot_off_the_mask_does_not_count():
    frame = np.full((120, 160, 3), 90, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[30:90, 20:80] = True
    frame[50:54, 84:88] = 255
    frame[70:74, 30:34] = 130
    x, y = SalientPoint()(frame, Mask.of(mask), [], rng()).points[0]
    assert mask[int(y), int(x)]


def test_further_salient_points_keep_apart():
    first, second = SalientPoint(2)(FRAME, Mask.of(square(40, 20, side=20)), [], rng()).points
    assert np.hypot(*(first - second)) > 5


def test_an_opencv_without_saliency_is_told_with_the_way_out(monkeypatch):
    monkeypatch.delattr(cv2.saliency, "StaticSaliencySpectralResidual_create")
    with pytest.raises(InputError, match="opencv-contrib-python-headless"):
        SalientPoint()
