"""What a step of the pipeline costs when network and point tracker are free: ten visible and ten hidden instances at
1080x1920, one core. With an earlier checkout it measures both in turn, in one run, and prints the ratio.

    python benchmarks/pipeline_cost.py
    git worktree add ../before eb305a5 && python benchmarks/pipeline_cost.py --against ../before/src

The segmenter gives logits of the whole frame, as networks do, so cutting masks out of them is counted. The tracker
gives points that move a little. The preset is `default`, the scene-cut detector included.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

SIZE = (1080, 1920)
SHOWN, HIDDEN = 12, 40
"""Frames in which all twenty are seen, and frames in which ten of them are hidden behind the others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", help="folder `src` of another checkout")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(" ".join(f"{1000 * seconds:.2f}" for seconds in measure()))
        return
    own = str(Path(__file__).parents[1] / "src")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, of which one is used")
    rounds = [[run(source) for source in (own, given.against) if source] for _ in range(given.rounds)]
    for name, now in (("ten visible", 0), ("ten visible, ten hidden", 1)):
        ours = median(results[0][now] for results in rounds)
        line = f"{name:<26}{ours:>8.1f} ms a frame"
        if given.against:
            theirs = median(results[1][now] for results in rounds)
            ratio = median(results[1][now] / results[0][now] for results in rounds)
            line += f"{theirs:>10.1f} ms before, ratio {ratio:.1f}"
        print(line)


def run(source: str) -> list[float]:
    """Milliseconds a frame with a package, measured in a process of its own."""
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = os.environ | single | {"PYTHONPATH": source}
    command = [sys.executable, __file__, "--worker"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def measure() -> tuple[float, float]:
    """Median seconds of a step with ten visible instances alone, and with ten hidden beside them."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8), (0, 0), 3)
    return run_scene(picture, hide=False), run_scene(picture, hide=True)


def run_scene(picture: np.ndarray, hide: bool) -> float:
    from samodal.tracks import VisibleInstance

    front, back = [ellipse(k, 0) for k in range(10)], [ellipse(k, 12) for k in range(10)]
    segmenter, seconds = Free(), []
    pipeline = make(segmenter)
    for t in range(SHOWN + HIDDEN):
        masks = front if not hide or t >= SHOWN else front + [a & ~b for a, b in zip(back, front, strict=True)]
        segmenter.masks = masks
        visible = [VisibleInstance(k, "car", 0.9, mask) for k, mask in enumerate(masks)]
        start = perf_counter()
        result = pipeline.step(picture, visible, t / 10)
        if t >= SHOWN:
            seconds.append(perf_counter() - start)
    hidden = sum(instance.state == "hidden" for instance in result.instances)
    assert hidden == (10 if hide else 0), f"{hidden} hidden instances"
    return median(seconds)


def ellipse(k: int, lower: int) -> np.ndarray:
    """(H, W) bool: the k-th of ten cars of different distance, some pixels lower."""
    height, width = 60 + 18 * k, 100 + 30 * k
    x, y = 120 + 165 * k, 300 + 50 * k + lower
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return ((columns - x) / (width / 2)) ** 2 + ((rows - y) / (height / 2)) ** 2 <= 1


class Free:
    """A segmenter that has its answer ready: the visible masks as logits."""

    transform = None
    masks: list = []

    def encode(self, frames):
        from samodal.parts import Features

        return Features(main=None, sizes=(SIZE,))

    def decode(self, features, prompts, index):
        import torch

        from samodal.parts import Decoded

        if getattr(self, "_of", None) is not self.masks:
            self._of, self._logits = self.masks, torch.from_numpy(np.stack(self.masks).astype(np.float32) * 20 - 10)
        return Decoded(amodal=self._logits, iou=torch.full((len(prompts),), 0.9))


def make(segmenter):
    """The pipeline of this checkout, or of one before the pipeline moved to samodal.method."""
    try:
        from samodal.method.pipeline import Pipeline
        from samodal.method.rules import preset
    except ImportError:
        from samodal.methods.samodal import make_selector as selector_of
        from samodal.pipeline import Pipeline
        from samodal.rules import preset

        rules = preset("default")
        return Pipeline(segmenter, tracker(), selector_of(rules), rules)
    return Pipeline(segmenter, tracker(), preset("default"))


def tracker():
    from samodal.trackers.still import Still

    class Trembling(Still):
        """Points that stay but for a pixel or so."""

        def positions(self):
            near = super().positions().items()
            return {key: (xy + np.sin(np.arange(2 * len(xy))).reshape(-1, 2), *rest) for key, (xy, *rest) in near}

    return Trembling()


if __name__ == "__main__":
    main()
