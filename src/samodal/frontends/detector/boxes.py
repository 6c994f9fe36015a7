"""Frames into a detector, boxes out of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from samodal.checkpoints.exported import laid_out, planar
from samodal.frontends.cutter import Box
from samodal.frontends.detector.config import KNOTS, STRIDES, DetectorConfig
from samodal.frontends.detector.model import Detector, Raw
from samodal.frontends.road_users import KINDS
from samodal.images import normalised

EMPTY = 114
"""Grey that fills an input beyond the frame, as in YOLOX."""
OVERLAP = 0.6
"""IoU of two boxes of one kind above which the one with the lower score is a duplicate."""


def prepared(
    frame: np.ndarray, pixels: tuple[int, int], planar: bool = False
) -> tuple[torch.Tensor, tuple[float, float]]:
    """The input for a (H, W, 3) uint8 RGB frame, and pixels of the input to a pixel of the frame, across and down.

    Args:
        pixels: height and width; larger frames are made smaller until they have no more pixels than that.
        planar: see `samodal.images.normalised`.

    Returns:
        (1, 3, h, w) float32, normalised RGB, h and w multiples of the coarsest stride.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, (pixels[0] * pixels[1] / (height * width)) ** 0.5)
    h, w = (max(1, round(scale * side)) for side in (height, width))
    if scale < 1:
        frame = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)
    step = STRIDES[-1]
    padded = np.full((-(-h // step) * step, -(-w // step) * step, 3), EMPTY, np.uint8)
    padded[:h, :w] = frame
    return normalised(padded, planar)[None], (w / width, h / height)


@torch.inference_mode()
def boxes_in(network: Detector, frame: np.ndarray, least: float) -> list[Box]:
    """What a network reports in a (H, W, 3) uint8 RGB frame with a score of at least `least`, by falling score."""
    inputs, scale = prepared(frame, network.config.pixels, planar(network))
    raw = network.likely(laid_out(inputs, network), lowest(network.config, least))
    corners, classes, scores = chosen(raw, network.config, least)
    corners /= np.array(scale * 2, np.float32)
    height, width = frame.shape[:2]
    corners = corners.clip(0, np.array([width, height] * 2, np.float32))
    found = []
    for box, place, score in zip(corners.tolist(), classes.tolist(), scores.tolist(), strict=True):
        name = network.config.classes[place]
        if name not in network.config.unreported and box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            found.append(Box(name, score, tuple(box)))
    return found


def chosen(raw: Raw, config: DetectorConfig, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 4) boxes of the first input, (N,) classes and (N,) scores, by falling score, without duplicates."""
    uncalibrated = raw.scores[0]
    likely = (uncalibrated.amax(-1) >= lowest(config, least)).nonzero()[:, 0]  # some hundred of ten thousand cells
    scores, classes = calibrated(uncalibrated[likely], config).max(-1)
    kept = (scores >= least).nonzero()[:, 0]
    corners = raw.boxes[0][likely]
    corners, classes, scores = (part[kept].numpy(force=True) for part in (corners, classes, scores))
    kinds = np.array([KINDS.get(name, max(KINDS.values()) + 1) for name in config.classes])
    keep = without_duplicates(corners, scores, kinds[classes])
    return corners[keep], classes[keep], scores[keep]


def lowest(config: DetectorConfig, least: float) -> float:
    """A score below which no class has a probability of at least `least`."""
    if not config.curves:
        return least
    enough = (np.reshape(config.curves, (-1, KNOTS)) >= least).any(axis=0)
    return (int(enough.argmax()) - 1) / (KNOTS - 1) if enough.any() else 1.0


def calibrated(scores: torch.Tensor, config: DetectorConfig) -> torch.Tensor:
    """(..., K) probabilities of (..., K) scores, see `DetectorConfig.curves`."""
    if not config.curves:
        return scores
    curves = scores.new_tensor(config.curves).view(-1, KNOTS)
    place = scores * (KNOTS - 1)
    low = place.long().clamp(max=KNOTS - 2)
    which = torch.arange(len(curves), device=scores.device)
    return torch.lerp(curves[which, low], curves[which, low + 1], place - low)


def without_duplicates(corners: np.ndarray, scores: np.ndarray, kinds: Sequence[int]) -> np.ndarray:
    """Places of the boxes that no better one of their kind covers, by falling score.

    Args:
        corners: (N, 4) x0, y0, x1, y1.
        scores: (N,).
        kinds: (N,) numbers; boxes of different kinds are no duplicates.
    """
    if not len(scores):
        return np.zeros(0, int)
    sized = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    return np.asarray(
        cv2.dnn.NMSBoxesBatched(sized.tolist(), scores.tolist(), list(map(int, kinds)), 0.0, OVERLAP), int
    ).reshape(-1)
