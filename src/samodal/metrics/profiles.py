"""Which numbers are reported, over which instances, and by which rules.

`official` is the evaluation of S-AModal, its quirks included (released code at 7e70a11: `ap_evaluation.py` for images,
`ytviseval.py` for videos). What is hidden by more than 75 % is ignored in every number. "heavy" contains "medium", and
bins contain both ends. Numbers by size and occlusion are at IoU 0.5. The occlusion of a track is the mean of the upper
half of its frames' rates.

`strict` cuts all instances, those fully hidden included, into occlusion bins that do not overlap, and takes the mean
over a track's frames. In both, classes play no part. A detection that matches nothing has no occlusion of its own, so
it is a false positive in every occlusion bin.
"""

import math
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from samodal.errors import InputError


@dataclass(frozen=True)
class Range:
    """An interval of occlusion rates.

    Attributes:
        low, high: ends.
        low_open: whether `low` itself is outside.
        high_open: whether `high` itself is outside.
        unknown: whether it holds instances whose rate is not known.
    """

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False
    unknown: bool = False

    def holds(self, rate: float | None) -> bool:
        """Whether an instance of this occlusion rate counts."""
        if rate is None:
            return self.unknown
        above = rate > self.low if self.low_open else rate >= self.low
        below = rate < self.high if self.high_open else rate <= self.high
        return above and below


@dataclass(frozen=True)
class Bin:
    """The instances that a number is about; all others are ignored.

    Attributes:
        occlusion: range of occlusion rates.
        area: (low, high) in pixels, both ends inside; unmatched detections outside are ignored, too.
    """

    occlusion: Range
    area: tuple[float, float] = (0, 1e10)


@dataclass(frozen=True)
class Number:
    """A reported number.

    Attributes:
        kind: "precision" (AP) or "recall" (AR).
        bin: name of a bin of the profile.
        iou: a threshold, or None for the mean over 0.5, 0.55, … 0.95.
        detections: at most so many per image or video.
    """

    kind: str
    bin: str
    iou: float | None = None
    detections: int = 100


@dataclass(frozen=True)
class Profile:
    """A set of rules of evaluation.

    Attributes:
        name: "official" or "strict".
        bins: by name.
        numbers: by the name in scores.json, in its order.
        upper_half: whether a track's occlusion is the mean of the upper half of its frames' rates.
        regions: which mean IoUs are reported, names of `samodal.metrics.regions`.
        only_visible: whether those, and the predictions for single images, are about frames only in which the
            instance is visible. The released image results hold no others: what point tracking fills in goes to
            the video level alone (`coco_preds_to_ytvis.py`).
        intervals: numbers with a bootstrap interval.
    """

    name: str
    bins: dict[str, Bin]
    numbers: dict[str, Number]
    upper_half: bool
    regions: tuple[str, ...]
    only_visible: bool
    intervals: tuple[str, ...]

    def occlusion(self, rates: tuple[float | None, ...] | None) -> float | None:
        """The occlusion of an instance from the rates of its frames (a single rate of an image), None where unknown."""
        known = sorted(rate for rate in rates or () if rate is not None)
        if not known:
            return None
        return float(np.mean(known[-math.ceil(len(known) / 2) :] if self.upper_half else known))


_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


def _official() -> Profile:
    everything = Range(0, 0.75, unknown=True)
    bins = {"all": Bin(everything)} | {name: Bin(everything, area) for name, area in _AREAS.items()}
    bins |= {
        "partial": Bin(Range(0, 0.25)),
        "medium_occlusion": Bin(Range(0.25, 0.5)),
        "heavy": Bin(Range(0.25, 0.75)),
    }
    occlusions = ("partial", "medium_occlusion", "heavy")
    numbers = _common((*_AREAS, *occlusions))
    numbers |= {f"AR_{name}": Number("recall", name) for name in _AREAS}
    numbers |= {f"AR50_{name}": Number("recall", name, 0.5) for name in occlusions}
    return Profile("official", bins, numbers, True, ("miou", "miou_micro"), True, ("AP", "AP50", "AP50_heavy", "miou"))


def _strict() -> Profile:
    everything = Range(0, 1, unknown=True)
    bins = {"all": Bin(everything)} | {name: Bin(everything, area) for name, area in _AREAS.items()}
    occlusions = {
        "none": Range(0, 0),
        "partial": Range(0, 0.25, low_open=True),
        "medium_occlusion": Range(0.25, 0.5, low_open=True),
        "heavy": Range(0.5, 0.75, low_open=True),
        "extreme": Range(0.75, 1, low_open=True, high_open=True),
        "hidden": Range(1, 1),
    }
    bins |= {name: Bin(range_) for name, range_ in occlusions.items()}
    numbers = _common((*_AREAS, *occlusions))
    numbers |= {f"AR50_{name}": Number("recall", name, 0.5) for name in (*_AREAS, *occlusions)}
    regions = ("miou", "miou_micro", "miou_hidden", "miou_hidden_micro")
    regions += ("miou_fully_hidden", "miou_fully_hidden_after_seen")
    intervals = ("AP", "AP50", "AP50_heavy", "AP50_extreme", "AP50_hidden")
    return Profile("strict", bins, numbers, False, regions, False, (*intervals, "miou", "miou_hidden", *regions[-2:]))


def _common(names: tuple[str, ...]) -> dict[str, Number]:
    numbers = {
        "AP": Number("precision", "all"),
        "AP50": Number("precision", "all", 0.5),
        "AP75": Number("precision", "all", 0.75),
    }
    numbers |= {f"AP50_{name}": Number("precision", name, 0.5) for name in names}
    return numbers | {f"AR{count}": Number("recall", "all", None, count) for count in (1, 10, 100)}


PROFILES = {profile.name: profile for profile in (_official(), _strict())}


def profile_named(name: str) -> Profile:
    """The profile of this name.

    Raises:
        InputError: if there is none; names the nearest.
    """
    if name not in PROFILES:
        near = get_close_matches(name, PROFILES, n=1, cutoff=0.0)[0]
        raise InputError(f"profile {name!r} is unknown; did you mean {near}? Known: {', '.join(PROFILES)}")
    return PROFILES[name]
