"""What an experiment is: rows and front ends to run, numbers to show, relations to look for. One YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from samodal.checks import fits, in_words
from samodal.errors import InputError, nearest, shown
from samodal.making import UNTRUSTED, code_of
from samodal.metrics.gaps import GAPS, named
from samodal.settings import RunSettings
from samodal.yaml_files import SCALARS, check_names, read_yaml

FOLDER = Path(__file__).parent / "configs"
MASKS = ("amodal", "visible")
KINDS = ("table", "figures", "points", "real", "seen", "moved")
APART = ("points", "real", "seen", "moved")
"""Kinds with columns of a profile of their own name."""
LATE = ("table", "figures", "moved")
"""Kinds that look at hidden frames, which hindsight changes."""
_PRECISION = ("image", "video")
PROFILES = {
    "official": _PRECISION, "strict": _PRECISION, "ones": _PRECISION, "identity": ("visible", "amodal"),
    "gaps": ("all", *map(named, GAPS)), "points": ("all",), "seen": ("all",),
    "moved": (
        *(
            f"{points}_{half}" for points in ("true", "noisy", "nothing", "made_noisy", "made_nothing")
            for half in ("all", "even", "odd")
        ),
        "withheld",
    ),
    "real": (
        "cocoa_1", "cocoa_2", "kitti_0005",
        *(f"{kind}_{n}{slack}" for kind in ("car", "pedestrian") for n in range(4) for slack in ("", "_slack")),
    ),
}  # fmt: skip
"""The levels of each profile; those of `APART` are for the kinds of these names alone, see `scores`, `points`, `real`
`seen` and `gaps` for all."""
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
            trackers of its rows follow points, "real", a table on real pictures and labels, "moved", a table of
            how masks are moved through real gaps, or "seen", a table of what
            its front ends find in real pictures, which are its rows.
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


def load(name: str, weights: Mapping[str, str] | None = None, trusted: bool = False) -> Experiment:
    """An experiment by its name or its YAML file.

    Args:
        weights: replaces what keys stand for; several are separated by commas that no "=" follows later, as in
            "a.safetensors,b.safetensors".
        trusted: whether a file of the user's may name code outside the package.

    Raises:
        InputError: for an unknown name, key, row setting or column, with the nearest known one, a value of another
            type, or code.
    """
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if not path.is_file():
        raise InputError(f"unknown experiment {name!r}{nearest(name, names())}")
    content = _content(path)
    _check_content(path, content)
    keys = {key: _listed(value) for key, value in content.pop("weights", {}).items()}
    for key, value in (weights or {}).items():
        if key not in keys:
            raise InputError(f"--weights.{key}: {path.stem} has no such key{nearest(key, keys)}")
        keys[key] = tuple(str(value).split(","))
    columns = {head: _column(path, head, text) for head, text in content.pop("columns", {}).items()}
    relations = tuple(_relation(path, values) for values in content.pop("relations", None) or ())
    experiment = Experiment(path.stem, columns=columns, weights=keys, relations=relations, **content)
    _check(path, experiment)
    for group in (experiment.rows, experiment.front_ends):
        for name, values in group.items() if path.parent != FOLDER and not trusted else ():
            for setting, text in code_of(values).items():
                raise InputError(f"{path}: {name}: {setting} names code, {text!r}; {UNTRUSTED}")
    return experiment


def _check_content(path: Path, content: dict[str, Any]) -> None:
    """Whether the keys of a file are known, and hold what an experiment has there."""
    known = {f.name for f in fields(Experiment)} - {"name"}
    for key, value in content.items():
        where = f"{path.name}: {key}"
        if key not in known:
            raise InputError(f"{path.name}: unknown key {key!r}{nearest(key, known)}")
        if key in ("title", "note", "masks", "kind"):
            if not isinstance(value, str):
                raise InputError(f"{where}: expected text, found {shown(value)}")
        elif key == "relations":
            if not isinstance(value, list):
                raise InputError(f"{where}: expected a list of claims, found {shown(value)}")
        else:
            for name, part in check_names(value, where).items():
                _check_part(key, part, f"{where}: {name}")
    if not {"title", "rows"} <= content.keys():
        raise InputError(f"{path.name}: expected a title and rows, as samodal/experiments/configs has")


def _check_part(key: str, value: Any, where: str) -> None:
    """Whether a value by name is what the key of an experiment has: settings, a column, or weights."""
    if key == "weights":
        fitting = fits(value, str | tuple[str, ...] | None)
    elif key == "columns":
        fitting = isinstance(value, str)
    else:
        check_names(value, where)
        fitting = key != "train" or isinstance(value.get("recipe"), str)
    if not fitting:
        expected = {"weights": "a name, a list of them, or nothing", "train": "a recipe and changes of it"}
        raise InputError(f"{where}: expected {expected.get(key, 'text')}, found {shown(value)}")


def _content(path: Path) -> dict[str, Any]:
    """The keys of a file, over those of the experiment that it names as its `base`."""
    content = read_yaml(path)
    if (base := content.pop("base", None)) is None:
        return content
    if base not in names():
        raise InputError(f"{path.name}: unknown base {shown(base)}{nearest(str(base), names())}")
    return _content(FOLDER / f"{base}.yaml") | content


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


def _relation(path: Path, values: Any) -> Relation:
    where = f"{path.name}: relations"
    values = {"front_end": "truth"} | check_names(values, where)
    hints = get_type_hints(Relation)
    if missing := hints.keys() - values.keys():
        raise InputError(f"{where}: {shown(values)} lacks {', '.join(sorted(missing))}")
    for name, value in values.items():
        if name not in hints:
            raise InputError(f"{where}: unknown key {name!r}{nearest(name, hints)}")
        if not fits(value, hints[name]):
            raise InputError(f"{where}: {name} should be {in_words(hints[name])}, found {shown(value)}")
    ends = values["front_end"]
    return Relation(**values | {"front_end": tuple(ends) if isinstance(ends, list) else ends})


def _check(path: Path, experiment: Experiment) -> None:
    if experiment.kind not in KINDS:
        raise InputError(f"{path.name}: unknown kind {experiment.kind!r}{nearest(experiment.kind, KINDS)}")
    if experiment.masks not in MASKS:
        raise InputError(f"{path.name}: unknown masks {experiment.masks!r}{nearest(experiment.masks, MASKS)}")
    hints = get_type_hints(RunSettings, include_extras=True)
    for head, (profile, _, _) in experiment.columns.items():
        if profile != experiment.kind and {profile, experiment.kind} & set(APART):
            raise InputError(f"{path.name}: column {head}: {profile} is not for the kind {experiment.kind}")
    for group in (experiment.rows, experiment.front_ends):
        for name, settings in group.items():
            if settings.get("offline") and experiment.kind not in LATE:
                raise InputError(f"{path.name}: {name}: offline changes nothing in the kind {experiment.kind}")
            for key, value in settings.items():
                if key not in SETTABLE:
                    raise InputError(f"{path.name}: {name}: unknown setting {key!r}{nearest(key, SETTABLE)}")
                if key == "rules":
                    fitting = all(
                        isinstance(rule, SCALARS) for rule in check_names(value, f"{path.name}: {name}").values()
                    )
                else:
                    fitting = fits(value, hints[key])
                if not fitting:
                    expected = "single values by name" if key == "rules" else in_words(hints[key])
                    raise InputError(f"{path.name}: {name}: {key} should be {expected}, found {shown(value)}")
    for relation in experiment.relations:
        ends = relation.front_end if isinstance(relation.front_end, tuple) else (relation.front_end,)
        for what, name, table in (
            ("row", relation.left, experiment.rows), ("row", relation.right, experiment.rows),
            ("column", relation.column, experiment.columns),
            *(("front end", end, experiment.front_ends) for end in ends),
        ):  # fmt: skip
            if name not in table:
                raise InputError(f"{path.name}: relation {relation.claim!r}: no {what} {name!r}{nearest(name, table)}")
