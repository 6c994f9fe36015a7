"""From files or clips to scores: what `samodal evaluate` does, for use from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.metrics import bootstrap, inputs, levels
from samodal.metrics.ap import Problem
from samodal.metrics.classes import by_class
from samodal.metrics.identity import count_entries, identity_scores
from samodal.metrics.matching import value
from samodal.metrics.profiles import Profile, profile_named
from samodal.metrics.regions import PAIRING_RULES, Regions, measure
from samodal.results.entries import Annotated, Entry
from samodal.results.partial import incomplete
from samodal.tracks import Clip

UNDEFINED = -1.0
"""What the published metrics give where there is nothing to count."""
SCORE_RULES = {
    "given": levels.SCORE_RULE,
    "ones": "1 everywhere; all detections count together",
    "ones_in_order": "1 everywhere; ties keep the file's order",
}


@dataclass(frozen=True)
class ScoringRules:
    """How to evaluate.

    Attributes:
        profile: "official" or "strict".
        masks: "amodal" or "visible".
        scores: "given"; "ones" for 1 everywhere, so that all detections count together, whatever their order; or
            "ones_in_order" for 1 everywhere, where detections rank in their order, as in the published evaluation.
        level: "auto", "image" or "video"; "auto" takes what a file holds, and both for clips.
        clips: names of the clips of the truth that count, None for all.
        resamples: number of bootstrap samples over clips, 0 for no intervals.
        seed: of the bootstrap, 0 or more.
        per_class: also AP by class, and its mean over classes.
        identity: also HOTA, IDF1 and id switches, by video.

    Raises:
        InputError: for a value outside of these.
    """

    profile: str = "official"
    masks: str = "amodal"
    scores: str = "given"
    level: str = "auto"
    clips: tuple[str, ...] | None = None
    resamples: int = 0
    seed: int = 0
    per_class: bool = False
    identity: bool = False

    def __post_init__(self):
        profile_named(self.profile)
        for name, known in {
            "masks": ("amodal", "visible"),
            "scores": ("given", "ones", "ones_in_order"),
            "level": ("auto", "image", "video"),
        }.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is unknown; expected one of {', '.join(known)}")
        for name in ("resamples", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a level, image or video.

    Attributes:
        metrics: by name, None where nothing counts (-1 in profile official, as released).
        counts: clips, frames, instances (true masks), tracks or images, detections.
        intervals: [low, high] by name, where `resamples` is above 0.
        samples: (resamples,) by name; equal rules give equal draws, so two methods' samples can be subtracted.
        pairing: how a prediction was found for a true instance in the mean IoUs.
        per_class: what `samodal.metrics.classes` gives, where it is wanted.
        identity: what `samodal.metrics.identity` gives, by video and where it is wanted.
    """

    metrics: dict[str, float | None]
    counts: dict[str, int]
    intervals: dict[str, list[float] | None]
    samples: dict[str, np.ndarray]
    pairing: str
    per_class: dict[str, Any] | None = None
    identity: dict[str, float | int | None] | None = None


def evaluate(results: str | Path, truth: str | Path, rules: ScoringRules) -> dict[str, Any]:
    """Score results against truth; the content of scores.json.

    Args:
        results: a results file in YouTube-VIS, COCO, Scalabel or KITTI MOTS form, a tracks.json or frames.jsonl, or a
            folder of runs that holds CLIP/tracks.json.
        truth: a file in one of these forms, or a data set such as asd:ROOT/val.

    Raises:
        InputError: if something is missing, damaged, or of other videos.
    """
    results = Path(results)
    if not results.exists():
        raise InputError(f"{results}: no such file or folder")
    read = None if results.is_dir() else inputs.read_entries(results, truth, rules.masks)
    if read is None:
        runs, true = inputs.read_clips(results, truth, rules.clips)
        scores, notes = score_clips(runs, true, rules), inputs.shortfalls(runs, true)
        partial = [name for name in incomplete(results, runs) if name in true] if results.is_dir() else []
    else:
        scores, notes = {read[0]: _score_entries(*read, rules, str(truth))}, []
        partial = []
    places = {"results": str(results), "truth": str(truth)}
    content = report(scores, rules, places | ({"incomplete": partial} if partial else {}))
    return content | {"notes": notes} if notes else content


def score_clips(results: Mapping[str, Clip], truth: Mapping[str, Clip], rules: ScoringRules) -> dict[str, Scores]:
    """Score clips by level ("image", "video"); a clip or frame without results has no predictions.

    Truth that does not link its frames is scored by image alone, and mean IoUs pair within each frame.

    Raises:
        InputError: if such truth is to be scored by video.
    """
    linked = all(clip.linked for clip in truth.values())
    if not linked and rules.level == "video":
        raise InputError("the truth does not say which instances of two frames are the same: give --level image")
    videos = levels.truth_by_video(truth, rules.masks)
    tracks = levels.results_by_video(results, truth, rules.masks, rules.scores)
    images = levels.truth_by_image(videos)
    if linked:
        regions = measure(videos, tracks)
    else:
        regions = measure(images, levels.results_by_image(results, truth, rules.masks, rules.scores))
    scores = {}
    if rules.level in ("auto", "image"):
        only_visible = profile_named(rules.profile).only_visible
        singles = levels.results_by_image(results, truth, rules.masks, rules.scores, only_visible)
        scores["image"] = _score("image", images, singles, regions, rules)
    if rules.level in ("auto", "video") and linked:
        scores["video"] = _score("video", videos, tracks, regions, rules)
    return scores


def _score_entries(level: str, truth: Annotated, entries: Sequence[Entry], rules: ScoringRules, where: str) -> Scores:
    if rules.level not in ("auto", level):
        raise InputError(f"{where}: its form is for level {level}, not {rules.level}")
    if rules.clips is not None:
        truth, entries = inputs.chosen(truth, entries, rules.clips, where)
    given = rules.scores == "given"
    entries = [replace(entry, score=entry.score if given and entry.score is not None else 1.0) for entry in entries]
    return _score(level, truth, entries, measure(truth, entries), rules)


def _score(level: str, truth: Annotated, results: Sequence[Entry], regions: Regions, rules: ScoringRules) -> Scores:
    profile, tied = profile_named(rules.profile), rules.scores == "ones"
    problem = Problem(truth, results, profile, tied)
    metrics = {name: value(problem, number) for name, number in profile.numbers.items()}
    if profile.name == "official":
        metrics = {name: UNDEFINED if number is None else number for name, number in metrics.items()}
    metrics |= {name: regions.value(name, profile.only_visible) for name in profile.regions}
    samples = _samples(problem, regions, profile, rules) if rules.resamples else {}
    identities = rules.identity and level == "video"
    return Scores(
        metrics,
        _counts(truth, results),
        {name: bootstrap.interval(values) for name, values in samples.items()},
        samples,
        regions.rule,
        by_class(truth, results, profile, tied) if rules.per_class else None,
        identity_scores(count_entries(truth, results).values()) if identities and truth.sizes else None,
    )


def _samples(problem: Problem, regions: Regions, profile: Profile, rules: ScoringRules) -> dict[str, np.ndarray]:
    truth = problem.truth
    clips = sorted({truth.clip_of(group) for group in truth.sizes})
    if len(clips) < 2:
        raise InputError(f"a bootstrap over clips needs at least 2 clips, there is {len(clips)}; leave it out")
    weights = bootstrap.draws(clips, rules.resamples, rules.seed)
    samples = {}
    for name in profile.intervals:
        if name in profile.numbers:
            samples[name] = bootstrap.ap_samples(problem, profile.numbers[name], clips, weights)
        else:
            samples[name] = bootstrap.region_samples(regions, name, profile.only_visible, clips, weights)
    return samples


def _counts(truth: Annotated, results: Sequence[Entry]) -> dict[str, int]:
    return {
        "clips": len({truth.clip_of(group) for group in truth.sizes}),
        "clips_with_results": len({truth.clip_of(entry.group) for entry in results}),
        "frames": sum(truth.lengths.values()),
        "instances": len(truth.instances),
        "detections": len(results),
        "true_masks": sum(mask is not None for entry in truth.instances for mask in entry.masks),
        "predicted_masks": sum(mask is not None for entry in results for mask in entry.masks),
    } | ({"crowds": crowds} if (crowds := len(truth.entries) - len(truth.instances)) else {})


def report(scores: Mapping[str, Scores], rules: ScoringRules, inputs: dict[str, Any]) -> dict[str, Any]:
    """The content of scores.json; with two levels, `metrics` and the rest are by level."""
    parts = {
        name: {level: getattr(of_level, name) for level, of_level in scores.items()}
        for name in ("metrics", "counts", "intervals", "per_class", "identity")
    }
    # What is not wanted, and identities of images, are left out.
    parts = {name: part for name, part in parts.items() if any(value is not None for value in part.values())}
    level = "both"
    if len(scores) == 1:
        (level,) = scores
        parts = {name: part[level] for name, part in parts.items()}
    pairing = next(iter(scores.values())).pairing
    settings = {
        **inputs,
        "masks": rules.masks,
        "scores": rules.scores,
        "score_rule": SCORE_RULES[rules.scores],
        "pairing": pairing,
        "pairing_rule": PAIRING_RULES[pairing],
        "bootstrap": {"resamples": rules.resamples, "seed": rules.seed} if rules.resamples else None,
    }
    return {"level": level, "profile": rules.profile, **parts, "settings": settings}
