"""Sessions that give instances their identities by association: of segmenters of single frames, and of any front end.

Data flows in a circle, frame by frame: front end, association, method, and by `learn` what the method made of the
frame back to the association, which so knows where hidden instances are in the next one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from samodal.method.association import Association, AssociationRules, Detection
from samodal.method.checks import reported
from samodal.parts import Video, VisSession
from samodal.tracks import FrameResult, VisibleInstance

PATIENCE_S = 6.0
"""Seconds after which an unseen instance is forgotten, as long as the default preset remembers it."""


class AssociatedSession:
    """A segmenter of single frames at work on a video.

    Args:
        detect: gives the instances of one (H, W, 3) uint8 RGB frame; may be called from another thread, one frame after
            the other.
        association: gives them identities.

    Attributes:
        looks: what can be done on a frame before its `step`, in order (`samodal.parts.LookingAhead`).
    """

    def __init__(self, detect: Callable[[np.ndarray], Sequence[Detection]], association: Association):
        self._detect, self._association = detect, association
        self._looked: dict[int, Sequence[Detection]] = {}
        self.looks = (self._look,)

    def detections(self, frame: np.ndarray, t: int) -> Sequence[Detection]:
        """The instances of frame t, without identities."""
        return self._detect(frame)

    def _look(self, frame: np.ndarray, t: int) -> None:
        self._looked[t] = self.detections(frame, t)

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        looked = self._looked.pop(t, None)
        return self._association.step(self.detections(frame, t) if looked is None else looked, frame)

    def learn(self, result: FrameResult) -> None:
        self._association.learn(result)

    def reset(self) -> None:
        self._association.reset()
        self._looked.clear()


class Reassociated:
    """Any session with its ids repaired: an instance that returns under a new id gets its old one back.

    The session's own ids are hints with the weight `AssociationRules.trust`. No detection is dropped or changed.

    Args:
        session: of any front end.
        association: decides on the ids.
    """

    def __init__(self, session: VisSession, association: Association):
        self._session, self._association = session, association

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        visible = reported(self._session, frame, t)
        detections = [Detection(seen.category, seen.score, seen.mask, seen.id) for seen in visible]
        return self._association.step(detections, frame)

    def learn(self, result: FrameResult) -> None:
        self._association.learn(result)

    def reset(self) -> None:
        self._session.reset()
        self._association.reset()


def association_for(video: Video, rules: AssociationRules | None = None) -> Association:
    """An association as patient in seconds on a video of any frame rate."""
    return Association(replace(rules or AssociationRules(), patience=max(1, round(PATIENCE_S * video.fps))))


def one_owner(detections: Sequence[Detection], least: int) -> list[Detection]:
    """Detections without a pixel in common: each goes to the one of the highest score.

    Those that keep fewer than `least` pixels, or less than half of theirs, are left out: duplicates.
    """
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda detection: -(detection.score or 0.0)):
        free = detection.mask
        for other in kept:
            free = free.minus(other.mask)
        if free.area >= least and 2 * free.area >= detection.mask.area:
            kept.append(replace(detection, mask=free))
    return kept
