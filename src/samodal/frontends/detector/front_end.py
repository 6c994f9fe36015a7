"""`detector[:CHECKPOINT[,CUTTER]]`: road users of real streets, frame by frame, and our association."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from samodal.checkpoints.exported import on_onnx
from samodal.checkpoints.fused import fused
from samodal.errors import InputError
from samodal.frontends.checkpoint import fitting, parse, without_words
from samodal.frontends.cutter import Box
from samodal.frontends.cutter.detections import EMBEDDED as CUTTER
from samodal.frontends.cutter.detections import detections
from samodal.frontends.cutter.detections import loaded as loaded_cutter
from samodal.frontends.detector.boxes import boxes_in
from samodal.frontends.detector.model import Detector
from samodal.frontends.detector.weights import load
from samodal.frontends.per_frame import AssociatedSession, association_for
from samodal.loading import once
from samodal.method.association import Association, AssociationRules, Detection
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
        backend: torch or onnx.

    Raises:
        InputError: for a checkpoint or limit that is none.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu", backend: Literal["torch", "onnx"] = "torch"):
        rest, words = without_words(argument)
        if len(words) > 1:
            raise InputError(f"--vis detector takes a detector and a cutter, got also {words[1]!r}")
        self.checkpoint, self.limits = parse(rest, "detector", Limits(), embedded=EMBEDDED)
        self.detector = _loaded(self.checkpoint, str(device), backend)
        self.cutter = loaded_cutter(*(words or [CUTTER]), str(device), backend)

    def open(self, video: Video) -> AssociatedSession:
        rules = AssociationRules(begin=self.limits.score, confirm=2, sure=self.limits.sure)
        return _Session(self, video.source, association_for(video, rules))

    def boxes(self, frame: np.ndarray, source: str = "") -> list[Box]:
        """What the detector finds in a (H, W, 3) uint8 RGB frame.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        with fitting(frame, f"{source}: a frame", next(self.detector.parameters()).device):
            return boxes_in(self.detector, frame, self.limits.keep)

    def cut(self, frame: np.ndarray, boxes: list[Box], source: str = "") -> list[Detection]:
        """The instances of these boxes; no pixel belongs to two."""
        limits, where = self.limits, f"{source}: a frame"
        return detections(self.cutter, frame, boxes, where, keep=limits.keep, area=limits.area, most=limits.most)

    def detect(self, frame: np.ndarray, source: str = "") -> list[Detection]:
        """The instances of a (H, W, 3) uint8 RGB frame; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        return self.cut(frame, self.boxes(frame, source), source)


class _Session(AssociatedSession):
    """A detector and a cutter at work on a video, where there is time each on a frame of its own."""

    def __init__(self, front_end: DetectorFrontEnd, source: str, association: Association):
        super().__init__(lambda frame: front_end.detect(frame, source), association)
        self._front_end, self._source = front_end, source
        self._boxes: dict[int, list[Box]] = {}
        self.looks = (self._find, self._look)

    def _find(self, frame: np.ndarray, t: int) -> None:
        self._boxes[t] = self._front_end.boxes(frame, self._source)

    def detections(self, frame: np.ndarray, t: int) -> list[Detection]:
        boxes = self._boxes.pop(t, None)
        if boxes is None:
            return self._front_end.detect(frame, self._source)
        return self._front_end.cut(frame, boxes, self._source)

    def reset(self) -> None:
        super().reset()
        self._boxes.clear()


@once(1)
def _loaded(checkpoint: str, device: str, backend: str) -> Detector:
    """A process loads a checkpoint once for all its videos."""
    network = load(checkpoint).to(device, memory_format=torch.channels_last)
    if backend != "onnx":
        return fused(network)
    for method in network.sparse:
        on_onnx(network, *method)
    return network
