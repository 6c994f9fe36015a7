"""Boxes of classes that pictures do not label, from the network that a training starts from."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from samodal.frontends.detector import Detector
from samodal.frontends.detector.boxes import EMPTY, chosen
from samodal.frontends.detector.config import STRIDES
from samodal.images import normalise
from samodal.metrics.boxes import box_ious
from samodal.training.streets.pictures import IGNORED, NONE, Pictures
from samodal.training.streets.sources import RIDDEN, rides

BATCH = 32
SAME = 0.5
"""IoU with a labelled box from which on a found one is the same thing."""


@torch.inference_mode()
def supplemented(pictures: Pictures, network: Detector, sure: float, unsure: float) -> Pictures:
    """Pictures with what a network finds of the classes that they do not label.

    Args:
        pictures: on the network's device.
        network: in evaluation.
        sure, unsure: least scores of what is learned, and of what is ignored. Photos of single objects get nothing.
    """
    config, rows = network.config, []
    classes = config.classes
    wheels = [classes.index(name) for name in RIDDEN if name in classes]
    for start in range(0, len(pictures), BATCH):
        pixels = pictures.pixels[start : start + BATCH]
        more = -pixels.shape[-1] % STRIDES[-1]
        raw = network(normalise(F.pad(pixels, (0, more, 0, more), value=EMPTY)))
        for n in range(len(raw.boxes)):
            picture = start + n
            labelled, kinds = pictures.labelled[picture].tolist(), pictures.kinds[picture].tolist()
            known = [
                (kind, box) for kind, box in zip(kinds, pictures.boxes[picture].tolist(), strict=True) if kind != NONE
            ]
            alone = type(raw)(*(part[n : n + 1] for part in raw))
            found = zip(*(part.tolist() for part in chosen(alone, config, unsure)), strict=True)
            row = []
            for box, kind, score in found:
                if labelled[kind] or (
                    known and box_ious([box] * len(known), [other for _, other in known]).max() > SAME
                ):
                    continue
                ridden = [other for place, other in known if place in wheels and rides(tuple(box), tuple(other))]
                if classes[kind] == "person" and ridden and "rider" in classes:
                    kind = classes.index("rider")
                row.append((kind if score >= sure else IGNORED, box))
            rows.append(row if any(labelled) or len(known) > 1 else [])
    most = max((len(row) for row in rows), default=0)
    boxes = F.pad(pictures.boxes, (0, 0, 0, most))
    kinds, places = F.pad(pictures.kinds, (0, most), value=NONE), F.pad(pictures.places, (0, most))
    first = pictures.kinds.shape[1]
    for n, row in enumerate(rows):
        for place, (kind, box) in enumerate(row, first):
            boxes[n, place], kinds[n, place] = boxes.new_tensor(box), kind
    return replace(pictures, boxes=boxes, kinds=kinds, places=places)
