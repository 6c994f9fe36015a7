"""Scores of runs, kept in files: an interrupted experiment goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from samodal.experiments.runs import in_processes
from samodal.files import write_json


@dataclass(frozen=True)
class Scoring:
    """One run to score by one profile.

    Attributes:
        folder: of its results.
        truth: a pickle of the truth by clip, as `save_truth` writes it.
        masks: "amodal" or "visible".
        profile: "official", "strict", or "ones" for official with every score 1.
        resamples: of the bootstrap over clips, 0 for none.
        kept: file of its scores.
    """

    folder: Path
    truth: Path
    masks: str
    profile: str
    resamples: int
    kept: Path


def save_truth(data: str, clips: Sequence[str], folder: Path, workers: int) -> Path:
    """The truth of these clips in a file; reading a data set's takes longer than scoring a run."""
    path = folder / f"truth-{_digest(data, *clips)}.pickle"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        found = {}
        for part in in_processes(partial(_truth_of, data), clips, workers, "truth"):
            found |= part
        unfinished.write_bytes(pickle.dumps({name: found[name] for name in sorted(found)}))
        unfinished.replace(path)
    return path


def _truth_of(data: str, clip: str) -> dict:
    from samodal.metrics.evaluate import read_truth

    return read_truth(data, (clip,))


def scoring(run: Path, truth: Path, masks: str, profile: str, resamples: int) -> Scoring:
    """What to score, and where its scores are kept."""
    name = f"{run.name}-{masks}-{profile}-{_digest(truth.name, str(resamples))}.json"
    return Scoring(run, truth, masks, profile, resamples, run.parent.parent / "scores" / name)


def score_all(wanted: Sequence[Scoring], workers: int) -> dict[Scoring, dict[str, Any]]:
    """{level: {"metrics", "intervals", "counts"}} of everything wanted; a run is read once for all its profiles."""
    waiting: dict[Path, list[Scoring]] = {}
    for one in dict.fromkeys(wanted):
        if not one.kept.exists():
            waiting.setdefault(one.folder, []).append(one)
    for _ in in_processes(_score, list(waiting.values()), workers, "scores"):
        pass
    return {one: json.loads(one.kept.read_text(encoding="utf-8")) for one in dict.fromkeys(wanted)}


def _score(asked: Sequence[Scoring]) -> None:
    from samodal.metrics.evaluate import ScoringRules, read_runs, report, score_clips

    truth = _truth(asked[0].truth)
    results = {name: clip for name, clip in read_runs(asked[0].folder).items() if name in truth}
    for one in asked:
        ones = one.profile == "ones"
        rules = ScoringRules(
            profile="official" if ones else one.profile,
            masks=one.masks,
            scores="ones" if ones else "given",
            resamples=0 if ones else one.resamples,
        )
        levels = score_clips(results, truth, rules)
        parts = report(levels, rules, {})
        by_level = {name: parts[name] for name in ("metrics", "intervals", "counts")}
        if parts["level"] != "both":
            by_level = {name: {parts["level"]: value} for name, value in by_level.items()}
        one.kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(one.kept, {level: {name: part[level] for name, part in by_level.items()} for level in levels})


@lru_cache(maxsize=1)
def _truth(path: Path) -> dict:
    """Written by `save_truth`, in a folder of this experiment; a process reads it once."""
    return pickle.loads(path.read_bytes())


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=6).hexdigest()
