"""Running a method over a video, or over every clip of a data set: what the command line and experiments call."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

from samodal.build import (
    EMBEDDED_FRONT_END,
    check_settings,
    make_method,
    make_rules,
    make_session,
    notices,
    settled,
    with_segmenter,
)
from samodal.errors import Incomplete, InputError, printable
from samodal.executors import Failure, InProcess, Processes, one_thread
from samodal.files import inside, read_json
from samodal.frontends.remembered import Remembered
from samodal.method.checks import reported
from samodal.parts import Frame, Method, Observed, Video, VisSession
from samodal.progress import frames_bar
from samodal.results.by_track import Totals
from samodal.results.frames import FrameLines, FramesWriter
from samodal.results.tracks_json import write_tracks_of
from samodal.settings import RunSettings
from samodal.tracks import FrameResult
from samodal.version import __version__
from samodal.video import excerpt, open_video, renumber


@dataclass(frozen=True)
class Summary:
    """What a run of one video came to.

    Attributes:
        clip: name of the video.
        frames, tracks: how many.
        visible, amodal, hidden: masks: reported by the front end, given out, and of these without a visible part.
        seconds: wall clock, without loading the model.
        out: the folder with the files.
    """

    clip: str
    frames: int
    tracks: int
    visible: int
    amodal: int
    hidden: int
    seconds: float
    out: Path

    def __str__(self) -> str:
        rate = self.frames / max(self.seconds, 1e-9)
        return (
            f"{printable(self.clip)}: {self.frames} frames, {self.tracks} tracks, {self.visible} visible masks -> "
            f"{self.amodal} amodal masks ({self.hidden} of them fully hidden), {self.seconds:.1f} s "
            f"({rate:.1f} frames/s)"
        )


def run_video(
    settings: RunSettings,
    video: Video,
    out: Path,
    progress: Callable[[int], None] | None = None,
    remembered: Remembered | None = None,
) -> Summary:
    """Run one video from its first frame to its last and write frames.jsonl, tracks.json and overlay.mp4.

    Depends on its arguments alone, and they can be pickled: call it from any process or machine.

    Args:
        settings: what `samodal run` takes; `video`, `data`, `out`, `clips` and `workers` are not read.
        out: folder, made if missing. Each frame's line is on disk before the next frame is read.
        progress: is given the number of frames done.
        remembered: what front ends reported of this video before, to run several methods over it.

    Raises:
        InputError: for anything a user can mend. The frames finished before are in frames.jsonl, and from them
            tracks.json is written all the same.
    """
    settings = settled(settings, video)
    session, method = make_session(settings, video, remembered), make_method(settings)
    frames = excerpt(video, settings.frames)
    out.mkdir(parents=True, exist_ok=True)
    lines, start = out / "frames.jsonl", perf_counter()
    try:
        with (
            FramesWriter(lines, video.name, video.size, describe(settings, video), settings.details) as writer,
            _Overlay(settings, frames, out) if settings.overlay else nullcontext() as overlay,
        ):
            for frame, result in _results(settings, frames, session, method):
                writer.write(result, frame.name)
                if overlay is not None:
                    overlay.add(frame, result)
                if progress is not None:
                    progress(result.t + 1)
    except InputError as error:
        if kept := result_count(lines) if lines.exists() else 0:
            raise InputError(f"{error}; the {kept} frames before are written to {out}") from error
        raise
    finally:  # what is done is kept, also after a damaged frame or an interruption
        totals = finish(lines, out / "tracks.json")
    if totals is None:
        raise InputError(f"{video.source}: an empty video, no frame could be read")
    seconds = perf_counter() - start
    return Summary(
        totals.clip, totals.frames, len(totals.ids), totals.visible, totals.amodal, totals.hidden, seconds, out
    )


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
    if taken := next((path for path in (settings.out, *settings.out.parents) if path.is_file()), None):
        raise InputError(f"--out {taken}: is a file; give a folder")
    return _run_clips(settings) if settings.video is None else [_run_single(settings, settings.video)]


def describe(settings: RunSettings, video: Video) -> dict[str, Any]:
    """What made a result, as JSON: settings, rules, version and source."""
    used = asdict(settings) | {"rules": asdict(make_rules(settings)), "out": None, "workers": None, "clips": None}
    used |= {name: getattr(settings, name) or None for name in ("reassociate", "graph", "details", "strict")}
    used = {name: value for name, value in used.items() if value is not None}
    return used | {"samodal": __version__, "source": video.source, "fps": video.fps}


def finish(lines: Path, tracks: Path) -> Totals | None:
    """Write tracks.json from frames.jsonl, if there is a frame in it; counts what frames.jsonl holds."""
    if not lines.exists() or not result_count(lines):
        return None
    content = FrameLines(lines)
    totals = Totals(content.clip)
    write_tracks_of(tracks, content.clip, content.size, totals.counted(content), {"settings": content.settings})
    return totals


def result_count(lines: Path) -> int:
    """Number of finished frames in a frames.jsonl."""
    with lines.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


class _Overlay:
    """overlay.mp4, frame by frame."""

    def __init__(self, settings: RunSettings, video: Video, out: Path):
        from samodal.drawing.overlay import Drawer
        from samodal.drawing.video import VideoWriter

        self._drawer = Drawer(graph=settings.graph)
        self._writer = VideoWriter(out / "overlay.mp4", video.size, video.fps)

    def add(self, frame: Frame, result: FrameResult) -> None:
        self._writer.write(self._drawer.draw(frame.image, result), frame.time)

    def __enter__(self) -> "_Overlay":
        return self

    def __exit__(self, *failure) -> None:
        self._writer.close()


def _results(
    settings: RunSettings, video: Video, session: VisSession, method: Method
) -> Iterator[tuple[Frame, FrameResult]]:
    """Each frame with its result; frames are counted from 0 and kept until their result comes."""
    waiting: dict[int, Frame] = {}

    def observed() -> Iterator[Observed]:
        for observation in _observe(settings, video, session):
            waiting[observation.frame.t] = observation.frame
            yield observation

    for result in method.run(video.name, observed()):
        session.learn(result)
        yield waiting.pop(result.t), result


def _observe(settings: RunSettings, video: Video, session: VisSession) -> Iterator[Observed]:
    """Frames counted from 0, each with what the front end reports in it, of the classes that are wanted."""
    wanted = settings.classes.split(",") if settings.classes else None
    classes: set[str] = set()
    for t, frame in enumerate(video):
        visible = reported(session, frame.image, frame.t)
        classes.update(instance.category for instance in visible)
        chosen = [instance for instance in visible if wanted is None or instance.category in wanted]
        yield Observed(renumber(frame, t), chosen)
    if wanted and classes.isdisjoint(wanted):
        found = ", ".join(sorted(classes)) or "none"
        text = f"{video.name}: no instance of class {', '.join(wanted)}; seen: {found}"
        print(printable(text), file=sys.stderr)


def _run_single(settings: RunSettings, source: str) -> Summary:
    video = open_video(source, settings.strict)
    for notice in notices(settings):
        print(notice)
    length = excerpt(video, settings.frames).length
    with frames_bar("frames", length) as advance:
        summary = run_video(settings, video, settings.out, progress=lambda _: advance(1))
    print(summary)
    written = ", ".join(sorted(path.name for path in settings.out.iterdir()))
    print(printable(f"wrote {written} to {settings.out}"))
    return summary


def _run_clips(settings: RunSettings) -> list[Summary]:
    _opened.cache_clear()  # a data set may have grown since
    dataset = _opened(settings.data)
    clips = list(dict.fromkeys(settings.clips.split(","))) if settings.clips else list(dataset.sequences)
    for clip in clips:
        if clip not in dataset.sequences:
            dataset.video(clip)  # raises what says so
    for notice in notices(settings):
        print(notice)
    lengths = _unfinished(settings, clips)
    alone = settings.workers <= 1 or len(lengths) <= 1
    if lengths:  # what is wrong with the method is no clip's failure: finished results stay as they are
        make_method(settings if alone else replace(settings, device="cpu"))
    executor = InProcess() if alone else Processes(settings.workers, threads=1)
    done: dict[str, Summary | Failure] = {}
    with frames_bar("frames", None if None in lengths.values() else sum(lengths.values())) as advance:
        work = partial(_run_clip, settings, (lambda _: advance(1)) if alone else None)
        for clip, outcome in executor.run(work, list(lengths)):
            done[clip] = outcome
            _record(inside(settings.out, clip) / "failed.txt", outcome)
            if not alone and isinstance(outcome, Summary):
                advance(outcome.frames)
    return _report(settings, clips, done)


def _run_clip(settings: RunSettings, progress: Callable[[int], None] | None, clip: str) -> Summary:
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
            length = excerpt(video, settings.frames).length
            if not _finished(settings, video, inside(settings.out, clip), length):
                lengths[clip] = length
        except InputError:
            lengths[clip] = 0  # running it says why
    return lengths


def _finished(settings: RunSettings, video: Video, out: Path, length: int | None) -> bool:
    """Whether tracks.json of a clip is there, whole, and made with the same settings."""
    path, lines = out / "tracks.json", out / "frames.jsonl"
    ended = path.exists() and lines.exists() and not (out / "failed.txt").exists()
    if not ended or (length is not None and result_count(lines) < length):  # interrupted: some frames, and no more
        return False
    content = read_json(path)
    made = content.get("info", {}).get("settings") if isinstance(content, dict) else None
    # Which front end an unnamed one came to depends on whether there is truth; to know, it would have to be read.
    settled_as = [{}] if settings.vis is not None else [{"vis": "truth"}, EMBEDDED_FRONT_END]
    same = (describe(replace(with_segmenter(settings), **front_end), video) for front_end in settled_as)
    return made in [json.loads(json.dumps(values, default=str)) for values in same] and (
        not settings.overlay or (out / "overlay.mp4").exists()
    )


def _record(path: Path, outcome: Summary | Failure) -> None:
    """Keep the reason of a failure where its results would be; a success removes it."""
    with suppress(OSError):  # the disk may be what failed
        if isinstance(outcome, Failure):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{outcome.reason}\n{outcome.trace}", encoding="utf-8")
        else:
            path.unlink(missing_ok=True)


def _report(settings: RunSettings, clips: Sequence[str], done: dict[str, Summary | Failure]) -> list[Summary]:
    """Print what was run, and raise what failed."""
    summaries = [done[clip] for clip in clips if isinstance(done.get(clip), Summary)]
    failed = {clip: done[clip] for clip in clips if isinstance(done.get(clip), Failure)}
    for summary in summaries:
        print(summary)
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
