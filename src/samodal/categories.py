"""The classes of AmodalSynthDrive, whose numbers our own files use, too, and what other data sets call them."""

from __future__ import annotations

import re
from collections.abc import Sequence

CATEGORIES = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
CATEGORY_IDS = {name: number for number, name in CATEGORIES.items()}

OTHER_NAMES = {
    "person": ("pedestrian", "people", "human", "man", "woman", "personsitting"),
    "rider": ("cyclist", "motorcyclist", "bicyclist"),
    "car": ("sedan", "vehicle", "vehical", "van", "suv", "taxi"),
    "truck": ("lorry", "pickup", "pickuptruck"),
    "bus": ("coach", "minibus"),
    "motorcycle": ("motorbike", "motor", "scooter"),
    "bicycle": ("bike",),
    "train": ("tram",),
    "trailer": (),
    "caravan": (),
}
"""Ours, each with what KITTI, KINS, COCO, YouTube-VIS, OVIS (its spelling too), BDD100K and others call it."""
_OURS = {name: ours for ours, names in OTHER_NAMES.items() for name in (ours, *names)}


def ours(name: str) -> str | None:
    """The road user that a class name means, None for anything else."""
    return _OURS.get(re.sub(r"[^a-z]", "", name.lower()))


def number_among(classes: Sequence[str], category: str | None) -> int:
    """Number of a class among those of a network, from 1; 0 for one that it does not know.

    Another name of a road user is as good: a network that knows "person" takes a "pedestrian" for one.
    """
    name = category if category in classes else ours(category or "")
    return classes.index(name) + 1 if name in classes else 0
