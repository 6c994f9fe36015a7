"""A remembered instance as JSON holds it, without a rounding error, and back, after every value is checked."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import numpy as np

from samodal.checks import Between, check_entries, fits
from samodal.errors import InputError, shown
from samodal.masks import Mask
from samodal.method.camera import View
from samodal.method.filter import Belief
from samodal.method.hidden import HiddenPhase, Place
from samodal.method.history import History, Seen
from samodal.rle import Rle

Index = Annotated[int, Between(0, 1_000_000_000)]
Seconds = Annotated[float, Between(-1e9, 1e9)]
Pixels = Annotated[float, Between(-1e6, 1e6)]
Pair = tuple[Pixels, Pixels]
Points = tuple[Pair, ...]
Stretch = Annotated[float, Between(1e-6, 1e6)]
Variance = Annotated[float, Between(0, 1e12)]
Limit = Annotated[float, Between(0, 1e9)] | None
ENTRY: dict[str, Any] = {
    "id": int | str, "category": str, "tuples": tuple[tuple[Index, Points], ...],
    "centres": tuple[tuple[Index, Pair], ...], "recent": list, "best": dict | None, "belief": dict | None,
    "phase": dict | None,
}  # fmt: skip
SEEN: dict[str, Any] = {
    "t": Index, "time": Seconds, "points": Points | None, "visible": dict, "amodal": dict,
    "score": Annotated[float, Between(0, 1)] | None, "iou": Annotated[float, Between(0, 1)] | None,
}  # fmt: skip
PHASE: dict[str, Any] = {
    "anchor": Index, "start": Points, "velocity": Pair, "limit": tuple[Limit, Limit], "shift": Pair, "told_t": Index,
    "told_s": Seconds, "speed": Pair | None, "stretch": tuple[Stretch, Stretch],
    "believed": Index, "noise": tuple[Variance, Variance], "covered": bool, "open_since": Seconds | None,
    "place": str, "belief": dict | None,
}  # fmt: skip
WITHOUT = ("anchor", "mask", "spread")
"""Attributes of a phase that are saved in another way, or found again in the next frame."""
Number = Annotated[float, Between(-1e12, 1e12)]
LogSize = Annotated[float, Between(-50, 50)]
Six = tuple[(Number,) * 6]
BELIEF: dict[str, Any] = {
    "time": Seconds, "mean": tuple[Number, Number, Number, Number, LogSize, LogSize], "covariance": tuple[(Six,) * 6],
    "of_place": tuple[(Six,) * 6],
    "surprise": tuple[Annotated[float, Between(0, 1e6)], Annotated[float, Between(0, 1e6)]],
    "rest": tuple[(Pixels,) * 4], "level": Number, "told": Seconds, "masks": Annotated[int, Between(1, 1_000_000_000)],
}  # fmt: skip
VIEW: dict[str, Any] = {
    "focal": Number, "middle": Number, "horizon": Number, "heading": Number, "origin": tuple[Number, Number],
    "known": bool, "level": Number,
}  # fmt: skip


def plain_view(view: View) -> dict:
    """A view as JSON holds it."""
    return {f.name: _value(getattr(view, f.name)) for f in fields(View)}


def read_view(plain: Any, where: str) -> View:
    """What `plain_view` gave; an InputError for a value that cannot be."""
    check_entries(plain, VIEW, f"{where}, its view")
    return View(**(plain | {"origin": np.array(plain["origin"], np.float64)}))


def plain_entry(key: int | str, category: str, history: History, phase: HiddenPhase | None) -> dict:
    """What is known of an instance as JSON holds it."""
    return {
        "id": key,
        "category": category,
        "tuples": [[t, points.tolist()] for t, points in history.tuples],
        "centres": [[t, centre.tolist()] for t, centre in history.centres],
        "recent": [_plain_seen(seen) for seen in history.recent],
        "best": None if history.best is None else _plain_seen(history.best),
        "belief": _value(history.belief),
        "phase": None if phase is None else _plain_phase(phase, list(history.recent)),
    }


def read_entry(plain: Any, history: History) -> HiddenPhase | None:
    """Fill an empty history from what `plain_entry` gave, and give the hidden phase.

    Raises:
        InputError: for a value that cannot be.
    """
    check_entries(plain, ENTRY, "an instance")
    where = f"instance {shown(plain['id'])}"
    for name in ("tuples", "centres"):
        times = [t for t, _ in plain[name]]
        if times != sorted(set(times)):
            raise InputError(f"{where}: {name} are not in the order of their frames")
    if not plain["recent"] or not all(points for _, points in plain["tuples"]):
        raise InputError(f"{where}: no frame in which it was seen, or no point of one")
    history.tuples.extend((t, np.array(points, np.float32)) for t, points in plain["tuples"])
    history.centres.extend((t, np.array(centre, np.float64)) for t, centre in plain["centres"])
    history.recent.extend(_seen(entry, where) for entry in plain["recent"])
    history.best = None if plain["best"] is None else _seen(plain["best"], where)
    masks = [mask for seen in [*history.recent, history.best] if seen for mask in (seen.visible, seen.amodal)]
    if len({mask.size for mask in masks}) > 1:
        raise InputError(f"{where}: masks of frames of several sizes")
    history.belief = None if plain["belief"] is None else _belief(plain["belief"], where)
    return None if plain["phase"] is None else _phase(plain["phase"], list(history.recent), where)


def _plain_seen(seen: Seen) -> dict:
    return {f.name: _value(getattr(seen, f.name)) for f in fields(Seen)}


def _plain_phase(phase: HiddenPhase, recent: list[Seen]) -> dict:
    plain = {f.name: _value(getattr(phase, f.name)) for f in fields(HiddenPhase) if f.name not in WITHOUT}
    limit = [side if np.isfinite(side) else None for side in plain["limit"]]  # JSON has no infinity
    return plain | {"anchor": recent.index(phase.anchor), "limit": limit}


def _value(value: Any) -> Any:
    """An attribute as JSON holds it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mask):
        return value.to_coco()
    if isinstance(value, Belief):
        return {f.name: _value(getattr(value, f.name)) for f in fields(Belief)}
    return value


def _phase(plain: dict, recent: list[Seen], where: str) -> HiddenPhase:
    check_entries(plain, PHASE, f"{where}, its hidden phase")
    if plain["anchor"] >= len(recent) or plain["place"] not in list(Place):
        raise InputError(f"{where}: anchor {plain['anchor']} or place {shown(plain['place'])} is not known")
    pairs = ("velocity", "shift", "stretch", "noise")
    arrays: dict[str, Any] = {name: np.array(plain[name], np.float64) for name in pairs}
    arrays["limit"] = np.array([np.inf if side is None else side for side in plain["limit"]])
    arrays["start"] = np.array(plain["start"], np.float32).reshape(-1, 2)
    arrays["speed"] = None if plain["speed"] is None else np.array(plain["speed"], np.float64)
    arrays["belief"] = None if plain["belief"] is None else _belief(plain["belief"], where)
    return HiddenPhase(**(plain | arrays | {"anchor": recent[plain["anchor"]], "place": Place(plain["place"])}))


def _belief(plain: dict, where: str) -> Belief:
    check_entries(plain, BELIEF, f"{where}, its belief")
    arrays = {
        name: np.array(plain[name], np.float64) for name in ("mean", "covariance", "of_place", "surprise", "rest")
    }
    for name in ("covariance", "of_place"):
        matrix = arrays[name]
        if not np.allclose(matrix, matrix.T) or (np.linalg.eigvalsh(matrix) < -1e-9 * abs(matrix).max()).any():
            raise InputError(f"{where}, its belief: {name} cannot be {shown(plain[name])}")
    return Belief(**(plain | arrays))


def _seen(plain: Any, where: str) -> Seen:
    check_entries(plain, SEEN, f"{where}, a frame")
    values: dict[str, Any] = {name: _mask(plain[name], f"{where}, {name}") for name in ("visible", "amodal")}
    values["points"] = None if plain["points"] is None else np.array(plain["points"], np.float32).reshape(-1, 2)
    return Seen(**(plain | values))


def _mask(plain: dict, where: str) -> Mask:
    size = plain.get("size")
    if not fits(size, tuple[Index, Index]):
        raise InputError(f"{where}: expected a size [height, width], found {shown(size)}")
    mask = Mask.from_rle(Rle.from_coco(plain, tuple(size)))
    if not mask:
        raise InputError(f"{where}: the mask has no pixel")
    return mask
