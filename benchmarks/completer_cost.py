"""What whole masks cost beyond the front end: `Pipeline.step` with eight visible instances at 540x960.

    python benchmarks/completer_cost.py

The presets `default` (the completer) and `points` (the amodal SAM on points) take turns in one run, each with the
weights that are shipped. Medians and their ratio are printed, for one thread and for two.
"""

import os
import platform
from statistics import median
from time import perf_counter

import numpy as np
import torch

from samodal.build import make_method
from samodal.masks import Mask
from samodal.settings import RunSettings
from samodal.tracks import VisibleInstance

SIZE, INSTANCES, FRAMES = (540, 960), 8, 20


def scene(t: int) -> list[VisibleInstance]:
    """Two rows of four cars as ellipses, the near row before the far one, which drives on."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    taken, instances = np.zeros(SIZE, bool), []
    for n in range(INSTANCES):
        row, column = divmod(n, INSTANCES // 2)
        middle, half = (340 - 60 * row, 150 + 220 * column + (70 + 3 * t) * row), (60 - 15 * row, 90 - 20 * row)
        whole = ((y - middle[0]) / half[0]) ** 2 + ((x - middle[1]) / half[1]) ** 2 <= 1
        instances.append(VisibleInstance(n + 1, "car", 0.9, Mask.of(whole & ~taken)))
        taken |= whole
    return instances


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    frames = [scene(t) for t in range(FRAMES)]
    for threads in (1, 2):
        torch.set_num_threads(threads)
        pipelines = {name: make_method(RunSettings(preset=name, tracker="still")) for name in ("default", "points")}
        spent: dict[str, list[float]] = {name: [] for name in pipelines}
        for t, visible in enumerate(frames):
            for name, pipeline in pipelines.items():
                start = perf_counter()
                pipeline.step(image, visible, t / 10)
                spent[name].append(1000 * (perf_counter() - start))
        now = {name: median(values[3:]) for name, values in spent.items()}
        ratio = median(b / a for a, b in zip(spent["default"][3:], spent["points"][3:], strict=True))
        line = ", ".join(f"{name} {value:.0f} ms a frame" for name, value in now.items())
        print(f"{threads} threads: {line}; points / default {ratio:.2f}")


if __name__ == "__main__":
    main()
