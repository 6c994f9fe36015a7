"""What association knows of an instance: its detections, and what the method says of it while it is unseen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from samodal.masks import Mask, MaskLike
from samodal.method.history import NEARLY, RING
from samodal.method.motion import median_velocity
from samodal.tracks import Instance

WINDOW = 8
"""Frames that a velocity is made of: few, as what comes nearer moves faster and faster."""
NEWEST = 0.3
"""Weight of the newest detection in what an instance looks like."""


@dataclass(frozen=True, eq=False, init=False)
class Detection:
    """One instance in one frame before it is known which one it is.

    Attributes:
        category: class name.
        score: confidence in [0, 1]; None where there is none.
        mask: the visible pixels, not empty: (H, W) bool, an `Rle` or a `Mask`; kept as a `Mask`.
        hint: the id that the front end itself gives it, None where it gives none.
    """

    category: str
    score: float | None
    mask: Mask
    hint: int | str | None = None

    def __init__(self, category: str, score: float | None, mask: MaskLike, hint: int | str | None = None):
        for name, value in (("category", category), ("score", score), ("mask", Mask.of(mask)), ("hint", hint)):
            object.__setattr__(self, name, value)


@dataclass
class Known:
    """An instance that was detected before.

    Attributes:
        id, category: of the newest detection.
        hint: the front end's own id of the newest detection.
        seen_t: frame of the newest detection.
        recent: (t, visible mask) of the last detections.
        centres: (t, (2,) centre of its box), of its amodal mask where the method tells it.
        told_t: the newest frame, if the method tells of it there; else None.
        whole: its amodal mask in that frame, while it is unseen; None where the method has lost it.
        doubtful: frames that must still show it before it is reported.
        began_t: frame of the first detection.
        look: see `samodal.method.appearance`; None until enough of it was seen.
    """

    id: int | str
    category: str
    hint: int | str | None = None
    seen_t: int = -1
    recent: deque = field(default_factory=lambda: deque(maxlen=RING))
    centres: deque = field(default_factory=lambda: deque(maxlen=WINDOW))
    told_t: int | None = None
    whole: Mask | None = None
    doubtful: int = 0
    began_t: int = 0
    look: np.ndarray | None = None

    def see(self, t: int, detection: Detection, look: np.ndarray | None) -> None:
        """Take in the detection of frame t that it is, and what that looks like."""
        if look is not None:
            mixed = look if self.look is None else (1 - NEWEST) * self.look + NEWEST * look
            self.look = mixed / np.linalg.norm(mixed)
        self.category, self.hint, self.seen_t = detection.category, detection.hint, t
        self.recent.append((t, detection.mask))
        self.centres.append((t, detection.mask.centre))

    def tell(self, t: int, instance: Instance | None) -> None:
        """Take in what the method says of it in frame t; None where it says nothing."""
        amodal = None if instance is None else instance.amodal
        self.told_t, self.whole = None if instance is None else t, None
        if amodal is None:
            return
        if self.seen_t < t:
            self.whole = amodal
        if self.centres[-1][0] == t:
            self.centres.pop()
        self.centres.append((t, amodal.centre))

    def step_on(self, t: int) -> Mask:
        """Its visible mask of the frame before, in frame t."""
        return self.recent[-1][1].moved(median_velocity(self.centres))

    def hidden(self, t: int) -> list[tuple[Mask, np.ndarray]]:
        """Where the whole of it may be in frame t, unseen, and the velocity: as the method says, and straight on.

        Nowhere, if the method knows it but not where it is.
        """
        if self.told_t is not None and self.whole is None:
            return []
        since, anchor, velocity = self._own_motion()
        places = [(anchor.moved((t - since) * velocity), velocity)]
        if self.whole is not None and self.told_t is not None:
            velocity = median_velocity(self.centres)
            places.append((self.whole.moved((t - self.told_t) * velocity), velocity))
        return places

    def _own_motion(self) -> tuple[int, Mask, np.ndarray]:
        """The last frame that showed nearly the most of it, its mask there, and its velocity since.

        What is seen later shrinks towards the occluder: its centre moves as the occluder wants, but it is still part
        of the moved mask.
        """
        most = max(mask.area for _, mask in self.recent)
        since, anchor = next((t, mask) for t, mask in reversed(self.recent) if mask.area >= NEARLY * most)
        velocity = median_velocity([(t, centre) for t, centre in self.centres if t <= since])
        if since < self.seen_t:
            elapsed = self.seen_t - since
            velocity = velocity + anchor.moved(elapsed * velocity).way_to(self.recent[-1][1]) / elapsed
        return since, anchor, velocity

    def cut(self) -> None:
        """Keep the newest frame alone: what was before is another scene."""
        self.recent, self.centres = deque([self.recent[-1]], RING), deque([self.centres[-1]], WINDOW)
