"""Experiments from their settings to files: plan, train what is missing, run, score, report."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samodal.errors import InputError
from samodal.experiments import report
from samodal.experiments.config import Experiment, load, names
from samodal.experiments.data import clips_of, streetsim
from samodal.experiments.machine import digest, machine
from samodal.experiments.plan import Planned, plan
from samodal.experiments.runs import Run, run_clips
from samodal.experiments.scores import save_truth, score_all, scoring
from samodal.formats.writing import write_json
from samodal.suggest import nearest
from samodal.training.card import commit

if TYPE_CHECKING:
    from samodal.commands.experiments import ExperimentsSettings

OWN_CLIPS = 4
"""Clips of StreetSim that are rendered where no data is named."""


def run_experiments(settings: ExperimentsSettings) -> list[dict[str, Any]]:
    """Run experiments one after the other; gives their records.

    Raises:
        InputError: for unknown names, data or weights, before anything runs.
    """
    chosen = names() if settings.names == "all" else settings.names.split(",")
    experiments = [load(name, _weights_for(name, chosen, settings.weights)) for name in chosen]
    data, span = settings.data, settings.clips
    if not data:
        data = streetsim(settings.out / "data", int((span or f":{OWN_CLIPS}").rpartition(":")[2]), settings.workers)
    clips = clips_of(data, span)
    return [_run(experiment, settings, data, clips) for experiment in experiments]


def _weights_for(name: str, chosen: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    """The given weights that an experiment has keys for; a key that none of the chosen ones has is an error."""
    keys = {one: load(one).weights for one in chosen}
    known = {key for one in keys.values() for key in one}
    for key in given:
        if key not in known:
            raise InputError(f"--weights.{key}: no such key in {', '.join(chosen)}{nearest(key, known)}")
    return {key: value for key, value in given.items() if key in keys[name]}


def _run(experiment: Experiment, settings: ExperimentsSettings, data: str, clips: tuple[str, ...]) -> dict[str, Any]:
    start = time.perf_counter()
    print(f"{experiment.name}: {experiment.title}", flush=True)
    if settings.train:
        experiment = trained(experiment, settings)
    runs, missing = plan(experiment, data, settings.out, seeds=settings.seeds, device=settings.device)
    if not runs:
        raise InputError(f"{experiment.name}: no row can run; {missing[0].needs}")
    reused = run_clips(jobs_of(runs, clips, settings.workers), settings.workers)
    if experiment.figures:
        return _figures(experiment, runs, data, clips, settings.out)
    truth = save_truth(data, clips, settings.out)
    wanted = [scoring(one.folder, truth, experiment.masks, _resamples(runs, one, settings)) for one in runs]
    scores = score_all(wanted, settings.workers)
    table = report.rows_of(experiment, runs, scores)
    record = {
        "experiment": experiment.name,
        "title": experiment.title,
        "note": experiment.note,
        "table": table,
        "relations": [report.judge(one, table) for one in experiment.relations],
        "missing": report.missing_of(missing),
        "settings": {"data": data, "clips": clips, "seeds": settings.seeds, "masks": experiment.masks},
        "weights": _digests(runs),
        "runs": [_run_record(run, score) for run, score in zip(runs, scores, strict=True)],
        "command": _command(),
        "commit": commit(),
        "machine": machine(settings.device),
        "cost_s": round(time.perf_counter() - start),
        "reused": reused,
    }
    write_json(settings.out / f"{experiment.name}.json", record, indent=1)
    text = report.markdown_of(record)
    (settings.out / f"{experiment.name}.md").write_text(text, encoding="utf-8")
    print(text, flush=True)
    return record


def trained(experiment: Experiment, settings: ExperimentsSettings) -> Experiment:
    """The experiment with the weights that it lacks and knows how to make, from `--train`; made ones are kept."""
    from samodal.recipes import load_recipe
    from samodal.training.run import train

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


def jobs_of(runs: Sequence[Planned], clips: Sequence[str], workers: int) -> list[list[Run]]:
    """Equal runs once, one job a clip, or several where there are more workers than clips."""
    unique = list({run.folder: run for run in runs}.values())
    parts = min(len(unique), math.ceil(workers / len(clips)))
    size = math.ceil(len(unique) / parts)
    return [
        [(run.settings, clip, run.folder / clip) for run in unique[k : k + size]]
        for clip in clips
        for k in range(0, len(unique), size)
    ]


def _resamples(runs: Sequence[Planned], one: Planned, settings: ExperimentsSettings) -> int:
    """Intervals are of the first run of a row."""
    first = next(run for run in runs if (run.front_end, run.row) == (one.front_end, one.row))
    return settings.resamples if first is one else 0


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


def _figures(
    experiment: Experiment, runs: Sequence[Planned], data: str, clips: Sequence[str], out: Path
) -> dict[str, Any]:
    from samodal.experiments.figures import make_figures

    folders = {run.row: run.folder for run in reversed(runs)}  # the first run of a row
    made = make_figures(data, clips, folders, out / experiment.name)
    print(f"figures and their captions: {out / experiment.name}", flush=True)
    return made


def _trainable(device: str) -> str:
    return "" if device == "auto" else device.partition(":")[0]


def _command() -> str:
    return " ".join(["samodal", *sys.argv[1:]])
