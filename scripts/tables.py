"""What the scripts that make tables share: rows of Markdown, the machine, and runs of many methods on a clip."""

import hashlib
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from samodal.commands.run import RunSettings
from samodal.progress import frames_bar

Run = tuple[RunSettings, str, Path]
"""Settings, the name of a clip, and the folder for its results."""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join([markdown_row(head), "|---" * len(head) + "|", *(markdown_row(row) for row in rows)])


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation, the mean alone of one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values):.{digits}f}" if len(values) > 1 else mean


def chosen(clips: Sequence[str], span: str | None) -> tuple[str, ...]:
    """The clips FIRST:LAST of a data set, counted from 0 without LAST; all for None."""
    if span is None:
        return tuple(clips)
    first, _, last = span.partition(":")
    return tuple(clips[int(first or 0) : int(last) if last else None])


def digest(tracker: str) -> str | None:
    """Of the file of weights that NAME:WEIGHTS names, None where it names none."""
    path = Path(tracker.partition(":")[2])
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() if path.is_file() else None


def found_device(device: str) -> str:
    """The device that "auto" means here."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def machine(device: str) -> str:
    import torch

    card = torch.cuda.get_device_name() if device != "cpu" and torch.cuda.is_available() else "no GPU"
    return f"{card}, {os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"


def one_thread() -> None:
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def in_processes(work: Callable, jobs: Sequence, workers: int, what: str):
    """Results of work(job) as they come, in processes of one thread each, with a bar."""
    with frames_bar(what, len(jobs), what) as advance:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=one_thread) as pool:
            for done in as_completed([pool.submit(work, job) for job in jobs]):
                yield done.result()
                advance(1)


def run_clips(jobs: Sequence[Sequence[Run]], workers: int) -> None:
    """Run every job; see `run_clip`."""
    for _ in in_processes(run_clip, jobs, workers, "clips"):
        pass


def run_clip(runs: Sequence[Run]) -> None:
    """Run what is not finished of all runs of one clip; its truth is read and its frames are embedded once."""
    from samodal.datasets.open import open_dataset
    from samodal.run import run_video, segmenter_of

    waiting = [run for run in runs if not (run[2] / "tracks.json").exists()]
    if not waiting:
        return
    first, clip, _ = waiting[0]
    video = open_dataset(first.data).video(clip)
    for settings, _, out in waiting:
        if settings.method == "samodal":
            segmenter_of(settings.weights, settings.device).remember = video.length
        run_video(settings, video, out)
