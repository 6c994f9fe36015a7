"""`centers[:CHECKPOINT]`: instances of single frames from the embedding of the embedded SAM, and our association."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from samodal.frontends.centers import Predicted
from samodal.frontends.centers.detector import Detector
from samodal.frontends.checkpoint import fitting, parse
from samodal.frontends.per_frame import AssociatedSession, association_for, one_owner
from samodal.loading import once
from samodal.method.association import AssociationRules, Detection
from samodal.parts import Video

EMBEDDED = "streetsim-centers"


@dataclass(frozen=True)
class Limits:
    """What is reported as an instance.

    Attributes:
        score: least score of a detection that begins an instance.
        keep: least score of a detection that continues an instance.
        area: least visible pixels in the frame.
        most: instances of a frame at most.
    """

    score: float = 0.35
    keep: float = 0.2
    area: int = 64
    most: int = 60


class CentersFrontEnd:
    """Centres and their masks in each frame.

    Args:
        argument: [CHECKPOINT][,LIMIT=VALUE…]: what `frontends.centers.load` takes, and changed `Limits`; the shipped
            weights where it is not given.
        device: where it runs.

    Raises:
        InputError: for a wrong checkpoint or limit.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        self.checkpoint, self.limits = parse(argument, "centers", Limits(), embedded=EMBEDDED)
        self.detector = _loaded(self.checkpoint, str(device))

    def open(self, video: Video) -> AssociatedSession:
        rules = AssociationRules(begin=self.limits.score)
        return AssociatedSession(lambda frame: self.detect(frame, video.source), association_for(video, rules))

    @torch.inference_mode()
    def detect(self, frame: np.ndarray, source: str = "") -> list[Detection]:
        """The instances of a (H, W, 3) uint8 RGB frame; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        with fitting(frame, f"{source}: a frame", self.detector.device):
            predicted = self.detector(frame)
            scores, classes, rows, columns = peaks(predicted, self.limits.keep, self.limits.most)
            logits = self.detector.network.draw(predicted, torch.zeros_like(rows), rows, columns)
            # Mask by mask: those of a large frame would fill gigabytes.
            found = zip(logits, scores.tolist(), classes.tolist(), strict=True)
            detections = [self._detection(frame, *peak) for peak in found]
        return one_owner([d for d in detections if d is not None], max(1, self.limits.area))

    def _detection(self, frame: np.ndarray, logits: torch.Tensor, score: float, category: int) -> Detection | None:
        large = self.detector.transform.to_frame(logits[None].float(), frame.shape[:2])[0]
        mask = large > 0
        if not bool(mask.any()):
            return None
        score *= float(large[mask].sigmoid().mean())
        if score < self.limits.keep:
            return None
        return Detection(self.detector.network.config.classes[category], score, mask.numpy(force=True))


def peaks(
    predicted: Predicted, least: float, most: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score, class, row and column of the cells of the first frame that no neighbour of their class surpasses.

    Of a cell only the best class counts. Sorted by falling score.
    """
    heat = predicted.heat[:1].sigmoid()
    heat = heat[0] * (F.max_pool2d(heat, 3, 1, 1)[0] == heat[0])
    best, classes = heat.max(0)  # (h, w)
    scores, places = best.flatten().topk(min(most, best.numel()))
    places = places[scores >= least]
    scores = scores[: len(places)]
    return scores, classes.flatten()[places], places // best.shape[1], places % best.shape[1]


@once(1)
def _loaded(checkpoint: str, device: str) -> Detector:
    """A process loads a checkpoint once for all its videos."""
    return Detector.load(checkpoint, device)
