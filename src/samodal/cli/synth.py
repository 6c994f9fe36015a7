"""`samodal synth`: render StreetSim."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class SynthSettings:
    """Render sequences of StreetSim in AmodalSynthDrive's layout; finished sequences are kept."""

    out: Path
    """Folder of the data set; the split becomes a folder in it."""
    split: str = "test"
    """train, val, test, test_seen, or tracks (clips to train a point tracker on, with --points)."""
    first: int = 0
    """The first sequence, by its place in the split."""
    count: int | None = None
    """How many sequences; all that follow where it is not given."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    height: int = 540
    """Height of the frames in pixels."""
    width: int = 960
    """Width of the frames in pixels."""
    flow: bool = False
    """Write forward flow beside the masks."""
    points: bool = False
    """Write tracks of points on the surfaces beside the masks."""


def main(settings: SynthSettings) -> None:
    """Render with a progress bar, and say where the result is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from samodal.errors import InputError
    from samodal.sim.write import write_split

    if settings.first < 0 or (settings.count is not None and settings.count < 1) or settings.workers < 1:
        raise InputError("synth: first must be 0 or more, count and workers 1 or more")
    if min(settings.height, settings.width) < 32 or max(settings.height, settings.width) > 4096:
        raise InputError(f"synth: frames of {settings.height}x{settings.width} pixels; sides go from 32 to 4096")
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} frames/s"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns) as bar:
        task = bar.add_task(f"StreetSim {settings.split}", total=None, rate="…")

        def report(done: int, total: int) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            begun = bar.tasks[task].fields.setdefault("begun", done)
            rate = f"{(done - begun) / elapsed:.1f}" if elapsed > 0 and done > begun else "…"
            bar.update(task, completed=done, total=total, rate=rate)

        names = write_split(
            settings.out, settings.split, first=settings.first, count=settings.count, workers=settings.workers,
            size=(settings.height, settings.width), flow=settings.flow, points=settings.points, progress=report,
        )  # fmt: skip
    print(f"{len(names)} sequences in {Path(settings.out) / settings.split}")
