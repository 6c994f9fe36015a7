"""From results on disk to other formats, without a model: what `samodal convert` and `samodal run --save` do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from samodal.errors import InputError, nearest
from samodal.exports.formats import FOLDER, FORMATS, export, wanted
from samodal.exports.source import FRAMES_PER_SECOND, Source, of_run
from samodal.outputs import refuse_inputs
from samodal.pictures import frames_in

RUN, CVAT = "run", "cvat"
FORMS = (RUN, CVAT)
"""What can be converted."""
OF_A_RUN = ("frames.jsonl", "tracks.json", "overlay.mp4", "report.html", "run.json")
"""Files in the folder of a run that no export replaces."""


def convert(
    path: Path,
    to: str,
    form: str = RUN,
    images: Path | None = None,
    fps: float = FRAMES_PER_SECOND,
    overwrite: bool = False,
) -> Iterator[str]:
    """Write a run, or a file of another form, in each of these formats; gives lines to be told.

    Args:
        path: folder of a run, frames.jsonl, folder of runs of several clips; or a file of `form`.
        to: formats as in coco:labels.json,cvat; without a path they go into the folder `exports` of the run, or
            beside the file.
        images: folder whose pictures are the frames, for the names that a file of CVAT does not tell.
        fps: frames per second, which a file of CVAT does not tell.
        overwrite: replace exports that are there already.

    Raises:
        InputError: for anything a user can mend.
    """
    if form not in FORMS:
        raise InputError(f"--from {form}: unknown{nearest(form, FORMS)}")
    chosen = wanted(to)
    if form == CVAT:
        from samodal.exports.from_cvat import read_cvat

        names = None if images is None else [picture.name for picture in frames_in(images).files]
        sources = {path.parent: (path, read_cvat(path, fps, names))}
    else:
        runs = _runs_in(path)
        if len(runs) > 1 and any(place is not None for _, place in chosen):
            raise InputError(f"{path}: holds {len(runs)} runs; leave out the paths after the formats")
        sources = {(run if run.is_dir() else run.parent) / FOLDER: (run, of_run(run)) for run in runs}
    for folder, (file, source) in sources.items():
        places = {name: place or folder / FORMATS[name].output for name, place in chosen}
        refuse_inputs(places.values(), [images])
        _check_places(places, file, source)
        there = [] if overwrite else [str(place) for name, place in places.items() if place.exists()]
        if there:
            raise InputError(f"{there[0]}: is there already; give another path, or --overwrite")
        yield from _exported(source, places)


def save(run: Path, to: str | None) -> Iterator[str]:
    """Write a run in these formats into its folder `exports`, in place of older ones, or to the paths given."""
    if not to:
        return
    source = of_run(run)
    places = {name: place or run / FOLDER / FORMATS[name].output for name, place in wanted(to)}
    _check_places(places, run, source)
    yield from _exported(source, places)


def check_save(to: str, video: str | None) -> None:
    """Check the formats and places of `save` before a run of a video, as far as they are known then.

    Raises:
        InputError: for an unknown format, a place that is the video, or two formats in one place.
    """
    _refuse_places({name: place for name, place in wanted(to) if place is not None}, [video])


def _check_places(places: dict[str, Path], file: Path, source: Source) -> None:
    """Refuse places that would replace what is read, or what belongs to it."""
    read = [file / name for name in OF_A_RUN] if file.is_dir() else [file]
    _refuse_places(places, [*read, source.video])


def _refuse_places(places: dict[str, Path], inputs: list[str | Path | None]) -> None:
    refuse_inputs(places.values(), inputs)
    taken: dict[str, str] = {}
    for name, place in places.items():
        other = taken.setdefault(os.path.realpath(place), name)
        if other != name:
            raise InputError(f"{place}: is given for {other} and for {name}; give each format a place of its own")


def _exported(source: Source, places: dict[str, Path]) -> Iterator[str]:
    for name, place in places.items():
        notes = list(export(source, name, place))
        yield f"{name}: {place}" if FORMATS[name].module != "fiftyone" else f"{name}:"
        yield from (f"  {note}" for note in notes)


def _runs_in(path: Path) -> list[Path]:
    """The run of a folder, or those of its folders."""
    if not path.is_dir() or (path / "frames.jsonl").exists():
        return [path]
    return sorted(lines.parent for lines in path.glob("*/frames.jsonl") if lines.parent.name != "unfinished") or [path]
