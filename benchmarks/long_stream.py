"""Resident memory over a long stream: the pipeline with a stand-in segmenter, cars that come, hide and leave.

    python benchmarks/long_stream.py --tracker lucas_kanade
    python benchmarks/long_stream.py --tracker cotracker3

Prints a line every 1,000 frames; the column of memory must be flat, but for some 20 MB of freed pieces that the C
library keeps after tensors of changing sizes. `cotracker3` without a checkpoint is an untrained
one of small frames, so that 10,000 of them take minutes.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch

from samodal.making import make_tracker
from samodal.method.pipeline import Pipeline
from samodal.method.rules import preset
from samodal.parts import Decoded, Features
from samodal.tracks import VisibleInstance

SIZE = (96, 160)
CAR = (16, 24)
EVERY = 9  # frames between two cars, so that some five are about at any time
POST = slice(70, 104)


class Boxes:
    """A stand-in for the amodal SAM: a car's box around the mean of the prompt points."""

    transform = None

    def encode(self, frames) -> Features:
        return Features(main=None, sizes=(frames[0].shape[:2],))

    def decode(self, features, prompts, index) -> Decoded:
        logits = torch.full((len(prompts), *SIZE), -10.0)
        for one, prompt in zip(logits, prompts, strict=True):
            x, y = np.rint(prompt.points.mean(axis=0)).astype(int)
            one[max(0, y - 8) : y + 8, max(0, x - 12) : x + 12] = 10
        return Decoded(amodal=logits, iou=torch.full((len(prompts),), 0.8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", default="lucas_kanade", help="as for samodal run")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--preset", default="default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rules = preset(given.preset)
    tracker = _small_cotracker() if given.tracker == "cotracker3" else make_tracker(given.tracker)
    pipeline = Pipeline(Boxes(), tracker, rules)
    print(f"{given.tracker}, preset {given.preset}, frames of {SIZE[0]}x{SIZE[1]}")
    print(f"{'frames':>8}{'resident, MB':>14}{'cars so far':>13}{'remembered':>12}{'hidden':>8}{'ms a frame':>12}")
    start, hidden = perf_counter(), 0
    for t, (image, visible) in enumerate(_stream(given.frames), start=1):
        result = pipeline.step(image, visible)
        hidden += sum(one.state == "hidden" for one in result.instances)
        if t % 1000 == 0 or t == 100:
            spent = 1000 * (perf_counter() - start) / t
            cars = t // EVERY + 1
            counts = f"{cars:>13}{len(pipeline.memory):>12}{hidden:>8}"
            print(f"{t:>8}{_resident():>14.1f}{counts}{spent:>12.1f}", flush=True)


def _small_cotracker():
    from samodal.trackers.cotracker import CoTracker3, CoTrackerOnline
    from samodal.trackers.cotracker.config import SMALL
    from samodal.trackers.cotracker.model import Network

    torch.manual_seed(0)
    network = Network(replace(SMALL, resolution=(48, 80), hidden=32, heads=2, virtual=8, iterations=1))
    network.initialise()
    return CoTrackerOnline(CoTracker3(network))


def _stream(length: int) -> Iterator[tuple[np.ndarray, list[VisibleInstance]]]:
    """Frames with a new car every few, which drives from left to right behind a post and out of the image."""
    rng = np.random.default_rng(0)
    road = rng.integers(40, 90, (*SIZE, 3), dtype=np.uint8)
    paint = rng.integers(100, 256, (*CAR, 3), dtype=np.uint8)
    for t in range(length):
        image, visible = road.copy(), []
        for key in range(max(0, t // EVERY - SIZE[1] // (3 * EVERY) - 9), t // EVERY + 1):
            x, y = 3 * (t - key * EVERY) - CAR[1] + 8, 10 + 13 * (key % 5)
            mask = np.zeros(SIZE, bool)
            mask[y : y + CAR[0], max(0, x) : max(0, x + CAR[1])] = True
            if mask.any():
                image[mask] = paint[:, -x if x < 0 else 0 : SIZE[1] - x].reshape(-1, 3)
            mask[:, POST] = False
            if mask.any():
                visible.append(VisibleInstance(key, "car", 0.9, mask))
        image[:, POST] = 20
        yield image, visible


def _resident() -> float:
    """Megabytes of this process in memory now (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
