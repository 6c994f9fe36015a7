"""Running a method over one video: what runs of many videos, experiments and the benchmark call."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from samodal.build import make_method, make_session, refuse_live, settled
from samodal.errors import DiskFull, InputError, printable
from samodal.frontends.remembered import Remembered
from samodal.interruption import COMPLETE
from samodal.parts import Video
from samodal.report.make import RunReport
from samodal.results.by_track import Totals
from samodal.results.digest import Digest
from samodal.results.frames import FrameLines, result_count
from samodal.results.tracks_json import write_tracks_of
from samodal.runs.folder import MadeFrom, RunFolder
from samodal.runs.overlaid import overlaid
from samodal.runs.saved import SavedRun
from samodal.settings import RunSettings
from samodal.tracks import FrameResult


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
    out: str | Path
    before: bool = False
    merges: list[dict] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.frames / max(self.seconds, 1e-9)
        merged = f", {_count(len(self.merges), 'id')} merged with others, as run.json lists" if self.merges else ""
        return (
            f"{printable(self.clip)}: {_count(self.frames, 'frame')}, {_count(self.tracks, 'track')}, "
            f"{_count(self.visible, 'visible mask')} -> {_count(self.amodal, 'amodal mask')} "
            f"({self.hidden} of them fully hidden), {self.seconds:.1f} s ({rate:.1f} frames/s){merged}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


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
        settings: what `samodal run` takes; what says which videos, where and by whom is not read.
        out: folder, made if missing. Each frame's line is on disk before the next frame is read.
        progress: is given each frame's result.
        remembered: what front ends reported of this video before, to run several methods over it.

    Raises:
        InputError: for anything a user can mend, a result of other settings in `out` included. The frames finished
            before are in frames.jsonl, and from them tracks.json is written all the same.
    """
    settings = settled(settings, video)
    if settings.offline:
        refuse_live(video)
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
            with run, overlaid(settings, run.frames, folder.work) as overlay, report:
                for frame, result in run:
                    if overlay is not None:
                        overlay.add(frame, result)
                    report.add(frame, result)
                    if progress is not None:
                        progress(result)
        except BaseException as error:  # what is done is kept, also after a damaged frame or an interruption
            if folder.made.live and isinstance(error, KeyboardInterrupt):
                complete(folder, perf_counter() - start, report)  # no other end than this one
                error.args = (*error.args, COMPLETE)
                raise
            kept, where = _leave(folder, run.frames.length)
            if kept and isinstance(error, InputError):
                kind = DiskFull if isinstance(error, DiskFull) else InputError
                raise kind(f"{error}; the {kept} frames before are written to {where}") from error
            raise
        summary = complete(folder, perf_counter() - start, report)
    if summary is None:
        raise InputError(f"{video.source}: an empty video, no frame could be read")
    return summary


def complete(folder: RunFolder, seconds: float, report: RunReport) -> Summary | None:
    """Bring a result whose frames.jsonl is whole to its end; None where it has no frame.

    Args:
        folder: opened.
        seconds: that the frames took.
        report: closed.
    """
    digest = Digest()
    totals = finish(folder.lines, folder.work / "tracks.json", digest=digest, report=report)
    if totals is None:
        folder.clear()
        return None
    report.write()
    counts = totals.frames, len(totals.ids), totals.visible, totals.amodal, totals.hidden
    summary = Summary(totals.clip, *counts, seconds, folder.out, merges=totals.merges)
    left_out = ("out", "before") if totals.merges else ("out", "before", "merges")
    told = {name: value for name, value in asdict(summary).items() if name not in left_out}
    folder.complete(told, digest.told())
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


def finish(
    lines: Path, tracks: Path, complete: bool = True, digest: Digest | None = None, report: RunReport | None = None
) -> Totals | None:
    """Write tracks.json from frames.jsonl, if there is a frame in it; counts what frames.jsonl holds.

    Args:
        complete: False says in tracks.json that frames are missing.
        digest: gathers the numbers of each instance.
        report: watches the frames as well, so that they are read once.
    """
    if not result_count(lines):
        return None
    content = FrameLines(lines)
    totals = Totals(content.clip)
    info = {"settings": content.settings} | ({} if complete else {"complete": False})
    frames = content if report is None else report.watched(content)
    frames = totals.counted(frames if digest is None else digest.gathered(frames))
    write_tracks_of(tracks, content.clip, content.size, frames, info)
    return totals
