"""What a worker does with a job: it opens the video, runs it, and brings the result to its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from samodal.data.open import opened
from samodal.errors import InputError, printable
from samodal.exports.convert import save
from samodal.fleet.jobs import Job
from samodal.fleet.segments import join_finished, part_settings, parts_of
from samodal.fleet.store import PARTS, Store
from samodal.parts import Video
from samodal.pictures import frames_in
from samodal.remote import STREAMS, is_remote, local_path
from samodal.runner import Summary, run_video
from samodal.runs.folder import whole
from samodal.runs.places import candidates
from samodal.settings import RunSettings
from samodal.threads import one_thread
from samodal.tracks import FrameResult
from samodal.video import open_video


@dataclass(frozen=True)
class Done:
    """What a job came to.

    Attributes:
        summary: of the video, or of a segment of it where others are not finished.
        lines: what was said of exports.
        whole: whether the video is finished with it.
    """

    summary: Summary
    lines: tuple[str, ...] = ()
    whole: bool = True


def open_job(settings: RunSettings, job: Job) -> Video:
    """The video of a job; of a data set, which a process opens once, without what others read of it."""
    if settings.data:
        # A copy: what is read of a clip, its truth above all, goes with it; the data set keeps its own.
        return copy(opened(settings.data).video(job.source))
    return open_video(job.source, settings.strict, settings.fps)


def settings_of(settings: RunSettings, job: Job) -> RunSettings:
    """The settings of a run of many videos for one of them: those that the video would have alone."""
    own = settings if settings.data else replace(settings, video=job.source)
    return own if job.part else replace(own, segment=None)


def length_of(settings: RunSettings, job: Job) -> tuple[int | None, float]:
    """Number of frames of a job's video, None where it cannot be told, and frames per second."""
    video = open_job(settings, job)
    return video.length, video.fps


def run_job(settings: RunSettings, progress: Callable[[FrameResult], None] | None, job: Job) -> Done:
    """Run a job; in any process, for any number of workers, it is the same bytes.

    Raises:
        InputError: for anything that a user can mend.
    """
    own = settings_of(settings, job)
    with one_thread(), _place(own, job) as out:
        if (record := finished(settings, job)) is not None:
            return Done(_known(record, job, Store(own.out).folder(job.name)), _saved(out, own) if record else ())
        video = open_job(own, job)
        if not job.part:
            summary = run_video(own, video, out, progress)
            return Done(replace(summary, out=Store(own.out).folder(job.name)), _saved(out, own))
        summary = run_video(part_settings(own, job.part), video, out / PARTS / job.part.replace(":", "-"), progress)
        joined = join_finished(own, video, out)
        return Done(summary, whole=False) if joined is None else Done(joined, _saved(out, own))


def finished(settings: RunSettings, job: Job) -> dict[str, Any] | None:
    """The record of a whole result of the same settings and data, found without opening the video; None: there is none.

    With --segment a short video has the result of a run without it.
    """
    if settings.overwrite:
        return None
    own = replace(settings_of(settings, job), segment=settings.segment)
    store = Store(settings.out)
    if store.remote:
        record = store.record(job.name)
        record = record if record is not None and record.get("complete") else None
    else:
        record = whole(Path(store.folder(job.name)))
    if record is None:
        return None
    video = opened(settings.data).video(job.source) if settings.data else _glimpse(job.source, record)
    if video is None:
        return None
    forms = [own]
    if own.segment and _is_short(own, record):
        forms.append(replace(own, segment=None))
    suits = any(not made.differences(record) for form in forms for made in candidates(form, video))
    return record if suits else None


def _is_short(settings: RunSettings, record: dict[str, Any]) -> bool:
    frames, fps = record.get("summary", {}).get("frames"), record["settings"].get("fps")
    if not isinstance(frames, int) or not isinstance(fps, int | float):
        return False
    return len(parts_of(replace(settings, frames=None), frames * settings.stride, fps, "")) == 1


def _glimpse(source: str, record: dict[str, Any]) -> Any:
    """What can be told of a video by its place alone, and by what its result was made from."""
    if source.startswith((*STREAMS, "camera:")):
        return None
    listed = None
    if not is_remote(source) and local_path(source).is_dir():
        try:
            listed = frames_in(local_path(source)).files
        except InputError:  # running it says why
            return None
    return SimpleNamespace(source=source, fps=record["settings"].get("fps"), truth=None, files=listed)


def _known(record: dict[str, Any], job: Job, out: str | Path) -> Summary:
    counts = {"clip": job.name or job.source, "frames": 0, "tracks": 0, "visible": 0, "amodal": 0, "hidden": 0}
    return Summary(**(counts | {"seconds": 0.0} | record.get("summary", {})), out=out, before=True)


@contextmanager
def _place(settings: RunSettings, job: Job) -> Iterator[Path]:
    """The folder that a worker writes a result into; what is in object storage is made in a folder of this machine."""
    store = Store(settings.out)
    if not store.remote:
        yield Path(store.folder(job.name))
        return
    with tempfile.TemporaryDirectory(prefix="samodal-") as folder:
        made = Path(folder) / "made"
        yield made
        if whole(made) is not None:
            store.put(made, job.name)


def _saved(out: Path, settings: RunSettings) -> tuple[str, ...]:
    return tuple(map(printable, save(out, settings.save))) if settings.save and out.exists() else ()
