"""A video being run: its frames one by one with their results, from where an interrupted run stopped."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from multiprocessing import parent_process
from typing import Any, Protocol, runtime_checkable

import numpy as np

from samodal.checks import check_entries
from samodal.errors import InputError, printable
from samodal.files import parse_json
from samodal.method.camera import View
from samodal.method.checks import reported
from samodal.method.hindsight import Hindsight, Offline
from samodal.method.saved import plain_view, read_view
from samodal.parts import Frame, LearningSession, LookingAhead, Method, Observed, Video
from samodal.results.frames import FramesWriter, read_line
from samodal.runs.folder import STATE, RunFolder
from samodal.runs.late import LateFrames
from samodal.runs.state import read_state, write_state
from samodal.segmenters.ahead import EncodingAhead
from samodal.settings import RunSettings
from samodal.threads import ahead, grouped
from samodal.tracks import FrameResult, VisibleInstance
from samodal.video import excerpt

SAVE_S = 3.0
"""Seconds between two states, at least."""
AHEAD = 2
"""Frames that wait, decoded and looked at, until those before are done."""
SAVED = {"t": int, "position": int, "reports": str, "method": dict}
"""What is saved: the newest frame, where its line ends, a digest of all reports up to it, the method's state."""
SHARE = 0.04
"""Of the time that may go into saving states: large ones are saved less often."""


@runtime_checkable
class Resumable(Method, Protocol):
    """A method that can go on elsewhere, as `samodal.Pipeline`; all others begin anew."""

    def step(self, image: np.ndarray, visible: Iterable[VisibleInstance], time: float | None = None) -> FrameResult: ...

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


class SavedRun:
    """The frames of a video with their results, each written before the next is read. Use it in a `with` statement.

    Front ends have no saved state: they see all frames again, and what they report is held against what they reported
    before. A method that is `Resumable` goes on from its last state; the frames after it, and all frames of another
    method, are made again and held against the lines that stand.

    With hindsight, these are the lines of the causal pass, in a file of their own with the view of each frame. The
    frames and results that come out are late (`samodal.runs.late`).

    Args:
        folder: opened.
        settings: settled.
        session, method: at work on the video.
    """

    def __init__(
        self, folder: RunFolder, settings: RunSettings, video: Video, session: LearningSession, method: Method
    ):
        self.frames = excerpt(video, settings.frames, settings.stride)
        self._folder, self._settings, self._name, self._size = folder, settings, video.name, video.size
        self._session, self._method = session, method.pipeline if isinstance(method, Offline) else method
        self._reports, self._waiting = hashlib.blake2b(digest_size=16), {}
        self._file, self._saved_at, self._cost = folder.work / STATE, time.monotonic(), 0.0
        rest = video.name, video.size, folder.made.settings, settings.details
        late = isinstance(method, Offline)
        self._writer = FramesWriter(folder.causal if late else folder.lines, *rest, go_on=True)
        self._writers, self._late = [self._writer], None
        if late:
            self._writers.append(FramesWriter(folder.lines, *rest, go_on=True))
            self._late = LateFrames(Hindsight(method.pipeline.rules), self._writers[1], self.frames)

    def __enter__(self) -> SavedRun:
        return self

    def __exit__(self, *failure: object) -> None:
        for writer in self._writers:
            writer.close()

    def __iter__(self) -> Iterator[tuple[Frame, FrameResult]]:
        observed = self._observed()
        method, saved = self._method, self._saved() if self._folder.trusted else None
        if saved is not None and isinstance(method, Resumable):
            yield from self._again(observed, saved)
            asked = self._asked(observed)
            results = (method.step(now.frame.image, now.visible, now.frame.time) for now in asked)
        else:
            results = method.run(self._name, self._asked(observed))
        for result in results:
            self._session.learn(result)
            (frame, reports), view = self._waiting.pop(result.t), self._view
            self._writer.write(result, frame.name, None if view is None else {"view": plain_view(view)})
            self._save(result, reports)
            yield from self._out(frame, result, view)
        yield from self._late.rest() if self._late is not None else ()

    @property
    def _view(self) -> View | None:
        """How the camera sees the newest frame, where hindsight is to know it."""
        return None if self._late is None else getattr(self._method, "view", None)

    def _out(self, frame: Frame, result: FrameResult, view: View | None) -> Iterator[tuple[Frame, FrameResult]]:
        """The frames that are finished with a result: its own, or earlier ones."""
        if self._late is None:
            yield frame, result
        else:
            yield from self._late.add(result, view)

    def _again(self, observed: Iterator[Observed], saved: dict[str, Any]) -> Iterator[tuple[Frame, FrameResult]]:
        """The frames up to the saved state, whose results stand."""
        print(f"{printable(self._name)}: going on after frame {saved['t']}", file=sys.stderr)
        for _ in range(saved["t"] + 1):
            observation = next(observed, None)
            if observation is None:
                raise InputError(f"{self._name}: ends before frame {saved['t']}, where it was interrupted")
            line, where = self._writer.skip(), f"{self._writer.path}, frame {observation.frame.t}"
            result = read_line(line, self._size, where)
            self._session.learn(result)
            view = None if self._late is None else read_view(parse_json(line, where).get("view"), where)
            yield from self._out(self._waiting.pop(result.t)[0], result, view)
        if self._reports.hexdigest() != saved["reports"]:
            raise InputError(
                f"{self._folder.work}: up to frame {saved['t']} the front end reports something else than before the "
                "run was interrupted; remove the folder to begin anew"
            )

    def _saved(self) -> dict[str, Any] | None:
        """The last state, taken over by the method, where the lines up to it stand; None where all is made again."""
        saved = read_state(self._file)
        if saved is None or not isinstance(self._method, Resumable):
            return None
        try:
            check_entries(saved, SAVED, "state")
            self._method.load_state_dict(saved["method"])
        except InputError:
            return None
        return saved if saved["position"] <= self._writer.path.stat().st_size else None

    def _save(self, result: FrameResult, reports: hashlib.blake2b) -> None:
        """Save the state of the method, now and then; `reports`: the digest up to this frame."""
        start = time.monotonic()
        if not isinstance(self._method, Resumable) or start - self._saved_at < max(SAVE_S, self._cost / SHARE):
            return
        saved = {"t": result.t, "position": self._writer.position, "reports": reports.hexdigest()}
        try:
            write_state(self._file, saved | {"method": self._method.state_dict()})
        except (AttributeError, NotImplementedError, TypeError):  # a part of others' whose state no file can hold
            self._cost = float("inf")
            return
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start

    def _sure(self, instance: VisibleInstance) -> bool:
        """Whether its score is high enough, or not known."""
        return instance.score is None or instance.score >= (self._settings.conf or 0)

    def _ahead(self) -> Iterable[Frame]:
        """The frames, decoded and looked at by other threads while earlier ones are worked on.

        Not of a camera, which is to be answered at once, nor in a worker, which has a core of its own, unless a GPU
        waits for its frames.
        """
        segmenter = self._encoder
        if self._folder.made.live or (parent_process() is not None and segmenter is None):
            return self.frames
        frames = ahead(self.frames, AHEAD)
        for look in self._session.looks if isinstance(self._session, LookingAhead) else ():
            frames = ahead(frames, AHEAD, lambda frame, look=look: look(frame.image, frame.t))
        if segmenter is not None:
            encode = segmenter.encode_ahead
            groups = grouped(frames, segmenter.batch, lambda group: encode([frame.image for frame in group]))
            frames = ahead(groups, segmenter.batch)
        return frames

    @property
    def _encoder(self) -> EncodingAhead | None:
        """The method's segmenter, where it encodes frames to come."""
        segmenter = getattr(self._method, "segmenter", None)
        return segmenter if isinstance(segmenter, EncodingAhead) else None

    def _asked(self, observed: Iterator[Observed]) -> Iterator[Observed]:
        """The same, of which the segmenter is asked by another thread, where nothing in it hangs on earlier results: a
        GPU answers about several frames at once, while those after them are reported."""
        ask = getattr(self._method, "ask", None)
        if ask is None or self._encoder is None or self._folder.made.live or not getattr(self._session, "alone", False):
            return observed
        return ahead(grouped(ahead(observed, AHEAD), self._encoder.batch, ask), self._encoder.batch)

    def _ask(self, wanted: Collection[str], seen: Collection[str]) -> None:
        """Say at once where a class is hardly meant as it is spelt, and not after hours."""
        for name in set(wanted) - set(seen):
            if close := get_close_matches(name, seen, n=1, cutoff=0.7):
                print(printable(f"{self._name}: classes {name!r}: did you mean {close[0]!r}?"), file=sys.stderr)

    def _observed(self) -> Iterator[Observed]:
        """Frames counted from 0, each with what the front end reports in it, of the classes that are wanted."""
        wanted = [name.strip() for name in self._settings.classes.split(",")] if self._settings.classes else None
        classes: set[str] = set()
        for t, frame in enumerate(self._ahead()):
            visible = reported(self._session, frame.image, frame.t)
            for instance in visible:
                entry = (instance.id, instance.category, instance.score, instance.mask.rle.counts)
                self._reports.update(f"{t} {entry}\n".encode(errors="surrogatepass"))
            if wanted and not classes and visible:
                self._ask(wanted, {instance.category for instance in visible})
            classes.update(instance.category for instance in visible)
            chosen = [instance for instance in visible if wanted is None or instance.category in wanted]
            counted = replace(frame, t=t)
            self._waiting[t] = counted, self._reports.copy()
            yield Observed(counted, [instance for instance in chosen if self._sure(instance)])
        if wanted and classes.isdisjoint(wanted):
            present = ", ".join(sorted(classes)) or "none"
            text = f"{self._name}: no instance of class {', '.join(wanted)}; seen: {present}"
            print(printable(text), file=sys.stderr)
