"""Edges of masks against their pixels."""

import numpy as np
import pytest

from samodal import edges, together
from samodal.masks import Mask
from samodal.rle import Rle, all_run_lengths, from_runs, run_lengths, texts_of


@pytest.fixture(params=range(60))
def pair(request) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one size, full columns, whole and empty ones among them."""
    random = np.random.default_rng(request.param)
    size = random.integers(1, 12, 2)
    first, second = (random.random(size) < random.random() for _ in range(2))
    first[:, : request.param % 4] = True
    if request.param % 10 == 0:
        first[:] = request.param % 20 == 0
    return first, second


def test_the_edges_of_a_small_mask_are_where_it_begins_and_ends():
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)  # down the columns: 0 1 | 1 1 | 0 0
    assert edges.edges_of(Rle.encode(mask).counts).tolist() == [1, 4]
    assert edges.runs_between(np.array([1, 4]), 6).tolist() == [1, 3, 2]
    assert edges.runs_between(np.array([4, 6]), 6).tolist() == [4, 2]
    assert edges.runs_between(np.array([], int), 6).tolist() == [6]


def test_edges_give_the_run_lengths_and_pixels_that_they_came_from(pair):
    for mask in pair:
        coded = Rle.encode(mask)
        found = edges.edges_of(coded.counts)
        assert edges.runs_between(found, mask.size).tolist() == run_lengths(coded.counts).tolist()
        (drawn,) = together.between([found], mask.shape)
        assert drawn.rle == coded
        assert np.array_equal(drawn.decode(), mask)


def test_an_overlap_is_counted_alike_from_edges_and_from_pixels(pair):
    first, second = pair
    assert edges.overlap(*(edges.edges_of(Rle.encode(mask).counts) for mask in pair)) == (first & second).sum()
    of_runs, drawn = (Mask.from_rle(Rle.encode(mask)) for mask in pair)
    assert of_runs.overlap(Mask.from_rle(drawn.rle)) == of_runs.overlap(Mask.of(second)) == (first & second).sum()


def test_pixels_have_the_same_numbers_in_edges_and_in_rows(pair):
    for mask in pair:
        numbers = np.arange(mask.sum())
        assert np.array_equal(Mask.from_rle(Rle.encode(mask)).pixels_at(numbers), Mask.of(mask).pixels())
        assert np.array_equal(Mask.of(mask).pixels_at(numbers[::-1]), Mask.of(mask).pixels()[::-1])


def test_pixels_of_several_masks_are_those_of_each(pair):
    random = np.random.default_rng(0)
    masks = [mask for mask in (*pair, pair[0] & pair[1], ~pair[1]) if mask.any()]
    numbers = np.array([random.integers(0, mask.sum(), 5) for mask in masks])
    expected = [Mask.of(mask).pixels()[own] for mask, own in zip(masks, numbers, strict=True)]
    for made in (Mask.of, lambda mask: Mask.from_rle(Rle.encode(mask))):
        found = together.pixels_at([made(mask) for mask in masks], numbers)
        assert found.tolist() == np.array(expected).tolist() and found.dtype == np.float32


def test_masks_made_together_are_those_made_alone(pair):
    masks = [*pair, np.zeros_like(pair[0]), pair[0] & pair[1], ~pair[1]]
    coded = [Rle.encode(mask) for mask in masks]
    of_runs = together.from_rles(coded)
    of_edges = together.between([edges.edges_of(rle.counts) for rle in coded], pair[0].shape)
    for mask, rle, one, other in zip(masks, coded, of_runs, of_edges, strict=True):
        alone = Mask.from_rle(rle)
        for made in (one, other):
            assert (made.rle, made.box, made.area) == (rle, alone.box, mask.sum())
            assert made.edges.tolist() == alone.edges.tolist()
            assert np.array_equal(made.decode(), mask)
    assert together.from_rles([]) == []


def test_texts_of_runs_are_those_of_coco_at_any_length():
    random = np.random.default_rng(0)
    runs = [np.maximum(1, (2.0 ** random.uniform(0, 25, count)).astype(np.int64)) for count in (1, 2, 3, 4, 50, 51)]
    runs.append(np.array([0, 16, 15, 17, 31, 32, 33, 511, 512, 513, 1]))
    texts = [from_runs(own, (own.sum(), 1)).counts for own in runs if own.sum() < 2**29]
    assert texts_of([own for own in runs if own.sum() < 2**29]) == texts
    assert [own.tolist() for own in all_run_lengths(texts)] == [run_lengths(text).tolist() for text in texts]
