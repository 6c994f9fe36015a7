"""Scores of runs, kept in files: an interrupted experiment goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from samodal.executors import Executor, WithBar, results
from samodal.experiments.kept import is_kept, keep, kept
from samodal.experiments.stated import stated_spreads, within_regions
from samodal.metrics import bootstrap
from samodal.metrics.gaps import GAPS, gap_lengths, named, within
from samodal.metrics.identity import count_identities, identity_scores
from samodal.metrics.levels import results_by_video, truth_by_video
from samodal.metrics.regions import measure, pair
from samodal.runs.folder import RECORD
from samodal.tracks import Clip

Clips = Mapping[str, Clip]
Levels = dict[str, dict[str, Any]]
"""{level: {"metrics", "intervals", "counts"}}"""


@dataclass(frozen=True)
class Scoring:
    """One run to score by one profile.

    Attributes:
        folder: of its results.
        data, clips: the truth, as `read_truth` takes it.
        masks: "amodal" or "visible".
        profile: a key of `PROFILES`.
        resamples: of the bootstrap over clips, 0 for none.
    """

    folder: Path
    data: str
    clips: tuple[str, ...]
    masks: str
    profile: str
    resamples: int

    @property
    def results(self) -> list[Path]:
        """Of each clip what says from which labels, pictures and weights its results were made."""
        return [self.folder / clip / RECORD for clip in self.clips]

    @property
    def file(self) -> Path:
        """Where its scores are kept."""
        text = "\n".join([self.data, *self.clips, str(self.resamples)])
        digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        name = f"{self.folder.name}-{self.masks}-{self.profile}-{digest}.json"
        return self.folder.parent.parent / "scores" / name


def score_all(scorings: Sequence[Scoring], executor: Executor) -> dict[Scoring, Levels]:
    """The scores of every run and profile; a run is read once for all its profiles, and the truth once a process."""
    _truth.cache_clear()  # labels may have been mended since
    waiting: dict[Path, list[Scoring]] = {}
    unique = list(dict.fromkeys(scorings))
    for scoring in unique:
        if not is_kept(scoring.file, scoring.results):
            waiting.setdefault(scoring.folder, []).append(scoring)
    for _ in results(WithBar(executor, "scores"), _score, list(waiting.values())):
        pass
    return {scoring: kept(scoring.file) for scoring in unique}


def _score(scorings: Sequence[Scoring]) -> None:
    """Score one run by all its profiles."""
    from samodal.metrics.inputs import read_runs

    first = scorings[0]
    truth = _truth(first.data, first.clips)
    predicted = {name: clip for name, clip in read_runs(first.folder).items() if name in truth}
    for scoring in scorings:
        keep(scoring.file, PROFILES[scoring.profile](predicted, truth, scoring), scoring.results)


@lru_cache(maxsize=1)
def _truth(data: str, clips: tuple[str, ...]) -> dict[str, Clip]:
    from samodal.metrics.inputs import read_truth

    return read_truth(data, clips)


def _precision(predicted: Clips, truth: Clips, scoring: Scoring) -> Levels:
    """AP and mean IoUs by image and by video, as `samodal evaluate` gives them."""
    from samodal.metrics.evaluate import ScoringRules, score_clips

    ones = scoring.profile == "ones"
    rules = ScoringRules(
        profile="official" if ones else scoring.profile,
        masks=scoring.masks,
        scores="ones_in_order" if ones else "given",
        resamples=0 if ones else scoring.resamples,
    )
    return {
        level: {"metrics": scores.metrics, "intervals": scores.intervals, "counts": scores.counts}
        for level, scores in score_clips(predicted, truth, rules).items()
    }


def _identity(predicted: Clips, truth: Clips, scoring: Scoring) -> Levels:
    """How well ids are held, of visible and of amodal masks."""
    return {
        masks: _level(identity_scores(count_identities(predicted, truth, masks).values()))
        for masks in ("visible", "amodal")
    }


def _gaps(predicted: Clips, truth: Clips, scoring: Scoring) -> Levels:
    """IoU on fully hidden frames after the first sight, overall and by the length of the whole gap, in frames.

    `ghosts` counts masks of instances in frames in which nothing of them is inside the image; `within_50` and
    `within_90` are the shares of true middles in the regions that hidden masks state (`samodal.method.filter.region`).
    """
    true = truth_by_video(truth, "amodal")
    entries = results_by_video(predicted, truth, "amodal")
    pairs = pair(true, entries)[0]
    regions, lengths, name = measure(true, entries), gap_lengths(true), "miou_fully_hidden_after_seen"
    ious, counted = regions.rows(name, False)
    ghosts = sum(
        mask is not None and true_mask is None
        for entry, predicted in zip(true.entries, pairs, strict=True)
        if predicted is not None
        for true_mask, mask in zip(entry.masks, predicted.masks, strict=True)
    )
    interval = None
    if scoring.resamples and len(truth) > 1:
        weights = bootstrap.draws(sorted(truth), scoring.resamples, 0)
        interval = bootstrap.interval(bootstrap.region_samples(regions, name, False, sorted(truth), weights))
    whole = {"iou": regions.value(name, False), "frames": int(counted.sum()), "ghosts": ghosts}
    whole |= within_regions(true.entries, pairs, stated_spreads(scoring.folder, truth))
    levels = {"all": _level(whole) | {"intervals": {"iou": interval}}}
    for gap in GAPS:
        rows = within(lengths, gap)
        iou = float(ious[rows].mean()) if rows.any() else None
        levels[named(gap)] = _level({"iou": iou, "frames": int(rows.sum())})
    return levels


def _level(metrics: dict[str, float | int | None]) -> dict[str, Any]:
    return {"metrics": metrics, "intervals": {}, "counts": {}}


PROFILES: dict[str, Callable[[Clips, Clips, Scoring], Levels]] = {
    "official": _precision,
    "strict": _precision,
    "ones": _precision,
    "identity": _identity,
    "gaps": _gaps,
}
"""How a run is scored: by the profiles of `samodal evaluate`, `ones` being official with all scores 1, or by ours."""
