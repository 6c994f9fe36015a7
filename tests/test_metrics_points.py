"""Point-tracking metrics on points that can be counted by hand, and beside a slow judge."""

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.metrics.points import THRESHOLDS, count_points, inside, pooled, summarise_points
from samodal.sim.point_files import read_points

SIZE = (256, 256)


def counts_of(xy, visible, true_xy, true_visible, query_t=None, size=SIZE, hidden=None, **options):
    """Counts of points given as nested lists; shown in frame 0 and never wholly hidden unless told."""
    true_visible = np.array(true_visible, bool)
    return count_points(
        np.array(xy, np.float32),
        np.array(visible, bool),
        np.array(true_xy, np.float32),
        true_visible,
        np.zeros(len(true_visible), int) if query_t is None else np.array(query_t),
        size,
        np.zeros_like(true_visible) if hidden is None else np.array(hidden, bool),
        **options,
    )


def one_point(off_by: float, called: bool, truly: bool):
    """A point shown in frame 0 and evaluated in frame 1, `off_by` pixels to the right of the truth."""
    return counts_of([[[9, 9], [20 + off_by, 9]]], [[True, called]], [[[9, 9], [20, 9]]], [[True, truly]])


def test_a_perfect_point_scores_one():
    found = one_point(0, True, True)
    assert (found.average_jaccard, found.delta_avg, found.occlusion_accuracy) == (1, 1, 1)


def test_a_visible_point_called_hidden_is_a_miss_even_where_it_is_right():
    found = one_point(0, False, True)
    assert (found.average_jaccard, found.delta_avg, found.occlusion_accuracy) == (0, 1, 0)


def test_a_hidden_point_called_visible_is_a_false_positive_and_has_no_position_error():
    found = one_point(0, True, False)
    assert found.false.tolist() == [1] * 5
    assert found.average_jaccard == 0
    assert found.delta_avg is None
    assert found.occlusion_accuracy == 0


def test_a_point_beyond_a_threshold_is_both_a_miss_and_a_false_positive():
    found = one_point(3, True, True)
    assert found.hits.tolist() == [0, 0, 1, 1, 1]
    assert found.false.tolist() == [1, 1, 0, 0, 0]
    assert found.average_jaccard == pytest.approx(3 / 5)
    assert found.delta_avg == pytest.approx(3 / 5)


def test_a_distance_of_exactly_a_threshold_is_not_within_it():
    assert one_point(4, True, True).near.tolist() == [0, 0, 0, 1, 1]


def test_the_jaccard_of_points_of_each_kind():
    # Right; right but called hidden; 5 px off; hidden and called so; hidden but called visible.
    found = counts_of(
        [[[5, 5], [10, 10]], [[5, 5], [10, 10]], [[5, 5], [15, 10]], [[5, 5], [90, 90]], [[5, 5], [10, 10]]],
        [[True, True], [True, False], [True, True], [True, False], [True, True]],
        [[[5, 5], [10, 10]]] * 5,
        [[True, True], [True, True], [True, True], [True, False], [True, False]],
    )
    # Within 8 and 16 px: 2 true positives, 3 truly visible, 1 false positive; below: 1, 3, 2.
    assert found.average_jaccard == pytest.approx((3 * 1 / 5 + 2 * 2 / 4) / 5)
    assert found.delta_avg == pytest.approx((3 * 2 / 3 + 2 * 3 / 3) / 5)
    assert found.occlusion_accuracy == pytest.approx(3 / 5)


def test_a_frame_counts_only_after_the_query():
    found = counts_of([[[0, 0]] * 4] * 2, [[True] * 4] * 2, [[[9, 9]] * 4] * 2, [[True] * 4] * 2, query_t=[1, 3])
    assert found.evaluated == 2
    assert found.near.tolist() == [0, 0, 0, 0, 2]


def test_tap_vids_thresholds_are_in_frames_of_256_pixels_and_ours_in_original_ones():
    xy, true = [[[0, 0], [106, 100]]], [[[0, 0], [100, 100]]]
    wide = counts_of(xy, [[True, True]], true, [[True, True]], size=(256, 1024))
    assert wide.near.tolist() == [0, 1, 1, 1, 1]
    given = counts_of(xy, [[True, True]], true, [[True, True]], size=(256, 1024), resized=None)
    assert given.near.tolist() == [0, 0, 0, 1, 1]
    hidden = counts_of(xy, [[True, True]], true, [[True, False]], size=(256, 1024))
    assert hidden.hidden_near.tolist() == [0, 0, 0, 1, 1]
    assert hidden.delta_occ == pytest.approx(2 / 5)


def test_hidden_points_outside_the_image_or_behind_the_camera_are_not_asked_for():
    true = [[[5, 5], [-9, 5]], [[5, 5], [np.nan, np.nan]], [[5, 5], [7, 7]]]
    found = counts_of([[[5, 5], [5, 5]]] * 3, [[True, False]] * 3, true, [[True, False]] * 3)
    assert found.hidden == 1
    assert found.occlusion_accuracy == 1


def test_the_error_inside_full_occlusions_is_of_those_frames_alone():
    found = counts_of(
        [[[5, 5], [10, 10], [10, 10], [10, 10]]],
        [[True, False, False, True]],
        [[[5, 5], [13, 14], [10, 20], [40, 10]]],
        [[True, False, False, True]],
        hidden=[[False, True, False, False]],
    )
    assert found.full_errors.tolist() == [5]
    assert found.full_error == 5
    assert found.hidden == 2
    assert summarise_points([found])["delta_full"] == pytest.approx(2 / 5)


def test_a_lost_position_is_infinitely_far():
    found = counts_of(
        [[[5, 5], [np.nan, np.nan]]], [[True, True]], [[[5, 5], [6, 6]]], [[True, False]], hidden=[[False, True]]
    )
    assert found.full_error == np.inf
    assert found.delta_occ == 0


def test_no_points_give_no_numbers():
    found = counts_of(np.zeros((0, 3, 2)), np.zeros((0, 3)), np.zeros((0, 3, 2)), np.zeros((0, 3)))
    numbers = summarise_points([found, found])
    assert numbers["evaluated"] == 0
    assert all(numbers[name] is None for name in ("average_jaccard", "delta_avg", "delta_occ", "full_error"))


def test_tap_vids_numbers_are_means_over_clips_and_ours_of_all_points():
    right, wrong = one_point(0, True, True), one_point(99, True, True)
    many = pooled([wrong, wrong, wrong])
    numbers = summarise_points([right, many])
    assert numbers["delta_avg"] == 0.5
    assert numbers["visible"] == 4
    near = counts_of([[[5, 5], [6, 6]]], [[True, True]], [[[5, 5], [6, 6]]], [[True, False]])
    far = counts_of([[[5, 5], [66, 66]]] * 3, [[True, True]] * 3, [[[5, 5], [6, 6]]] * 3, [[True, False]] * 3)
    assert summarise_points([near, far])["delta_occ"] == 0.25


def test_a_pixel_reaches_half_a_pixel_beyond_its_centre():
    points = np.array([[-0.4, 0], [-0.6, 0], [9.4, 0], [9.6, 0], [0, 4.4], [0, 4.6], [np.nan, 0]])
    assert inside(points, (5, 10)).tolist() == [True, False, True, False, True, False, False]


def test_the_numbers_are_those_of_the_published_function():
    """`compute_tapvid_metrics` of google-deepmind/tapnet, query mode "first", said these three of this case."""
    n, t = np.indices((6, 10))
    true_xy = np.stack([20 + 7 * n + 3 * t, 30 + 5 * n - t], axis=-1)
    xy = true_xy + np.stack([(n * t) % 7 - 2.5, (n + 2 * t) % 5 - 1.5], axis=-1)
    numbers = summarise_points(
        [counts_of(xy, (n + t) % 3 > 0, true_xy, (2 * n + t) % 5 > 0, query_t=[0, 1, 2, 3, 0, 5])]
    )
    assert numbers["occlusion_accuracy"] == pytest.approx(0.627906976744186)
    assert numbers["average_jaccard"] == pytest.approx(0.4019047619047619)
    assert numbers["delta_avg"] == pytest.approx(0.6685714285714285)


def slow_judge(xy, visible, true_xy, true_visible, query_t, size, hidden) -> dict:
    """The published definitions, one point in one frame at a time."""
    jaccards, shares, occluded = [], [], []
    agreed = asked = 0
    errors = []
    for threshold in THRESHOLDS:
        tp = positives = fp = near = out = out_near = 0
        for n in range(len(xy)):
            for t in range(query_t[n] + 1, xy.shape[1]):
                dx, dy = (float(v) for v in xy[n, t] - true_xy[n, t])
                within = (dx * 256 / size[1]) ** 2 + (dy * 256 / size[0]) ** 2 < threshold**2
                seen, called = bool(true_visible[n, t]), bool(visible[n, t])
                positives += seen
                near += seen and within
                tp += seen and within and called
                fp += called and (not seen or not within)
                x, y = true_xy[n, t]
                shown = -0.5 <= x <= size[1] - 0.5 and -0.5 <= y <= size[0] - 0.5
                out += shown and not seen
                out_near += shown and not seen and dx**2 + dy**2 < threshold**2
                if threshold == 1:
                    asked += 1
                    agreed += seen == called
                    if shown and not seen and hidden[n, t]:
                        errors.append((dx**2 + dy**2) ** 0.5)
        jaccards.append(tp / (positives + fp))
        shares.append(near / positives)
        occluded.append(out_near / out)
    return {
        "average_jaccard": np.mean(jaccards),
        "delta_avg": np.mean(shares),
        "occlusion_accuracy": agreed / asked,
        "delta_occ": np.mean(occluded),
        "full_error": np.median(errors),
        "full": len(errors),
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_slow_judge_agrees(seed):
    rng = np.random.default_rng(seed)
    shape, size = (20, 12), (90, 160)
    true_xy = rng.uniform(-20, 180, (*shape, 2)).astype(np.float32)
    true_visible = inside(true_xy, size) & (rng.random(shape) < 0.6)
    xy = (true_xy + rng.normal(0, 5, true_xy.shape)).astype(np.float32)
    visible, hidden = rng.random(shape) < 0.7, rng.random(shape) < 0.3
    given = (xy, visible, true_xy, true_visible, rng.integers(0, 12, 20), size, hidden)
    numbers = summarise_points([count_points(*given)])
    for name, value in slow_judge(*given).items():
        assert numbers[name] == pytest.approx(value, rel=1e-5), name


def test_point_files_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "points" / "front" / "clip.npz"
    path.parent.mkdir(parents=True)
    xy = np.zeros((2, 3, 2), np.float32)
    np.savez_compressed(path, xy=xy, visible=np.ones((2, 3), bool), ids=[0, 7], anchors=[1, 2])
    assert read_points(tmp_path, "clip").ids.tolist() == [0, 7]
    with pytest.raises(InputError, match=r"other\.npz: no point tracks.*--points"):
        read_points(tmp_path, "other")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"clip\.npz: damaged"):
        read_points(tmp_path, "clip")
