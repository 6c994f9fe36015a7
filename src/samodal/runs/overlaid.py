"""overlay.mp4 of a run, drawn beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samodal.parts import Frame, Video
from samodal.settings import RunSettings
from samodal.threads import Behind
from samodal.tracks import FrameResult


@contextmanager
def overlaid(settings: RunSettings, video: Video, folder: Path) -> Iterator["_Overlay | None"]:
    """Draw overlay.mp4 into a folder while a run goes on; None where the settings want none."""
    if not settings.overlay:
        yield None
        return
    overlay = _Overlay(settings, video, folder)
    try:
        yield overlay
    finally:
        overlay.close()


class _Overlay:
    """overlay.mp4, frame by frame, by a thread of its own; `add` takes a frame and its result."""

    def __init__(self, settings: RunSettings, video: Video, out: Path):
        from samodal.drawing.overlay import Drawer
        from samodal.drawing.video import VideoWriter

        drawn = {name: name in settings.drawn for name in ("labels", "points", "legend", "whole")}
        self._drawer = Drawer(graph=settings.graph, **drawn)
        self._writer = VideoWriter(out / "overlay.mp4", video.size, video.fps)
        self.add = Behind(self._draw)

    def _draw(self, frame: Frame, result: FrameResult) -> None:
        self._writer.write(self._drawer.draw(frame.image, result), frame.time)

    def close(self) -> None:
        """Draw what is waiting, and bring the file to its end; raises what went wrong with it."""
        try:
            self.add.close()
        finally:
            self._writer.close()
