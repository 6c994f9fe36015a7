"""What front ends said of a video, kept for the next method over the same frames: a front end from pixels is slow."""

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from samodal.masks import Rle
from samodal.parts import VisSession
from samodal.tracks import VisibleInstance

Said = list[list[tuple[VisibleInstance, Rle]]]
"""By frame the instances, without their pixels, and their masks."""
NO_PIXELS = np.zeros((0, 0), bool)


class Remembered:
    """The answers of sessions to one video.

    A session that learns from a method's results answers each method differently and is passed on as it is.
    """

    def __init__(self):
        self._said: dict[Hashable, Said] = {}

    def session(self, key: Hashable, length: int | None, start: Callable[[], VisSession]) -> VisSession:
        """What was said before, or a session that is listened to.

        Args:
            key: everything that decides what the session says.
            length: frames of the video; what was said of fewer is forgotten, as after an interruption.
            start: begins the session.
        """
        said = self._said.get(key, [])
        if said and len(said) == length:
            return _Repeated(said)
        session = start()
        if hasattr(session, "learn"):
            return session
        self._said[key] = said = []
        return _Heard(session, said)


class _Heard:
    """Passes a session on and keeps what it says."""

    def __init__(self, session: VisSession, said: Said):
        self._session, self._said = session, said

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        visible = self._session.step(frame, t)
        self._said.append([(replace(one, mask=NO_PIXELS), Rle.encode(one.mask)) for one in visible])
        return visible

    def reset(self) -> None:
        self._session.reset()
        self._said.clear()


class _Repeated:
    """Says again what was said of each frame."""

    def __init__(self, said: Said):
        self._said, self._next = said, 0

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        self._next += 1
        return [replace(one, mask=mask.decode()) for one, mask in self._said[self._next - 1]]

    def reset(self) -> None:
        self._next = 0
