"""Experiments from their settings to files: plan, train what is missing, run, score, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samodal.errors import InputError, nearest
from samodal.experiments import report
from samodal.experiments.config import Experiment, load, names
from samodal.experiments.data import clips_of, streetsim
from samodal.experiments.machine import digest, machine
from samodal.experiments.plan import Missing, Planned, plan
from samodal.experiments.runs import Run, run_clips
from samodal.experiments.scores import Scoring, save_truth, score_all, scoring
from samodal.files import write_json
from samodal.training.card import command, commit

if TYPE_CHECKING:
    from samodal.cli.experiments import ExperimentsSettings

OWN_CLIPS = 4
"""Clips of StreetSim that are rendered where no data is named."""


def run_experiments(settings: ExperimentsSettings) -> list[dict[str, Any]]:
    """Run experiments together, so that what they share is done once; gives their records.

    Raises:
        InputError: for unknown names, data or weights, before anything runs; for runs that failed, after all else.
    """
    start = time.perf_counter()
    chosen = names() if settings.names == "all" else settings.names.split(",")
    experiments = [load(name, _weights_for(name, chosen, settings.weights)) for name in chosen]
    data, span = settings.data, settings.clips
    if not data:
        data = streetsim(settings.out / "data", int((span or f":{OWN_CLIPS}").rpartition(":")[2]), settings.workers)
    clips = clips_of(data, span)
    if settings.train:
        experiments = [trained(one, settings) for one in experiments]
    todo = _planned(experiments, data, settings)
    print("\n".join(f"{one.experiment.name}: {one.experiment.title}, {len(one.runs)} runs" for one in todo), flush=True)
    reused, failed = run_clips(by_clip([run for one in todo for run in one.runs], clips), settings.workers)
    todo = [one.without(failed) for one in todo]
    tables = [one for one in todo if not one.experiment.figures]
    scores = _scored(tables, data, clips, settings)
    about = {
        "settings": {"data": data, "clips": clips, "seeds": settings.seeds},
        "command": command(),
        "commit": commit(),
        "machine": machine(settings.device),
        "cost_s": round(time.perf_counter() - start),
        "together": [one.experiment.name for one in todo],
        "reused": reused,
    }
    records = [_record(one, found) | about for one, found in zip(tables, scores, strict=True)]
    for record in records:
        _write(record, settings.out)
    drawn = [_figures(one, data, clips, settings.out) for one in todo if one.experiment.figures and not failed]
    if failed:
        first = next(iter(failed.values()))
        raise InputError(f"runs that failed and are left out of the tables: {len(failed)}; the first, {first}")
    return records + drawn


@dataclass(frozen=True)
class _Todo:
    """An experiment, its runs, and the rows that cannot run."""

    experiment: Experiment
    runs: list[Planned]
    missing: list[Missing]

    def without(self, failed: dict[Path, str]) -> _Todo:
        """The same without the rows of which a run failed."""
        why = {(run.front_end, run.row): failed[run.folder] for run in self.runs if run.folder in failed}
        left = [run for run in self.runs if (run.front_end, run.row) not in why]
        return replace(self, runs=left, missing=[*self.missing, *(Missing(*row, text) for row, text in why.items())])


def _planned(experiments: Sequence[Experiment], data: str, settings: ExperimentsSettings) -> list[_Todo]:
    """What is to be run; an experiment of which no row can run is told of and left out beside others."""
    plans = [
        _Todo(one, *plan(one, data, settings.out, seeds=settings.seeds, device=settings.device)) for one in experiments
    ]
    todo = [one for one in plans if one.runs]
    lacking = [f"{one.experiment.name}: no row can run; {one.missing[0].needs}" for one in plans if not one.runs]
    if not todo:
        raise InputError("; ".join(lacking))
    if lacking:
        print("\n".join(lacking), flush=True)
    return todo


def _scored(
    tables: Sequence[_Todo], data: str, clips: Sequence[str], settings: ExperimentsSettings
) -> list[list[dict[str, Any]]]:
    """For every table and every of its runs {profile: scores}, see `score_all`; all are scored together."""
    if not tables:
        return []
    truth = save_truth(data, clips, settings.out, settings.workers)
    asked = [[_asked(one, run, truth, settings.resamples) for run in one.runs] for one in tables]
    found = score_all([ask for runs in asked for by in runs for ask in by.values()], settings.workers)
    return [[{name: found[ask] for name, ask in by.items()} for by in runs] for runs in asked]


def _asked(one: _Todo, run: Planned, truth: Path, resamples: int) -> dict[str, Scoring]:
    """By profile, the scores of a run that the columns of a table need; intervals are of the first run of a row."""
    first = next(other for other in one.runs if (other.front_end, other.row) == (run.front_end, run.row))
    profiles = dict.fromkeys(profile for profile, _, _ in one.experiment.columns.values())
    drawn = resamples if first is run else 0
    return {name: scoring(run.folder, truth, one.experiment.masks, name, drawn) for name in profiles}


def _weights_for(name: str, chosen: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    """The given weights that an experiment has keys for; a key that none of the chosen ones has is an error."""
    keys = {one: load(one).weights for one in chosen}
    known = {key for one in keys.values() for key in one}
    for key in given:
        if key not in known:
            raise InputError(f"--weights.{key}: no such key in {', '.join(chosen)}{nearest(key, known)}")
    return {key: value for key, value in given.items() if key in keys[name]}


def _record(one: _Todo, scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a table says, apart from where and how it was made."""
    experiment, table = one.experiment, report.rows_of(one.experiment, one.runs, scores)
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "note": experiment.note,
        "masks": experiment.masks,
        "table": table,
        "relations": [report.judge(relation, table) for relation in experiment.relations],
        "missing": report.missing_of(one.missing),
        "weights": _digests(one.runs),
        "runs": [_run_record(run, score) for run, score in zip(one.runs, scores, strict=True)],
    }


def _write(record: dict[str, Any], out: Path) -> None:
    write_json(out / f"{record['experiment']}.json", record, indent=1)
    text = report.markdown_of(record)
    (out / f"{record['experiment']}.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


def trained(experiment: Experiment, settings: ExperimentsSettings) -> Experiment:
    """The experiment with the weights that it lacks and knows how to make, from `--train`; made ones are kept."""
    from samodal.training.recipes import load_recipe
    from samodal.training.sam.sam import train

    found = dict(experiment.weights)
    for key, changes in experiment.train.items():
        if found.get(key):
            continue
        path = settings.out / "weights" / f"{key}.safetensors"
        if not path.with_suffix(".md").exists():  # the card is written last
            print(f"training {key}: {changes}", flush=True)
            values = {"minutes": 0, "epochs": 0, "steps": settings.train_steps} | changes
            own = {"data": settings.train, "out": str(path.parent), "name": key, "device": _trainable(settings.device)}
            prepared = str(path.parent / "training-data.pt")  # once for all of them
            train(load_recipe(values.pop("recipe"), **values, **own, cache=prepared, workers=settings.workers))
        found[key] = (str(path),)
    return replace(experiment, weights=found)


def by_clip(runs: Sequence[Planned], clips: Sequence[str]) -> list[list[Run]]:
    """For each clip its runs, equal ones once, in the order of the tables: those of one front end stay together."""
    unique = {run.folder: run for run in runs}.values()
    return [[(run.settings, clip, run.folder / clip) for run in unique] for clip in clips]


def _digests(runs: Sequence[Planned]) -> dict[str, str]:
    """Digest of every file of weights by the name that it was given."""
    named = sorted({value for run in runs for value in run.weights.values()})
    return {value: content for value in named if (content := digest(value))}


def _run_record(run: Planned, score: dict) -> dict[str, Any]:
    """Metrics of a run, rounded: what the table is made of and what else was measured."""
    metrics = {
        profile: {
            level: {name: None if value is None else round(value, 6) for name, value in part["metrics"].items()}
            for level, part in levels.items()
        }
        for profile, levels in score.items()
    }
    about = {"front_end": run.front_end, "row": run.row, "weights": run.weights, "seed": run.settings.seed}
    return about | {"metrics": metrics}


def _figures(one: _Todo, data: str, clips: Sequence[str], out: Path) -> dict[str, Any]:
    from samodal.experiments.figures import make_figures

    folders = {run.row: run.folder for run in reversed(one.runs)}  # the first run of a row
    made = make_figures(data, clips, folders, out / one.experiment.name)
    print(f"figures and their captions: {out / one.experiment.name}", flush=True)
    return made


def _trainable(device: str) -> str:
    return "" if device == "auto" else device.partition(":")[0]
