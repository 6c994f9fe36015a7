"""Running many methods over clips, one process a clip, so that frames are read and embedded once for all of them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.executors import clip_pool
from samodal.progress import frames_bar
from samodal.settings import RunSettings

Run = tuple[RunSettings, str, Path]
"""Settings, the name of a clip, and the folder for its results."""
LEAST = 6
"""Runs of a clip that are worth reading and embedding it for."""


def run_clips(clips: Sequence[Sequence[Run]], workers: int) -> tuple[bool, dict[Path, str]]:
    """Run what is not finished of the runs of every clip, the others too where one fails.

    Returns:
        whether something was finished before, and {folder over all clips: what went wrong there}
    """
    waiting, failed = [[run for run in runs if not _finished(run)] for runs in clips], {}
    for found in in_processes(_try_clip, jobs_of(waiting, workers), workers, "jobs"):
        failed |= found
    return sum(map(len, waiting)) < sum(map(len, clips)), failed


def jobs_of(clips: Sequence[Sequence[Run]], workers: int) -> list[list[Run]]:
    """Whole clips at first, as their frames are then embedded once, and ever smaller parts of them towards the end.

    So no worker is still busy with a clip for long when the others have nothing left to do.
    """
    left, jobs = sum(map(len, clips)), []
    for runs in clips:
        most = max(LEAST, math.ceil(left / (2 * workers)))
        size = math.ceil(len(runs) / max(1, math.ceil(len(runs) / most)))
        jobs += [list(runs[k : k + size]) for k in range(0, len(runs), size or 1)]
        left -= len(runs)
    return jobs


def _finished(run: Run) -> bool:
    return (run[2] / "tracks.json").exists()


def _try_clip(runs: Sequence[Run]) -> dict[Path, str]:
    failed: dict[Path, str] = {}
    run_clip(runs, failed)
    return failed


def run_clip(runs: Sequence[Run], failed: dict[Path, str] | None = None) -> None:
    """Run what is not finished of all runs of one clip: front ends, encoders and optical flow see its frames once.

    Args:
        failed: takes what goes wrong by the folder over all clips, and the other runs go on; None lets it through.
    """
    from samodal.build import flow_memory, segmenter_of
    from samodal.data.open import open_dataset
    from samodal.frontends.remembered import Remembered
    from samodal.runner import run_video

    waiting = [run for run in runs if not _finished(run)]
    if not waiting:
        return
    first, clip, _ = waiting[0]
    flow_memory().remember = True
    video, said = open_dataset(first.data).video(clip), Remembered()
    for settings, _, out in waiting:
        try:
            if settings.method == "samodal":
                segmenter_of(settings.weights, settings.device).remember = video.length
            # Of a run that is interrupted, tracks.json holds the frames that were finished.
            unfinished = out.with_name(f"{out.name}.part")
            run_video(settings, video, unfinished, remembered=said)
            unfinished.replace(out)
        except Exception as error:
            if failed is None:
                raise
            if not isinstance(error, InputError):
                traceback.print_exc()
            failed[out.parent] = f"{clip}: {error or type(error).__name__}"


def in_processes(work: Callable, jobs: Sequence, workers: int, what: str) -> Iterator[Any]:
    """Results of work(job) as they come, in processes of one thread each, with a bar."""
    if not jobs:
        return
    with frames_bar(what, len(jobs), what) as advance:
        with clip_pool(workers, threads=1) as pool:
            for done in as_completed([pool.submit(work, job) for job in jobs]):
                yield done.result()
                advance(1)
