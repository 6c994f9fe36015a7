"""Experiments from their settings to files: plan, train what is missing, run, score, report."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samodal.errors import Incomplete, InputError, nearest, page, printable
from samodal.executors import Executor, OnRay, Processes, Retrying
from samodal.experiments import gaps, report, seen
from samodal.experiments.config import Experiment, load, names
from samodal.experiments.data import clips_of, streetsim
from samodal.experiments.machine import digest, machine
from samodal.experiments.plan import Missing, Planned, plan
from samodal.experiments.points import follow_points, has_points, point_scores
from samodal.experiments.real import Part, parts_of, real_scores
from samodal.experiments.runs import Run, run_clips
from samodal.experiments.scores import Scoring, score_all
from samodal.experiments.settings import ExperimentsSettings
from samodal.files import inside, write_json
from samodal.outputs import check_folder, locked, writing
from samodal.training.card import command, commit

NO_POINTS = "data with point tracks, as `samodal synth --points` writes them"
NO_ROOT = f"give --root FOLDER, the real pictures and labels; {page('results.md')} tells what lies in it"
ON_REAL = ("real", "seen", "moved")
"""Kinds of experiments that need --root."""
OWN_CLIPS = 4
"""Clips of StreetSim that are rendered where no data is named."""


@dataclass(frozen=True)
class _Todo:
    """An experiment, its runs, and the rows that cannot run."""

    experiment: Experiment
    runs: list[Planned]
    missing: list[Missing]

    @property
    def folders(self) -> set[Path]:
        """Of its runs."""
        return {run.folder for run in self.runs}

    def without(self, failed: dict[Path, str]) -> _Todo:
        """The same without the rows of which a run failed."""
        why = {(run.front_end, run.row): failed[run.folder] for run in self.runs if run.folder in failed}
        left = [run for run in self.runs if (run.front_end, run.row) not in why]
        return replace(self, runs=left, missing=[*self.missing, *(Missing(*row, text) for row, text in why.items())])


def conduct(settings: ExperimentsSettings) -> list[dict[str, Any]]:
    """Run experiments together, so that what they share is done once; gives their records.

    Raises:
        InputError: for unknown names, data or weights, before anything runs.
        Incomplete: for runs that failed, after all else.
    """
    check_folder(settings.out, "--out")
    chosen = names() if settings.names == "all" else settings.names.split(",")
    experiments = [
        load(name, weights, settings.trust_config) for name, weights in _weights_for(chosen, settings).items()
    ]
    if settings.rows and all(experiment.kind != "seen" for experiment in experiments):
        raise InputError(f"--rows {settings.rows}: is for the experiment seen alone")
    with locked(settings.out / ".experiments.lock", str(settings.out)):
        return _conduct(settings, experiments)


def _conduct(settings: ExperimentsSettings, experiments: list[Experiment]) -> list[dict[str, Any]]:
    start = time.perf_counter()
    # Never this process: its threads and models are those of what comes after.
    executor: Executor = Processes(settings.workers, threads=1)
    if settings.engine == "ray":
        gpus = None if settings.device == "auto" else settings.device.startswith("cuda")
        executor = OnRay(settings.workers, threads=1, address=settings.address, gpus=gpus)
    executor = Retrying(executor)
    apart = [experiment for experiment in experiments if experiment.kind in ON_REAL]
    experiments = [experiment for experiment in experiments if experiment.kind not in ON_REAL]
    if apart and settings.root is None:
        if not experiments:
            raise InputError(f"{apart[0].name}: {NO_ROOT}")
        print(f"{apart[0].name}: {NO_ROOT}", flush=True)
    records = _on_real(apart, settings.root, settings, executor) if settings.root else []
    if not experiments:
        return records
    data, clips = _data(settings, any(experiment.kind == "points" for experiment in experiments))
    if settings.resamples and len(clips) < 2:  # before the work, not after it
        raise InputError(
            f"--resamples {settings.resamples}: a bootstrap over clips needs 2 clips, there is {len(clips)}"
        )
    if settings.train:
        experiments = [trained(experiment, settings) for experiment in experiments]
    planned = _planned(experiments, data, clips, settings)
    for todo in planned:
        print(_announced(todo.experiment, len(todo.runs)), flush=True)
    todos, reused, failed = _run(planned, clips, executor, settings.workers)
    tables = [todo for todo in todos if todo.experiment.kind != "figures"]
    scores = _scores(tables, data, clips, settings.resamples, executor)
    about = _about(settings, data, clips, start) | {
        "together": [todo.experiment.name for todo in todos],
        "reused": reused,
    }
    made = [_record(todo, scored) | about for todo, scored in zip(tables, scores, strict=True)]
    for record in made:
        _write(record, settings.out)
    figures = [todo for todo in planned if todo.experiment.kind == "figures" and not todo.folders & failed.keys()]
    records += made + [_figures(todo, data, clips, settings.out) for todo in figures]
    if failed:
        raise Incomplete(f"runs that failed and are left out of the tables: {len(failed)}", failed.values())
    return records


def _announced(experiment: Experiment, runs: int) -> str:
    return printable(f"{experiment.name}: {experiment.title}, {runs} runs")


def _on_real(
    experiments: Sequence[Experiment], root: Path, settings: ExperimentsSettings, executor: Executor
) -> list[dict[str, Any]]:
    """The records of tables on the real pictures and labels in `root`, which are written."""
    inner = root / "real" if (root / "real").is_dir() else root
    there = [
        (experiment, _completed, inner, (gaps.parts_of if experiment.kind == "moved" else parts_of)(inner))
        if experiment.kind in ("real", "moved")
        else (experiment, _found, root, seen.parts_of(root))
        for experiment in experiments
    ]
    return [made(experiment, place, parts, settings, executor) for experiment, made, place, parts in there]


def _completed(
    experiment: Experiment, root: Path, parts: Sequence[Part], settings: ExperimentsSettings, executor: Executor
) -> dict[str, Any]:
    """The record of a table of what methods make of true visible masks, which is written."""
    start = time.perf_counter()
    runs, missing = plan(experiment, str(root), settings.out, seeds=settings.seeds, device=settings.device)
    print(_announced(experiment, len(runs)), flush=True)
    scored = gaps.gap_scores if experiment.kind == "moved" else real_scores
    scores, reused = scored(runs, root, parts, executor)
    about = _about(settings, str(root), [f"{part.folder} {part.name}" for part in parts], start)
    record = _record(_Todo(experiment, runs, missing), scores) | about
    record |= {"together": [experiment.name], "reused": reused}
    _write(record, settings.out)
    return record


def _found(
    experiment: Experiment,
    root: Path,
    parts: dict[str, list[seen.Part]],
    settings: ExperimentsSettings,
    executor: Executor,
) -> dict[str, Any]:
    """The record of a table of what front ends find, which is written."""
    start = time.perf_counter()
    if settings.rows:
        names = re.split(r",(?!\w+=)", settings.rows)  # a limit belongs to the front end before it
        experiment = replace(experiment, front_ends={name: {"vis": name, "reassociate": True} for name in names})
    runs, missing = plan(experiment, str(root), settings.out, seeds=1, device=settings.device)
    runs, lacking = seen.able(runs, root, parts)
    print(_announced(experiment, len(runs)), flush=True)
    scores, reused = seen.seen_scores(runs, root, parts, executor)
    there = [f"{part.material} {name}" for part in sum(parts.values(), []) for name in part.pictures or (part.name,)]
    record = _record(_Todo(experiment, runs, missing + lacking), scores) | _about(settings, str(root), there, start)
    order = list(experiment.rows)
    record["table"].sort(key=lambda row: order.index(row["row"]))  # front ends on the same pictures side by side
    record["weights"] |= {vis: held for run in runs if (held := digest(vis := run.settings.vis))}
    record |= {"together": [experiment.name], "reused": reused, "rows": "pictures"}
    _write(record, settings.out)
    return record


def _about(settings: ExperimentsSettings, data: str, clips: Sequence[str], start: float) -> dict[str, Any]:
    """Where the numbers of a record come from; `start` is when the work on them began."""
    return {
        "settings": {"data": data, "clips": clips, "seeds": settings.seeds},
        "command": command(),
        "commit": commit(),
        "machine": machine(settings.device),
        "cost_s": round(time.perf_counter() - start),
    }


def _data(settings: ExperimentsSettings, points: bool) -> tuple[str, tuple[str, ...]]:
    """The data set and its clips; StreetSim's are rendered where no data is named, with point tracks where wanted."""
    if settings.data:
        return settings.data, clips_of(settings.data, settings.clips)
    count = int((settings.clips or f":{OWN_CLIPS}").rpartition(":")[2])
    data = streetsim(settings.out / "data", count, settings.workers, points)
    return data, clips_of(data, settings.clips)


def _planned(
    experiments: Sequence[Experiment], data: str, clips: Sequence[str], settings: ExperimentsSettings
) -> list[_Todo]:
    """What is to be run; an experiment of which no row can run is printed with the reason and left out."""
    plans = []
    for experiment in experiments:
        runs, missing = plan(experiment, data, settings.out, seeds=settings.seeds, device=settings.device)
        if experiment.kind == "points" and not has_points(data, clips):
            missing = [Missing(run.front_end, run.row, NO_POINTS) for run in runs] + missing
            runs = []
        plans.append(_Todo(experiment, runs, missing))
    todos = [todo for todo in plans if todo.runs]
    lacking = [f"{todo.experiment.name}: no row can run; {todo.missing[0].needs}" for todo in plans if not todo.runs]
    if not todos:
        raise InputError("; ".join(lacking))
    if lacking:
        print(*map(printable, lacking), sep="\n", flush=True)
    return todos


def _run(
    todos: Sequence[_Todo], clips: Sequence[str], executor: Executor, workers: int
) -> tuple[list[_Todo], bool, dict[Path, str]]:
    """Run what is not finished: what is left without what failed, whether something was there, and what failed."""
    followed = [run for todo in todos if todo.experiment.kind == "points" for run in todo.runs]
    runs = [run for todo in todos if todo.experiment.kind != "points" for run in todo.runs]
    reused, failed = run_clips(by_clip(runs, clips), executor, workers)
    reused_points, failed_points = follow_points(followed, clips, executor)
    return (
        [todo.without(failed if todo.experiment.kind != "points" else failed_points) for todo in todos],
        reused or reused_points,
        failed | failed_points,
    )


def _scores(
    tables: Sequence[_Todo], data: str, clips: tuple[str, ...], resamples: int, executor: Executor
) -> list[list[dict[str, Any]]]:
    """For every table and every of its runs {profile: scores}, see `score_all`; all are scored together."""
    scorings = [[_scorings(todo, run, data, clips, resamples) for run in todo.runs] for todo in tables]
    scores = score_all([s for runs in scorings for by_name in runs for s in by_name.values()], executor)
    return [
        [
            {name: scores[scoring] for name, scoring in by_name.items()} or point_scores(run, clips)
            for run, by_name in zip(todo.runs, runs, strict=True)
        ]
        for todo, runs in zip(tables, scorings, strict=True)
    ]


def _scorings(todo: _Todo, run: Planned, data: str, clips: tuple[str, ...], resamples: int) -> dict[str, Scoring]:
    """By profile, the scores of a run that a table's columns need; intervals are of the first run of a row."""
    if todo.experiment.kind == "points":
        return {}
    first = next(other for other in todo.runs if (other.front_end, other.row) == (run.front_end, run.row))
    profiles = dict.fromkeys(profile for profile, _, _ in todo.experiment.columns.values())
    drawn = resamples if first is run else 0
    return {name: Scoring(run.folder, data, clips, todo.experiment.masks, name, drawn) for name in profiles}


def _weights_for(chosen: Sequence[str], settings: ExperimentsSettings) -> dict[str, dict[str, str]]:
    """By experiment the given weights that it has keys for; a key that none of the chosen ones has is an error."""
    keys = {name: load(name, trusted=settings.trust_config).weights for name in chosen}
    known = {key for weights in keys.values() for key in weights}
    for key in settings.weights:
        if key not in known:
            raise InputError(f"--weights.{key}: no such key in {', '.join(chosen)}{nearest(key, known)}")
    return {name: {k: v for k, v in settings.weights.items() if k in held} for name, held in keys.items()}


def _record(todo: _Todo, scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a table says, apart from where and how it was made."""
    experiment, table = todo.experiment, report.rows_of(todo.experiment, todo.runs, scores)
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "note": experiment.note,
        "masks": experiment.masks,
        "table": table,
        "relations": [report.judge(relation, table) for relation in experiment.relations],
        "missing": [vars(missing) for missing in todo.missing],
        "weights": _digests(todo.runs),
        "runs": [_run_record(run, score) for run, score in zip(todo.runs, scores, strict=True)],
    }


def _write(record: dict[str, Any], out: Path) -> None:
    write_json(out / f"{record['experiment']}.json", record, indent=1)
    text = report.markdown_of(record)
    with writing(out / f"{record['experiment']}.md") as partial:
        partial.write_text(text, encoding="utf-8")
    print(text, flush=True)


def trained(experiment: Experiment, settings: ExperimentsSettings) -> Experiment:
    """The experiment with the weights that it lacks and knows how to make, from `--train`; made ones are kept."""
    from samodal.training.recipes import load_recipe
    from samodal.training.sam.sam import train

    weights = dict(experiment.weights)
    for key, changes in experiment.train.items():
        if weights.get(key):
            continue
        path = inside(settings.out / "weights", f"{key}.safetensors", f"{experiment.name}: train")
        if not path.with_suffix(".md").exists():  # the card is written last
            print(printable(f"training {key}: {changes}"), flush=True)
            values = {"minutes": 0, "epochs": 0, "steps": settings.train_steps} | changes
            own = {"data": settings.train, "out": str(path.parent), "name": key, "device": _trainable(settings.device)}
            prepared = str(path.parent / "training-data.pt")  # once for all of them
            train(load_recipe(values.pop("recipe"), **values, **own, cache=prepared, workers=settings.workers))
        weights[key] = (str(path),)
    return replace(experiment, weights=weights)


def by_clip(runs: Sequence[Planned], clips: Sequence[str]) -> list[list[Run]]:
    """For each clip its runs, equal ones once, in the order of the tables: those of one front end stay together."""
    unique = {run.folder: run for run in runs}.values()
    return [[(run.settings, clip, inside(run.folder, clip)) for run in unique] for clip in clips]


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


def _figures(todo: _Todo, data: str, clips: Sequence[str], out: Path) -> dict[str, Any]:
    from samodal.experiments.figures import make_figures

    folders = {run.row: run.folder for run in reversed(todo.runs)}  # the first run of a row
    made = make_figures(data, clips, folders, inside(out, todo.experiment.name))
    print(f"figures and their captions: {printable(out / todo.experiment.name)}", flush=True)
    return made


def _trainable(device: str) -> str:
    return "" if device == "auto" else device.partition(":")[0]
