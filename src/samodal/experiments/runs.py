"""Running many methods over clips, one process a clip, so that frames are read and embedded once for all of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from samodal.executors import Executor, Failure, WithBar
from samodal.settings import RunSettings

Run = tuple[RunSettings, str, Path]
"""Settings, the name of a clip, and the folder for its results."""
LEAST = 6
"""Runs of a clip that are worth reading and embedding it for."""


def run_clips(clips: Sequence[Sequence[Run]], executor: Executor, workers: int) -> tuple[bool, dict[Path, str]]:
    """Run what is not finished of the runs of every clip, the others too where one fails.

    Args:
        workers: among which the work is shared out.

    Returns:
        whether something was finished before, and {folder over all clips: what went wrong there}
    """
    waiting, failed = [[run for run in runs if not _finished(run)] for runs in clips], {}
    for job, outcome in WithBar(executor, "jobs").run(run_clip, jobs_of(waiting, workers)):
        if isinstance(outcome, Failure):
            outcome = {run[2].parent: f"{run[1]}: {outcome.reason}" for run in job if not _finished(run)}
        failed |= outcome
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


def run_clip(runs: Sequence[Run]) -> dict[Path, str]:
    """Run what is not finished of all runs of one clip: front ends, encoders and optical flow see its frames once.

    Returns:
        what went wrong, by the folder over all clips; the other runs go on.
    """
    from samodal.build import flow_memory, segmenter_of
    from samodal.data.open import open_dataset
    from samodal.frontends.remembered import Remembered
    from samodal.runner import run_video

    waiting, failed = [run for run in runs if not _finished(run)], {}
    if not waiting:
        return failed
    first, clip, _ = waiting[0]
    flow_memory().remember = True
    video, remembered = open_dataset(first.data).video(clip), Remembered()
    for settings, _, out in waiting:
        try:
            if settings.method == "samodal":
                segmenter_of(settings.segmenter, settings.weights, settings.device).remember = video.length
            # Of a run that is interrupted, tracks.json holds the frames that were finished.
            unfinished = out.with_name(f"{out.name}.part")
            run_video(settings, video, unfinished, remembered=remembered)
            unfinished.replace(out)
        except Exception as error:
            failure = Failure.of(error)
            print(failure.trace, end="", file=sys.stderr)
            failed[out.parent] = f"{clip}: {failure.reason}"
    return failed
