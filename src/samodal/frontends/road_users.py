"""The road users that our own networks know, and where the classes of other checkpoints have them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from samodal.categories import ours
from samodal.errors import InputError

ROAD_USERS = ("person", "rider", "car", "truck", "bus", "motorcycle", "bicycle")
"""Classes of our own networks, and what is looked for where no class is named."""

KINDS = {
    "person": 0, "rider": 0, "car": 1, "truck": 1, "bus": 1, "train": 1, "trailer": 1, "caravan": 1,
    "motorcycle": 2, "bicycle": 2,
}  # fmt: skip
"""Classes with equal numbers are taken for each other; an instance never changes its number."""

# Of checkpoints that number their classes only. Counted from 0, in the order of each data set.
UNNAMED = {
    "ytvis2019": (40, {0: "person", 5: "car", 16: "train", 20: "motorcycle", 28: "truck"}),
    "ytvis2021": (40, {4: "car", 22: "motorcycle", 25: "person", 35: "train", 36: "truck"}),
    "ovis": (25, {0: "person", 20: "bicycle", 21: "motorcycle", 24: "car"}),
}


def named(labels: Sequence[str], checkpoint: str) -> tuple[str, ...]:
    """A checkpoint's class names; where it only numbers them (LABEL_0 …), those of the data set in its name."""
    if not all(re.fullmatch(r"LABEL_\d+", label) for label in labels):
        return tuple(labels)
    for data, (count, known) in UNNAMED.items():
        if data in re.sub(r"[-_]", "", checkpoint.lower()) and len(labels) == count:
            return tuple(known.get(n, label) for n, label in enumerate(labels))
    return tuple(labels)


def mapping(classes: Sequence[str], checkpoint: str) -> dict[str, list[int]]:
    """The road users among a checkpoint's classes, each with the places of its scores.

    Raises:
        InputError: if there is none among them.
    """
    places: dict[str, list[int]] = {}
    for n, name in enumerate(classes):
        if ours(name) is not None:
            places.setdefault(ours(name), []).append(n)
    if not places:
        shown = ", ".join(classes[:6]) + (f" and {len(classes) - 6} others" if len(classes) > 6 else "")
        raise InputError(
            f"{checkpoint}: no class that is a road user: it has {shown}; expected some of "
            f"{', '.join(ROAD_USERS)}; take a checkpoint of COCO, YouTube-VIS or OVIS, or train one: samodal train vis"
        )
    return places
