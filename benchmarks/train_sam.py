"""Instances a second in training the amodal SAM: ours, and the manner of the released code, with the same engine.

    python benchmarks/train_sam.py --device cuda                     # ViT-B at 1024x1024, as released
    python benchmarks/train_sam.py --size tiny --steps 6             # a look at it on a CPU

The released code encodes a frame again for each of its instances, in float32, and makes a step of each. Ours encodes
several frames at once in bfloat16, and each for all of its instances. Adapters and mask decoder are trained in both.
Medians over the steps without the first third. The data are the embedded clips.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

import samodal
from samodal.experiments.machine import machine
from samodal.training.sam.sam import train
from samodal.training.sam.settings import TrainSettings

CLIP = f"streetsim:{Path(samodal.__file__).parent / 'clip'}"


def rate(given: argparse.Namespace, name: str, **changes) -> float:
    """Instances a second, from the log."""
    with TemporaryDirectory() as folder:
        settings = TrainSettings(
            data=CLIP, val="", stage="amodal", size=given.size, adapters="fresh", tune="adapters", augment=False,
            steps=given.steps, log_every=1, out=str(Path(folder) / "run"), device=given.device, workers=1,
            min_visible=1, **changes,
        )  # fmt: skip
        train(settings)
        log = next(Path(folder).rglob("*.jsonl"))
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    rates = [line["instances_per_s"] for line in lines if "instances_per_s" in line]
    found = median(rates[len(rates) // 3 :])
    print(f"{name:<28}{found:10.2f} instances/s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="vit_b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--frames", type=int, default=4, help="frames of a step of ours")
    parser.add_argument("--instances", type=int, default=10, help="instances drawn from each of them")
    parser.add_argument("--compile", action="store_true", help="compile our encoder, too")
    given = parser.parse_args()
    print(f"{machine(given.device)}, {given.size}")
    ours = rate(given, "ours", frames=given.frames, instances=given.instances, compile=given.compile)
    if given.device.startswith("cuda"):
        torch.cuda.empty_cache()
    released = rate(given, "manner of the released code", frames=1, instances=1, precision="float32")
    print(f"ratio {ours / released:.1f}")


if __name__ == "__main__":
    main()
