"""Where a run without --out writes: in a folder of its own, which the same command finds again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

from samodal.build import EMBEDDED_FRONT_END, with_segmenter
from samodal.errors import InputError
from samodal.files import inside
from samodal.parts import Video
from samodal.runs.folder import MadeFrom, RunFolder
from samodal.settings import RunSettings


def own_folder(source: str) -> Path:
    """The folder of a source's results: two videos do not share one."""
    path = Path(source.rstrip("/"))
    return Path("runs") / re.sub(r"[^\w.-]+", "-", path.stem if path.is_file() else path.name).strip(".-")


def free_folder(settings: RunSettings, videos: Mapping[str, Callable[[], Video]]) -> Path:
    """runs/NAME, or else NAME-2, NAME-3, …: the first in which the run replaces nothing of another.

    Args:
        videos: what opens each clip of a data set, by its folder in that of the run; "" for a single video.
    """
    one = len(settings.videos) == 1 and not any(mark in settings.videos[0] for mark in "*?[")
    base = own_folder(settings.data or (settings.videos[0] if one else "videos"))
    if settings.overwrite:
        return base
    folders = (base if n == 1 else base.with_name(f"{base.name}-{n}") for n in count(1))
    return next(
        folder
        for folder in folders
        if all(_suits(inside(folder, clip) if clip else folder, settings, opened) for clip, opened in videos.items())
    )


def _suits(folder: Path, settings: RunSettings, opened: Callable[[], Video]) -> bool:
    if not folder.exists():
        return True
    try:
        video = opened()
    except InputError:  # running it says why
        return True
    return any(RunFolder(folder, made).suits() for made in candidates(settings, video))


def candidates(settings: RunSettings, video: Video) -> Iterator[MadeFrom]:
    """What a result is made from.

    Which front end an unnamed one came to depends on whether there is truth; to know, it would have to be read.
    """
    settled_as = [{}] if settings.vis is not None else [{"vis": "truth"}, EMBEDDED_FRONT_END]
    return (MadeFrom.of(replace(with_segmenter(settings), **front_end), video) for front_end in settled_as)
