"""Average precision by class: a detection counts only for instances of its own class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.metrics.ap import Problem
from samodal.metrics.matching import value
from samodal.metrics.profiles import Profile
from samodal.results.entries import Annotated, Entry
from samodal.results.kitti_mots import IGNORED

NUMBERS = ("AP", "AP50", "AP75", "AR100")


def by_class(truth: Annotated, results: Sequence[Entry], profile: Profile, tied: bool) -> dict[str, Any]:
    """`NUMBERS` for each class of the truth, and their mean over the classes that have instances which count.

    Detections of a class that the truth lacks are left out, as in COCO's own evaluation, and listed as `unknown`.

    Raises:
        InputError: if truth and results have no class in common.
    """
    classes = sorted({entry.category for entry in truth.instances if entry.category is not None})
    unknown = sorted({entry.category or "none" for entry in results} - set(classes))
    if results and classes and not {entry.category for entry in results} & set(classes):
        raise InputError(
            f"the results name other classes ({_some(unknown)}) than the truth ({_some(classes)}): "
            "leave out --per-class, or rename them"
        )
    rows = {name: _of_class(truth, results, profile, tied, name) for name in classes}
    means = {number: _mean([row[number] for row in rows.values()]) for number in NUMBERS}
    return {"mean": means, "classes": rows, "unknown": unknown}


def _of_class(truth: Annotated, results: Sequence[Entry], profile: Profile, tied: bool, name: str) -> dict[str, Any]:
    true = [e for e in truth.entries if e.category == name or (e.crowd and e.category == IGNORED)]
    found = [e for e in results if e.category == name]
    problem = Problem(replace(truth, entries=true), found, profile, tied)
    numbers = {number: value(problem, profile.numbers[number]) for number in NUMBERS}
    return numbers | {"instances": sum(not e.crowd for e in true), "detections": len(found)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
