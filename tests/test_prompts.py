"""Selectors: points lie on the visible mask, keep off its border, and depend on nothing else."""

import math
import zlib

import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from made_up import image_of, square
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.prompts.choose import make_selector
from samodal.method.prompts.selectors import LARGE, CenterPoint, ErodedPoints, RandomPoints
from samodal.parts import Prompt
from samodal.seeds import generator

FRAME = image_of(0)


def rng(seed=0):
    return np.random.default_rng(seed)


def deep(mask):
    """Depth of each pixel of the mask's box and a rim, and x and y of the first."""
    whole = Mask.of(mask)
    return whole.depth(), whole.x - 1, whole.y - 1


@pytest.mark.parametrize("selector", [RandomPoints(5), ErodedPoints(3, 5), ErodedPoints(7, 5), CenterPoint(5)])
def test_all_points_lie_on_the_visible_mask_as_x_y_and_are_positive(selector):
    mask = square(90, 5, side=20)
    prompt = selector(FRAME, Mask.of(mask), [], rng())
    assert prompt.points.shape == (5, 2)
    assert prompt.points.dtype == np.float32
    assert all(mask[int(y), int(x)] for x, y in prompt.points)
    assert prompt.labels.tolist() == [1] * 5


def test_eroded_points_keep_off_the_border():
    mask = square(40, side=9)
    points = [ErodedPoints(7)(FRAME, Mask.of(mask), [], rng(seed)).points[0].tolist() for seed in range(60)]
    assert {tuple(p) for p in points} == {(x, y) for x in (43, 44, 45) for y in (23, 24, 25)}


def test_a_mask_that_erosion_empties_is_used_as_it_is():
    mask = square(40, side=3)
    x, y = ErodedPoints(7)(FRAME, Mask.of(mask), [], rng()).points[0]
    assert mask[int(y), int(x)]


@pytest.mark.parametrize(("x", "expected"), [(40, (44, 24)), (0, (4, 24))])
def test_the_center_is_the_pixel_farthest_from_the_masks_border_and_the_images(x, expected):
    (point,) = CenterPoint()(FRAME, Mask.of(square(x, side=9)), [], rng()).points
    assert tuple(point) == expected


def test_depth_agrees_with_a_slow_search_and_is_the_same_whenever_it_is_asked():
    masks = [square(20, side=14) | square(30, 30, side=9), square(0, 0, side=5), np.ones((4, 6), bool)]
    masks += [cv2.GaussianBlur(rng(seed).random((40, 60)), (0, 0), 3) > 0.5 for seed in range(20)]
    for mask in masks:
        depth, x0, y0 = deep(mask)
        ys, xs = np.nonzero(~np.pad(mask, 1))
        for y, x in zip(*np.nonzero(mask), strict=True):
            slow = np.hypot(xs - 1 - x, ys - 1 - y).min()
            assert depth[y - y0, x - x0] == pytest.approx(slow, rel=1e-6)
        assert (depth > 0).sum() == mask.sum()


@pytest.mark.parametrize("size", [(90, 160), (512, 512), (1, 512), (3, 700), (600, 40)])
def test_depth_is_that_of_scipy_to_the_last_bit(size):
    """OpenCV 5.0's precise transform differs for every one of these from call to call."""
    masks = [cv2.GaussianBlur(rng(seed).random(size), (0, 0), 6) > 0.5 for seed in range(300 if size[0] == 90 else 8)]
    for mask in [*masks, rng().random(size) > 0.01, np.ones(size, bool)]:
        whole = Mask.of(mask)
        slow = distance_transform_edt(np.pad(whole.inside, 1)).astype(np.float32)
        assert np.array_equal(whole.depth(), slow)


def test_the_center_is_the_deepest_pixel():
    mask = square(20, side=14) | square(30, 30, side=9)
    x, y = CenterPoint()(FRAME, Mask.of(mask), [], rng()).points[0]
    depth, x0, y0 = deep(mask)
    assert depth[int(y) - y0, int(x) - x0] == depth.max()


@pytest.mark.parametrize("size", [(130, 150), (300, 420), (700, 333)])
def test_centers_of_a_large_mask_are_inside_and_beside_the_mask_nearly_as_deep_as_the_deepest(size):
    for seed in range(4):
        mask = cv2.GaussianBlur(rng(seed).random(size), (0, 0), 20) > 0.5
        depth, x0, y0 = deep(mask)
        squares = math.ceil(math.sqrt(mask.size / LARGE))
        points = make_selector("center+mask", 3)(FRAME, Mask.of(mask), [], rng()).points.astype(int)
        assert [bool(mask[y, x]) for x, y in points] == [True] * 3 and len(np.unique(points, axis=0)) == 3
        x, y = points[0]
        assert depth[y - y0, x - x0] >= depth.max() - 2 * squares
        x, y = make_selector("center", 3)(FRAME, Mask.of(mask), [], rng()).points[0].astype(int)
        assert depth[y - y0, x - x0] == depth.max()


def test_the_center_of_a_large_mask_is_the_middle_of_its_deepest_square():
    for seed in range(4):
        mask = Mask.of(cv2.GaussianBlur(rng(seed).random((300, 421)), (0, 0), 20) > 0.5)
        side = math.ceil(math.sqrt(mask.inside.size / LARGE))
        height, width = mask.shape[0] // side, mask.shape[1] // side
        squares = np.zeros((height, width), bool)
        for row in range(height):
            for column in range(width):
                squares[row, column] = mask.inside[row * side :, column * side :][:side, :side].all()
        y, x = divmod(int(Mask.of(np.pad(squares, 1)).depth().argmax()), Mask.of(squares).shape[1] + 2)
        corner = np.array(Mask.of(squares).box[:2])
        (point,) = CenterPoint(nearly=True)(FRAME, mask, [], rng()).points
        assert side == 3 and point.tolist() == ((corner + (x - 1, y - 1)) * side + 1 + mask.box[:2]).tolist()


def test_the_center_of_a_large_mask_that_holds_no_square_is_its_deepest_pixel():
    mask = np.zeros((300, 420), bool)
    mask[np.arange(300), np.arange(300)] = True
    mask[120, 119:122] = mask[119:122, 120] = True
    (point,) = CenterPoint(nearly=True)(FRAME, Mask.of(mask), [], rng()).points
    assert point.tolist() == [120, 120]


def test_random_points_reach_every_pixel():
    mask = square(40, side=3)
    found = {tuple(RandomPoints()(FRAME, Mask.of(mask), [], rng(seed)).points[0].tolist()) for seed in range(200)}
    assert len(found) == 9


def test_random_points_of_a_frame_are_those_of_each_instance_alone():
    drawn = [Mask.of(rng(seed).random((30, 40)) > 0.2 + 0.1 * seed) for seed in range(6)]
    coded = [Mask.from_rle(Mask.of(square(40 + 9 * n, side=5 + n)).rle) for n in range(5)]
    for masks in (drawn, coded, [coded[0], Mask.of(coded[1].decode()), coded[2]], []):
        alone = [RandomPoints(3)(FRAME, mask, [], rng(n)).points.tolist() for n, mask in enumerate(masks)]
        together = RandomPoints(3).of_all(masks, [rng(n) for n in range(len(masks))])
        assert [prompt.points.tolist() for prompt in together] == alone


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**70])
def test_a_generator_is_that_of_its_numbers_however_large_the_seed(seed):
    numbers = [seed, zlib.crc32(b"clip"), zlib.crc32(b"7"), 3]
    assert generator(seed, "clip", 7, 3).random() == np.random.default_rng(numbers).random()


@pytest.mark.parametrize(
    ("prompt", "kind"), [("random", RandomPoints), ("erosion:3", ErodedPoints), ("center", CenterPoint)]
)
def test_the_rules_name_the_selector(prompt, kind):
    selector = make_selector(prompt, points=2)
    assert isinstance(selector, kind)
    assert selector.count == 2


def test_selectors_combine_into_one_prompt():
    mask, other = Mask.of(square(40, side=9)), Mask.of(square(80))
    prompt = make_selector("center+box+mask+neighbours+random", points=2)(FRAME, mask, [other], rng())
    assert prompt.points.shape == (4, 2) and prompt.labels.tolist() == [1] * 4
    assert prompt.points[0].tolist() == [44, 24]
    assert prompt.box.tolist() == [40, 20, 49, 29]
    assert prompt.mask == mask and prompt.neighbours == (other,)
    assert prompt.shape == (4, True, True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "expected points, a box, a mask or neighbours, got none"),
        ({"points": np.zeros((2, 3))}, r"expected points of shape \(K, 2\), got \(2, 3\)"),
        ({"points": np.full((1, 2), np.nan)}, "expected finite points"),
        ({"box": np.zeros(3)}, r"expected box of shape \(4\), got \(3,\)"),
    ],
)
def test_a_prompt_that_cannot_be_meant_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Prompt(**wrong)


def test_points_and_labels_must_agree():
    with pytest.raises(ValueError, match="2 points need as many labels"):
        Prompt(points=np.zeros((2, 2)), labels=np.ones(3))


@pytest.mark.parametrize("prompt", ["erosion:0", "erosion:256", "erosion:100000", "center+erosion:٣", "erosion:x"])
def test_an_erosion_that_cannot_be_meant_is_refused_before_it_takes_for_ever(prompt):
    with pytest.raises(InputError, match="expected a whole number from 1 to 255 after the colon"):
        make_selector(prompt, points=1)


def test_selectors_without_end_are_refused():
    with pytest.raises(InputError, match="prompt: 100000 selectors joined by .; 8 at most"):
        make_selector("+".join(["center"] * 100_000), 1)
    with pytest.raises(InputError) as refused:
        make_selector("c" * 10**6, 1)
    assert len(str(refused.value)) < 6000
