"""What a hidden instance costs in each frame by how long it has been hidden: our CoTracker3, which keeps features and
reads one window, against the way of the released code, which for every hidden frame re-reads all frames since the
instance was last seen. Both follow the same points with the same network, in one process; prints one ratio per length.

    python benchmarks/gap_cost.py --weights scaled_online.pth --device cuda

Without --weights: one of our own sizes, untrained, for the cost does not depend on the weights. On a machine that does
other work as well, OMP_NUM_THREADS=1 keeps threads from waiting for each other.
"""

import argparse
import os
import platform
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np
import torch

from samodal.trackers.cotracker import CoTracker3, CoTrackerOnline
from samodal.trackers.cotracker.online import support_points

SIZE = (540, 960)
POINTS = np.array([[400, 250], [430, 260], [410, 300]], np.float32)
"""In a frame of `SIZE`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="what CoTracker3.from_checkpoint takes")
    parser.add_argument("--size", default="small", help="without --weights: mini or small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gaps", default="1,2,5,10,20,50,100", help="frames that the instance is hidden")
    parser.add_argument("--height", type=int, default=SIZE[0], help="of the frames, which are 16:9")
    given = parser.parse_args()
    gaps, size = [int(gap) for gap in given.gaps.split(",")], (given.height, given.height * 16 // 9)
    model = CoTracker3.from_checkpoint(given.weights) if given.weights else CoTracker3.untrained(given.size)
    model.to(given.device)
    where = torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else _processor()
    print(f"{where}, torch {torch.__version__} with {torch.get_num_threads()} threads, {len(POINTS)} points of one")
    print(f"instance and their support points, frames of {size[0]}x{size[1]}, median of {given.repeats}")
    runs = [(_online(model, gaps, size), _rereading(model, gaps, size)) for _ in range(given.repeats)]
    online = {gap: median(ours[gap] for ours, _ in runs) for gap in range(1, gaps[-1] + 1)}
    rereading = {gap: median(theirs[gap] for _, theirs in runs) for gap in gaps}
    _report(online, rereading)


def _processor() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _video(length: int, size: tuple[int, int]) -> np.ndarray:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return np.broadcast_to(frame, (length, *size, 3))


def _points(size: tuple[int, int]) -> np.ndarray:
    return POINTS * np.float32(size[0] / SIZE[0])


def _online(model: CoTracker3, gaps: Sequence[int], size: tuple[int, int]) -> dict[int, float]:
    """{frames hidden: seconds for that frame}; the first has to make the features of a whole window."""
    tracker, seconds = CoTrackerOnline(model, device=model.network.device), {}
    seen = model.config.window
    for t, frame in enumerate(_video(seen + gaps[-1] + 1, size)):
        start = perf_counter()
        tracker.observe(frame, t)
        if t == seen + 1:
            tracker.add("hidden", _points(size), seen)
        tracker.positions()
        seconds[t - seen] = perf_counter() - start
    return seconds


def _rereading(model: CoTracker3, gaps: Sequence[int], size: tuple[int, int]) -> dict[int, float]:
    """{frames hidden: seconds to follow the points from the frame where they were seen}."""
    shown = _points(size)
    xy = np.concatenate([shown, support_points(shown, size, *model.config.support)])
    queries, seconds = np.pad(xy, ((0, 0), (1, 0))), {}
    for gap in gaps:
        video = _video(gap + 1, size)
        start = perf_counter()
        model.follow(video, queries)
        seconds[gap] = perf_counter() - start
    return seconds


def _report(online: dict[int, float], rereading: dict[int, float]) -> None:
    """One line per length; between measured lengths the cost of re-reading is interpolated for the sum."""
    gaps = list(rereading)
    every = np.interp(range(1, gaps[-1] + 1), gaps, list(rereading.values()))
    print(f"{'':>12}{'the frame, ms':>30}{'':>10}{'the whole gap, s':>30}")
    print(
        f"{'hidden for':>12}{'online':>15}{'re-reading':>15}{'ratio':>10}{'online':>15}{'re-reading':>15}{'ratio':>10}"
    )
    for gap in gaps:
        ours, theirs = sum(online[n] for n in range(1, gap + 1)), every[:gap].sum()
        line = (
            f"{gap:>12}{1000 * online[gap]:>15.0f}{1000 * rereading[gap]:>15.0f}{rereading[gap] / online[gap]:>10.1f}"
        )
        print(f"{line}{ours:>15.2f}{theirs:>15.2f}{theirs / ours:>10.1f}")


if __name__ == "__main__":
    main()
