"""From an experiment to runs: every row with every front end, all weights and, where chance plays a part, all seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from samodal.build import PRESET_SEGMENTERS, with_segmenter
from samodal.errors import InputError
from samodal.experiments.config import Experiment
from samodal.experiments.machine import digest, file_of
from samodal.making import split
from samodal.method.prompts.choose import make_selector
from samodal.method.rules import preset
from samodal.registry import FRONT_ENDS, METHODS, SEGMENTERS, TRACKERS
from samodal.settings import RunSettings

DRAWN = ("random", "erosion", "max-distance")
"""Prompt selectors that draw; the others give the same points for every seed."""
FILES = (".safetensors", ".pth", ".pt")
_KEY = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Planned:
    """One run over all clips.

    Attributes:
        front_end, row: of the table.
        settings: of `samodal run`, without clip and folder.
        weights: what each key stood for.
        folder: where CLIP/tracks.json lies; its name tells all that decides the result.
    """

    front_end: str
    row: str
    settings: RunSettings
    weights: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Missing:
    """A row that cannot run, and what it needs."""

    front_end: str
    row: str
    needs: str


def plan(
    experiment: Experiment, data: str, out: Path, *, seeds: int, device: str
) -> tuple[list[Planned], list[Missing]]:
    """All runs of an experiment, in the order of its table.

    Args:
        data: data set, as --data of `samodal run`.
        out: results come below its folder `runs`, shared by all experiments: equal runs run once.
        seeds: inference seeds, for rows in which chance plays a part.
    """
    runs, missing = [], []
    for front_end, row in itertools.product(experiment.front_ends, experiment.rows):
        wanted = experiment.front_ends[front_end] | experiment.rows[row]
        key = PRESET_SEGMENTERS.get(wanted.get("preset", RunSettings.preset), "sam")
        if key in experiment.weights and "segmenter" not in wanted:
            wanted = {"weights": f"{{{key}}}"} | wanted
        absent = [key for key in _keys(wanted) if not _there(experiment.weights.get(key, ()))]
        if absent:
            missing.append(Missing(front_end, row, needs(experiment, absent)))
            continue
        if lacking := _lacking(wanted):
            missing.append(Missing(front_end, row, lacking))
            continue
        for settings, weights in _filled(wanted, experiment.weights, data, device):
            for seed in range(seeds if experiment.kind == "points" or draws(settings) else 1):
                seeded = replace(settings, seed=seed)
                runs.append(Planned(front_end, row, seeded, weights, out / "runs" / _folder(seeded)))
    return runs, missing


def _lacking(wanted: dict[str, Any]) -> str | None:
    """What a row's prompts need and is not installed, in words."""
    try:
        rules = preset(wanted.get("preset", "default"), **wanted.get("rules", {}))
        make_selector(rules.prompt, rules.points)
    except InputError as error:
        return str(error)
    return None


def needs(experiment: Experiment, absent: list[str]) -> str:
    """What to do about keys without weights, in words."""
    given = " ".join(f"--weights.{key}=…" for key in absent)
    trainable = all(key in experiment.train for key in absent)
    return f"{', '.join(absent)}: give {given}" + (" or --train DATA" if trainable else "")


def draws(settings: RunSettings) -> bool:
    """Whether a seed changes the result."""
    if split(settings.vis or "", FRONT_ENDS)[0] == "degraded":
        return True
    rules = preset(settings.preset, **settings.rules)
    return settings.method == "samodal" and rules.prompt.partition(":")[0] in DRAWN


def _keys(wanted: dict[str, Any]) -> list[str]:
    """Keys that a row's settings stand on; weights count only where the method reads them."""
    used = {k: v for k, v in wanted.items() if k != "weights" or wanted.get("method", "samodal") == "samodal"}
    return sorted({key for value in used.values() if isinstance(value, str) for key in _KEY.findall(value)})


def _there(values: tuple[str, ...]) -> bool:
    """Whether weights are there, as far as can be told: a file must exist, a name of the hub is believed."""
    return bool(values) and all(file_of(value) or not value.endswith(FILES) for value in values)


def _filled(
    wanted: dict[str, Any], weights: dict[str, tuple[str, ...]], data: str, device: str
) -> Iterator[tuple[RunSettings, dict[str, str]]]:
    """Settings for every choice of the weights that they stand on."""
    keys = _keys(wanted)
    for chosen in itertools.product(*(weights[key] for key in keys)):
        known = dict(zip(keys, chosen, strict=True))
        values = {name: _put(value, known) if isinstance(value, str) else value for name, value in wanted.items()}
        if "weights" not in keys and not values.get("weights"):
            values.pop("weights", None)
        yield with_segmenter(RunSettings(data=data, device=device, overlay=False, **values)), known


def _put(text: str, known: dict[str, str]) -> str:
    """A text with the weights in place of their keys; those that a method does not read are left out."""
    return _KEY.sub(lambda match: known.get(match[1], ""), text)


def _folder(settings: RunSettings) -> str:
    """A name that people can read and a digest of everything that decides the result, weights included."""
    decided = asdict(settings)
    for name in ("out", "overlay", "device", "workers", "clips", "video"):
        decided.pop(name)
    parts = (
        (settings.vis, FRONT_ENDS), (settings.tracker, TRACKERS), (settings.method, METHODS),
        (settings.segmenter, SEGMENTERS),
    )  # fmt: skip
    named = [split(text or "", table)[1] or "" for text, table in parts]
    if settings.method == "samodal":
        named.append(settings.weights or "")
    for text in named:
        if content := digest(text):
            decided[f"content of {text}"] = content
    key = hashlib.blake2b(json.dumps(decided, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
    words = [settings.vis or "", settings.method, settings.preset if settings.method == "samodal" else ""]
    readable = re.sub("[^A-Za-z0-9=_.-]+", "-", "-".join(filter(None, words)))[:60]
    return f"{readable}-{settings.seed}-{key}"
