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
    waiting, failed = [_unfinished(runs) for runs in clips], {}
    for job, outcome in WithBar(executor, "jobs").run(run_clip, jobs_of(waiting, workers)):
        if isinstance(outcome, Failure):
            outcome = {run[2].parent: f"{run[1]}: {outcome.reason}" for run in _unfinished(job)}
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


def _unfinished(runs: Sequence[Run]) -> list[Run]:
    """Of the runs of one clip those without a whole result from the same settings and data."""
    from samodal.data.open import open_dataset
    from samodal.runs.folder import MadeFrom, whole

    records = {out: whole(out) for _, _, out in runs}
    if not any(records.values()):
        return list(runs)
    video = open_dataset(runs[0][0].data).video(runs[0][1])
    return [
        run for run in runs if (record := records[run[2]]) is None or MadeFrom.of(run[0], video).differences(record)
    ]


def run_clip(runs: Sequence[Run]) -> dict[Path, str]:
    """Run what is not finished of all runs of one clip: front ends, encoders and optical flow see its frames once.

    Returns:
        what went wrong, by the folder over all clips; the other runs go on.
    """
    from samodal.build import flow_memory, segmenter_of
    from samodal.data.open import open_dataset
    from samodal.frontends.remembered import Remembered
    from samodal.runner import run_video

    (first, clip, _), failed = runs[0], {}
    flow_memory().remember = True
    video, remembered = open_dataset(first.data).video(clip), Remembered()
    for settings, _, out in runs:
        try:
            if settings.method == "samodal":
                segmenter_of(settings.segmenter, settings.weights, settings.device).remember = video.length
            run_video(settings, video, out, remembered=remembered)
        except Exception as error:
            failure = Failure.of(error)
            print(failure.trace, end="", file=sys.stderr)
            failed[out.parent] = f"{clip}: {failure.reason}"
    return failed
