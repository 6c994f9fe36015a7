"""Scores of runs, kept in files: an interrupted experiment goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samodal.experiments.runs import in_processes
from samodal.formats.writing import write_json


@dataclass(frozen=True)
class Scoring:
    """One run to score.

    Attributes:
        folder: of its results.
        truth: a pickle of the truth by clip, as `save_truth` writes it.
        masks: "amodal" or "visible".
        resamples: of the bootstrap over clips, 0 for none.
        kept: file of its scores.
    """

    folder: Path
    truth: Path
    masks: str
    resamples: int
    kept: Path


def save_truth(data: str, clips: Sequence[str], folder: Path) -> Path:
    """The truth of these clips in a file; reading a data set's takes longer than scoring a run."""
    from samodal.metrics.evaluate import read_truth

    path = folder / f"truth-{_digest(data, *clips)}.pickle"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(pickle.dumps(read_truth(data, tuple(clips))))
        unfinished.replace(path)
    return path


def scoring(run: Path, truth: Path, masks: str, resamples: int) -> Scoring:
    """What to score, and where its scores are kept."""
    kept = run.parent.parent / "scores" / f"{run.name}-{masks}-{_digest(truth.name, str(resamples))}.json"
    return Scoring(run, truth, masks, resamples, kept)


def score_all(wanted: Sequence[Scoring], workers: int) -> list[dict[str, Any]]:
    """Metrics and intervals of every run, in their order: {profile: {level: {"metrics", "intervals", "counts"}}}."""
    waiting = list({one.kept: one for one in wanted if not one.kept.exists()}.values())
    for _ in in_processes(_score, waiting, workers, "scores"):
        pass
    return [json.loads(one.kept.read_text(encoding="utf-8")) for one in wanted]


def _score(one: Scoring) -> None:
    from samodal.metrics.evaluate import Rules, read_runs, report, score_clips

    truth = pickle.loads(one.truth.read_bytes())  # written by `save_truth`, in a folder of this experiment
    results = {name: clip for name, clip in read_runs(one.folder).items() if name in truth}
    asked = {
        "official": Rules(masks=one.masks, resamples=one.resamples),
        "strict": Rules(masks=one.masks, resamples=one.resamples, profile="strict"),
        "ones": Rules(masks=one.masks, scores="ones"),
    }
    found = {}
    for profile, rules in asked.items():
        levels = score_clips(results, truth, rules)
        parts = report(levels, rules, {})
        by_level = {name: parts[name] for name in ("metrics", "intervals", "counts")}
        if parts["level"] != "both":
            by_level = {name: {parts["level"]: value} for name, value in by_level.items()}
        found[profile] = {level: {name: part[level] for name, part in by_level.items()} for level in levels}
    one.kept.parent.mkdir(parents=True, exist_ok=True)
    write_json(one.kept, found)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=6).hexdigest()
