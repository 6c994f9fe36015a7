"""Results as a table: a row for each instance and frame."""

from __future__ import annotations

from typing import Any

from samodal.masks import Mask
from samodal.tracks import FrameResult, Instance


def row(result: FrameResult, instance: Instance, key: int | str) -> dict[str, Any]:
    """The values of one instance in one frame, without its masks; those that are not known are None.

    Args:
        key: id of its track.
    """
    rate = instance.occlusion
    share = None if rate is None else 1 - rate
    hiders = result.hidden_by[instance.id]
    return {
        "frame": result.t,
        "time_s": result.time,
        "id": key,
        "category": instance.category,
        "state": str(instance.state),
        "score": instance.score,
        "visible_share": share,
        **_box("visible", instance.visible),
        **_box("amodal", instance.amodal),
        "hidden_by": [other for other, _ in hiders],
        "hidden_by_share": [share for _, share in hiders],
        "expected_iou": instance.expected_iou,
        "seconds_since_seen": instance.seconds_since_seen,
    }


def _box(kind: str, mask: Mask | None) -> dict[str, float | None]:
    box = [float(n) for n in mask.box] if mask else [None] * 4
    return {f"{kind}_{name}": value for name, value in zip(("x0", "y0", "x1", "y1"), box, strict=True)}
