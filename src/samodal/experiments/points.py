"""How well trackers follow points of instances through occlusion, on StreetSim's exact point tracks.

For each seed every instance is shown once: in a frame drawn among those in which at least 4 of its points are visible,
by up to 16 of these points. The tracker sees the frames one by one and is asked after each; its answers count in the
frames after the query's (`samodal.metrics.points`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samodal.data.open import opened
from samodal.executors import Executor, Failure, WithBar
from samodal.experiments.kept import is_kept, keep, kept
from samodal.experiments.plan import Planned
from samodal.loading import once
from samodal.metrics.points import PointCounts, count_points, summarise_points
from samodal.parts import PointTracker
from samodal.runs.inputs import files_in
from samodal.seeds import generator
from samodal.sim.point_files import points_file, read_points

LEAST, MOST = 4, 16
"""Points that must be visible where an instance is shown, and points that are shown."""


@dataclass(frozen=True, eq=False)
class Query:
    """Points of an instance as they are shown to a tracker.

    Attributes:
        id: of the instance.
        t: the frame in which they are shown.
        rows: (n,) int, of the point tracks.
    """

    id: int
    t: int
    rows: np.ndarray


@dataclass(frozen=True)
class Job:
    """A clip and a tracker with the file of counts for each seed."""

    data: str
    clip: str
    tracker: str
    device: str
    files: dict[int, Path]


def follow_points(runs: Sequence[Planned], clips: Sequence[str], executor: Executor) -> tuple[bool, dict[Path, str]]:
    """Let each run's tracker follow the points of each clip, where that is not done; as `run_clips`."""
    opened.forget()  # a data set may have grown since
    jobs: dict[tuple[str, str], Job] = {}
    for run in runs:
        for clip in clips:
            settings, file = run.settings, _file(run, clip)
            empty = Job(settings.data, clip, settings.tracker, settings.device, {})
            if not is_kept(file, _inputs(settings.data, clip)):
                jobs.setdefault((settings.tracker, clip), empty).files[settings.seed] = file
    failed: dict[Path, str] = {}
    for job, outcome in WithBar(executor, "point jobs").run(_follow_clip, list(jobs.values())):
        if isinstance(outcome, Failure):
            failed |= {file.parent: f"{job.clip}: {outcome.reason}" for file in job.files.values()}
    return sum(len(job.files) for job in jobs.values()) < len(runs) * len(clips), failed


def point_scores(run: Planned, clips: Sequence[str]) -> dict[str, Any]:
    """The numbers of a run over all clips, in the form of `scores.score_all`."""
    counts = [PointCounts(**_arrays(kept(_file(run, clip)))) for clip in clips]
    metrics = summarise_points(counts)
    if metrics["full_error"] is not None and not np.isfinite(metrics["full_error"]):
        metrics["full_error"] = None  # the tracker lost most points
    return {"points": {"all": {"metrics": metrics, "intervals": {}, "counts": {}}}}


def has_points(data: str, clips: Sequence[str]) -> bool:
    """Whether point tracks lie beside these clips, as `samodal synth --points` writes them."""
    root = Path(data.partition(":")[2])
    return all(points_file(root, clip).exists() for clip in clips)


def _file(run: Planned, clip: str) -> Path:
    return run.folder.parent.with_name("points") / run.folder.name / f"{clip}.json"


def _inputs(data: str, clip: str) -> list[Path]:
    """Pictures, labels and point tracks of a clip."""
    video = opened(data).video(clip)
    return [*video.paths, *files_in([*video.label_places, points_file(opened(data).root, clip)])]


def _plain(value: int | np.ndarray) -> Any:
    """A count for JSON, which knows no infinite distance."""
    rounded = np.round(value, 3).tolist()
    return [number if np.isfinite(number) else None for number in rounded] if isinstance(rounded, list) else rounded


def _arrays(counts: dict[str, Any]) -> dict[str, Any]:
    def array(value):
        return np.array([np.inf if v is None else v for v in value]) if isinstance(value, list) else value

    return {name: array(value) for name, value in counts.items()}


def _follow_clip(job: Job) -> None:
    dataset = opened(job.data)
    video, tracks = dataset.video(job.clip), read_points(dataset.root, job.clip)
    hidden = _instance_hidden(dataset.truth(job.clip), tracks.ids)
    queries = {seed: choose_queries(tracks, job.clip, seed) for seed in job.files}
    # Queries of all seeds share one pass: instances must not influence each other in a tracker.
    together = [query for chosen in queries.values() for query in chosen]
    answers = iter(follow(_tracker(job.tracker, job.device), (f.image for f in video), tracks.xy, together))
    for seed, file in job.files.items():
        mine = [(query, *next(answers)) for query in queries[seed]]
        counts = asdict(_count(mine, tracks, video.size, hidden))
        keep(file, {name: _plain(value) for name, value in counts.items()}, _inputs(job.data, job.clip))


def choose_queries(tracks, clip: str, seed: int) -> list[Query]:
    """One query of every instance that can be shown before the last frame; the scenery (id 0) is left out."""
    queries = []
    for number in (int(n) for n in np.unique(tracks.ids) if n != 0):
        rows = np.flatnonzero(tracks.ids == number)
        frames = np.flatnonzero(tracks.visible[rows, :-1].sum(axis=0) >= LEAST)
        if len(frames) == 0:
            continue
        rng = generator(seed, clip, number, 0)
        t = int(rng.choice(frames))
        shown = rng.permutation(rows[tracks.visible[rows, t]])[:MOST]
        queries.append(Query(number, t, np.sort(shown)))
    return queries


def follow(tracker: PointTracker, images, true_xy: np.ndarray, queries: Sequence[Query]) -> list[tuple]:
    """Show each query's points in its frame, and ask after every frame.

    Args:
        images: T frames, (H, W, 3) uint8 RGB.
        true_xy: (N, T, 2) the true points in pixels.

    Returns:
        For each query xy (n, T, 2) and visible (n, T); nan and False before it.
    """
    length = true_xy.shape[1]
    answers = [
        (np.full((len(query.rows), length, 2), np.nan, np.float32), np.zeros((len(query.rows), length), bool))
        for query in queries
    ]
    tracker.reset()
    for t, image in enumerate(images):
        tracker.observe(image, t)
        for key, query in enumerate(queries):
            if query.t == t:
                tracker.add(key, true_xy[query.rows, t], t)
        for key, (xy, visible, _) in tracker.positions().items():
            answers[key][0][:, t], answers[key][1][:, t] = xy, visible
    return answers


@once(8)
def _tracker(name: str, device: str) -> PointTracker:
    from samodal.build import found_device
    from samodal.making import make_tracker

    return make_tracker(name, found_device(device))


def _instance_hidden(truth, ids: np.ndarray) -> np.ndarray:
    """(N, T) bool: no pixel of the instance of a point is visible; True for the scenery, which does not count."""
    visible = {track.id: [mask is not None for mask in track.visible] for track in truth.tracks}
    never = [False] * len(truth)
    return ~np.array([visible.get(int(number), never) for number in ids], bool).reshape(len(ids), len(truth))


def _count(mine: list[tuple], tracks, size: tuple[int, int], hidden: np.ndarray) -> PointCounts:
    """The counts of (query, xy, visible) of one seed."""
    rows = np.concatenate([np.zeros(0, int), *(query.rows for query, _, _ in mine)])
    return count_points(
        np.concatenate([tracks.xy[:0], *(xy for _, xy, _ in mine)]),
        np.concatenate([tracks.visible[:0], *(visible for _, _, visible in mine)]),
        tracks.xy[rows],
        tracks.visible[rows],
        np.concatenate([np.zeros(0, int), *(np.full(len(query.rows), query.t) for query, _, _ in mine)]),
        size,
        hidden[rows],
    )
