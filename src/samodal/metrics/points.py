"""How well points are followed: TAP-Vid's numbers, and errors of points that are hidden.

TAP-Vid (Doersch et al. 2022, `compute_tapvid_metrics`, query mode "first"), over the frames after each query, at
1, 2, 4, 8 and 16 pixels of frames resized to 256x256, strictly within, and for each clip on its own:
`delta_avg`: share of the truly visible points within a threshold, whatever their predicted visibility.
`occlusion_accuracy`: share of all points whose visibility is predicted rightly.
`average_jaccard`: true positives / (truly visible + false positives); a true positive is visible, called visible and
within the threshold; a false positive is called visible but hidden or not within it.

Ours, in original pixels, over all clips together: `delta_occ`: share within 1, 2, 4, 8 and 16 pixels of the points
that are inside the image but not visible, by an occluder or by turning away. `full_error`: median distance in frames
in which nothing of the whole instance is visible, of its points inside the image; `delta_full`: the shares there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

THRESHOLDS = (1.0, 2.0, 4.0, 8.0, 16.0)
TAPVID_SIZE = (256, 256)
TAPVID = ("average_jaccard", "delta_avg", "occlusion_accuracy")
"""Numbers that are means over clips."""


@dataclass(frozen=True, eq=False)
class PointCounts:
    """What the numbers are ratios of; a point in a frame is counted once. Arrays have an entry per threshold.

    Attributes:
        evaluated: points in frames after their query.
        agreed: of these, whose visibility is predicted rightly.
        visible: of these, truly visible.
        near: of the visible, within the threshold.
        hits: of the near, called visible: true positives.
        false: called visible, but hidden or not within the threshold: false positives.
        hidden: of the evaluated, inside the image and not visible.
        hidden_near: of these, within the threshold in original pixels.
        full_errors: (M,) float32, distance in original pixels of those hidden while their whole instance is hidden.
    """

    evaluated: int
    agreed: int
    visible: int
    near: np.ndarray
    hits: np.ndarray
    false: np.ndarray
    hidden: int
    hidden_near: np.ndarray
    full_errors: np.ndarray

    @property
    def average_jaccard(self) -> float | None:
        below = self.visible + self.false
        return float(np.mean(self.hits / below)) if below.all() else None

    @property
    def delta_avg(self) -> float | None:
        return _ratio(self.near.mean(), self.visible)

    @property
    def occlusion_accuracy(self) -> float | None:
        return _ratio(self.agreed, self.evaluated)

    @property
    def delta_occ(self) -> float | None:
        return _ratio(self.hidden_near.mean(), self.hidden)

    def delta_occ_at(self, threshold: float) -> float | None:
        return _ratio(self.hidden_near[THRESHOLDS.index(threshold)], self.hidden)

    @property
    def delta_full(self) -> float | None:
        return _ratio(_within(self.full_errors).mean(), len(self.full_errors))

    @property
    def full_error(self) -> float | None:
        return float(np.median(self.full_errors)) if len(self.full_errors) else None


def count_points(
    xy: np.ndarray,
    visible: np.ndarray,
    true_xy: np.ndarray,
    true_visible: np.ndarray,
    query_t: np.ndarray,
    size: tuple[int, int],
    instance_hidden: np.ndarray,
    resized: tuple[int, int] | None = TAPVID_SIZE,
) -> PointCounts:
    """Count the points of a clip.

    Args:
        xy, true_xy: (N, T, 2) pixels; nan in the truth is behind the camera, nan in the prediction is never within.
        visible, true_visible: (N, T) bool; the truth is False outside the image.
        query_t: (N,) int, the frame in which each point was shown; only later frames are evaluated.
        size: (H, W) of the frames.
        instance_hidden: (N, T) bool, frames in which no pixel of the point's instance is visible.
        resized: (H, W) in whose pixels TAP-Vid's thresholds are; None for those of the frames themselves.
    """
    later = np.arange(xy.shape[1]) > np.asarray(query_t)[:, None]
    apart = np.asarray(xy, np.float64) - true_xy
    scale = np.ones(2) if resized is None else np.divide(resized, size)[::-1]
    distance = np.linalg.norm(apart * scale, axis=-1)
    original = np.linalg.norm(apart, axis=-1)

    near = [distance < threshold for threshold in THRESHOLDS]
    hits = [later & true_visible & visible & close for close in near]
    false = [later & visible & ~(true_visible & close) for close in near]
    hidden = later & ~true_visible & inside(true_xy, size)
    full = original[hidden & instance_hidden]
    return PointCounts(
        evaluated=int(later.sum()),
        agreed=int((later & (visible == true_visible)).sum()),
        visible=int((later & true_visible).sum()),
        near=np.array([(later & true_visible & close).sum() for close in near]),
        hits=np.array([rows.sum() for rows in hits]),
        false=np.array([rows.sum() for rows in false]),
        hidden=int(hidden.sum()),
        hidden_near=_within(original[hidden]),
        full_errors=np.nan_to_num(full, nan=np.inf).astype(np.float32),
    )


def inside(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether points (..., 2) lie in a pixel of an image of (H, W); nan does not."""
    pixel = np.rint(np.nan_to_num(xy, nan=-9.0))
    return (pixel >= 0).all(axis=-1) & (pixel[..., 0] < size[1]) & (pixel[..., 1] < size[0])


def pooled(counts: Sequence[PointCounts]) -> PointCounts:
    """Counts of several clips as if they were a single clip."""
    joined = {name: [getattr(clip, name) for clip in counts] for name in (f.name for f in fields(PointCounts))}
    errors = np.concatenate(joined.pop("full_errors"))
    return PointCounts(**{name: sum(values) for name, values in joined.items()}, full_errors=errors)


def summarise_points(counts: Sequence[PointCounts]) -> dict[str, float | int | None]:
    """All numbers of a sequence of clips, shares in [0, 1] and errors in original pixels; None where nothing counts.

    TAP-Vid's are means over the clips that have them; the others are of all points together.
    """
    whole = pooled(counts)
    by_clip = {name: [getattr(clip, name) for clip in counts] for name in TAPVID}
    known = {name: [value for value in values if value is not None] for name, values in by_clip.items()}
    return {
        **{name: float(np.mean(values)) if values else None for name, values in known.items()},
        "delta_occ": whole.delta_occ,
        **{f"delta_occ_{threshold:g}": whole.delta_occ_at(threshold) for threshold in THRESHOLDS},
        "delta_full": whole.delta_full,
        "full_error": whole.full_error,
        "evaluated": whole.evaluated,
        "visible": whole.visible,
        "hidden": whole.hidden,
        "full": len(whole.full_errors),
    }


def _within(distance: np.ndarray) -> np.ndarray:
    """How many distances are below each threshold."""
    return np.array([(distance < threshold).sum() for threshold in THRESHOLDS])


def _ratio(above: float, below: int) -> float | None:
    return float(above / below) if below else None
