"""Average precision against a slow judge that follows COCO's rules line by line."""

from dataclasses import replace

import numpy as np
import pytest

from samodal.metrics import bootstrap
from samodal.metrics.ap import Problem
from samodal.metrics.profiles import PROFILES
from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle

SIZE = (12, 16)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Rle | None:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return Rle.encode(mask) if mask.any() else None


def judge(truth, results, bin_, occlusion, thresholds, keep=100) -> tuple[float | None, float | None]:
    """AP and AR of one bin: dense masks, one Python loop per rule."""
    precisions, recalls = [], []
    for threshold in thresholds:
        marks, total = [], 0
        for group, length in truth.lengths.items():
            true = [e for e in truth.entries if e.group == group]
            ignored = [
                e.crowd or not (bin_.area[0] <= area(e) <= bin_.area[1] and bin_.occlusion.holds(occlusion(e)))
                for e in true
            ]
            total += ignored.count(False)
            found = sorted((r for r in results if r.group == group), key=lambda r: -r.score)[:keep]
            free = set(range(len(true)))
            for r in found:
                ious = [dense_iou(r, e, truth.sizes[group], length) for e in true]
                able = [g for g in free if ious[g] >= min(threshold, 1 - 1e-10)]
                able = [g for g in able if not ignored[g]] or able
                if able:
                    best = max(able, key=lambda g: (ious[g], g))
                    if not true[best].crowd:
                        free.remove(best)
                    marks.append((r.score, None if ignored[best] else True))
                else:
                    marks.append((r.score, False if bin_.area[0] <= area(r) <= bin_.area[1] else None))
        if not total:
            return None, None
        marks = [hit for _, hit in sorted(marks, key=lambda m: -m[0]) if hit is not None]
        hits = np.cumsum(np.array(marks, float))
        precision = hits / np.arange(1, len(marks) + 1)
        recall = hits / total
        at = [precision[recall >= r].max() if (recall >= r).any() else 0.0 for r in np.linspace(0, 1, 101)]
        precisions.append(np.mean(at))
        recalls.append(recall[-1] if len(recall) else 0.0)
    return float(np.mean(precisions)), float(np.mean(recalls))


def area(entry: Entry) -> float:
    areas = [a for a in entry.areas if a]
    return float(np.mean(areas)) if areas else 0.0


def dense_iou(r: Entry, e: Entry, size, length: int) -> float:
    inter = total = 0
    for a, b in zip(r.masks, e.masks, strict=True):
        a, b = (m.decode() if m else np.zeros(size, bool) for m in (a, b))
        inter += (a & b).sum()
        total += a.sum() if e.crowd else (a | b).sum()
    return inter / total if total else 0.0


def random_case(rng, frames: int, instances: int, wrong: int, ties: bool):
    """Rectangles that move, some of them absent or crowds, and predictions that are a little off."""
    entries, results, groups = [], [], range(4)
    for group in groups:
        for key in range(int(rng.integers(0, instances + 1))):
            boxes = [rng.integers((0, 0, 4, 4), (8, 6, 16, 12)) for _ in range(frames)]
            masks = tuple(rectangle(*b) if rng.random() < 0.8 else None for b in boxes)
            rates = tuple(None if m is None else float(rng.choice([0, 0.25, 0.4, 0.5, 0.7, 0.9, 1])) for m in masks)
            entries.append(Entry(group, key, masks, occlusion=rates, crowd=rng.random() < 0.1))
            for _ in range(int(rng.integers(0, 3))):
                near = tuple(rectangle(*(b + rng.integers(-1, 2, 4)).clip(0)) for b in boxes)
                results.append(Entry(group, None, near, score=score(rng, ties)))
        for _ in range(int(rng.integers(0, wrong + 1))):
            boxes = [rng.integers((0, 0, 4, 4), (8, 6, 16, 12)) for _ in range(frames)]
            results.append(Entry(group, None, tuple(rectangle(*b) for b in boxes), score=score(rng, ties)))
    truth = Annotated(dict.fromkeys(groups, SIZE), dict.fromkeys(groups, frames), entries, {})
    return truth, results


def score(rng, ties: bool) -> float:
    return float(rng.choice([0.25, 0.5])) if ties else float(rng.random())


def small(profile):
    """The profile with area bins that cut among the tiny masks of these tests."""
    areas = {"small": (0, 40), "medium": (40, 80), "large": (80, 1e10)}
    bins = {name: replace(b, area=areas.get(name, b.area)) for name, b in profile.bins.items()}
    return replace(profile, bins=bins)


@pytest.mark.parametrize("profile", ["official", "strict"])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_every_number_is_the_slow_judges(profile, frames, seed):
    rng = np.random.default_rng(seed)
    profile = small(PROFILES[profile])
    truth, results = random_case(rng, frames, instances=4, wrong=3, ties=False)
    problem = Problem(truth, results, profile)
    for name, number in profile.numbers.items():
        thresholds = np.linspace(0.5, 0.95, 10) if number.iou is None else [number.iou]
        bin_ = profile.bins[number.bin]
        ap, ar = judge(truth, results, bin_, lambda e: profile.occlusion(e.occlusion), thresholds, number.detections)
        expected = ap if number.kind == "precision" else ar
        assert problem.value(number) == (expected if expected is None else pytest.approx(expected)), name


@pytest.mark.parametrize("seed", range(4))
def test_detections_of_equal_score_keep_their_order(seed):
    profile = PROFILES["strict"]
    truth, results = random_case(np.random.default_rng(seed), 1, instances=4, wrong=3, ties=True)
    ap, _ = judge(truth, results, profile.bins["all"], lambda e: profile.occlusion(e.occlusion), [0.5])
    assert Problem(truth, results, profile).value(profile.numbers["AP50"]) == pytest.approx(ap)


def test_no_results_find_nothing():
    truth, _ = random_case(np.random.default_rng(0), 2, instances=4, wrong=0, ties=False)
    problem = Problem(truth, [], PROFILES["strict"])
    assert problem.value(PROFILES["strict"].numbers["AP"]) == 0.0
    assert problem.value(PROFILES["strict"].numbers["AR100"]) == 0.0


def test_without_truth_there_is_no_number():
    _, results = random_case(np.random.default_rng(0), 2, instances=4, wrong=2, ties=False)
    truth = Annotated(dict.fromkeys(range(4), SIZE), dict.fromkeys(range(4), 2), [], {})
    assert Problem(truth, results, PROFILES["strict"]).value(PROFILES["strict"].numbers["AP"]) is None


def test_a_perfect_result_has_ap_one_in_every_bin_that_is_not_empty():
    truth, _ = random_case(np.random.default_rng(3), 1, instances=4, wrong=0, ties=False)
    entries = [e for e in truth.entries if not e.crowd and e.masks[0]]
    truth = Annotated(truth.sizes, truth.lengths, entries, {})
    results = [Entry(e.group, e.id, e.masks, score=1.0) for e in entries]
    profile = PROFILES["strict"]
    problem = Problem(truth, results, profile)
    assert problem.value(profile.numbers["AP"]) == 1.0
    assert problem.value(profile.numbers["AP50_hidden"]) == 1.0


def test_strict_occlusion_bins_hold_every_rate_exactly_once():
    names = ("none", "partial", "medium_occlusion", "heavy", "extreme", "hidden")
    bins = PROFILES["strict"].bins
    for rate in (0, 1e-9, 0.1, 0.25, 0.3, 0.5, 0.51, 0.75, 0.76, 1 - 1e-9, 1):
        assert sum(bins[name].occlusion.holds(rate) for name in names) == 1, rate


def test_official_bins_hold_their_ends_twice_and_nothing_above_three_quarters():
    bins = PROFILES["official"].bins
    assert bins["partial"].occlusion.holds(0.25) and bins["heavy"].occlusion.holds(0.25)
    assert not any(b.occlusion.holds(0.76) for b in bins.values())


def test_the_occlusion_of_a_track_is_the_upper_half_in_official_and_the_mean_in_strict():
    rates = (0.0, None, 0.0, 0.6, 0.8)
    assert PROFILES["official"].occlusion(rates) == pytest.approx(0.7)
    assert PROFILES["strict"].occlusion(rates) == pytest.approx(0.35)
    assert PROFILES["strict"].occlusion((None,)) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_bootstrap_matches_weighed_equally_give_the_engines_number(seed, ties):
    profile = small(PROFILES["strict"])
    truth, results = random_case(np.random.default_rng(seed), 2, instances=4, wrong=3, ties=ties)
    problem = Problem(truth, results, profile)
    clips = ["0", "1", "2", "3"]
    for name in ("AP", "AP50", "AP50_small", "AP50_heavy", "AP50_partial"):
        number = profile.numbers[name]
        (value,) = bootstrap.ap_samples(problem, number, clips, np.ones((1, 4), int))
        expected = problem.value(number)
        assert np.isnan(value) if expected is None else value == pytest.approx(expected), name


def test_weighing_a_clip_twice_is_the_same_as_having_it_twice():
    profile = PROFILES["strict"]
    truth, results = random_case(np.random.default_rng(5), 1, instances=4, wrong=3, ties=False)
    doubled = Annotated(
        {**truth.sizes, 9: SIZE},
        {**truth.lengths, 9: 1},
        truth.entries + [replace(e, group=9) for e in truth.entries if e.group == 1],
        {},
    )
    twice = results + [replace(r, group=9) for r in results if r.group == 1]
    number = profile.numbers["AP50"]
    weights = np.array([[1, 2, 1, 1]])
    (value,) = bootstrap.ap_samples(Problem(truth, results, profile), number, ["0", "1", "2", "3"], weights)
    assert value == pytest.approx(Problem(doubled, twice, profile).value(number))


def test_draws_are_those_of_the_seed_and_take_as_many_clips_as_there_are():
    drawn = bootstrap.draws(["a", "b", "c"], 50, seed=1)
    assert (drawn.sum(axis=1) == 3).all()
    np.testing.assert_array_equal(drawn, bootstrap.draws(["a", "b", "c"], 50, seed=1))
    assert (drawn != bootstrap.draws(["a", "b", "c"], 50, seed=2)).any()
