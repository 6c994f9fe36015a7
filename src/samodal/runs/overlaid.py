"""overlay.mp4 of a run, and its live page, drawn beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samodal.parts import Frame, Video
from samodal.settings import RunSettings
from samodal.threads import Behind
from samodal.tracks import FrameResult


@contextmanager
def overlaid(settings: RunSettings, video: Video, folder: Path) -> Iterator["_Overlay | None"]:
    """Draw overlay.mp4 into a folder, and the live page, while a run goes on; None where the settings want none."""
    if not settings.overlay and not settings.show:
        yield None
        return
    overlay = _Overlay(settings, video, folder)
    try:
        yield overlay
    finally:
        overlay.close()


class _Overlay:
    """What is drawn, frame by frame, by a thread of its own; `add` takes a frame and its result."""

    def __init__(self, settings: RunSettings, video: Video, out: Path):
        from samodal.drawing.live import LivePage
        from samodal.drawing.overlay import Drawer
        from samodal.drawing.video import VideoWriter

        drawn = {name: name in settings.drawn for name in ("labels", "points", "legend", "whole")}
        self._drawer = Drawer(graph=settings.graph, **drawn)
        self._writer = VideoWriter(out / "overlay.mp4", video.size, video.fps) if settings.overlay else None
        self._live = LivePage(video.name) if settings.show else None
        self.add = Behind(self._draw)

    def _draw(self, frame: Frame, result: FrameResult) -> None:
        drawn = self._drawer.draw(frame.image, result)
        if self._writer is not None:
            self._writer.write(drawn, frame.time)
        if self._live is not None:
            self._live.show(drawn)

    def close(self) -> None:
        """Draw what is waiting, and bring the file to its end; raises what went wrong with it."""
        try:
            self.add.close()
        finally:
            if self._live is not None:
                self._live.close()
            if self._writer is not None:
                self._writer.close()
