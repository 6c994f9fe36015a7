"""Instances as they stand in a line of frames.jsonl: masks, points, and what a segmenter says beside its mask."""

import base64
import math
import zlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np

from samodal.checks import Between
from samodal.confidence import Confidence
from samodal.errors import InputError, shown
from samodal.files import read_mask
from samodal.masks import Mask
from samodal.results.fields import Area, FrameNumber, Id, Share, value_of
from samodal.rle import Rle
from samodal.tracks import Instance, Returned, State

_FARTHEST = 4  # larger sides of the frame from its corner to what lies over its border


def to_json(instance: Instance, hidden_by: Iterable[tuple[int | str, float]], details: bool) -> dict:
    """An instance as its entry in a line.

    Args:
        hidden_by: (id, share) of those that hide it.
        details: with hypotheses and confidence, where it has them.
    """
    rate, expected = instance.occlusion, instance.expected_iou
    values = {
        "id": instance.id,
        "category": instance.category,
        "score": None if instance.score is None else float(instance.score),
        "state": str(instance.state),
        "visible": _coded(instance.visible),
        "amodal": _coded(instance.amodal),
        "visible_box": _box(instance.visible),
        "amodal_box": _box(instance.amodal),
        "occlusion": None if rate is None else round(rate, 6),
        "points": _points(instance.points),
        "followed": _points(instance.followed),
        "frames_since_seen": int(instance.frames_since_seen),
        "seconds_since_seen": round(float(instance.seconds_since_seen), 6),
        "hidden_by": [{"id": key, "share": round(share, 6)} for key, share in hidden_by],
        "expected_iou": None if expected is None else float(expected),
        "box_spread": None if instance.spread is None else [round(float(n), 2) for n in instance.spread],
        "beyond": _canvas(instance.beyond) if _reaches_further(instance) else None,
    }
    if (back := instance.returned) is not None:
        values["returned"] = {"margin": round(float(back.margin), 6), "merged": back.merged}
    if instance.centre_spread is not None:
        values["centre_spread"] = [round(float(n), 2) for n in instance.centre_spread]
    if not details:
        return values
    masks, confidence = instance.hypotheses, instance.confidence
    return values | {
        "hypotheses": None if masks is None else [_coded(mask) if mask else None for mask in masks],
        "confidence": None if confidence is None else _packed(confidence),
    }


def _reaches_further(instance: Instance) -> bool:
    """Whether the whole object has other pixels than the amodal mask, which ends at the border of the frame."""
    beyond, amodal = instance.beyond, instance.amodal
    if not beyond or not amodal:
        return bool(beyond)
    return beyond.box != amodal.box or not np.array_equal(beyond.inside, amodal.inside)


def from_json(value: Any, size: tuple[int, int], where: str) -> Instance:
    """The instance of an entry.

    Args:
        size: (H, W) of the frame.
        where: file and line, for messages.

    Raises:
        InputError: if a value is missing or damaged.
    """
    key = value_of(value, "id", Id, f"{where}: an instance")
    where = f"{where}: instance {key}"
    spread = value_of(value, "box_spread", tuple[float, float, float, float] | None, where, None)
    centre_spread = value_of(value, "centre_spread", tuple[Area, Area] | None, where, None)
    return Instance(
        id=key,
        category=value_of(value, "category", str, where),
        score=value_of(value, "score", Share, where, None),
        state=State(value_of(value, "state", Literal[*map(str, State)], where)),
        visible=read_mask(value.get("visible"), size, where),
        amodal=read_mask(value.get("amodal"), size, where),
        points=_array(value, "points", where),
        followed=_array(value, "followed", where),
        frames_since_seen=value_of(value, "frames_since_seen", FrameNumber, where, 0),
        seconds_since_seen=value_of(value, "seconds_since_seen", float, where, 0.0),
        expected_iou=value_of(value, "expected_iou", Share, where, None),
        beyond=_from_canvas(value.get("beyond"), size, where),
        spread=None if spread is None else np.array(spread, np.float32),
        centre_spread=None if centre_spread is None else np.array(centre_spread, np.float32),
        hypotheses=_hypotheses(value.get("hypotheses"), size, where),
        confidence=_unpacked(value.get("confidence"), size, where),
        returned=_returned(value.get("returned"), f"{where}, returned"),
    )


def _returned(value: Any, where: str) -> Returned | None:
    if value is None:
        return None
    return Returned(value_of(value, "margin", float, where), value_of(value, "merged", Id | None, where, None))


def _hypotheses(masks: Any, size: tuple[int, int], where: str) -> tuple[Mask, Mask, Mask] | None:
    if masks is None:
        return None
    if not isinstance(masks, list) or len(masks) != 3:
        raise InputError(f"{where}, hypotheses: expected three masks, got {shown(masks)}")
    read = [read_mask(mask, size, f"{where}, hypotheses") for mask in masks]
    small, given, large = (Mask.nowhere(size) if mask is None else Mask.of(mask) for mask in read)
    return small, given, large


def _canvas(mask: Mask) -> dict:
    """A mask that may lie partly outside the frame, on a canvas of its own whose first pixel is x0, y0 of the frame."""
    return {"x0": int(mask.x), "y0": int(mask.y)} | Mask(mask.shape, 0, 0, mask.inside).to_coco()


def _from_canvas(value: Any, size: tuple[int, int], where: str) -> Mask | None:
    if value is None:
        return None
    where = f"{where}, beyond"
    x0, y0, canvas = _place(value, size, where)
    mask = read_mask({"size": canvas, "counts": value_of(value, "counts", str | list, where)}, canvas, where)
    return None if mask is None else Mask(size, x0, y0, mask.decode())


def _place(value: Any, size: tuple[int, int], where: str) -> tuple[int, int, tuple[int, int]]:
    """Column and row in a frame of (H, W) of a cut-out's first pixel, and its (height, width)."""
    farthest = _FARTHEST * max(size)
    near, side = Annotated[int, Between(-farthest, farthest)], Annotated[int, Between(1, farthest)]
    x0, y0 = value_of(value, "x0", near, where), value_of(value, "y0", near, where)
    height, width = value_of(value, "size", tuple[side, side], where)
    return x0, y0, (height, width)


def _packed(confidence: Confidence) -> dict:
    """A cut-out of probabilities: its rows of bytes, compressed by zlib, in base 64."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(confidence.values).tobytes())).decode("ascii")
    size = [int(n) for n in confidence.values.shape]
    return {"x0": int(confidence.x), "y0": int(confidence.y), "size": size, "zlib": data}


def _unpacked(value: Any, size: tuple[int, int], where: str) -> Confidence | None:
    if value is None:
        return None
    where = f"{where}, confidence"
    x0, y0, (h, w) = _place(value, size, where)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(value_of(value, "zlib", str, where)), h * w)
        return Confidence(x0, y0, np.frombuffer(data, np.uint8).reshape(h, w))
    except (TypeError, ValueError, zlib.error) as error:
        raise InputError(f"{where}: damaged ({error})") from None


def _coded(mask: Rle | None) -> dict | None:
    return None if mask is None else mask.to_coco()


def _box(mask: Rle | None) -> list[float] | None:
    return None if mask is None else [float(n) for n in mask.box]


def _points(points: np.ndarray | None) -> list[list[float | None]] | None:
    """Coordinates to a hundredth of a pixel; JSON has no nan, so a lost point is [null, null]."""
    if points is None:
        return None
    return [[round(v, 2) if math.isfinite(v) else None for v in xy] for xy in np.asarray(points).tolist()]


def _array(value: dict, name: str, where: str) -> np.ndarray | None:
    points = value_of(value, name, tuple[tuple[float | None, float | None], ...] | None, where, None)
    return None if points is None else np.array(points, np.float32).reshape(-1, 2)  # None becomes nan
