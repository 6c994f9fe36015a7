"""Which detections find an instance, by COCO's rules, kept open for weighing clips and for counting ties together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samodal.metrics.ap import DETECTIONS, THRESHOLDS, Problem
from samodal.metrics.profiles import Bin, Number

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of a bin that count, by falling score.

    Attributes:
        clips: for each threshold (N,) int, clip of each detection; ignored detections are left out, so N differs.
        hits: for each threshold (N,) bool, whether it found an instance.
        total: (clips,) int, instances that should be found.
        tied: whether no detection ranks before another.
    """

    clips: list[np.ndarray]
    hits: list[np.ndarray]
    total: np.ndarray
    tied: bool = False

    def precision(self, weights: np.ndarray) -> float:
        """AP, the mean over thresholds, when clip c counts weights[c] times; nan where nothing is to be found."""
        total = float(self.total @ weights)
        if not total:
            return float("nan")
        area = _tied_area if self.tied else _area
        areas = [
            area(weights[clips].astype(float), hits, total) for clips, hits in zip(self.clips, self.hits, strict=True)
        ]
        return float(np.mean(areas))


def _area(weight: np.ndarray, hits: np.ndarray, total: float) -> float:
    """COCO's precision, made falling and read at 101 recalls; it can only rise where there is a hit."""
    true_positives = np.cumsum(weight[hits])
    precision = true_positives / np.maximum(np.cumsum(weight)[hits], np.spacing(1))
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(precision[np.searchsorted(true_positives / total, _RECALLS, side="left")].mean())


def _tied_area(weight: np.ndarray, hits: np.ndarray, total: float) -> float:
    """The same where all detections are taken at once: a precision, up to the recall that they reach."""
    found = weight[hits].sum()
    return float(found / max(weight.sum(), np.spacing(1)) * (found / total >= _RECALLS).mean())


def value(problem: Problem, number: Number) -> float | None:
    """A number of the profile, None where its bin is empty; of a tied problem, precision with all ties together."""
    if not problem.tied or number.kind == "recall":
        return problem.value(number)
    thresholds = THRESHOLDS if number.iou is None else [number.iou]
    clips = sorted({problem.truth.clip_of(group) for group in problem.numbers})
    matches = find_matches(problem, problem.profile.bins[number.bin], thresholds, clips)
    precision = matches.precision(np.ones(len(clips), int))
    return None if np.isnan(precision) else precision


def find_matches(problem: Problem, bin_: Bin, thresholds: Sequence[float], clips: Sequence[str]) -> Matches:
    """Greedy matching by COCO's rules, as the engine does it, kept open for weighing."""
    truth, results = _by_image(problem.coded_truth), _by_image(problem.coded_results)
    ious = problem.ious()
    position = {clip: i for i, clip in enumerate(clips)}
    total = np.zeros(len(clips), int)
    scores, owners, columns = [], [], []
    for group, number in problem.numbers.items():
        clip = position[problem.truth.clip_of(group)]
        true = truth.get(number, [])
        ignored = [_ignored(entry, bin_) for entry in true]
        total[clip] += ignored.count(False)
        detections = sorted(results.get(number, []), key=lambda d: -d["score"])[: DETECTIONS[-1]]
        if not detections:
            continue
        outside = [not bin_.area[0] <= d["area"] <= bin_.area[1] for d in detections]
        crowd = [bool(entry["iscrowd"]) for entry in true]
        table = ious.get(number, np.zeros((len(detections), 0)))
        columns.append(np.array([_match(table, ignored, crowd, outside, t) for t in thresholds], np.int8))
        scores.extend(d["score"] for d in detections)
        owners.extend([clip] * len(detections))
    matched = np.concatenate(columns, axis=1) if columns else np.zeros((len(thresholds), 0), np.int8)
    order = np.argsort(-np.array(scores), kind="stable")
    owner = np.array(owners, int)[order]
    counted = [(row[order], row[order] >= 0) for row in matched]
    clips_of, hits = [owner[counts] for _, counts in counted], [row[counts] == 1 for row, counts in counted]
    return Matches(clips_of, hits, total, problem.tied)


def _by_image(entries: list[dict]) -> dict[int, list[dict]]:
    grouped: dict[int, list[dict]] = {}
    for entry in entries:
        grouped.setdefault(entry["image_id"], []).append(entry)
    return grouped


def _ignored(entry: dict, bin_: Bin) -> bool:
    inside = bin_.area[0] <= entry["area"] <= bin_.area[1] and bin_.occlusion.holds(entry["occlusion"])
    return bool(entry["iscrowd"]) or not inside


def _match(
    ious: np.ndarray, ignored: list[bool], crowd: list[bool], outside: list[bool], threshold: float
) -> list[int]:
    """1 matched, 0 not, -1 ignored, for detections by falling score.

    An instance that counts is preferred to an ignored instance; of equal IoUs the later instance wins.
    """
    order = sorted(range(len(ignored)), key=lambda g: ignored[g])
    taken: set[int] = set()
    states = []
    for d, row in enumerate(ious):
        best, chosen = min(threshold, 1 - 1e-10), None
        for g in order:
            if g in taken and not crowd[g]:
                continue
            if chosen is not None and not ignored[chosen] and ignored[g]:
                break
            if row[g] >= best:
                best, chosen = row[g], g
        if chosen is None:
            states.append(-1 if outside[d] else 0)
        else:
            taken.add(chosen)
            states.append(-1 if ignored[chosen] else 1)
    return states
