"""Running a method over a video: what the command line, experiments and clusters call."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from samodal.build import make_method, make_rules, make_session, settled
from samodal.errors import InputError
from samodal.executors import clip_pool
from samodal.frontends.remembered import Remembered
from samodal.parts import Observed, Video
from samodal.registry import TRACKERS
from samodal.results.frames import Frames, FramesWriter, read_frames
from samodal.results.youtube_vis import write_tracks
from samodal.settings import RunSettings
from samodal.tracks import UNSEEN, FrameResult
from samodal.version import __version__
from samodal.video import excerpt, open_video, renumber

DEMONSTRATION = (
    "The embedded weights of {} were trained on StreetSim alone and are for demonstration; "
    "for real video give {} (docs/real-video.md)."
)
OTHER_TRACKER = (
    "The released code tracks with CoTracker v1, this run with {}. For v1: --tracker cotracker1:CHECKOUT,CHECKPOINT "
    "(CC-BY-NC 4.0; {})."
)


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
            f"{self.clip}: {self.frames} frames, {self.tracks} tracks, {self.visible} visible masks -> {self.amodal} "
            f"amodal masks ({self.hidden} of them fully hidden), {self.seconds:.1f} s ({rate:.1f} frames/s)"
        )


def run_video(
    settings: RunSettings,
    video: Video,
    out: Path,
    progress: Callable[[int], None] | None = None,
    said: Remembered | None = None,
) -> Summary:
    """Run one video from its first frame to its last and write frames.jsonl, tracks.json and overlay.mp4.

    Depends on its arguments alone, and they can be pickled: call it from any process or machine.

    Args:
        settings: what `samodal run` takes; `video`, `data`, `out`, `clips` and `workers` are not read.
        out: folder, made if missing. Each frame's line is on disk before the next frame is read.
        progress: is told the number of frames done.
        said: what front ends said of this video before, to run several methods over it.

    Raises:
        InputError: for anything a user can mend. The frames finished before are in frames.jsonl, and from them
            tracks.json is written all the same.
    """
    settings = settled(settings, video)
    session = make_session(settings, video, said)
    method = make_method(settings)
    frames = excerpt(video, settings.frames)
    wanted = set(settings.classes.split(",")) if settings.classes else None
    out.mkdir(parents=True, exist_ok=True)
    lines, start = out / "frames.jsonl", perf_counter()
    try:
        with ExitStack() as stack:
            writer = stack.enter_context(FramesWriter(lines, video.name, video.size, describe(settings, video)))
            overlay = stack.enter_context(_Overlay(settings, frames, out)) if settings.overlay else None
            observed = _Latest(_observe(frames, session, wanted))
            for result in method.run(video.name, observed):
                if hasattr(session, "learn"):
                    session.learn(result)
                frame = observed.frames.pop(result.t)
                writer.write(result, frame.name)
                if overlay is not None:
                    overlay.add(frame, result)
                if progress is not None:
                    progress(result.t + 1)
            if result_count(lines) == 0:
                raise InputError(f"{video.source}: an empty video, no frame could be read")
    finally:
        content = finish(lines, out / "tracks.json")
    return summarise(content, perf_counter() - start, out)


def run_all(settings: RunSettings) -> list[Summary]:
    """Run the video, or every clip of the data set that has no finished result with these settings yet."""
    from samodal.progress import frames_bar

    jobs = [(video, out) for video, out in _jobs(settings) if not _finished(settings, video, out)]
    if not (settings.data or "").startswith("streetsim:") and (embedded := _embedded(settings)):
        print(DEMONSTRATION.format(" and ".join(embedded), " and ".join(embedded.values())))
    if (
        settings.method == "samodal"
        and settings.preset == "released"
        and not settings.tracker.startswith("cotracker1:")
    ):
        print(OTHER_TRACKER.format(settings.tracker, TRACKERS["cotracker1"].needs))
    total = None if any(v.length is None for v, _ in jobs) else sum(excerpt(v, settings.frames).length for v, _ in jobs)
    with frames_bar("frames", total) as advance:
        if settings.workers > 1 and len(jobs) > 1:
            summaries = list(_parallel(settings, jobs, advance))
        else:
            summaries = [run_video(settings, video, out, progress=lambda _: advance(1)) for video, out in jobs]
    for summary in summaries:
        print(summary)
    if not jobs:
        print(f"{settings.out}: every clip is finished with these settings already")
    elif not settings.data:
        print(f"wrote {', '.join(sorted(p.name for p in settings.out.iterdir()))} to {settings.out}")
    return summaries


def describe(settings: RunSettings, video: Video) -> dict[str, Any]:
    """What made a result, as JSON: settings, rules, version and source."""
    used = asdict(settings) | {"rules": asdict(make_rules(settings)), "out": None, "workers": None, "clips": None}
    used["reassociate"] = settings.reassociate or None
    used = {name: value for name, value in used.items() if value is not None}
    return used | {"samodal": __version__, "source": video.source, "fps": video.fps}


def finish(lines: Path, tracks: Path) -> Frames | None:
    """Write tracks.json from frames.jsonl, if there is a frame in it; gives what frames.jsonl holds."""
    if not lines.exists() or not result_count(lines):
        return None
    content = read_frames(lines)
    write_tracks(tracks, content.tracks(), {"settings": content.settings})
    return content


def result_count(lines: Path) -> int:
    """Number of finished frames in a frames.jsonl."""
    with lines.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def summarise(content: Frames, seconds: float, out: Path) -> Summary:
    """Count what a frames.jsonl holds."""
    instances = [one for result in content.results for one in result.instances]
    return Summary(
        content.clip,
        len(content.results),
        len({one.id for one in instances}),
        sum(one.visible is not None for one in instances),
        sum(one.amodal is not None for one in instances),
        sum(one.amodal is not None and one.visible is None and one.state in UNSEEN for one in instances),
        seconds,
        out,
    )


class _Latest:
    """Passes observed frames on and keeps those whose result has not come yet."""

    def __init__(self, observed: Iterable[Observed]):
        self._observed, self.frames = observed, {}

    def __iter__(self) -> Iterator[Observed]:
        for one in self._observed:
            self.frames[one.frame.t] = one.frame
            yield one


class _Overlay:
    """overlay.mp4, frame by frame."""

    def __init__(self, settings: RunSettings, video: Video, out: Path):
        from samodal.drawing.overlay import Drawer, VideoWriter

        self._drawer, self._writer = Drawer(), VideoWriter(out / "overlay.mp4", video.size, video.fps)

    def add(self, frame, result: FrameResult) -> None:
        self._writer.write(self._drawer.draw(frame.image, result), frame.time)

    def __enter__(self) -> "_Overlay":
        return self

    def __exit__(self, *failure) -> None:
        self._writer.close()


def _observe(frames: Video, session, wanted: set[str] | None) -> Iterator[Observed]:
    """Frames counted from 0, each with what the front end sees in it."""
    for t, frame in enumerate(frames):
        visible = session.step(frame.image, frame.t)
        ids = [one.id for one in visible]
        if len(set(ids)) < len(ids):
            twice = next(key for key in ids if ids.count(key) > 1)
            raise InputError(f"{frames.source}: the front end gave id {twice} twice in frame {frame.t}")
        kept = [one for one in visible if wanted is None or one.category in wanted]
        yield Observed(renumber(frame, t), kept)


def _embedded(settings: RunSettings) -> dict[str, str]:
    """The embedded models that a run uses, each with the setting that names another."""
    sam = settings.method == "samodal" and settings.weights == RunSettings.weights
    vis = settings.vis in ("videomt", "centers") or (settings.vis is None and settings.data is None)
    return dict([("the amodal SAM", "--weights")] * sam + [("the front end", "--vis")] * vis)


def _jobs(settings: RunSettings) -> list[tuple[Video, Path]]:
    """(video, folder for its results): one for a video, one for each clip of a data set."""
    if (settings.video is None) == (settings.data is None):
        raise InputError("give either a video or --data, as in: samodal run drive.mp4")
    if settings.video is not None:
        return [(open_video(settings.video), settings.out)]
    from samodal.data.open import open_dataset

    dataset = open_dataset(settings.data)
    names = settings.clips.split(",") if settings.clips else dataset.sequences
    return [(dataset.video(name), settings.out / name) for name in names]


def _finished(settings: RunSettings, video: Video, out: Path) -> bool:
    """Whether tracks.json of a data set's clip is there, made with the same settings."""
    path, lines = out / "tracks.json", out / "frames.jsonl"
    if settings.data is None or not path.exists():
        return False
    if video.length is not None and result_count(lines) < excerpt(video, settings.frames).length:
        return False  # interrupted: what was finished is there, and no more
    made = json.loads(path.read_text(encoding="utf-8")).get("info", {}).get("settings")
    same = json.loads(json.dumps(describe(settled(settings, video), video), default=str))
    return made == same and (not settings.overlay or (out / "overlay.mp4").exists())


def _parallel(settings: RunSettings, jobs: list[tuple[Video, Path]], advance) -> Iterator[Summary]:
    """One process per worker, each with an equal share of the cores."""
    threads = max(1, (os.cpu_count() or 1) // settings.workers)
    alone = replace(settings, workers=1)
    with clip_pool(settings.workers, threads) as pool:
        waiting = [pool.submit(run_video, alone, video, out) for video, out in jobs]
        for done in as_completed(waiting):
            summary = done.result()
            advance(summary.frames)
            yield summary
