"""Making reports: while a run is at work, or later from what it left on disk."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError, printable
from samodal.making import not_taken, split
from samodal.parts import Frame, Video
from samodal.progress import notice
from samodal.registry import METHODS
from samodal.report.clip import ReportClip, page_size
from samodal.report.gather import Gathered, fps_of, gather, gathering, told
from samodal.report.outlines import PIECE
from samodal.report.page import write_page
from samodal.results.frames import FrameLines, result_count
from samodal.runs.folder import REPORT, read_record
from samodal.threads import Behind
from samodal.tracks import FrameResult
from samodal.video import excerpt, open_video

SHOWN_SETTINGS = (
    "source", "vis", "method", "offline", "preset", "segmenter", "weights", "tracker", "reassociate", "samodal",
)  # fmt: skip
HINDSIGHT = "hindsight: masks in gaps were made from later frames too"
OUTLINES = "outlines"
UNFINISHED_RUN = "the run is not finished: these are its frames so far"


class RunReport:
    """Makes the report of a run that is at work: takes its frames, and writes the page when they are all on disk.

    Args:
        work: folder for what is not finished; the small video lies in it until the page is written.
        video: that is run.
        wanted: without it nothing is written.
    """

    def __init__(self, work: Path, video: Video, wanted: bool):
        self._work = work
        self._clip = ReportClip(work / "report.mp4", video.size, video.fps) if wanted else None
        self._behind: Behind | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="samodal-") if wanted else None
        self._gathered: Gathered | None = None

    def add(self, frame: Frame, result: FrameResult) -> None:
        """Take a frame; its picture is written beside what comes after, and what goes wrong then is raised later."""
        if self._behind is not None:
            self._behind(frame.image, frame.time)

    def __enter__(self) -> RunReport:
        self._behind = None if self._clip is None else Behind(self._clip.add)
        return self

    def __exit__(self, *failure) -> None:
        if self._clip is not None and self._behind is not None:
            try:
                self._behind.close()
            finally:
                self._clip.close()

    def watched(self, lines: FrameLines) -> Iterator[tuple[str, FrameResult]]:
        """The frames of a frames.jsonl that is whole, as they are read for other files: the page needs them as well."""
        if self._folder is None:
            yield from lines
            return
        newest: list[tuple[str, FrameResult]] = []

        def noted() -> Iterator[tuple[str, FrameResult]]:
            for frame in lines:
                newest[:] = [frame]
                yield frame

        for step in gathering(lines, Path(self._folder.name) / OUTLINES, noted()):
            if isinstance(step, Gathered):
                self._gathered = step
            else:
                yield newest[0]

    def write(self) -> None:
        """Write report.html of the frames that were `watched`."""
        if self._clip is not None and self._folder is not None and self._gathered is not None:
            outlines = Path(self._folder.name) / OUTLINES
            _write(self._gathered, outlines, self._clip, self._work / REPORT)
            self._folder.cleanup()


def write_report(lines: FrameLines, clip: ReportClip, path: Path, finished: bool = True) -> None:
    """Write the page of a frames.jsonl and its small video, which is closed.

    Args:
        finished: False says that frames are missing.

    Raises:
        InputError: if a file is damaged, or the page cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="samodal-") as folder:
        outlines = Path(folder) / OUTLINES
        _write(gather(lines, outlines), outlines, clip, path, finished)


def _write(gathered: Gathered, outlines: Path, clip: ReportClip, path: Path, finished: bool = True) -> None:
    name, shown = gathered.lines.clip, clip.shown[: len(gathered.seconds)]
    data = page_data(name, gathered, shown) | {"runs": [told(gathered, clip.path, shown, name)]}
    data["settings"] += [] if finished else [["run", UNFINISHED_RUN]]
    write_page(path, f"{name}: amodal report", data, clip.path, [outlines])


def page_data(name: str, gathered: Gathered, shown: list[int]) -> dict[str, Any]:
    """What a page tells of its frames, whether of one run or of two."""
    height, width = page_size(gathered.lines.size)
    settings = gathered.lines.settings
    return {
        "name": printable(name),
        "size": [width, height],
        "source_size": list(gathered.lines.size[::-1]),
        "shown": shown,
        "piece": PIECE,
        "fps": fps_of(settings),
        "seconds": [round(time, 3) for time in gathered.seconds],
        "settings": shown_settings(settings),
    }


def shown_settings(settings: dict[str, Any]) -> list[list[str]]:
    """The settings of a run that a page names, as texts: those that its method takes.

    Passwords of streams are left out, as pages are handed on.
    """
    method = str(settings.get("method", "samodal"))
    names = set(SHOWN_SETTINGS) - set(not_taken(method) if split(method, METHODS)[0] in METHODS else ())
    given = {key: settings[key] for key in SHOWN_SETTINGS if key in names and settings.get(key) is not None}
    given |= {"offline": HINDSIGHT} if given.get("offline") else {}
    return [[key, printable(re.sub(r"//[^/@]*@", "//", str(value)))] for key, value in given.items()]


def make_report(run: Path, video: str | None = None, progress: Callable[[int], None] | None = None) -> list[Path]:
    """Write report.html for a run that is on disk, or for each run of a data set's clips; gives the files.

    Args:
        run: folder with frames.jsonl, or with folders that have one.
        video: where the frames are now, if they have moved.
        progress: is given the number of frames done.

    Raises:
        InputError: if there is no run, or it is damaged.
    """
    folders = [run] if (run / "frames.jsonl").exists() else sorted(path.parent for path in run.glob("*/frames.jsonl"))
    if not folders:
        raise InputError(f"{run}: no frames.jsonl in it or in a folder below; give the folder that samodal run wrote")
    return [_of_folder(folder, video, progress) for folder in folders]


def _of_folder(folder: Path, video: str | None, progress: Callable[[int], None] | None) -> Path:
    lines = FrameLines(folder / "frames.jsonl")
    if not result_count(lines.path):
        raise InputError(f"{lines.path}: holds no finished frame")
    with tempfile.TemporaryDirectory(prefix="samodal-") as work:
        clip = clip_of(lines, Path(work) / "report.mp4", video, progress)
        record = read_record(folder)
        finished = record is None or record.get("complete") is not False
        if not finished:
            notice(f"{folder}: {UNFINISHED_RUN}")
        write_report(lines, clip, folder / REPORT, finished)
    return folder / REPORT


def clip_of(
    lines: FrameLines, path: Path, video: str | None, progress: Callable[[int], None] | None = None
) -> ReportClip:
    """The small video of a run's frames, read again from their source; grey where that is no longer there."""
    pictures = _pictures(lines, video)
    with closing(ReportClip(path, lines.size, fps_of(lines.settings))) as clip:
        for _, result in lines:
            image = next(pictures, None)
            clip.add(image, result.time)
            if progress is not None:
                progress(1)
    return clip


def _pictures(lines: FrameLines, given: str | None) -> Iterator[np.ndarray]:
    """The (H, W, 3) uint8 frames of a run, as far as they are there."""
    try:
        for frame in _source(lines.settings, given or lines.settings.get("source"), lines.clip):
            if frame.image.shape[:2] != lines.size:
                height, width = frame.image.shape[:2]
                raise InputError(f"{width}x{height} pixels, but the run has {lines.size[1]}x{lines.size[0]}")
            yield frame.image
    except InputError as error:
        if given is not None:
            raise InputError(f"--video {given}: {error}") from None
        notice(f"{lines.path.parent}: its frames cannot be read ({error}); the report is grey there; give --video")


def _source(settings: dict[str, Any], source: Any, clip: str) -> Video:
    """The video that a run was made from."""
    from samodal.data.open import open_dataset

    data, part = settings.get("data"), (settings.get("frames"), settings.get("stride", 1))
    if isinstance(data, str) and source == settings.get("source"):
        return excerpt(open_dataset(data).video(clip), *part)
    if not isinstance(source, str) or not os.path.exists(source):
        raise InputError(f"{source}: is not on disk")
    return excerpt(open_video(source), *part)
