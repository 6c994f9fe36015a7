"""Print the trainings of a folder as Markdown tables, from the JSON files beside their model cards."""

import json
import sys
from pathlib import Path

import numpy as np

METRICS = (
    "amodal_miou", "hidden_miou", "amodal_miou_heavy", "amodal_miou_extreme", "visible_miou", "iou_rank_correlation",
)  # fmt: skip
VARIANTS = {
    "amodal": "adapters trained",
    "untrained-adapters": "adapters not trained",
    "decoder": "decoder only",
    "lora": "low-rank updates",
    "full": "everything trained",
}


def main(folder: Path) -> None:
    """Print one row per training, the comparison of the variants, and how the losses went."""
    cards = {p.stem: json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))}
    made = {name: card for name, card in cards.items() if "recipe" in card}  # other networks have other metrics
    ablation = {k: v for k, v in made.items() if k.startswith("ablation-")}
    print_trainings({k: v for k, v in made.items() if v["metrics"] and k not in ablation})
    print_variants(ablation)
    print_losses(folder, made)


def print_trainings(made: dict[str, dict]) -> None:
    """Metrics of each kept checkpoint on each part of the data."""
    print(f"| training | data | steps | minutes | {' | '.join(METRICS)} |")
    print("|---" * (len(METRICS) + 4) + "|")
    for name, facts in made.items():
        for part, metrics in facts["metrics"].items():
            values = " | ".join(f"{v:.4f}" for v in _values(metrics))
            print(f"| {name} | {part} | {facts['steps']} | {facts['minutes']:.1f} | {values} |")


def print_variants(made: dict[str, dict]) -> None:
    """Mean and spread over the seeds, and the difference to the decoder alone, seed by seed."""
    if not made:
        return
    print(f"\n| variant | data | seeds | {' | '.join(METRICS)} |")
    print("|---" * (len(METRICS) + 3) + "|")
    for part in ("val", "test"):
        table = {v: _by_seed(made, v, part) for v in VARIANTS}
        for variant, seeds in table.items():
            print_row(VARIANTS[variant], part, seeds)
        for variant in [v for v in VARIANTS if v != "decoder"]:
            common = sorted(table[variant].keys() & table["decoder"].keys())
            differences = {s: table[variant][s] - table["decoder"][s] for s in common}
            print_row(f"{VARIANTS[variant]} less decoder only", part, differences)


def _values(metrics: dict) -> np.ndarray:
    """One number per metric, nan where there is none."""
    return np.array([np.nan if metrics[m] is None else metrics[m] for m in METRICS])


def _by_seed(made: dict[str, dict], variant: str, part: str) -> dict[int, np.ndarray]:
    chosen = [v for k, v in made.items() if k.rpartition("-")[0] == f"ablation-{variant}"]
    return {v["seed"]: _values(v["metrics"][part]) for v in chosen if part in v["metrics"]}


def print_row(name: str, part: str, seeds: dict[int, np.ndarray]) -> None:
    """One row of means and standard deviations over seeds."""
    if not seeds:
        return
    table = np.stack(list(seeds.values()))
    spread = table.std(0, ddof=1) if len(table) > 1 else np.zeros(len(METRICS))
    values = " | ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(table.mean(0), spread, strict=True))
    print(f"| {name} | {part} | {len(seeds)} | {values} |")


def print_losses(folder: Path, made: dict[str, dict]) -> None:
    """Where each loss began and ended: means over the first and the last tenth of the log."""
    print("\n| training | loss at the start | at the end | instances/s | GPU memory, GB |\n|---|---|---|---|---|")
    for name, facts in made.items():
        log = [json.loads(line) for line in (folder / f"{name}.log.jsonl").read_text().splitlines()]
        steps = [line for line in log if "loss" in line]
        if not steps:
            continue
        tenth = max(1, len(steps) // 10)
        first, last = (np.mean([s["loss"] for s in part]) for part in (steps[:tenth], steps[-tenth:]))
        # The first lines hold compilation and warm-up.
        speed = np.median([s["instances_per_s"] for s in steps[len(steps) // 2 :]])
        print(f"| {name} | {first:.4f} | {last:.4f} | {speed:.1f} | {facts['peak_memory_gb']:.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
