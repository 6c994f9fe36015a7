"""Results of front ends kept for the next method over the same frames: a front end from pixels is slow."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from samodal.masks import Mask
from samodal.method.checks import reported
from samodal.parts import LearningSession, VisSession
from samodal.tracks import VisibleInstance

Results = list[list[VisibleInstance]]
"""By frame the instances, their masks as run lengths."""


class Remembered:
    """The results of sessions over one video.

    A session that learns from a method's results gives each method others, and is passed on as it is.
    """

    def __init__(self):
        self._results: dict[Hashable, Results] = {}

    def session(self, key: Hashable, length: int | None, start: Callable[[], VisSession]) -> VisSession:
        """The results of before, or a session whose results are kept.

        Args:
            key: everything that decides what the session gives.
            length: frames of the video; results of fewer are forgotten, as after an interruption.
            start: begins the session.
        """
        results = self._results.get(key, [])
        if results and len(results) == length:
            return _Repeated(results)
        session = start()
        if isinstance(session, LearningSession):
            return session
        self._results[key] = results = []
        return _Recorded(session, results)


class _Recorded:
    """Passes a session on and keeps what it gives."""

    def __init__(self, session: VisSession, results: Results):
        self._session, self._results = session, results

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        visible = reported(self._session, frame, t)
        self._results.append([replace(seen, mask=Mask.from_rle(seen.mask.rle)) for seen in visible])
        return visible

    def reset(self) -> None:
        self._session.reset()
        self._results.clear()


class _Repeated:
    """Gives the results of before again."""

    def __init__(self, results: Results):
        self._results, self._next = results, 0

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        self._next += 1
        # The bits are decoded anew for each method and not kept.
        return [replace(seen, mask=Mask.from_rle(seen.mask.rle)) for seen in self._results[self._next - 1]]

    def reset(self) -> None:
        self._next = 0
