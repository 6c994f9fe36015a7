r"""Front ends by their visible masks, at two resolutions: the supplement's tables 5 and 6 on StreetSim or other data.

    python scripts/front_ends_table.py --data streetsim:data/test --clips 0:24 --out runs/front_ends \
        --rows degraded:mild videomt:streetsim-videomt --scales 1 0.5

Writes OUT/front_ends.json with settings, commit, hardware and cost, and OUT/front_ends.md. Front ends whose masks are
there already have one row. Finished runs are kept in OUT/runs; delete them when weights or code have changed.
"""

import argparse
import json
import time
from pathlib import Path

from tables import chosen, machine, markdown, run_clips

from samodal.commands.run import RunSettings
from samodal.datasets.open import open_dataset
from samodal.metrics.evaluate import Rules, evaluate
from samodal.registry import FRONT_ENDS, PIXELS, split
from samodal.training.card import commit

COLUMNS = ("AP", "AP50", "AP75", "AP50_large", "AP50_medium", "AP50_small")
"""Of both levels; sizes as in the evaluation."""
KEPT = ("metrics", "intervals", "counts")


def main() -> None:
    given = _arguments()
    clips = chosen(open_dataset(given.data).sequences, given.clips)
    start = time.perf_counter()
    rows = {_title(row, scale): (row, scale) for row in given.rows for scale in _scales(row, given.scales)}
    folders = {title: given.out / "runs" / title.replace("/", "_") for title in rows}
    settings = {
        title: RunSettings(data=given.data, vis=row, vis_scale=scale, method="copy-visible", overlay=False)
        for title, (row, scale) in rows.items()
    }
    jobs = [[(settings[title], clip, folders[title] / clip) for title in rows] for clip in clips]
    run_clips(jobs, given.workers)
    resamples = given.resamples if len(clips) > 1 else 0
    rules = Rules(masks="visible", profile=given.profile, clips=clips, resamples=resamples)
    scores = {title: evaluate(folders[title], given.data, rules) for title in rows}
    record = {
        "rows": {
            title: {name: one[name] for name in ("metrics", "intervals", "counts")} for title, one in scores.items()
        },
        "settings": {**vars(given), "clips": clips},
        "cost_s": round(time.perf_counter() - start),
        "machine": machine("cpu"),
        "commit": commit(),
    }
    (given.out / "front_ends.json").write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    text = table(record["rows"])
    (given.out / "front_ends.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def table(rows: dict[str, dict]) -> str:
    """The numbers in percent, image level and then video level."""
    first = next(iter(rows.values()))["metrics"]
    columns = [(level, name) for level in ("image", "video") for name in COLUMNS if name in first[level]]
    head = ["front end", *(("v" if level == "video" else "") + name.replace("_", " ") for level, name in columns)]
    return markdown(head, [[title, *(_cell(one, *column) for column in columns)] for title, one in rows.items()])


def _cell(row: dict, level: str, name: str) -> str:
    value, interval = row["metrics"][level][name], row["intervals"][level].get(name)
    if value is None:
        return "-"
    text = f"{100 * value:.1f}"
    return text if interval is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _scales(row: str, scales: list[float]) -> list[float]:
    part = FRONT_ENDS.get(split(row, FRONT_ENDS)[0])
    return [1.0] if part is not None and part.group != PIXELS else scales


def _title(row: str, scale: float) -> str:
    return row if scale == 1 else f"{row} at {scale:g}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", nargs="+", default=["degraded:mild", "videomt:streetsim-videomt"])
    parser.add_argument("--scales", nargs="+", type=float, default=[1.0, 0.5])
    parser.add_argument("--clips", help="FIRST:LAST, counted from 0 without LAST; all if not given")
    parser.add_argument("--profile", default="official", choices=["official", "strict"])
    parser.add_argument("--out", type=Path, default=Path("runs/front_ends"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--resamples", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
