"""The data of an experiment: what the user names, or clips of StreetSim, rendered where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samodal.errors import InputError
from samodal.progress import rest_bar


def streetsim(out: Path, count: int, workers: int, points: bool = False) -> str:
    """The first `count` clips of StreetSim's split `test`, rendered below `out` unless they are there.

    Args:
        points: whether with the tracks of points on the surfaces.
    """
    from samodal.sim.write import write_split

    with rest_bar("StreetSim", "frames") as report:
        write_split(out, "test", count=count, workers=workers, points=points, progress=report)
    return f"streetsim:{out / 'test'}"


def clips_of(data: str, span: str | None) -> tuple[str, ...]:
    """Names of the clips FIRST:LAST of a data set, counted from 0 without LAST; all for None.

    Raises:
        InputError: for another form, or if there is none.
    """
    from samodal.data.open import open_dataset

    return chosen(open_dataset(data).sequences, span)


def chosen(clips: Sequence[str], span: str | None) -> tuple[str, ...]:
    """The clips FIRST:LAST of those given, counted from 0 without LAST; all for None."""
    if span is None:
        return tuple(clips)
    first, colon, last = span.partition(":")
    if not colon or not all(part.isdecimal() for part in (first, last) if part):
        raise InputError(f"clips {span!r}: expected FIRST:LAST, counted from 0 without LAST, as 0:4")
    span_clips = tuple(clips[int(first or 0) : int(last) if last else None])
    if not span_clips:
        raise InputError(f"clips {span!r}: there are {len(clips)}")
    return span_clips
