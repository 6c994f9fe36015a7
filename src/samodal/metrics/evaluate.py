"""From files or clips to scores: what `samodal evaluate` does, for use from Python."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.files import read_json
from samodal.metrics import bootstrap, levels
from samodal.metrics.ap import Problem
from samodal.metrics.profiles import Profile, profile_named
from samodal.metrics.regions import PAIRING_RULES, Regions, measure
from samodal.results import coco, frames, youtube_vis
from samodal.results.entries import Annotated, Entry
from samodal.results.frames import UNFINISHED
from samodal.results.partial import incomplete
from samodal.results.youtube_vis_entries import read_video_results, read_video_truth
from samodal.tracks import Clip


@dataclass(frozen=True)
class ScoringRules:
    """How to evaluate.

    Attributes:
        profile: "official" or "strict".
        masks: "amodal" or "visible".
        scores: "given", or "ones" for 1 everywhere.
        level: "auto", "image" or "video"; "auto" takes what a file holds, and both for clips.
        clips: names of the clips of the truth that count, None for all.
        resamples: number of bootstrap samples over clips, 0 for no intervals.
        seed: of the bootstrap, 0 or more.

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

    def __post_init__(self):
        profile_named(self.profile)
        for name, known in {
            "masks": ("amodal", "visible"),
            "scores": ("given", "ones"),
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
    """

    metrics: dict[str, float | None]
    counts: dict[str, int]
    intervals: dict[str, list[float] | None]
    samples: dict[str, np.ndarray]
    pairing: str


def evaluate(results: str | Path, truth: str | Path, rules: ScoringRules) -> dict[str, Any]:
    """Score results against truth; the content of scores.json.

    Args:
        results: a results file in YouTube-VIS or COCO form, a tracks.json, or a folder of runs that holds
            CLIP/tracks.json.
        truth: a file in YouTube-VIS or COCO form, or a data set such as asd:ROOT/val.

    Raises:
        InputError: if something is missing, damaged, or of other videos.
    """
    results = Path(results)
    if not results.exists():
        raise InputError(f"{results}: no such file or folder")
    if results.is_dir() or (":" in str(truth) and not Path(truth).exists()):
        true = read_truth(truth, rules.clips)
        runs = read_runs(results)
        if rules.clips is not None:
            runs = {name: clip for name, clip in runs.items() if name in rules.clips}
        scores = score_clips(runs, true, rules)
        partial = [name for name in incomplete(results, runs) if name in true] if results.is_dir() else []
    else:
        scores, partial = _score_files(results, Path(truth), rules), []
    inputs: dict[str, Any] = {"results": str(results), "truth": str(truth)}
    if partial:
        print(
            f"{results}: the results of {', '.join(partial)} are not complete; nothing counts as found in the frames "
            "that are missing",
            file=sys.stderr,
        )
        inputs["incomplete"] = partial
    return report(scores, rules, inputs)


def read_truth(truth: str | Path, clips: Sequence[str] | None = None) -> dict[str, Clip]:
    """Truth by clip name: of a data set such as asd:ROOT/val, or of a file in YouTube-VIS form.

    Args:
        clips: names of the clips to read, None for all.

    Raises:
        InputError: if it is missing or damaged, or has no clip of a wanted name.
    """
    if Path(truth).exists():
        known = youtube_vis.read_clips(Path(truth))
        names = tuple(known)
    else:
        dataset = open_dataset(str(truth))
        known, names = None, dataset.sequences
    for name in clips or ():
        if name not in names:
            raise InputError(f"{truth}: no clip {name!r}; there is {', '.join(names[:3])}, …")
    if known is not None:
        return {name: known[name] for name in clips or names}
    return {key: clip for name in clips or names for key, clip in dataset.judged(name).items()}


def read_runs(path: Path) -> dict[str, Clip]:
    """Results by clip name: of a tracks.json, or of a folder that holds CLIP/tracks.json.

    A run that was interrupted left no tracks.json; its frames.jsonl is read instead.

    Raises:
        InputError: if there is none, or two are of the same clip.
    """
    if path.is_file():
        return youtube_vis.read_clips(path)
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir() and folder.name != UNFINISHED)]
    clips: dict[str, Clip] = {}
    for folder in folders:
        run = {}
        if (folder / "tracks.json").exists():
            run = youtube_vis.read_clips(folder / "tracks.json")
        elif (folder / "frames.jsonl").exists():
            clip = frames.read_frames(folder / "frames.jsonl").tracks()
            run = {clip.name: replace(clip, info=clip.info | {"complete": False})}
        for name in run.keys() & clips.keys():
            raise InputError(f"{folder}: a second run of clip {name!r} in {path}")
        clips |= run
    if not clips:
        begun = incomplete(path, clips)
        raise InputError(f"{path}: no CLIP/tracks.json in it{f'; not finished: {begun}' * bool(begun)}")
    return clips


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
        scores["image"] = _score(images, singles, regions, rules)
    if rules.level in ("auto", "video") and linked:
        scores["video"] = _score(videos, tracks, regions, rules)
    return scores


def _score_files(results: Path, truth: Path, rules: ScoringRules) -> dict[str, Scores]:
    content = read_json(truth)
    if youtube_vis.is_youtube_vis(content):
        level, true = "video", read_video_truth(truth, rules.masks)
        entries = read_video_results(results, true, rules.masks)
    elif coco.is_image_truth(content):
        level, true = "image", coco.read_image_truth(truth, rules.masks)
        entries = coco.read_image_results(results, true, rules.masks)
    else:
        raise InputError(f"{truth}: expected truth in YouTube-VIS form (videos) or COCO form (images)")
    if rules.level not in ("auto", level):
        raise InputError(f"{truth}: its form is for level {level}, not {rules.level}")
    ones = rules.scores == "ones"
    entries = [replace(entry, score=1.0 if ones or entry.score is None else entry.score) for entry in entries]
    return {level: _score(true, entries, measure(true, entries), rules)}


def _score(truth: Annotated, results: Sequence[Entry], regions: Regions, rules: ScoringRules) -> Scores:
    profile = profile_named(rules.profile)
    problem = Problem(truth, results, profile)
    metrics = {name: problem.value(number) for name, number in profile.numbers.items()}
    if profile.name == "official":
        metrics = {name: -1.0 if value is None else value for name, value in metrics.items()}
    metrics |= {name: regions.value(name, profile.only_visible) for name in profile.regions}
    samples = _samples(problem, regions, profile, rules) if rules.resamples else {}
    return Scores(
        metrics,
        _counts(truth, results),
        {name: bootstrap.interval(values) for name, values in samples.items()},
        samples,
        regions.rule,
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
        "instances": len(truth.entries),
        "detections": len(results),
        "true_masks": sum(mask is not None for entry in truth.entries for mask in entry.masks),
        "predicted_masks": sum(mask is not None for entry in results for mask in entry.masks),
    }


def report(scores: Mapping[str, Scores], rules: ScoringRules, inputs: dict[str, Any]) -> dict[str, Any]:
    """The content of scores.json; with two levels, `metrics` and the rest are by level."""
    parts = {
        name: {level: getattr(of_level, name) for level, of_level in scores.items()}
        for name in ("metrics", "counts", "intervals")
    }
    level = "both"
    if len(scores) == 1:
        (level,) = scores
        parts = {name: part[level] for name, part in parts.items()}
    pairing = next(iter(scores.values())).pairing
    settings = {
        **inputs,
        "masks": rules.masks,
        "scores": rules.scores,
        "score_rule": "1 everywhere" if rules.scores == "ones" else levels.SCORE_RULE,
        "pairing": pairing,
        "pairing_rule": PAIRING_RULES[pairing],
        "bootstrap": {"resamples": rules.resamples, "seed": rules.seed} if rules.resamples else None,
    }
    return {"level": level, "profile": rules.profile, **parts, "settings": settings}
