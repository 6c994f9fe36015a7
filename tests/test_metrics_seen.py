"""Recall and precision of boxes by height, on boxes that can be matched by eye, and beside a slow obvious judge."""

import math

import numpy as np
import pytest

from samodal.metrics.seen import Seen

LOW, MIDDLE, HIGH = (10, 10, 30, 30), (50, 10, 90, 50), (100, 0, 180, 80)
"""Truths that are 20, 40 and 80 pixels high."""
BINS = ((16, 32), (32, 64), (64, math.inf))


def shifted(box: tuple, x: float) -> tuple:
    return box[0] + x, box[1], box[2] + x, box[3]


def seen(boxes=(), scores=None, truth=(), ignored=()) -> Seen:
    counted = Seen()
    counted.add(boxes, [0.9] * len(boxes) if scores is None else scores, truth, ignored)
    return counted


def test_truths_count_in_the_bin_of_their_height_and_those_below_all_bins_in_none():
    counted = seen([LOW, HIGH], truth=[LOW, MIDDLE, HIGH, (0, 0, 9, 15)])
    assert [counted.recall(0, *heights) for heights in BINS] == [1, 0, 1]
    assert [counted.count(*heights) for heights in BINS] == [1, 1, 1]


def test_a_bin_takes_its_least_height_and_leaves_the_greatest_to_the_next():
    counted = seen(truth=[(0, 0, 5, 32), (0, 0, 5, 64)])
    assert [counted.count(*heights) for heights in BINS] == [0, 1, 1]


def test_what_is_reported_counts_in_the_bin_of_its_own_height():
    counted = seen([MIDDLE, (50, 10, 90, 80)], truth=[MIDDLE])
    assert counted.precision(0, 32, 64) == 1
    assert counted.precision(0, 64) == 0


def test_an_iou_of_a_half_is_enough_and_less_is_not():
    # A square that is moved by a third of its side has an IoU of (2/3) / (4/3).
    exact, less = (0, 0, 30, 30), (10.1, 0, 40.1, 30)
    assert seen([shifted(exact, 10)], truth=[exact]).recall(0, 16) == 1
    assert seen([less], truth=[exact]).recall(0, 16) == 0


def test_a_truth_is_found_once_and_the_second_box_is_a_mistake():
    counted = seen([shifted(LOW, 1), LOW], [0.5, 0.8], [LOW])
    assert counted.recall(0, 16) == 1
    assert counted.precision(0, 16) == 0.5
    assert counted.precision(0.6, 16) == 1  # the better score found it


def test_the_better_score_chooses_first_and_the_other_takes_what_is_left():
    # Both boxes fit the left truth best; only the lower score also fits the right one.
    left, right = (0, 0, 40, 40), (10, 0, 50, 40)
    finders = Seen().add([shifted(left, 4), shifted(left, 1)], [0.4, 0.9], [left, right])
    assert finders == [1, 0]


def test_a_score_below_the_least_finds_nothing_and_is_no_mistake():
    counted = seen([LOW, shifted(LOW, 300)], [0.3, 0.2], [LOW])
    assert (counted.recall(0.3, 16), counted.precision(0.3, 16)) == (1, 1)
    assert counted.recall(0.31, 16) == 0
    assert math.isnan(counted.precision(0.31, 16))


def test_a_box_that_lies_half_within_an_ignored_one_is_no_mistake_unless_it_finds_a_truth():
    assert math.isnan(seen([LOW], ignored=[shifted(LOW, 10)]).precision(0, 16))
    assert seen([LOW], ignored=[shifted(LOW, 11)]).precision(0, 16) == 0
    assert seen([LOW], truth=[LOW], ignored=[LOW]).precision(0, 16) == 1


def test_a_small_box_within_a_large_ignored_one_is_no_mistake():
    assert math.isnan(seen([LOW], ignored=[(0, 0, 500, 500)]).precision(0, 16))


def test_without_truths_there_is_no_recall_and_without_boxes_no_precision():
    counted = seen()
    assert math.isnan(counted.recall(0, 16)) and math.isnan(counted.precision(0, 16))
    assert counted.add([], [], [LOW]) == [None]
    assert counted.recall(0, 16) == 0


def test_pictures_are_matched_apart_and_counted_together():
    first, second = seen([LOW], truth=[LOW]), seen([], truth=[LOW, MIDDLE])
    first.join(second)
    assert first.recall(0, 16, 32) == 0.5
    assert first.count(16) == 3 and second.count(16) == 2


def obvious(boxes, scores, truth, ignored):
    """The same by loops over areas of single pixels: (score that found each truth, [(score, height, right)])."""

    def pixels(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    found, reported = [-1.0] * len(truth), []
    for score, box in sorted(zip(scores, boxes, strict=True), key=lambda pair: -pair[0]):
        best, place = 0.0, None
        for n, other in enumerate(truth):
            iou = len(pixels(box) & pixels(other)) / len(pixels(box) | pixels(other))
            if found[n] < 0 and iou > best:
                best, place = iou, n
        excused = any(2 * len(pixels(box) & pixels(other)) >= len(pixels(box)) for other in ignored)
        if best >= 0.5:
            found[place] = score
        if best >= 0.5 or not excused:
            reported.append((score, box[3] - box[1], best >= 0.5))
    return found, reported


@pytest.mark.parametrize("seed", range(20))
def test_any_boxes_are_matched_as_a_slow_judge_matches_them(seed):
    rng = np.random.default_rng(seed)

    def some(count):
        corners = rng.integers(0, 14, (count, 2))
        return np.concatenate([corners, corners + rng.integers(4, 16, (count, 2))], 1).tolist()

    boxes, truth, ignored = some(8), some(6), some(2)
    boxes += [[x, y, right + 1, bottom] for x, y, right, bottom in truth[:3]]
    scores = (rng.permutation(len(boxes)) / 16 + 0.1).tolist()
    counted = seen(boxes, scores, truth, ignored)
    found, reported = obvious(boxes, scores, truth, ignored)
    assert counted.found == found
    assert list(zip(counted.scores, counted.tall, counted.right, strict=True)) == reported
    for least in (0, 0.3, 0.6):
        assert counted.recall(least, 8) == pytest.approx(
            np.mean([score >= least for score, box in zip(found, truth, strict=True) if box[3] - box[1] >= 8])
        )
        right = [ok for score, tall, ok in reported if score >= least and tall >= 8]
        assert counted.precision(least, 8) == pytest.approx(np.mean(right) if right else np.nan, nan_ok=True)
