r"""IoU on fully hidden frames by the length of the gap, on StreetSim with the truth's visible masks as front end.

    python scripts/hidden_table.py --data streetsim:data/test --clips 0:60 --out runs/hidden --rows \
        hold-last constant-velocity "paper lucas_kanade" "default lucas_kanade remember_s=5" \
        "paper cotracker3:scaled_online.pth" "default cotracker3:scaled_online.pth"

A row is METHOD or PRESET TRACKER, then RULE=VALUE as often as wanted. What counts are the frames in which nothing of
an instance is visible though it was once and is inside the image; a method that says nothing has IoU 0 there. Writes
OUT/hidden.json with settings, commit, hardware and cost, and OUT/hidden.md. Finished runs are kept in OUT/runs and not
run again with the same weights of the tracker; delete them when the code has changed.
"""

import argparse
import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from samodal.build import found_device
from samodal.data.open import open_dataset
from samodal.experiments.data import chosen
from samodal.experiments.machine import digest, machine
from samodal.experiments.report import markdown, spread
from samodal.experiments.runs import Run, in_processes, run_clip
from samodal.metrics import bootstrap
from samodal.metrics.gaps import GAPS, gap_lengths, named, within
from samodal.registry import METHODS
from samodal.rle import Rle
from samodal.settings import RunSettings
from samodal.tracks import Clip
from samodal.training.card import commit


@dataclass(frozen=True)
class Job:
    """A clip, and its run for each (row, seed)."""

    data: str
    clip: str
    runs: dict[tuple[str, int], Run]


@dataclass(frozen=True, eq=False)
class Hidden:
    """The fully hidden frames of a clip: (N,) length of the gap that each is in, and its IoU for each (row, seed).

    `ghosts` counts masks in frames in which nothing of the instance is inside the image.
    """

    clip: str
    lengths: np.ndarray
    ious: dict[tuple[str, int], np.ndarray]
    ghosts: dict[tuple[str, int], int]


def main() -> None:
    given = _arguments()
    given.device = found_device(given.device)
    given.out.mkdir(parents=True, exist_ok=True)
    clips = chosen(open_dataset(given.data).sequences, given.clips)
    start = time.perf_counter()
    found = sorted(in_processes(measure_clip, _jobs(given, clips), given.workers, "clips"), key=lambda one: one.clip)
    record = {
        "rows": {row: _numbers(found, row, _seeds(given, row), given.resamples) for row in given.rows},
        "frames": _frames(np.concatenate([one.lengths for one in found])),
        "settings": vars(given) | {"clips": clips},
        "cost_s": round(time.perf_counter() - start),
        "machine": machine(given.device),
        "commit": commit(),
    }
    (given.out / "hidden.json").write_text(json.dumps(record, indent=1, default=str))
    (given.out / "hidden.md").write_text(_markdown(record))
    print(_markdown(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a split that `samodal synth` wrote, as in streetsim:data/test")
    parser.add_argument("--rows", nargs="+", required=True, help='METHOD or "PRESET TRACKER [RULE=VALUE …]"')
    parser.add_argument("--clips", help="FIRST:LAST, as in 0:60; all where it is not given")
    parser.add_argument("--seeds", type=int, default=1, help="prompt seeds of the presets that draw prompts")
    parser.add_argument("--weights", default="streetsim-small", help="of the amodal SAM")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own models")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over clips")
    parser.add_argument("--out", type=Path, default=Path("runs/hidden"))
    return parser.parse_args()


def _jobs(given: argparse.Namespace, clips: tuple[str, ...]) -> list[Job]:
    keys = [(row, seed) for row in given.rows for seed in _seeds(given, row)]
    settings = {key: _settings(given, *key) for key in keys}
    folders = {key: _folder(given, settings[key], *key) for key in keys}
    return [Job(given.data, clip, {key: (settings[key], clip, folders[key] / clip) for key in keys}) for clip in clips]


def _settings(given: argparse.Namespace, row: str, seed: int) -> RunSettings:
    """What a row means."""
    words = row.split()
    rules = {name: yaml.safe_load(value) for name, value in (word.split("=", 1) for word in words if "=" in word)}
    first, *rest = [word for word in words if "=" not in word]
    if first in METHODS:
        base = RunSettings(method=first)
    else:
        (tracker,) = rest
        base = RunSettings(preset=first, tracker=tracker)
    return replace(
        base, rules=rules, seed=seed, data=given.data, weights=given.weights, device=given.device, overlay=False
    )


def _seeds(given: argparse.Namespace, row: str) -> range:
    """Only random prompts depend on the seed."""
    return range(given.seeds if row.split()[0] in ("paper", "released") else 1)


def _folder(given: argparse.Namespace, settings: RunSettings, row: str, seed: int) -> Path:
    parts = [re.sub("[^A-Za-z0-9=_.-]+", "-", row), digest(settings.tracker), str(seed)]
    return given.out / "runs" / "-".join(part for part in parts if part)


def measure_clip(job: Job) -> Hidden:
    """Run what is missing of a clip, and measure every run of it."""
    from samodal.metrics.evaluate import read_runs
    from samodal.metrics.levels import results_by_video, truth_by_video
    from samodal.metrics.regions import measure

    run_clip(list(job.runs.values()))
    clip = open_dataset(job.data).truth(job.clip)
    truth = truth_by_video({job.clip: clip}, "amodal")
    lengths = gap_lengths(truth)
    ious, ghosts = {}, {}
    for key, (_, _, out) in job.runs.items():
        runs = read_runs(out / "tracks.json")
        ghosts[key] = sum(_ghosts(clip, found) for found in runs.values())
        results = results_by_video(runs, {job.clip: clip}, "amodal")
        shares, counted = measure(truth, results).rows("miou_fully_hidden_after_seen", False)
        assert ((counted > 0) == (lengths > 0)).all()
        ious[key] = shares[counted > 0]
    return Hidden(job.clip, lengths[lengths > 0], ious, ghosts)


def _ghosts(truth: Clip, found: Clip) -> int:
    """Masks of instances that are outside the image, or not there any more; ids of a front end `truth` are true."""
    true = {str(track.id): track.amodal for track in truth.tracks}
    pairs = (pair for track in found.tracks for pair in zip(track.amodal, true[str(track.id)], strict=True))
    return sum(_area(told) > 0 and _area(real) == 0 for told, real in pairs)


def _area(mask: Rle | None) -> int:
    return 0 if mask is None else mask.area


def _numbers(found: list[Hidden], row: str, seeds: range, resamples: int) -> dict:
    """Mean IoU over frames: overall with its interval, and by gap; one value per seed, the interval of the first."""
    lengths = np.concatenate([one.lengths for one in found])
    ious = [np.concatenate([one.ious[row, seed] for one in found]) for seed in seeds]
    return {
        "all": [_mean(column) for column in ious],
        "ghosts": [sum(one.ghosts[row, seed] for one in found) for seed in seeds],
        "interval": _interval([one.ious[row, seeds[0]] for one in found], resamples),
        **{named(gap): [_mean(column[within(lengths, gap)]) for column in ious] for gap in GAPS},
    }


def _interval(ious: list[np.ndarray], resamples: int) -> list[float] | None:
    """95 % over clips, None of fewer than two."""
    if len(ious) < 2 or not resamples:
        return None
    weights = bootstrap.draws([str(n) for n in range(len(ious))], resamples, 0)
    below = weights @ np.array([len(column) for column in ious])
    above = weights @ np.array([column.sum() for column in ious])
    return bootstrap.interval(np.divide(above, below, out=np.full(resamples, np.nan), where=below > 0))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _frames(lengths: np.ndarray) -> dict[str, int]:
    return {"all": len(lengths)} | {named(gap): int(within(lengths, gap).sum()) for gap in GAPS}


def _markdown(record: dict) -> str:
    frames, settings = record["frames"], record["settings"]
    head = ["row", f"all gaps ({frames['all']} frames)"]
    head += [f"{name} frames ({frames[name]})" for name in frames if name != "all"]
    head += ["ghosts"]
    rows = [[_label(row), *_cells(one, frames)] for row, one in record["rows"].items()]
    note = (
        f"IoU in percent on fully hidden frames after the first sight, by the length of the whole gap; "
        f"[95 % interval], bootstrap over clips; ghosts: masks of what is not in the "
        f"image. {settings['data']}, {len(settings['clips'])} clips, front end truth, "
        f"SAM {settings['weights']}. {record['machine']}, {record['cost_s']} s, commit {record['commit']}."
    )
    return markdown(head, rows) + "\n\n" + note + "\n"


def _cells(numbers: dict, frames: dict) -> list[str]:
    cells = []
    for name in frames:
        known = [100 * value for value in numbers[name] if value is not None]
        cells.append(spread(known) if known else "–")
    low_high = numbers["interval"]
    cells[0] += f" [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]" if low_high else ""
    return [*cells, f"{np.mean(numbers['ghosts']):.0f}"]


def _label(row: str) -> str:
    """A row without the folders of its weights."""
    return " ".join(re.sub(r":.*/", " ", word) for word in row.split())


if __name__ == "__main__":
    main()
