"""What an experiment is: rows and front ends to run, numbers to show, relations to look for. One YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from samodal.errors import InputError, nearest
from samodal.metrics.gaps import GAPS, named
from samodal.settings import RunSettings

FOLDER = Path(__file__).parent / "configs"
KINDS = ("table", "figures", "points", "real")
_PRECISION = ("image", "video")
PROFILES = {
    "official": _PRECISION, "strict": _PRECISION, "ones": _PRECISION, "identity": ("visible", "amodal"),
    "gaps": ("all", *map(named, GAPS)), "points": ("all",),
    "real": (
        "cocoa_1", "cocoa_2", "kitti_0005",
        *(f"{kind}_{n}{slack}" for kind in ("car", "pedestrian") for n in range(4) for slack in ("", "_slack")),
    ),
}  # fmt: skip
"""The levels of each profile; "points" and "real" are for the kinds of these names alone, see `scores`, `points` and
`real` for all."""
_OURS = {"video", "out", "data", "frames", "clips", "overlay", "seed", "workers", "device"}
SETTABLE = {f.name for f in fields(RunSettings)} - _OURS
"""What a row or a front end may set: the settings of `samodal run` but for those that the experiment itself decides."""


@dataclass(frozen=True)
class Relation:
    """A claim that one row is above another in a column.

    Attributes:
        claim: in words, with its source.
        left, right: names of rows; the left one is claimed to be higher.
        column: a column of the table.
        front_end: of both rows, or of each.
    """

    claim: str
    left: str
    right: str
    column: str
    front_end: str | tuple[str, str]


@dataclass(frozen=True)
class Experiment:
    """A table: every row with every front end, over weights and seeds.

    Attributes:
        name: of its file.
        title: in words, with the number in the paper.
        masks: "amodal" or "visible", which are scored.
        columns: (profile, level, metric) by heading; profile `ones` is official with all scores 1.
        front_ends, rows: settings of `samodal run` by name; those of the row win. "{key}" stands for weights.
        weights: what a key stands for, one or several (then a row runs with each of them).
        train: for keys without weights, how `--train` makes them: a recipe and changes of its settings.
        relations: what the table is asked.
        note: printed below the table.
        kind: "table" of the scores of runs, "figures" of the runs of the first front end, "points", a table of how the
            trackers of its rows follow points, or "real", a table on real pictures and labels.
    """

    name: str
    title: str
    rows: dict[str, dict[str, Any]]
    masks: str = "amodal"
    columns: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    front_ends: dict[str, dict[str, Any]] = field(default_factory=lambda: {"truth": {"vis": "truth"}})
    weights: dict[str, tuple[str, ...]] = field(default_factory=dict)
    train: dict[str, dict[str, Any]] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()
    note: str = ""
    kind: str = "table"


def names() -> list[str]:
    """The shipped experiments."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, weights: Mapping[str, str] | None = None) -> Experiment:
    """An experiment by its name or its YAML file.

    Args:
        weights: replaces what keys stand for; several are separated by commas that no "=" follows later, as in
            "a.safetensors,b.safetensors".

    Raises:
        InputError: for an unknown name, key, row setting or column, with the nearest known one.
    """
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if not path.is_file():
        raise InputError(f"unknown experiment {name!r}{nearest(name, names())}")
    content = _content(path)
    known = {f.name for f in fields(Experiment)} - {"name"}
    for key in content:
        if key not in known:
            raise InputError(f"{path.name}: unknown key {key!r}{nearest(key, known)}")
    keys = {key: _listed(value) for key, value in content.pop("weights", {}).items()}
    for key, value in (weights or {}).items():
        if key not in keys:
            raise InputError(f"--weights.{key}: {path.stem} has no such key{nearest(key, keys)}")
        keys[key] = tuple(str(value).split(","))
    columns = {head: _column(path, head, text) for head, text in content.pop("columns", {}).items()}
    relations = tuple(_relation(path, values) for values in content.pop("relations", ()))
    experiment = Experiment(path.stem, columns=columns, weights=keys, relations=relations, **content)
    _check(path, experiment)
    return experiment


def _content(path: Path) -> dict[str, Any]:
    """The keys of a file, over those of the experiment that it names as its `base`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not {"title", "base"} & content.keys():
        raise InputError(f"{path}: expected a mapping with title, rows and columns, as samodal/experiments/configs has")
    base = content.pop("base", None)
    return content if base is None else _content(FOLDER / f"{base}.yaml") | content


def _listed(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (str(value),)


def _column(path: Path, head: str, text: str) -> tuple[str, str, str]:
    parts = tuple(text.split())
    if len(parts) != 3 or parts[1] not in PROFILES.get(parts[0], ()):
        raise InputError(
            f"{path.name}: column {head}: expected PROFILE LEVEL METRIC, as 'official image AP50'; got {text!r}"
        )
    return parts


def _relation(path: Path, values: dict) -> Relation:
    try:
        ends = values.get("front_end", "truth")
        return Relation(**values | {"front_end": tuple(ends) if isinstance(ends, list) else ends})
    except TypeError as error:
        raise InputError(f"{path.name}: relations: {error}") from None


def _check(path: Path, experiment: Experiment) -> None:
    if experiment.kind not in KINDS:
        raise InputError(f"{path.name}: unknown kind {experiment.kind!r}{nearest(experiment.kind, KINDS)}")
    for head, (profile, _, _) in experiment.columns.items():
        if profile != experiment.kind and {profile, experiment.kind} & {"points", "real"}:
            raise InputError(f"{path.name}: column {head}: {profile} is not for the kind {experiment.kind}")
    for group in (experiment.rows, experiment.front_ends):
        for name, settings in group.items():
            for key in settings:
                if key not in SETTABLE:
                    raise InputError(f"{path.name}: {name}: unknown setting {key!r}{nearest(key, SETTABLE)}")
    for relation in experiment.relations:
        ends = relation.front_end if isinstance(relation.front_end, tuple) else (relation.front_end,)
        for what, name, table in (
            ("row", relation.left, experiment.rows), ("row", relation.right, experiment.rows),
            ("column", relation.column, experiment.columns),
            *(("front end", end, experiment.front_ends) for end in ends),
        ):  # fmt: skip
            if name not in table:
                raise InputError(f"{path.name}: relation {relation.claim!r}: no {what} {name!r}{nearest(name, table)}")
