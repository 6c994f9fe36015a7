"""The length of hidden stretches, on columns that can be counted by eye."""

import numpy as np
import pytest

from samodal.metrics.gaps import GAPS, gap_lengths, named, within
from samodal.metrics.regions import measure
from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle

MASK = Rle.encode(np.ones((2, 2), bool))


def truth(*columns: str) -> Annotated:
    """One track per column, one letter per frame: v visible, h fully hidden, . outside the image."""
    masks = [tuple(None if c == "." else MASK for c in column) for column in columns]
    visible = [tuple(MASK if c == "v" else None for c in column) for column in columns]
    entries = [Entry("a", n, *both) for n, both in enumerate(zip(masks, visible, strict=True))]
    return Annotated({"a": (2, 2)}, {"a": len(columns[0])}, entries, {"a": "a"})


@pytest.mark.parametrize(
    ("column", "lengths"),
    [
        ("vhhv", [0, 2, 2, 0]),
        ("vhvhh", [0, 1, 0, 2, 2]),
        ("hhvh", [0, 0, 0, 1]),
        ("vh..h", [0, 1, 1]),
        ("v.h.", [0, 1]),
        ("hhhh", [0, 0, 0, 0]),
    ],
)
def test_each_frame_has_the_length_of_its_whole_stretch(column, lengths):
    assert gap_lengths(truth(column)).tolist() == lengths


def test_lengths_belong_to_the_rows_that_the_mean_iou_counts():
    letters = np.random.default_rng(0).choice(list("vh."), (20, 30))
    many = truth(*("".join(row) for row in letters))
    regions = measure(many, [])
    assert ((gap_lengths(many) > 0) == ((regions.visible == 0) & regions.after)).all()


def test_every_length_is_in_one_bin():
    lengths = np.arange(1, 40)
    assert np.sum([within(lengths, gap) for gap in GAPS], axis=0).tolist() == [1] * 39
    assert [named(gap) for gap in GAPS] == ["1–5", "6–10", "11–20", "21+"]
