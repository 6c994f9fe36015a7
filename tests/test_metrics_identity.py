"""HOTA, IDF1, id switches and returns, on cases that can be counted by hand and against an obvious judge."""

from itertools import permutations

import numpy as np
import pytest

from samodal.metrics.identity import ALPHAS, count_identities, identity_scores
from samodal.rle import Rle
from samodal.tracks import Clip, Track

SIZE = (4, 40)


def mask(x: int, width: int = 4) -> Rle:
    """A block of full height, `width` columns from x on."""
    made = np.zeros(SIZE, bool)
    made[:, x : x + width] = True
    return Rle.encode(made)


def clip(tracks: dict, name: str = "one") -> Clip:
    """A clip from {id: text}: a letter is where the block stands (a at 0, b at 4, …), a dot where there is none."""

    def column(text: str) -> tuple:
        return tuple(None if c == "." else mask(4 * (ord(c) - ord("a"))) for c in text)

    length = len(next(iter(tracks.values())))
    made = tuple(Track(key, "car", 0.9, column(text), column(text)) for key, text in tracks.items())
    return Clip(name, SIZE, tuple(f"{t:06d}" for t in range(length)), made)


def scores(results: dict, truth: dict) -> dict:
    return identity_scores(count_identities({"one": clip(results)}, {"one": clip(truth)}).values())


def test_a_perfect_result_has_full_marks():
    truth = {1: "aaaa", 2: "bb.b"}
    assert scores({"x": "aaaa", "y": "bb.b"}, truth) == {
        "HOTA": 1.0, "DetA": 1.0, "AssA": 1.0, "IDF1": 1.0,
        "id_switches": 0, "id_transfers": 0, "gaps": 1, "found_again": 1.0,
    }  # fmt: skip


def test_a_new_id_half_way_halves_the_association():
    found = scores({"x": "aa..", "y": "..aa"}, {1: "aaaa"})
    assert found["DetA"] == 1.0
    assert found["AssA"] == pytest.approx(0.5)
    assert found["HOTA"] == pytest.approx(np.sqrt(0.5))
    assert found["IDF1"] == pytest.approx(0.5)
    assert (found["id_switches"], found["id_transfers"], found["gaps"]) == (1, 0, 0)


def test_a_missed_half_and_a_false_track_count_against_detection():
    # 2 true positives of 1 track of 4, 2 missed, 3 false: DetA 2 / 7, and the two agree on 2 of 4 frames.
    found = scores({"x": "aa..", "z": "jjj."}, {1: "aaaa"})
    assert found["DetA"] == pytest.approx(2 / 7)
    assert found["AssA"] == pytest.approx(2 / 4)
    assert found["IDF1"] == pytest.approx(2 * 2 / (4 + 5))
    assert found["id_switches"] == 0


def test_a_block_that_half_overlaps_counts_at_the_lower_thresholds():
    # Two of six columns are shared: IoU 1/3, which 6 of the 19 thresholds accept (0.05 … 0.3).
    truth, shifted = clip({1: "a"}), Clip("one", SIZE, ("000000",), (Track(1, "car", 1.0, (mask(2),), (mask(2),)),))
    counts = count_identities({"one": shifted}, {"one": truth})["one"]
    assert counts.true_positives.tolist() == [1] * 6 + [0] * 13
    assert counts.scores["HOTA"] == pytest.approx(6 / 19)
    assert counts.scores["IDF1"] == 0


def test_two_ids_that_swap_switch_and_transfer_twice():
    found = scores({"x": "aabb", "y": "bbaa"}, {1: "aaaa", 2: "bbbb"})
    assert (found["id_switches"], found["id_transfers"]) == (2, 2)
    assert found["DetA"] == 1.0
    assert found["AssA"] == pytest.approx(2 / 6)
    assert found["IDF1"] == pytest.approx(0.5)


def test_an_id_that_goes_on_with_another_instance_is_a_transfer_and_no_switch():
    found = scores({"x": "aabb"}, {1: "aa..", 2: "..bb"})
    assert (found["id_switches"], found["id_transfers"]) == (0, 1)


def test_after_a_gap_the_old_id_is_found_again_or_not():
    truth = {1: "aa..aa..aa"}
    assert scores({"x": "aa..aa..aa"}, truth)["found_again"] == 1.0
    assert scores({"x": "aa......aa", "y": "....aa...."}, truth)["found_again"] == 0.0
    assert scores({"x": "aa..aa....", "y": "........aa"}, truth)["found_again"] == 0.5


def test_a_late_match_after_a_gap_still_ends_it():
    found = scores({"x": "aa...aa"}, {1: "aa..aaa"})
    assert (found["gaps"], found["found_again"]) == (1, 1.0)


def test_a_gap_of_the_results_alone_is_no_gap():
    found = scores({"x": "aa..aa"}, {1: "aaaaaa"})
    assert (found["gaps"], found["found_again"]) == (0, None)


def test_clips_are_added_up():
    truth = {name: clip({1: "aaaa"}, name) for name in ("one", "two")}
    results = {"one": clip({1: "aaaa"}), "two": clip({1: "aa..", 2: "..aa"}, "two")}
    found = identity_scores(count_identities(results, truth).values())
    assert found["AssA"] == pytest.approx(0.75)
    assert found["IDF1"] == pytest.approx(0.75)
    assert found["id_switches"] == 1


def test_nothing_found_and_nothing_there():
    assert scores({"x": "...."}, {1: "aaaa"})["HOTA"] == 0.0
    assert scores({"x": "...."}, {1: "...."})["HOTA"] is None
    missing = identity_scores(count_identities({}, {"one": clip({1: "aaaa"})}).values())
    assert (missing["IDF1"], missing["id_switches"]) == (0.0, 0)


def best(value: np.ndarray) -> list[tuple[int, int]]:
    """The one-to-one pairs of the largest sum, by trying all."""
    rows, columns = value.shape
    if rows > columns:
        return [(i, j) for j, i in best(value.T)]
    return max(
        ([(i, j) for i, j in enumerate(order)] for order in permutations(range(columns), rows)),
        key=lambda pairs: sum(value[i, j] for i, j in pairs),
    )


def judged(results: Clip, truth: Clip) -> tuple[float, float]:
    """HOTA and IDF1 as the papers define them, slowly."""
    true, found = [t.visible for t in truth.tracks], [t.visible for t in results.tracks]
    length = len(truth)

    def iou(g: int, p: int, t: int) -> float:
        if true[g][t] is None or found[p][t] is None:
            return 0.0
        a, b = true[g][t].decode(), found[p][t].decode()
        return (a & b).sum() / (a | b).sum()

    ious = np.array([[[iou(g, p, t) for t in range(length)] for p in range(len(found))] for g in range(len(true))])
    counts = [np.array([sum(m is not None for m in track) for track in of]) for of in (true, found)]
    sums = ious.sum(0, keepdims=True) + ious.sum(1, keepdims=True) - ious
    soft = np.divide(ious, sums, out=np.zeros_like(ious), where=sums > 0).sum(2)
    alignment = soft / (counts[0][:, None] + counts[1] - soft)
    pairs = [(t, g, p) for t in range(length) for g, p in best(alignment * ious[:, :, t]) if ious[g, p, t] > 0]
    total = []
    for alpha in ALPHAS:
        hits = [(t, g, p) for t, g, p in pairs if ious[g, p, t] >= alpha - 1e-12]
        agree = {(g, p): sum(h[1:] == (g, p) for h in hits) for _, g, p in hits}
        weight = sum(agree[g, p] / (counts[0][g] + counts[1][p] - agree[g, p]) for _, g, p in hits)
        total.append(np.sqrt(weight / (counts[0].sum() + counts[1].sum() - len(hits))))
    agreed = (ious >= 0.5).sum(2)
    idtp = sum(agreed[g, p] for g, p in best(agreed))
    return float(np.mean(total)), 2 * idtp / (counts[0].sum() + counts[1].sum())


@pytest.mark.parametrize("seed", range(6))
def test_the_metrics_say_what_a_slow_judge_says(seed):
    rng = np.random.default_rng(seed)

    def column() -> tuple:
        start, step = int(rng.integers(0, 30)), int(rng.integers(-1, 2))
        places = [int(np.clip(start + step * t + rng.integers(-1, 2), 0, 34)) for t in range(8)]
        return tuple(mask(x, 6) if rng.random() < 0.8 else None for x in places)

    def noisy(column: tuple) -> tuple:
        return tuple(mask(int(np.clip(m.box[0] + rng.integers(-2, 3), 0, 34)), 6) if m else None for m in column)

    true = [column() for _ in range(4)]
    guessed = [noisy(true[0][:4] + true[1][4:]), noisy(true[1]), noisy(true[2]), column()]
    names = tuple(f"{t:06d}" for t in range(8))
    truth = Clip("one", SIZE, names, tuple(Track(n, "car", 1.0, c, c) for n, c in enumerate(true)))
    results = Clip("one", SIZE, names, tuple(Track(n, "car", 1.0, c, c) for n, c in enumerate(guessed)))
    found = count_identities({"one": results}, {"one": truth})["one"].scores
    assert (found["HOTA"], found["IDF1"]) == pytest.approx(judged(results, truth))
