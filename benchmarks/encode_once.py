"""What it saves to embed a frame once for all its instances, as the pipeline does, instead of once for each, as the
released code does. Prints one ratio per number of instances; both ways run alternately in one process.

    python benchmarks/encode_once.py --weights streetsim-small
"""

import argparse
import os
import platform
from statistics import median
from time import perf_counter

import numpy as np
import torch

from samodal.parts import Prompt
from samodal.segmenters.sam import AmodalSam, SamSegmenter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="streetsim-small")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    segmenter = SamSegmenter(AmodalSam.from_checkpoint(given.weights))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"{'instances':>10}{'once, ms':>12}{'each, ms':>12}{'each / once':>14}")
    for count in (1, 4, 8, 16):
        once, each = _measure(segmenter, count, given.repeats)
        print(f"{count:>10}{1000 * once:>12.0f}{1000 * each:>12.0f}{each / once:>14.1f}")


def _measure(segmenter: SamSegmenter, count: int, repeats: int) -> tuple[float, float]:
    """Median seconds of both ways over frames of 540x960."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (540, 960, 3), dtype=np.uint8)
    prompts = [Prompt(points=rng.uniform((0, 0), (960, 540), (1, 2))) for _ in range(count)]

    def once() -> None:
        segmenter.decode(segmenter.encode([frame]), prompts, [0] * count)

    def each() -> None:
        for prompt in prompts:
            segmenter.decode(segmenter.encode([frame]), [prompt], [0])

    once()
    times = [(_timed(once), _timed(each)) for _ in range(repeats)]
    return median(a for a, _ in times), median(b for _, b in times)


def _timed(work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


if __name__ == "__main__":
    main()
