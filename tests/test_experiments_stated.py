"""The shares of true middles in the regions that hidden masks state."""

import numpy as np
import pytest

from samodal.experiments.stated import shares_within, squared_distance, stated_spreads, within_regions
from samodal.masks import Mask
from samodal.results.entries import Entry
from samodal.results.frames import FramesWriter
from samodal.rle import Rle
from samodal.tracks import FrameResult, Instance, State

SIZE = (20, 40)


def block(x: int, y: int = 5) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[y : y + 6, x : x + 6] = True
    return Rle.encode(mask)


def test_distances_are_counted_in_spreads():
    assert squared_distance(Mask.of(block(10)), (13, 5, 21, 11), np.array([2.0, 1.0])) == 4.0
    assert shares_within([0.0, 1.6, 1.8, 9.5, 9.6]) == {"within_50": 0.4, "within_90": 0.8}
    assert shares_within([]) == {"within_50": None, "within_90": None}


def test_only_fully_hidden_masks_inside_the_image_with_a_spread_count():
    # Frames: visible, hidden and met, hidden and missed, cut by the border, no spread, gone.
    true = Entry("a", 1, (block(5), block(6), block(7), block(0), block(9), None), (block(5), *[None] * 5))
    said = Entry("a", 1, (block(5), block(6), block(17), block(0), block(9), block(9)))
    spreads = {("a", 1, t): np.ones(2) for t in (0, 1, 2, 3, 5)}
    assert within_regions([true, true], [said, None], spreads) == {"within_50": 0.5, "within_90": 0.5}
    assert within_regions([true], [said], {}) == {"within_50": None, "within_90": None}


def test_spreads_come_from_the_files_of_a_run(tmp_path):
    spread = np.array([1.5, 2.0])
    shown = Instance(1, "car", 0.5, State.VISIBLE, block(5), block(5))
    moved = Instance(1, "car", 0.5, State.HIDDEN, None, block(6), centre_spread=spread)
    (tmp_path / "a").mkdir()
    with FramesWriter(tmp_path / "a" / "frames.jsonl", "a", SIZE, {}) as file:
        for t, one in enumerate((shown, moved)):
            file.write(FrameResult(t, t / 10, (one,)), str(t))
    (key,) = (found := stated_spreads(tmp_path, ["a", "b"]))
    assert key == ("a", 1, 1) and found[key] == pytest.approx(spread)
