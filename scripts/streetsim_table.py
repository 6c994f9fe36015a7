r"""The table of docs/results.md: every method on StreetSim's test splits, front end `truth`, three prompt seeds.

    python scripts/streetsim_table.py --data runs/gpu/data --weights streetsim-small --out runs/table

    python scripts/streetsim_table.py --data runs/gpu/data --splits val --out runs/sweep \
        --rows "S-AModal default;S-AModal default:min_visible=96;S-AModal default:motion=believed"

Runs every method on every clip (finished ones are skipped), scores them by both profiles, with the methods' own
scores and with all scores 1, with 95 % bootstrap intervals over clips, and writes OUT/scores.json and
OUT/table.md with settings, seeds, commit, hardware and cost.
"""

import argparse
import json
import multiprocessing
import pickle
import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from tables import Run, machine, markdown, run_clips, spread

from samodal.commands.run import RunSettings
from samodal.progress import frames_bar
from samodal.training.card import commit

SPLITS = {"test": "unseen assets", "test_seen": "seen assets", "val": "validation, seen assets"}
ROWS = {
    "copy-visible": RunSettings(method="copy-visible"),
    "hull": RunSettings(method="hull"),
    "hold-last": RunSettings(method="hold-last"),
    "constant-velocity": RunSettings(method="constant-velocity"),
    "S-AModal paper": RunSettings(preset="paper"),
    "S-AModal released": RunSettings(preset="released"),
    "S-AModal default": RunSettings(preset="default"),
}
COLUMNS = {
    "AP": ("official", "image", "AP"),
    "AP50": ("official", "image", "AP50"),
    "AP50 heavy": ("official", "image", "AP50_heavy"),
    "vAP": ("official", "video", "AP"),
    "vAP50": ("official", "video", "AP50"),
    "strict AP50": ("strict", "image", "AP50"),
    "strict vAP50": ("strict", "video", "AP50"),
    "mIoU": ("strict", "image", "miou"),
    "mIoU hidden part": ("strict", "image", "miou_hidden"),
    "IoU fully hidden": ("strict", "image", "miou_fully_hidden_after_seen"),
}


def main() -> None:
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    jobs = _jobs(given)
    start = time.perf_counter()
    run_clips(jobs, given.workers)
    seconds = time.perf_counter() - start
    scores = _score(given)
    record = {
        "scores": scores,
        "settings": vars(given),
        "cost_s": round(seconds),
        "machine": machine(given.device),
    }
    record |= {"commit": commit()}
    (given.out / "scores.json").write_text(json.dumps(record, indent=1, default=str))
    (given.out / "table.md").write_text(_markdown(record, given))
    print(_markdown(record, given))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the splits that `samodal synth` wrote")
    parser.add_argument("--weights", default="streetsim-small")
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with its own copy of the model")
    parser.add_argument("--rows", default=";".join(ROWS), help="NAME[:RULE=VALUE,RULE=VALUE];NAME…")
    parser.add_argument("--splits", default="test,test_seen")
    parser.add_argument("--seeds", type=int, default=3, help="prompt seeds of the methods that draw prompts")
    parser.add_argument("--clips", type=int, default=None, help="only the first so many clips of each split")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over clips")
    return parser.parse_args()


def _jobs(given: argparse.Namespace) -> list[list[Run]]:
    """One job per clip, so that its frames are embedded once for all methods."""
    return [
        [
            (
                replace(row, data=f"streetsim:{given.data / split}", weights=given.weights, device=given.device,
                        overlay=False, seed=seed),
                clip,
                _folder(given, split, name, seed) / clip,
            )
            for name, row in _rows(given).items()
            for seed in _seeds(given, name)
        ]
        for split in given.splits.split(",")
        for clip in _clips(given, split)
    ]  # fmt: skip


def _rows(given: argparse.Namespace) -> dict[str, RunSettings]:
    """The chosen rows by name; NAME:RULE=VALUE changes rules of a row."""
    rows = {}
    for text in given.rows.split(";"):
        name, _, changes = text.partition(":")
        rules = dict(pair.split("=") for pair in changes.split(",")) if changes else {}
        rows[text] = replace(ROWS[name], rules={rule: yaml.safe_load(value) for rule, value in rules.items()})
    return rows


def _seeds(given: argparse.Namespace, row: str) -> range:
    """Only random prompts depend on the seed; the default preset draws none."""
    return range(given.seeds if row.partition(":")[0] in ("S-AModal paper", "S-AModal released") else 1)


def _clips(given: argparse.Namespace, split: str) -> tuple[str, ...]:
    from samodal.datasets.open import open_dataset

    return open_dataset(f"streetsim:{given.data / split}").sequences[: given.clips]


def _folder(given: argparse.Namespace, split: str, name: str, seed: int) -> Path:
    return given.out / "runs" / split / f"{re.sub('[^A-Za-z0-9=_.-]+', '-', name)}-{seed}"


def _score(given: argparse.Namespace) -> dict:
    """{split: {row: [per seed {"official", "strict", "ones": content of scores.json}]}}"""
    for split in given.splits.split(","):
        _save_truth(given, split)
    keys = [
        (split, name, seed)
        for split in given.splits.split(",")
        for name in _rows(given)
        for seed in _seeds(given, name)
    ]
    scores = {split: {name: [] for name in _rows(given)} for split in given.splits.split(",")}
    with frames_bar("scores", len(keys), "runs") as advance:
        with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn")) as pool:
            for (split, name, _), scored in zip(keys, pool.map(_score_run, [given] * len(keys), keys), strict=True):
                scores[split][name].append(scored)
                advance(1)
    return scores


def _save_truth(given: argparse.Namespace, split: str) -> None:
    """Reading the truth of a split takes longer than scoring a run, so it is read once for all runs."""
    from samodal.datasets.open import open_dataset

    path = given.out / f"truth-{split}-{len(_clips(given, split))}.pickle"
    if path.exists():
        return
    dataset = open_dataset(f"streetsim:{given.data / split}")
    truth = {clip: dataset.truth(clip) for clip in _clips(given, split)}
    path.write_bytes(pickle.dumps(truth))


def _score_run(given: argparse.Namespace, key: tuple[str, str, int]) -> dict:
    from samodal.metrics.evaluate import Rules, read_runs, report, score_clips

    split, name, seed = key
    truth = pickle.loads((given.out / f"truth-{split}-{len(_clips(given, split))}.pickle").read_bytes())
    found = read_runs(_folder(given, split, name, seed))
    results = {clip: tracks for clip, tracks in found.items() if clip in truth}

    def scored(profile: str, **options) -> dict:
        rules = Rules(profile=profile, resamples=given.resamples if seed == 0 else 0, **options)
        return report(score_clips(results, truth, rules), rules, {"results": name, "truth": split})

    ones = Rules(scores="ones", level="image")
    return {
        "official": scored("official"),
        "strict": scored("strict"),
        "ones": report(score_clips(results, truth, ones), ones, {"results": name, "truth": split}),
    }


def _markdown(record: dict, given: argparse.Namespace) -> str:
    lines, head = [], ["method", *COLUMNS, "AP50, all scores 1"]
    for split in record["scores"]:
        lines += [f"### {split}: {SPLITS[split]}, {len(_clips(given, split))} clips", ""]
        rows = []
        for name, seeds in record["scores"][split].items():
            cells = [_cell(seeds, *column) for column in COLUMNS.values()]
            ones = np.mean([100 * (one["ones"]["metrics"]["AP50"] or 0) for one in seeds])
            rows.append([name, *cells, f"{ones:.1f}"])
        lines += [markdown(head, rows), ""]
    seeds = "mean ± standard deviation over prompt seeds; [95 % interval] of seed 0, bootstrap over clips"
    lines += [
        f"In percent; {seeds}. {record['machine']}, {record['cost_s']} s for all runs, commit {record['commit']}."
    ]
    return "\n".join(lines) + "\n"


def _cell(seeds: list[dict], profile: str, level: str, metric: str) -> str:
    """In percent: mean ± standard deviation over seeds, and the bootstrap interval of the first."""
    values = [100 * (one[profile]["metrics"][level][metric] or 0) for one in seeds]
    interval = seeds[0][profile]["intervals"][level].get(metric)
    return spread(values) + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


if __name__ == "__main__":
    main()
