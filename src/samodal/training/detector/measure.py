"""How good a detector is on pictures that it did not learn from, and what its scores mean there."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from samodal.frontends.detector import Detector, boxes_in
from samodal.frontends.detector.config import KNOTS
from samodal.frontends.road_users import KINDS
from samodal.metrics.seen import HEIGHTS, Seen
from samodal.training.streets.pictures import IGNORED, Pictures

LEAST = 0.02
"""Scores below are not looked at."""
REPORTED = 0.35
"""Score from which on a box counts in the card's numbers."""
ENOUGH = 150
"""Boxes of a class from which on it has a curve of its own; others share that of their group."""


def seen_in(network: Detector, pictures: Pictures, least: float = LEAST) -> dict[str, Seen]:
    """What is found of each class that is labelled, and of the groups "people" and "vehicles", where a box of the one
    class may stand for another.

    Args:
        network: in evaluation; scores are taken as it gives them.
        pictures: anywhere.
    """
    classes = network.config.classes
    groups = {name: ("people" if KINDS.get(name) == 0 else "vehicles") for name in classes}
    seen: dict[str, Seen] = defaultdict(Seen)
    for n in range(len(pictures)):
        labelled = [name for name, known in zip(classes, pictures.labelled[n].tolist(), strict=True) if known]
        if not labelled:
            continue
        height, width = pictures.content[n].tolist()
        frame = pictures.pixels[n, :, :height, :width].permute(1, 2, 0).contiguous().numpy(force=True)
        found = boxes_in(network, frame, least)
        truth = list(zip(pictures.kinds[n].tolist(), pictures.boxes[n].tolist(), strict=True))
        excused = [
            box for kind, box in truth if kind == IGNORED or kind >= 0 and classes[kind] in network.config.unreported
        ]
        shown = [name for name in labelled if name not in network.config.unreported]
        for group in sorted({groups[name] for name in shown}):
            members = [name for name in shown if groups[name] == group]
            of_group = [box for box in found if groups[box.category] == group]
            right = [box for kind, box in truth if kind >= 0 and classes[kind] in members]
            seen[group].add([b.corners for b in of_group], [b.score for b in of_group], right, excused)
            for name in members:
                own = [box for box in of_group if box.category == name]
                right = [box for kind, box in truth if kind >= 0 and classes[kind] == name]
                seen[name].add([b.corners for b in own], [b.score for b in own], right, excused)
    return dict(seen)


def numbers(seen: dict[str, Seen]) -> dict[str, dict[str, float]]:
    """Recall and precision by height of the groups, for the card."""
    table: dict[str, dict[str, float]] = {}
    for group in ("vehicles", "people"):
        if group not in seen:
            continue
        column = table.setdefault(group, {})
        for low, high in zip(HEIGHTS, (*HEIGHTS[1:], np.inf), strict=True):
            name = f"{low} px and more" if high == np.inf else f"{low} to {high} px"
            column[f"recall, {name}"] = seen[group].recall(REPORTED, low, high)
            column[f"precision, {name}"] = seen[group].precision(REPORTED, low, high)
    return table


def curves(seen: dict[str, Seen], classes: tuple[str, ...]) -> tuple[float, ...]:
    """`DetectorConfig.curves`: how many of the boxes of about a score are right; never falling."""
    values: list[float] = []
    for name in classes:
        group = seen.get("people" if KINDS.get(name) == 0 else "vehicles", Seen())
        own = seen.get(name, Seen())
        values += _curve(own if len(own.scores) >= ENOUGH else group)
    return tuple(values)


def _curve(seen: Seen) -> list[float]:
    knots = np.linspace(0, 1, KNOTS)
    if len(seen.scores) < ENOUGH:
        return knots.tolist()
    scores, right = np.array(seen.scores), np.array(seen.right, float)
    order = np.argsort(scores)
    fitted = isotonic_regression(right[order]).x
    # Steps become a line through the middles of what is equal.
    levels, first, count = np.unique(fitted, return_index=True, return_counts=True)
    middles = [scores[order][a : a + n].mean() for a, n in zip(first, count, strict=True)]
    curve = np.interp(knots, [0.0, *middles, 1.0], [0.0, *levels, max(levels[-1], 0.99)])
    return np.round(np.maximum.accumulate(curve), 4).tolist()


def to_cpu(network: Detector) -> Detector:
    """A copy in evaluation that measures as users' machines do."""
    copy = Detector(network.config)
    copy.load_state_dict({name: value.detach().cpu().float() for name, value in network.state_dict().items()})
    return copy.eval().to(memory_format=torch.channels_last)
