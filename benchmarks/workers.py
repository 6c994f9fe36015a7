"""Two workers against one, each with one thread, on the embedded real clip with the default models.

    python benchmarks/workers.py

Jobs of one worker and of two take turns. Each worker has a first job that is not counted: its start, and its models.
The ratio by the clock is true where no other program wants the cores. That by the processor, twice the time on it of a
frame of one worker over that of a frame of two, tells how far two workers hinder each other, also beside others.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

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
        (one, one_cpu), (two, two_cpu) = (rate(n, given.jobs, given.frames, given.overlay) for n in (1, 2))
        rounds.append((two / one, 2 * one_cpu / two_cpu))
        print(
            f"one worker {one:.2f} frames/s, two {two:.2f}: ratio {two / one:.2f}; on the processor "
            f"{1000 * one_cpu:.0f} and {1000 * two_cpu:.0f} ms a frame: ratio {rounds[-1][1]:.2f} "
            f"(load {os.getloadavg()[0]:.1f})",
            flush=True,
        )
    print("median ratio {:.2f} by the clock, {:.2f} by the processor".format(*map(median, zip(*rounds, strict=True))))


def rate(workers: int, jobs: int, frames: int, overlay: bool) -> tuple[float, float]:
    """Frames a second of so many workers, from the end of their first jobs on; and seconds on the processor a frame."""
    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings(video=str(CLIP), frames=f"0:{frames}", overlay=overlay, device="cpu", out=folder)
        named = [Job(f"{n}", str(CLIP)) for n in range(workers + jobs)]
        ends, spent = [], []
        work = partial(timed, replace(settings, out=Path(folder)))
        for job, outcome in Processes(workers, threads=1).run(work, named):
            if isinstance(outcome, Failure):
                raise RuntimeError(f"{job}: {outcome.reason}")
            ends.append(perf_counter())
            spent.append(outcome)
    return frames * jobs / (ends[-1] - ends[workers - 1]), sum(spent[workers:]) / (frames * jobs)


def timed(settings: RunSettings, job: Job) -> float:
    """Seconds on the processor of a job."""
    start = process_time()
    run_job(settings, None, job)
    return process_time() - start


if __name__ == "__main__":
    main()
