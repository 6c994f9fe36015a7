"""Mean IoUs of whole and hidden regions, on masks that can be counted by eye."""

import numpy as np
import pytest

from samodal.metrics import bootstrap
from samodal.metrics.regions import measure
from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle

SIZE = (1, 12)


def row(text: str) -> Rle | None:
    """A mask of one row drawn with # and ."""
    mask = np.array([[c == "#" for c in text]])
    return Rle.encode(mask) if mask.any() else None


def truth(*tracks) -> Annotated:
    """Tracks of clip "a" (or another, named first) as (id, amodal rows, visible rows)."""
    entries = [
        Entry(clip, key, tuple(map(row, amodal)), tuple(map(row, visible))) for clip, key, amodal, visible in tracks
    ]
    groups = dict.fromkeys(entry.group for entry in entries)
    return Annotated(dict.fromkeys(groups, SIZE), {g: 4 for g in groups}, entries, {g: g for g in groups})


def result(key, amodal, visible, clip="a") -> Entry:
    return Entry(clip, key, tuple(map(row, amodal)), tuple(map(row, visible)), score=1.0)


NOTHING = "............"
# frame 0: wholly visible; 1: half hidden; 2: wholly hidden; 3: outside the image
AMODAL = ["####........", ".####.......", "..####......", NOTHING]
VISIBLE = ["####........", ".##.........", NOTHING, NOTHING]


def test_a_perfect_result_is_one_everywhere():
    regions = measure(truth(("a", 1, AMODAL, VISIBLE)), [result(1, AMODAL, VISIBLE)])
    for name in ("miou", "miou_micro", "miou_hidden", "miou_hidden_micro", "miou_fully_hidden"):
        assert regions.value(name, False) == 1.0, name


def test_a_missing_prediction_counts_zero():
    regions = measure(truth(("a", 1, AMODAL, VISIBLE)), [])
    for name in ("miou", "miou_micro", "miou_hidden", "miou_fully_hidden", "miou_fully_hidden_after_seen"):
        assert regions.value(name, False) == 0.0, name


def test_each_number_is_about_its_own_frames_and_pixels():
    predicted = ["####........", ".###........", "....####....", NOTHING]
    regions = measure(truth(("a", 1, AMODAL, VISIBLE)), [result(1, predicted, VISIBLE)])
    assert regions.value("miou", False) == pytest.approx((1 + 3 / 4 + 2 / 6) / 3)
    assert regions.value("miou", True) == pytest.approx((1 + 3 / 4) / 2)
    assert regions.value("miou_micro", False) == pytest.approx((4 + 3 + 2) / (4 + 4 + 6))
    assert regions.value("miou_hidden", False) == pytest.approx((1 / 2 + 2 / 6) / 2)
    assert regions.value("miou_hidden_micro", False) == pytest.approx((1 + 2) / (2 + 6))
    assert regions.value("miou_fully_hidden", False) == pytest.approx(2 / 6)


def test_the_visible_mask_alone_gets_nothing_for_the_hidden_part():
    regions = measure(truth(("a", 1, AMODAL, VISIBLE)), [result(1, VISIBLE, VISIBLE)])
    assert regions.value("miou_hidden", False) == 0.0
    assert regions.value("miou", False) == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_hidden_frames_before_the_first_sight_are_counted_apart():
    amodal, visible = ["####........"] * 4, [NOTHING, "##..........", NOTHING, "####........"]
    predicted = [NOTHING, "####........", "####........", "####........"]
    regions = measure(truth(("a", 1, amodal, visible)), [result(1, predicted, visible)])
    assert regions.value("miou_fully_hidden", False) == 0.5
    assert regions.value("miou_fully_hidden_after_seen", False) == 1.0


def test_where_nothing_is_hidden_there_is_no_number():
    whole = [AMODAL[0]] * 4
    regions = measure(truth(("a", 1, whole, whole)), [result(1, whole, whole)])
    assert regions.value("miou_hidden", False) is None
    assert regions.value("miou_fully_hidden", False) is None


def test_without_visible_truth_only_whole_masks_are_compared():
    true = truth(("a", 1, AMODAL, VISIBLE))
    bare = Annotated(true.sizes, true.lengths, [Entry("a", 1, true.entries[0].masks)], {})
    regions = measure(bare, [result(1, AMODAL, VISIBLE)])
    assert (regions.rule, regions.value("miou", True), regions.value("miou_hidden", False)) == (
        "masks",
        1.0,
        None,
    )


OTHER = ["......####.."] * 4


def test_equal_ids_belong_together_where_their_visible_masks_agree():
    true = truth(("a", 1, AMODAL, VISIBLE), ("a", 2, OTHER, OTHER))
    regions = measure(true, [result(2, OTHER, OTHER), result(1, OTHER, VISIBLE)])
    assert regions.rule == "identity"
    assert regions.value("miou", False) == pytest.approx(4 / 7)  # 1 in the four frames of 2, 0 in the three of 1


@pytest.mark.parametrize("swapped", [(2, 1), (8, 9)])
def test_ids_that_agree_by_chance_or_not_at_all_give_way_to_the_visible_masks(swapped):
    true = truth(("a", 1, AMODAL, VISIBLE), ("a", 2, OTHER, OTHER))
    regions = measure(true, [result(swapped[0], AMODAL, VISIBLE), result(swapped[1], OTHER, OTHER)])
    assert (regions.rule, regions.value("miou", False)) == ("visible", 1.0)


def test_a_prediction_is_given_to_one_instance_only():
    true = truth(("a", 1, OTHER, OTHER), ("a", 2, OTHER, OTHER))
    regions = measure(true, [result(5, OTHER, OTHER)])
    assert regions.value("miou", False) == 0.5


def test_the_same_id_in_another_clip_is_another_instance():
    true = truth(("a", 1, OTHER, OTHER), ("b", 1, OTHER, OTHER))
    regions = measure(true, [result(1, OTHER, OTHER, clip="b")])
    np.testing.assert_array_equal(regions.clips[regions.whole[:, 0] > 0], ["b"] * 4)


def test_weighing_clips_moves_the_mean_between_them():
    true = truth(("a", 1, OTHER, OTHER), ("b", 1, OTHER, OTHER))
    regions = measure(true, [result(1, OTHER, OTHER, clip="b")])
    weights = np.array([[1, 1], [2, 0], [0, 2], [1, 3]])
    samples = bootstrap.region_samples(regions, "miou", False, ["a", "b"], weights)
    np.testing.assert_allclose(samples, [0.5, 0, 1, 0.75])
