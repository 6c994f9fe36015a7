"""Two workers against one, each with one thread, on the embedded real clip with the default models.

    python benchmarks/workers.py

Jobs of one worker and of two take turns. Each worker has a first job that is not counted: its start, and its models.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from samodal.executors import Failure, Processes
from samodal.fleet.jobs import Job
from samodal.fleet.work import run_job
from samodal.settings import RunSettings

CLIP = Path(__file__).parents[1] / "src" / "samodal" / "clip_road" / "motorway.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=10, help="that are counted, in each round")
    parser.add_argument("--frames", type=int, default=10, help="of each job")
    parser.add_argument("--overlay", action="store_true", help="with overlay.mp4 and report.html")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.jobs} jobs of {given.frames} frames")
    rounds = []
    for _ in range(given.rounds):
        rates = [rate(workers, given.jobs, given.frames, given.overlay) for workers in (1, 2)]
        rounds.append(rates)
        print(
            f"one worker {rates[0]:.2f} frames/s, two {rates[1]:.2f}: ratio {rates[1] / rates[0]:.2f} "
            f"(load {os.getloadavg()[0]:.1f})",
            flush=True,
        )
    print(f"median ratio {median(two / one for one, two in rounds):.2f}")


def rate(workers: int, jobs: int, frames: int, overlay: bool) -> float:
    """Frames a second of so many workers, from the end of their first jobs on."""
    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings(video=str(CLIP), frames=f"0:{frames}", overlay=overlay, device="cpu", out=folder)
        named = [Job(f"{n}", str(CLIP)) for n in range(workers + jobs)]
        ends = []
        work = partial(run_job, replace(settings, out=Path(folder)), None)
        for job, outcome in Processes(workers, threads=1).run(work, named):
            if isinstance(outcome, Failure):
                raise RuntimeError(f"{job}: {outcome.reason}")
            ends.append(perf_counter())
    return frames * jobs / (ends[-1] - ends[workers - 1])


if __name__ == "__main__":
    main()
