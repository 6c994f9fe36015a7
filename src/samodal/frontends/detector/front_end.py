"""`detector[:CHECKPOINT[,CUTTER]]`: road users of real streets, frame by frame, and our association."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from samodal.errors import InputError
from samodal.frontends.checkpoint import fitting, parse, without_words
from samodal.frontends.cutter.detections import EMBEDDED as CUTTER
from samodal.frontends.cutter.detections import detections
from samodal.frontends.cutter.detections import loaded as loaded_cutter
from samodal.frontends.detector.boxes import boxes_in
from samodal.frontends.detector.model import Detector
from samodal.frontends.detector.weights import load
from samodal.frontends.per_frame import AssociatedSession, association_for
from samodal.method.association import AssociationRules, Detection
from samodal.parts import Video

EMBEDDED = "streets-detector"


@dataclass(frozen=True)
class Limits:
    """What is reported as an instance. Its score is that of its box times the expected IoU of its mask.

    Attributes:
        score: least score of a detection that begins an instance.
        keep: least score of a detection that continues an instance.
        sure: score of a detection that is believed at once; others, but those of the
            first frame, are reported from the second frame in a row on.
        area: least visible pixels in the frame.
        most: instances of a frame at most, the best.
    """

    score: float = 0.45
    keep: float = 0.25
    sure: float = 0.7
    area: int = 48
    most: int = 100


class DetectorFrontEnd:
    """Boxes of a detector, visible masks of a cutter, identities by association.

    Args:
        argument: [CHECKPOINT][,CUTTER][,LIMIT=VALUE…]: what `frontends.detector.load` and `frontends.cutter.load` take,
            by default the shipped weights, and changed `Limits`.
        device: where it runs.

    Raises:
        InputError: for a checkpoint or limit that is none.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        rest, words = without_words(argument)
        if len(words) > 1:
            raise InputError(f"--vis detector takes a detector and a cutter, got also {words[1]!r}")
        self.checkpoint, self.limits = parse(rest, "detector", Limits(), embedded=EMBEDDED)
        self.detector = _loaded(self.checkpoint, str(device))
        self.cutter = loaded_cutter(*(words or [CUTTER]), str(device))

    def open(self, video: Video) -> AssociatedSession:
        rules = AssociationRules(begin=self.limits.score, confirm=2, sure=self.limits.sure)
        return AssociatedSession(lambda frame: self.detect(frame, video.source), association_for(video, rules))

    def detect(self, frame: np.ndarray, source: str = "") -> list[Detection]:
        """The instances of a (H, W, 3) uint8 RGB frame; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        limits, where = self.limits, f"{source}: a frame"
        with fitting(frame, where, next(self.detector.parameters()).device):
            boxes = boxes_in(self.detector, frame, limits.keep)
        return detections(self.cutter, frame, boxes, where, keep=limits.keep, area=limits.area, most=limits.most)


@lru_cache(maxsize=1)
def _loaded(checkpoint: str, device: str) -> Detector:
    """A process loads a checkpoint once for all its videos."""
    return load(checkpoint).to(device, memory_format=torch.channels_last)
