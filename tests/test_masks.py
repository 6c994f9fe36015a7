"""Run lengths and the operations on them, against plain arrays."""

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.masks import shift_mask
from samodal.rle import Rle, iou, overlap, union
from samodal.tracks import Clip, Track, occlusion_rate

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
    with pytest.raises(InputError, match="3x4 on a frame of 4x3"):
        Rle.from_coco(Rle.encode(A).to_coco(), (4, 3))


def test_truncated_run_lengths_are_refused():
    whole = Rle.encode(np.random.default_rng(0).random((40, 40)) < 0.5)
    with pytest.raises(InputError, match="do not add up to 40x40"):
        Rle.from_coco({"size": [40, 40], "counts": whole.counts[:-3]}, (40, 40))


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-2, 1), (0.4, -0.6), (9, 0), (0, -9)])
def test_shifting_agrees_with_moving_each_pixel(shift):
    dx, dy = (round(v) for v in shift)
    expected = np.zeros_like(A)
    for y, x in zip(*np.nonzero(A), strict=True):
        if 0 <= y + dy < 3 and 0 <= x + dx < 4:
            expected[y + dy, x + dx] = True
    assert np.array_equal(shift_mask(A, np.array(shift)), expected)


def test_a_shift_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        shift_mask(A, np.array([np.nan, 0]))


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


@pytest.mark.parametrize("value", [True, 1, 255, 256, -1, 0.5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_non_zero_value_counts_as_inside(value, order):
    mask = np.zeros((5, 7), np.asarray(value).dtype, order=order)
    mask[1:3, 2:5] = value
    rle = Rle.encode(mask)
    assert rle.area == 6 and np.array_equal(rle.decode(), mask != 0)
