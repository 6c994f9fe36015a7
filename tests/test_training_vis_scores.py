"""The quick scores of a VidEoMT in training, against literal numbers."""

import numpy as np
import pytest

from samodal.training.vis.tally import Tally, average_precision


def test_average_precision_is_the_area_under_the_falling_precision():
    assert average_precision(np.array([0.9, 0.8]), np.array([True, True]), 2) == 1.0
    assert average_precision(np.array([0.9, 0.8]), np.array([False, True]), 1) == 0.5
    assert average_precision(np.array([0.9]), np.array([True]), 2) == pytest.approx(51 / 101)
    assert (
        average_precision(np.zeros(0), np.zeros(0, bool), 3) == average_precision(np.ones(1), np.ones(1, bool), 0) == 0
    )


def test_small_instances_and_small_detections_count_neither_for_nor_against():
    tally = Tally()
    ious = np.array([[0.9, 0.0], [0.0, 0.7], [0.6, 0.0], [0.0, 0.0], [0.0, 0.0]])
    counts = np.array([True, False, True, False, True])  # detections: large one, small, duplicate, small, false
    found = tally.add(ious, np.array([0.9, 0.8, 0.7, 0.6, 0.5]), counts, large=np.array([True, False]))
    assert found.tolist() == [0, 1] and tally.scores == [0.9, 0.7, 0.5] and tally.right == [True, False, False]
    assert tally.wanted == 1 and tally.ious == [0.9]
    tally.pair(np.array([4, 2, -1]), np.array([4, 3, 5]))
    assert tally.numbers()["same_query"] == 0.5
