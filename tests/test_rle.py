"""Run lengths: what is read from files, and operations on them against plain arrays."""

import re

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.files import read_mask
from samodal.rle import Rle, difference, from_runs, iou, join, masks_of_ids, overlap, run_lengths, union

A = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
B = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], bool)


def test_encoding_and_decoding_give_the_mask_back():
    rng = np.random.default_rng(0)
    for size in ((1, 1), (7, 9), (375, 31)):
        mask = rng.random(size) < 0.4
        assert np.array_equal(Rle.encode(mask).decode(), mask)


def test_area_box_union_overlap_and_iou():
    a, b = Rle.encode(A), Rle.encode(B)
    assert a.area == 4
    assert a.box == (1, 0, 3, 2)
    assert overlap(a, b) == 2
    assert np.array_equal(union([a, b]).decode(), A | B)
    assert iou(a, b) == 2 / 8
    assert iou(a, None) == 0
    assert np.isnan(iou(None, None))


@pytest.mark.parametrize("counts", [lambda c: c, lambda c: c.encode(), lambda c: [3, 2, 1, 2, 4]])
def test_files_hold_run_lengths_as_text_bytes_or_numbers(counts):
    rle = Rle.from_coco({"size": [3, 4], "counts": counts(Rle.encode(A).counts)}, (3, 4))
    assert np.array_equal(rle.decode(), A)


def test_polygons_are_drawn():
    assert Rle.from_coco([[1, 0, 3, 0, 3, 2, 1, 2]], (3, 4)).area == 4


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(InputError, match="the mask is 3x4 but the frame is 4x3"):
        Rle.from_coco(Rle.encode(A).to_coco(), (4, 3))


def test_truncated_run_lengths_are_refused():
    whole = Rle.encode(np.random.default_rng(0).random((40, 40)) < 0.5)
    with pytest.raises(InputError, match="do not add up to 40x40"):
        Rle.from_coco({"size": [40, 40], "counts": whole.counts[:-3]}, (40, 40))


@pytest.mark.parametrize("value", [True, 1, 255, 256, -1, 0.5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_non_zero_value_counts_as_inside(value, order):
    mask = np.zeros((5, 7), np.asarray(value).dtype, order=order)
    mask[1:3, 2:5] = value
    rle = Rle.encode(mask)
    assert rle.area == 6 and np.array_equal(rle.decode(), mask != 0)


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_do_what_dense_masks_do(seed):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 20, 2))
    dense = [rng.random(size) < rng.choice([0, 0.5, 1]) for _ in range(4)]
    coded = [Rle.encode(m) if m.any() else None for m in dense]
    assert join(coded, size) == Rle.encode(np.concatenate(dense, axis=1))
    mask, other = Rle.encode(rng.random(size) < 0.5), Rle.encode(dense[0])
    assert from_runs(run_lengths(mask.counts), size) == mask
    ids = rng.integers(0, 4, size)
    assert masks_of_ids(ids) == {key: Rle.encode(ids == key) for key in np.unique(ids).tolist() if key}
    left = mask.decode() & ~dense[0]
    assert difference(mask, other) == (Rle.encode(left) if left.any() else None)


def test_a_video_too_long_to_count_its_pixels_is_refused():
    with pytest.raises(InputError, match="2072 frames of 1080x1920"):
        join([None] * 2072, (1080, 1920))


@pytest.mark.parametrize("counts", ["0" * 20_000 + "1;", [0] * 20_000 + [1, 11]])
def test_more_runs_than_a_mask_has_pixels_are_refused(counts):
    # COCO's library has room for H * W + 1 runs and copies as many as there are.
    with pytest.raises(InputError, match="run lengths that no mask of 3x4 pixels has"):
        Rle.from_coco({"size": [3, 4], "counts": counts}, (3, 4))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, -1, 8], "no mask of 3x4"),
        ([2**40, 12 - 2**40], "no mask of 3x4"),
        ([2**64, 1], "32 bits"),
        ([5.5, 6.5], "whole numbers"),
        ("54", "do not add up to 3x4"),
        ("é", "do not add up"),
        (b"\xff\xff", "do not add up"),
        ("PPPPPPPPPPPP0", "do not add up"),
        ([], "do not add up"),
        (None, "whole numbers"),
        ({}, "whole numbers"),
    ],
)
def test_run_lengths_that_are_none_are_refused_before_they_reach_coco(counts, message):
    with pytest.raises(InputError, match=message):
        Rle.from_coco({"size": [3, 4], "counts": counts}, (3, 4))


@pytest.mark.parametrize("counts", [[3, 2, 1, 2, 4, 0], [2, 0, 1, 2, 1, 2, 4], [0, 0, 0, 12], "0000<"])
def test_a_run_of_no_pixel_is_refused_but_for_the_first(counts):
    assert Rle.from_coco({"size": [3, 4], "counts": [0, 12]}, (3, 4)).area == 12
    with pytest.raises(InputError, match="no mask of 3x4|a run of 0 pixels"):
        Rle.from_coco({"size": [3, 4], "counts": counts}, (3, 4))


@pytest.mark.parametrize("corner", [1e308, float("inf"), float("nan"), 1e12, 3e8, -241, 10**400])
def test_a_polygon_with_a_corner_far_from_the_frame_is_refused(corner):
    with pytest.raises(InputError, match="frame 7: a polygon has a corner at .* from a frame of 40x60"):
        read_mask([[1, 1, 5, 1, 5, corner]], (40, 60), "frame 7")


def test_a_polygon_may_lie_partly_outside_the_frame():
    assert Rle.from_coco([[-240, 0, 3, 0, 3, 240, -240, 240]], (40, 60)).box == (0, 0, 3, 40)


@pytest.mark.parametrize(
    ("polygons", "size"),
    [
        ([[-200, 0, 200, 0] * 1000], (40, 60)),
        ([[-200, 0, 200, 0] * 10] * 100, (40, 60)),
        ([[-20_000, 0, 20_000, 0] * 200], (20_000, 20_000)),
    ],
)
def test_an_outline_that_goes_to_and_fro_without_end_is_refused(polygons, size):
    with pytest.raises(InputError, match="an outline of .* pixels on a frame of"):
        Rle.from_coco(polygons, size)


@pytest.mark.parametrize("value", [[[1, 2, 3, 4]], [[1, 1, 5, 1, 5]], [["a"] * 6], [5], "text", {"counts": "l0"}, 7])
def test_what_is_no_mask_is_refused_with_what_was_expected(value):
    with pytest.raises(InputError, match="expected run lengths .* or polygons"):
        Rle.from_coco(value, (40, 60))


@pytest.mark.parametrize("size", [(0, 4), (3, -4), (3.5, 4), (10**6, 10**6), (None, 4), (12,), (3, 4, 1)])
def test_masks_of_frames_that_cannot_be_are_refused(size):
    with pytest.raises(InputError, match="expected sides of 1 to 23170"):
        Rle.from_coco({"size": list(size), "counts": [12]}, size)


def test_a_list_without_a_polygon_is_a_mask_without_a_pixel():
    assert Rle.from_coco([], (3, 4)).area == 0


def test_a_text_that_is_longer_than_it_must_be_is_the_same_mask():
    mask = np.array([[False, True, True]])
    assert run_lengths("Q02").tolist() == [1, 2]
    assert Rle.from_coco({"size": [1, 3], "counts": "Q02"}, (1, 3)) == Rle.encode(mask)
    wide = np.zeros((90, 40), bool)
    wide[3:80, 2:30] = wide[5, 35] = True
    coded = Rle.encode(wide)
    longer = re.sub("([0-O])", lambda last: chr(ord(last[1]) + 32) + ("0" if ord(last[1]) < 64 else "O"), coded.counts)
    assert longer != coded.counts and Rle.from_coco({"size": [90, 40], "counts": longer}, (90, 40)) == coded
    assert Rle.from_coco(coded.to_coco(), (90, 40)).counts == coded.counts
