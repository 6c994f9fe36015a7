"""Running a method over a video, or over every clip of a data set: what the command line and experiments call."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

from samodal.build import (
    check_settings,
    make_method,
    make_session,
    notices,
    settled,
    with_best,
)
from samodal.errors import Incomplete, InputError, printable
from samodal.executors import Failure, InProcess, Processes
from samodal.exports.convert import check_save, save
from samodal.exports.formats import wanted
from samodal.files import inside
from samodal.frontends.remembered import Remembered
from samodal.interruption import COMPLETE
from samodal.outputs import check_folder
from samodal.parts import Video
from samodal.progress import frames_bar
from samodal.report.make import RunReport
from samodal.results.by_track import Totals
from samodal.results.frames import FrameLines, result_count
from samodal.results.tracks_json import write_tracks_of
from samodal.runs.folder import REPORT, MadeFrom, RunFolder, held, whole
from samodal.runs.overlaid import overlaid
from samodal.runs.places import candidates, free_folder
from samodal.runs.saved import SavedRun
from samodal.settings import RunSettings
from samodal.threads import one_thread
from samodal.tracks import UNSEEN, FrameResult, State
from samodal.video import excerpt, open_video


@dataclass(frozen=True)
class Summary:
    """What a run of one video came to.

    Attributes:
        clip: name of the video.
        frames, tracks: how many.
        visible, amodal, hidden: masks: reported by the front end, given out, and of these without a visible part.
        seconds: wall clock, without loading the model.
        out: the folder with the files.
        before: whether they were there already.
        merges: of two ids of the front end that turned out to be one; see `samodal.results.by_track.Totals`.
    """

    clip: str
    frames: int
    tracks: int
    visible: int
    amodal: int
    hidden: int
    seconds: float
    out: Path
    before: bool = False
    merges: list[dict] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.frames / max(self.seconds, 1e-9)
        ids = "1 id" if len(self.merges) == 1 else f"{len(self.merges)} ids"
        merged = f", {ids} merged with others, as run.json lists" if self.merges else ""
        return (
            f"{printable(self.clip)}: {self.frames} frames, {self.tracks} tracks, {self.visible} visible masks -> "
            f"{self.amodal} amodal masks ({self.hidden} of them fully hidden), {self.seconds:.1f} s "
            f"({rate:.1f} frames/s){merged}"
        )


def run_video(
    settings: RunSettings,
    video: Video,
    out: Path,
    progress: Callable[[FrameResult], None] | None = None,
    remembered: Remembered | None = None,
) -> Summary:
    """Run one video from its first frame to its last and write what `samodal run` writes.

    A run that was interrupted goes on where it stopped, and a finished one is not made again (`samodal.runs.folder`).
    Depends on its arguments alone, and they can be pickled: call it from any process or machine.

    Args:
        settings: what `samodal run` takes; `video`, `data`, `out`, `clips` and `workers` are not read.
        out: folder, made if missing. Each frame's line is on disk before the next frame is read.
        progress: is given each frame's result.
        remembered: what front ends reported of this video before, to run several methods over it.

    Raises:
        InputError: for anything a user can mend, a result of other settings in `out` included. The frames finished
            before are in frames.jsonl, and from them tracks.json is written all the same.
    """
    settings = settled(settings, video)
    folder = RunFolder(out, MadeFrom.of(settings, video))
    if (record := folder.finished(settings.overwrite)) is not None:
        return _known(record, video, out)
    session, method = make_session(settings, video, remembered), make_method(settings)
    with folder.opened(settings.overwrite):
        if (record := folder.finished(settings.overwrite)) is not None:  # by another process, meanwhile
            return _known(record, video, out)
        run = SavedRun(folder, settings, video, session, method)
        report = RunReport(folder.work, run.frames, wanted=settings.report and settings.overlay)
        start = perf_counter()
        try:
            with run.writer, overlaid(settings, run.frames, folder.work) as overlay, report:
                for frame, result in run:
                    if overlay is not None:
                        overlay.add(frame, result)
                    report.add(frame, result)
                    if progress is not None:
                        progress(result)
        except BaseException as error:  # what is done is kept, also after a damaged frame or an interruption
            if folder.made.live and isinstance(error, KeyboardInterrupt):
                _finish(folder, start, report)  # no other end than this one
                error.args = (*error.args, COMPLETE)
                raise
            kept, where = _leave(folder, run.frames.length)
            if kept and isinstance(error, InputError):
                raise InputError(f"{error}; the {kept} frames before are written to {where}") from error
            raise
        summary = _finish(folder, start, report)
    if summary is None:
        raise InputError(f"{video.source}: an empty video, no frame could be read")
    return summary


def _finish(folder: RunFolder, start: float, report: RunReport) -> Summary | None:
    """Bring a result to its end; None where it has no frame."""
    totals = finish(folder.lines, folder.work / "tracks.json")
    if totals is None:
        folder.clear()
        return None
    report.write(folder.lines)
    counts = totals.frames, len(totals.ids), totals.visible, totals.amodal, totals.hidden
    summary = Summary(totals.clip, *counts, perf_counter() - start, folder.out, merges=totals.merges)
    left_out = ("out", "before") if totals.merges else ("out", "before", "merges")
    folder.complete({name: value for name, value in asdict(summary).items() if name not in left_out})
    return summary


def _leave(folder: RunFolder, length: int | None) -> tuple[int, Path]:
    """Leave what an interrupted run has; gives how many frames, and where they lie."""
    kept, where = result_count(folder.lines), folder.work
    if not kept:
        folder.clear()
    with suppress(InputError, OSError):  # the disk may be what failed; the lines are there
        if kept:
            finish(folder.lines, folder.work / "tracks.json", complete=False)
            where = folder.leave(length)
    return kept, where


def _known(record: dict[str, Any], video: Video, out: Path) -> Summary:
    """The summary of a result that was finished before."""
    counts = {"clip": video.name, "frames": 0, "tracks": 0, "visible": 0, "amodal": 0, "hidden": 0, "seconds": 0.0}
    return Summary(**(counts | record.get("summary", {})), out=out, before=True)


def run_all(settings: RunSettings) -> list[Summary]:
    """Run the video, or every clip of the data set that has no finished result with these settings yet.

    A clip that fails is recorded in its folder, in failed.txt, and the others go on.

    Returns:
        what was run, in the order of the clips.

    Raises:
        Incomplete: at the end, where clips failed.
        InputError: for anything else that a user can mend, also where all clips failed for one reason.
    """
    if (settings.video is None) == (settings.data is None):
        raise InputError("give either a video or --data, as in: samodal run drive.mp4")
    check_settings(settings)
    settings, reason = with_best(settings)
    if reason:
        print(reason)
    if settings.data and (settings.fps or any(place for _, place in wanted(settings.save or "coco"))):
        raise InputError("--fps, and paths in --save, are for a single video; leave them out with --data")
    if settings.save:
        check_save(settings.save, settings.video)
    if settings.out is not None:
        check_folder(settings.out, "--out")
    return _run_clips(settings) if settings.video is None else [_run_single(settings, settings.video)]


def finish(lines: Path, tracks: Path, complete: bool = True) -> Totals | None:
    """Write tracks.json from frames.jsonl, if there is a frame in it; counts what frames.jsonl holds.

    Args:
        complete: False says in tracks.json that frames are missing.
    """
    if not result_count(lines):
        return None
    content = FrameLines(lines)
    totals = Totals(content.clip)
    info = {"settings": content.settings} | ({} if complete else {"complete": False})
    write_tracks_of(tracks, content.clip, content.size, totals.counted(content), info)
    return totals


def _run_single(settings: RunSettings, source: str) -> Summary:
    video = open_video(source, settings.strict, settings.fps)
    out = settings.out or free_folder(settings, {"": lambda: video})
    for notice in notices(settings):
        print(notice)
    length = excerpt(video, settings.frames, settings.stride).length
    with frames_bar("frames", length) as advance:
        summary = run_video(settings, video, out, progress=lambda result: advance(1, _of_ids(result)))
    print(summary)
    for line in save(out, settings.save):
        print(printable(line))
    if summary.before:
        print(f"{printable(out)}: is finished with these settings already; --overwrite makes it anew")
        if settings.report and settings.overlay and not (out / REPORT).exists():
            print(printable(f"it has no {REPORT}: samodal report {out} makes it"))
        return summary
    written = ", ".join(sorted(path.name for path in out.iterdir()))
    print(printable(f"wrote {written} to {out}"))
    if (out / REPORT).exists():
        print(printable(f"open {out / REPORT}"))
    return summary


def _of_ids(result: FrameResult) -> str:
    """How many ids are alive and hidden, for the line of progress."""
    states = [instance.state for instance in result if instance.state != State.LOST]
    return f"{len(states)} ids, {sum(state in UNSEEN for state in states)} hidden"


def _run_clips(settings: RunSettings) -> list[Summary]:
    _opened.cache_clear()  # a data set may have grown since
    dataset = _opened(settings.data)
    clips = list(dict.fromkeys(settings.clips.split(","))) if settings.clips else list(dataset.sequences)
    for clip in clips:
        if clip not in dataset.sequences:
            dataset.video(clip)  # raises what says so
    if settings.out is None:
        settings = replace(settings, out=free_folder(settings, {clip: partial(dataset.video, clip) for clip in clips}))
    for notice in notices(settings):
        print(notice)
    lengths = _unfinished(settings, clips)
    alone = settings.workers <= 1 or len(lengths) <= 1
    if lengths:  # what is wrong with the method is no clip's failure: finished results stay as they are
        make_method(settings if alone else replace(settings, device="cpu"))
    executor = InProcess() if alone else Processes(settings.workers, threads=1)
    done: dict[str, Summary | Failure] = {}
    with frames_bar("frames", None if None in lengths.values() else sum(lengths.values())) as advance:
        work = partial(_run_clip, settings, (lambda result: advance(1, _of_ids(result))) if alone else None)
        for clip, outcome in executor.run(work, list(lengths)):
            done[clip] = outcome
            _record(inside(settings.out, clip) / "failed.txt", outcome)
            if not alone and isinstance(outcome, Summary):
                advance(outcome.frames)
    return _report(settings, clips, done)


def _run_clip(settings: RunSettings, progress: Callable[[FrameResult], None] | None, clip: str) -> Summary:
    """Run a clip of a data set that this process opens once; for any number of workers it is the same bytes."""
    # A copy: what is read of a clip, its truth above all, goes with it; the data set keeps its own.
    video = copy(_opened(settings.data).video(clip))
    with one_thread():
        return run_video(settings, video, inside(settings.out, clip), progress)


@lru_cache(maxsize=1)
def _opened(data: str):
    from samodal.data.open import open_dataset

    return open_dataset(data)


def _unfinished(settings: RunSettings, clips: Iterable[str]) -> dict[str, int | None]:
    """The clips without a finished result, and how many frames each has; truth and images are not read for it."""
    lengths: dict[str, int | None] = {}
    for clip in clips:
        try:
            video = _opened(settings.data).video(clip)
            length = excerpt(video, settings.frames, settings.stride).length
            if not _finished(settings, video, inside(settings.out, clip)):
                lengths[clip] = length
        except InputError:
            lengths[clip] = 0  # running it says why
    return lengths


def _finished(settings: RunSettings, video: Video, out: Path) -> bool:
    """Whether a whole result of the same settings and data is there."""
    record = None if settings.overwrite else whole(out)
    if record is None:
        return False
    return any(not made.differences(record) for made in candidates(settings, video))


def _record(path: Path, outcome: Summary | Failure) -> None:
    """Keep the reason of a failure where its results would be; a success removes it."""
    if isinstance(outcome, Summary):
        path.unlink(missing_ok=True)
    elif whole(path.parent) is None:
        # The disk may be what failed; and where another process is at work, nothing is written.
        with suppress(OSError, InputError), held(path.parent, patience=0):
            path.write_text(f"{outcome.reason}\n{outcome.trace}", encoding="utf-8")


def _report(settings: RunSettings, clips: Sequence[str], done: dict[str, Summary | Failure]) -> list[Summary]:
    """Print what was run, and raise what failed."""
    summaries = [done[clip] for clip in clips if isinstance(done.get(clip), Summary)]
    failed = {clip: done[clip] for clip in clips if isinstance(done.get(clip), Failure)}
    for summary in summaries:
        print(summary)
        for line in save(summary.out, settings.save):
            print(printable(line))
    if len(failed) == len(clips) and len({failure.reason for failure in failed.values()}) == 1:
        raise failed[clips[0]].error
    if failed:
        raise Incomplete(
            f"{len(failed)} of {len(clips)} clips failed, the others are done; see {settings.out}/CLIP/failed.txt, and "
            "run the same again for those that failed:",
            [f"{clip}: {failure.reason}" for clip, failure in failed.items()],
        )
    if not done:
        print(f"{printable(settings.out)}: every clip is finished with these settings already")
    return summaries
