"""Masks as cut-outs and the operations on them, against plain arrays."""

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.masks import Mask, union
from samodal.rle import Rle
from samodal.shapes import eroded
from samodal.tracks import Clip, Track, occlusion_rate

A = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
B = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], bool)


@pytest.mark.parametrize("seed", range(20))
def test_a_union_is_that_of_the_pixels_and_the_mask_itself_where_nothing_is_new(seed):
    rng = np.random.default_rng(seed)
    one, other = (np.zeros((9, 12), bool) for _ in range(2))
    for bits in (one, other):
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, end + 1, 2)) for end in bits.shape)
        bits[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < 0.7
    mask = Mask.of(one)
    assert np.array_equal(mask.union(Mask.of(other)).decode(), one | other)
    assert mask.union(Mask.of(one & other)) is mask


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-2, 1), (0.4, -0.6), (9, 0), (0, -9)])
def test_shifting_agrees_with_moving_each_pixel(shift):
    dx, dy = (round(v) for v in shift)
    expected = np.zeros_like(A)
    for y, x in zip(*np.nonzero(A), strict=True):
        if 0 <= y + dy < 3 and 0 <= x + dx < 4:
            expected[y + dy, x + dx] = True
    assert np.array_equal(Mask.of(A).moved(np.array(shift)).decode(), expected)


def test_a_shift_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Mask.of(A).moved(np.array([np.nan, 0]))


def test_occlusion_is_the_share_of_the_amodal_mask_that_is_not_visible():
    assert occlusion_rate(Rle.encode(A & B), Rle.encode(A)) == 0.5
    assert occlusion_rate(None, Rle.encode(A)) == 1.0
    assert occlusion_rate(Rle.encode(A), None) is None


def test_a_clip_refuses_two_tracks_with_one_id_and_tracks_of_another_length():
    track = Track(1, "car", None, (None,), (None,))
    with pytest.raises(InputError, match="two tracks have the id 1"):
        Clip("c", (3, 4), ("0",), (track, track))
    with pytest.raises(InputError, match="1 entries but the clip has 2 frames"):
        Clip("c", (3, 4), ("0", "1"), (track,))


def anything(seed, size=(9, 12)):
    """Masks of chance: with gaps, at the border, of one pixel, of the whole frame, without any."""
    rng = np.random.default_rng(seed)
    mask = rng.random(size) < rng.choice([0.02, 0.3, 0.9])
    mask[:, : rng.integers(0, 6)] = rng.random() < 0.3
    mask[rng.integers(0, 9) :] = rng.random() < 0.3
    return mask


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_cut_out_holds_the_bits_of_its_mask_and_codes_them_as_coco_does(order):
    for seed in range(200):
        whole = np.asarray(anything(seed), order=order)
        mask = Mask.of(whole)
        assert mask.rle == Rle.encode(whole)
        assert np.array_equal(mask.decode(), whole)
        assert (mask.area, mask.box) == (whole.sum(), tuple(Rle.encode(whole).box))
        again = Mask.from_rle(mask.rle)
        assert np.array_equal(again.inside, mask.inside) and again == mask and again.box == mask.box


def test_operations_on_cut_outs_agree_with_those_on_whole_frames():
    for seed in range(200):
        a, b, c = (anything(3 * seed + n) for n in range(3))
        one, two, three = Mask.of(a), Mask.of(b), Mask.of(c)
        assert np.array_equal(union([one, two, three], a.shape).decode(), a | b | c)
        assert np.array_equal(one.minus(two).decode(), a & ~b)
        assert one.minus(two).box == Mask.of(a & ~b).box
        assert one.overlap(two) == (a & b).sum()
        assert one.iou(two) == ((a & b).sum() / (a | b).sum() if (a & b).any() else 0)
        assert one.covered_by([two, three]) == ((a & (b | c)).sum() / a.sum() if a.any() else 0)
        points = np.random.default_rng(seed).uniform(-2, 14, (20, 2))
        for x, y in points:
            near = round(x), round(y)
            inside = 0 <= near[0] < 12 and 0 <= near[1] < 9 and a[near[1], near[0]]
            assert one.at(np.array([[x, y]])).tolist() == [inside]


def test_points_that_are_nowhere_are_in_no_mask():
    everywhere = Mask.of(np.ones((3, 4), bool))
    xy = np.array([[np.nan, 1], [1, np.nan], [np.inf, 1], [1e30, -1e30], [-1, 1], [4, 1], [1, 1]])
    assert everywhere.at(xy).tolist() == [False] * 6 + [True]


@pytest.mark.parametrize("footprint", [3, 5, 7])
def test_erosion_looks_at_the_square_around_each_pixel_and_beyond_the_frame_all_is_inside(footprint):
    half = footprint // 2
    for seed in range(60):
        mask = anything(seed)
        padded = np.pad(mask, half, constant_values=True)
        slow = np.array([[padded[y : y + footprint, x : x + footprint].all() for x in range(12)] for y in range(9)])
        assert np.array_equal(eroded(Mask.of(mask), footprint).decode(), slow & mask)


def test_bits_with_empty_rows_and_columns_around_them_are_the_same_mask():
    inside = np.pad(A[:2, 1:3], ((1, 2), (3, 0)))
    mask = Mask(A.shape, 1 - 3, 0 - 1, inside)
    assert mask == Mask.of(A) and mask.box == (1, 0, 3, 2) and mask.area == 4
    assert Mask(A.shape, 2, 1, np.zeros((2, 2), bool)).box == (0, 0, 0, 0)


def test_a_mask_that_is_moved_out_of_the_frame_and_back_is_whole():
    mask = Mask.of(A)
    away = mask.moved((-50, 20))
    assert not away.clipped() and away.decode().sum() == 0
    assert away.moved((50, -20)) == mask


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 4, 1), bool), r"expected an array of shape \(H, W\), got \(3, 4, 1\)"),
        (np.zeros((3, 4), np.float32), "expected bool, got float32"),
        ([[1, 0]], "got list"),
    ],
)
def test_what_is_no_mask_is_refused_with_what_it_is(value, message):
    with pytest.raises(InputError, match=message):
        Mask.of(value)


def test_a_mask_without_a_pixel_stays_nowhere_when_it_is_moved():
    assert Mask.nowhere((4, 6)).moved(np.array([3, -2])).box == (0, 0, 0, 0)


def test_masks_are_near_where_a_move_of_less_than_the_reach_can_make_their_boxes_overlap():
    one, other = Mask((40, 60), 5, 5, np.ones((3, 4), bool)), Mask((40, 60), 12, 5, np.ones((3, 2), bool))
    assert [one.near(other, reach) for reach in (0, 3, 3.5)] == [False, False, True]
    assert other.near(one, 3.5) and one.near(one) and not one.near(Mask((40, 60), 9, 5, np.ones((3, 2), bool)))
