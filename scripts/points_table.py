r"""How well trackers follow points of instances through occlusion, on StreetSim's exact point tracks.

    samodal synth --out data --split test --points
    python scripts/points_table.py --data streetsim:data/test --clips 0:64 --seeds 0 1 2 --out runs/points.json \
        --trackers still velocity lucas_kanade cotracker3:scaled_online.pth

For each seed every instance is shown once: in a frame drawn among those in which at least 4 of its points are visible,
by up to 16 of these points. The tracker sees the frames one by one and is asked after each; what it says is counted in
the frames after the one of the query (`samodal.metrics.points`). Writes OUT with all numbers, settings, commit,
hardware and cost, and prints a table. Finished clips are kept in OUT with the ending .jsonl and not run again with the
same data, seeds and weights; delete it when the code of a tracker has changed.
"""

import argparse
import json
import resource
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from samodal.build import found_device
from samodal.data.open import open_dataset
from samodal.executors import limit_threads
from samodal.experiments.data import chosen
from samodal.experiments.machine import digest, machine
from samodal.experiments.report import markdown, spread
from samodal.experiments.runs import in_processes
from samodal.metrics.points import THRESHOLDS, PointCounts, count_points, summarise_points
from samodal.parts import PointTracker
from samodal.seeds import generator
from samodal.sim.point_files import read_points
from samodal.training.card import commit

LEAST, MOST = 4, 16
"""Points that must be visible where an instance is shown, and points that are shown."""
SHARES = {
    "AJ": "average_jaccard",
    "δ_avg": "delta_avg",
    "OA": "occlusion_accuracy",
    "δ_occ": "delta_occ",
    **{f"< {threshold:g} px": f"delta_occ_{threshold:g}" for threshold in THRESHOLDS},
    "δ inside full occlusions": "delta_full",
}
COUNTS = ("visible", "hidden", "full")


@dataclass(frozen=True, eq=False)
class Query:
    """Points of an instance as they are shown to a tracker: rows of the point tracks, in frame t, for one seed."""

    seed: int
    id: int
    t: int
    rows: np.ndarray


@dataclass(frozen=True)
class Job:
    """A clip and the trackers that have not been run on it."""

    data: str
    clip: str
    trackers: tuple[str, ...]
    seeds: tuple[int, ...]
    device: str


def main() -> None:
    given = _arguments()
    given.device = found_device(given.device)
    clips = chosen(open_dataset(given.data).sequences, given.clips)
    lines = given.out.with_suffix(".jsonl")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    _run(given, clips, lines)
    known = _finished(lines, given)
    record = {
        "trackers": {
            tracker: _numbers([known[tracker, clip] for clip in clips], given.seeds) for tracker in given.trackers
        },
        "settings": vars(given) | {"clips": clips, "weights": {t: digest(t) for t in given.trackers}},
        "cost_s": round(time.perf_counter() - start),
        "machine": machine(given.device),
        "commit": commit(),
    }
    given.out.write_text(json.dumps(record, indent=1, default=str))
    print(_markdown(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", required=True, help="a split that `samodal synth --points` wrote: streetsim:ROOT/test"
    )
    parser.add_argument("--trackers", nargs="+", default=["still", "velocity", "lucas_kanade"], help="NAME[:WEIGHTS]")
    parser.add_argument("--clips", help="FIRST:LAST, as in 0:64; all where it is not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the frames and points shown")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own trackers")
    parser.add_argument("--out", type=Path, default=Path("runs/points.json"))
    return parser.parse_args()


def _run(given: argparse.Namespace, clips: tuple[str, ...], lines: Path) -> None:
    """Run what is missing; each clip's line is on disk as soon as its process is done with it."""
    known = _finished(lines, given)
    missing = {clip: tuple(t for t in given.trackers if (t, clip) not in known) for clip in clips}
    jobs = [Job(given.data, clip, some, tuple(given.seeds), given.device) for clip, some in missing.items() if some]
    if given.workers > 1:
        found = in_processes(run_clip, jobs, given.workers, "clips")
    else:
        limit_threads(1)
        found = map(run_clip, jobs)
    with lines.open("a", encoding="utf-8") as file:
        for one in found:
            for line in one:
                print(f"{line['clip']} {line['tracker']}: {line['cost']}", flush=True)
                file.write(json.dumps(line) + "\n")
            file.flush()


def _finished(lines: Path, given: argparse.Namespace) -> dict[tuple[str, str], dict]:
    """Lines by (tracker, clip) that were made with this data, these seeds and these weights."""
    read = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()] if lines.exists() else []
    seeds, digests = {str(seed) for seed in given.seeds}, {tracker: digest(tracker) for tracker in given.trackers}
    return {
        (one["tracker"], one["clip"]): one
        for one in read
        if one["data"] == given.data
        and seeds <= set(one["counts"])
        and one["weights"] == digests.get(one["tracker"], "another tracker")
    }


def run_clip(job: Job) -> list[dict[str, Any]]:
    """What each tracker comes to on a clip: counts by seed, and cost."""
    dataset = open_dataset(job.data)
    video, tracks = dataset.video(job.clip), read_points(dataset.root, job.clip)
    images = [frame.image for frame in video]
    hidden = _instance_hidden(dataset.truth(job.clip), tracks.ids)
    queries = [query for seed in job.seeds for query in choose_queries(tracks, job.clip, seed)]
    lines = []
    for name in job.trackers:
        start = time.perf_counter()
        found = follow(_tracker(name, job.device), images, tracks.xy, queries)
        counts = {seed: _count(seed, found, queries, tracks, video.size, hidden) for seed in job.seeds}
        cost = _cost(time.perf_counter() - start, len(images), queries, job.device)
        made = {"data": job.data, "clip": job.clip, "tracker": name, "weights": digest(name)}
        lines.append(made | {"cost": cost, "counts": counts})
    return lines


def choose_queries(tracks, clip: str, seed: int) -> list[Query]:
    """One query of every instance that can be shown before the last frame; the scenery (id 0) is not asked for."""
    queries = []
    for number in (int(n) for n in np.unique(tracks.ids) if n != 0):
        rows = np.flatnonzero(tracks.ids == number)
        frames = np.flatnonzero(tracks.visible[rows, :-1].sum(axis=0) >= LEAST)
        if len(frames) == 0:
            continue
        rng = generator(seed, clip, number, 0)
        t = int(rng.choice(frames))
        shown = rng.permutation(rows[tracks.visible[rows, t]])[:MOST]
        queries.append(Query(seed, number, t, np.sort(shown)))
    return queries


def follow(tracker: PointTracker, images: list[np.ndarray], true_xy: np.ndarray, queries: list[Query]) -> list[tuple]:
    """Show each query's points in its frame, and ask after every frame.

    All queries share one pass: a tracker whose keys influence each other would need one for each seed.

    Returns:
        For each query xy (n, T, 2) and visible (n, T); nan and False before it.
    """
    shape = [(len(query.rows), len(images)) for query in queries]
    found = [(np.full((*one, 2), np.nan, np.float32), np.zeros(one, bool)) for one in shape]
    tracker.reset()
    for t, image in enumerate(images):
        tracker.observe(image, t)
        for key, query in enumerate(queries):
            if query.t == t:
                tracker.add(key, true_xy[query.rows, t], t)
        for key, (xy, visible, _) in tracker.positions().items():
            found[key][0][:, t], found[key][1][:, t] = xy, visible
    return found


@lru_cache(maxsize=8)
def _tracker(name: str, device: str) -> PointTracker:
    from samodal.registry import make_tracker

    return make_tracker(name, device)


def _instance_hidden(truth, ids: np.ndarray) -> np.ndarray:
    """(N, T) bool: no pixel of the instance of a point is visible; True for the scenery, which is not asked for."""
    seen = {track.id: [mask is not None for mask in track.visible] for track in truth.tracks}
    never = [False] * len(truth)
    return ~np.array([seen.get(int(number), never) for number in ids], bool).reshape(len(ids), len(truth))


def _count(seed: int, found: list[tuple], queries: list[Query], tracks, size, hidden: np.ndarray) -> dict:
    """Counts of one seed as JSON."""
    mine = [(query, *one) for query, one in zip(queries, found, strict=True) if query.seed == seed]
    rows = np.concatenate([query.rows for query, _, _ in mine]) if mine else np.zeros(0, int)
    empty = tracks.xy[:0], tracks.visible[:0]
    counts = count_points(
        np.concatenate([empty[0], *(xy for _, xy, _ in mine)]),
        np.concatenate([empty[1], *(visible for _, _, visible in mine)]),
        tracks.xy[rows],
        tracks.visible[rows],
        np.repeat([query.t for query, _, _ in mine], [len(query.rows) for query, _, _ in mine]).astype(int),
        size,
        hidden[rows],
    )
    return {name: np.round(value, 3).tolist() for name, value in asdict(counts).items()}


def _cost(seconds: float, frames: int, queries: list[Query], device: str) -> str:
    import torch

    points = sum(len(query.rows) for query in queries)
    used = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    if device.startswith("cuda"):
        used += f", {torch.cuda.max_memory_allocated() / 2**20:.0f} MB of the GPU"
    return f"{seconds:.1f} s, {1000 * seconds / frames:.0f} ms a frame, {len(queries)} keys, {points} points, {used}"


def _numbers(lines: list[dict], seeds: list[int]) -> dict:
    """All numbers of a tracker: of each seed, and mean and standard deviation over seeds."""
    by_seed = [summarise_points([_read_counts(line["counts"][str(seed)]) for line in lines]) for seed in seeds]
    columns = {name: [one[name] for one in by_seed if one[name] is not None] for name in by_seed[0]}
    known = {name: values for name, values in columns.items() if values}
    return {
        "seeds": dict(zip(seeds, by_seed, strict=True)),
        "mean": {name: float(np.mean(values)) for name, values in known.items()},
        "std": {name: float(np.std(values)) for name, values in known.items()},
    }


def _read_counts(content: dict) -> PointCounts:
    return PointCounts(**{name: np.array(v) if isinstance(v, list) else v for name, v in content.items()})


def _markdown(record: dict) -> str:
    head = ["tracker", *SHARES, "median error inside full occlusions, px", "point-frames: " + ", ".join(COUNTS)]
    settings = record["settings"]
    note = (
        f"{settings['data']}, {len(settings['clips'])} clips; mean ± standard deviation over query seeds "
        f"{' '.join(map(str, settings['seeds']))}, shares in percent, over the frames after each query. AJ, δ_avg and "
        "OA: TAP-Vid, in pixels of frames resized to 256x256, mean over clips. The rest in original pixels, over all "
        "points together: δ_occ of points hidden inside the image, and of those whose whole instance is hidden. "
        f"{record['machine']}, {record['cost_s']} s, commit {record['commit']}."
    )
    rows = [_row(tracker, list(one["seeds"].values())) for tracker, one in record["trackers"].items()]
    return markdown(head, rows) + "\n\n" + note


def _row(tracker: str, seeds: list[dict]) -> list[str]:
    name, _, weights = tracker.partition(":")
    shares = [_cell([one[key] for one in seeds], 100) for key in SHARES.values()]
    frames = ", ".join(f"{np.mean([one[key] for one in seeds]):.0f}" for key in COUNTS)
    return [f"{name} {Path(weights).name}".strip(), *shares, _cell([one["full_error"] for one in seeds], 1), frames]


def _cell(values: list[float | None], factor: float) -> str:
    known = [factor * value for value in values if value is not None]
    return spread(known) if known else "–"


if __name__ == "__main__":
    main()
