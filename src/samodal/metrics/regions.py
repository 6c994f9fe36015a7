"""Mean IoUs of whole and of hidden regions: how good the masks are, apart from any score.

Each true instance in each frame is compared with the prediction that belongs to it; without a prediction the IoU is 0.
Crowds are no instances.
`miou`: the mean over instances and frames. `miou_micro`: pixels pooled, sum of intersections over sum of unions,
which large objects dominate. `miou_hidden`: only the part that is not visible in truth, of the prediction against
the truth, where truth has such a part. `miou_hidden_micro`: the same, pixels pooled. `miou_fully_hidden`: frames
in which nothing of the instance is visible. `miou_fully_hidden_after_seen`: of these, only those after it was
visible once, as no online method can know of it earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle, join, overlap

PAIRING_RULES = {
    "identity": "by id: every predicted id is a true one, and visible masks of equal ids agree (mean IoU >= 0.5)",
    "visible": "one to one within a clip by the largest IoU of the visible masks over all frames",
    "masks": "one to one within a clip by the largest IoU of the evaluated masks over all frames, which favours "
    "the results, as no visible masks are known",
}
"""How a prediction is found for a true instance."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Pixel counts of every true instance in every frame where it has a mask.

    Attributes:
        clips: (N,) str, which clip.
        whole: (N, 2) int, intersection and union of the masks.
        hidden: (N, 2) int, the same outside the truth's visible mask; -1 where that is not known.
        visible: (N,) int, 1 where some of it is visible in this frame, 0 where nothing is, -1 where unknown.
        after: (N,) bool, whether it was visible in an earlier frame.
        has_hidden: (N,) bool, whether truth has a hidden part.
        rule: how predictions were found, a key of `PAIRING_RULES`.
    """

    clips: np.ndarray
    whole: np.ndarray
    hidden: np.ndarray
    visible: np.ndarray
    after: np.ndarray
    has_hidden: np.ndarray
    rule: str

    def rows(self, name: str, only_visible: bool) -> tuple[np.ndarray, np.ndarray]:
        """What a number is the ratio of: (N,) numerators and denominators, zero where a row does not count.

        Args:
            name: as in the description of this module.
            only_visible: whether `miou` and `miou_micro` leave out frames in which nothing is visible.
        """
        counts = self.whole
        if name.startswith("miou_hidden"):
            counts, rows = self.hidden, self.has_hidden
        elif name == "miou_fully_hidden":
            rows = self.visible == 0
        elif name == "miou_fully_hidden_after_seen":
            rows = (self.visible == 0) & self.after
        else:
            rows = (self.visible != 0) | (not only_visible)
        inter, total = counts[:, 0] * rows, counts[:, 1] * rows
        if name.endswith("micro"):
            return inter.astype(float), total.astype(float)
        return np.divide(inter, total, out=np.zeros(len(total)), where=total > 0), rows.astype(float)

    def value(self, name: str, only_visible: bool) -> float | None:
        """One number, None where nothing counts."""
        above, below = self.rows(name, only_visible)
        return float(above.sum() / below.sum()) if below.sum() else None


def measure(truth: Annotated, results: Sequence[Entry]) -> Regions:
    """Pair predictions with the truth and count their pixels, frame by frame."""
    pairs, rule = pair(truth, results)
    rows = []
    for entry, prediction in zip(truth.entries, pairs, strict=True):
        if entry.crowd:
            continue
        clip = truth.clip_of(entry.group)
        rows.extend((clip, *row) for row in _rows(entry, prediction))
    clips, whole, hidden, visible, after, has_hidden = (
        zip(*rows, strict=True) if rows else ((), np.zeros((0, 2)), np.zeros((0, 2)), (), (), ())
    )
    return Regions(
        np.array(clips, str),
        np.array(whole, np.int64).reshape(-1, 2),
        np.array(hidden, np.int64).reshape(-1, 2),
        np.array(visible, np.int8),
        np.array(after, bool),
        np.array(has_hidden, bool),
        rule,
    )


def _rows(entry: Entry, prediction: Entry | None) -> list[tuple]:
    rows, after = [], False
    for t, mask in enumerate(entry.masks):
        if mask is None:
            continue
        predicted = prediction.masks[t] if prediction is not None else None
        whole = _inter_union(mask, predicted)
        if entry.visible is None:
            rows.append((whole, (-1, -1), -1, False, False))
            continue
        visible = entry.visible[t]
        hidden = _outside(mask, predicted, visible, whole)
        rows.append((whole, hidden, int(visible is not None), after, _uncovered(mask, visible) > 0))
        after = after or visible is not None
    return rows


def _inter_union(a: Rle, b: Rle | None) -> tuple[int, int]:
    inter = overlap(a, b) if b is not None else 0
    return inter, a.area + (b.area if b is not None else 0) - inter


def _outside(a: Rle, b: Rle | None, removed: Rle | None, whole: tuple[int, int]) -> tuple[int, int]:
    """Intersection and union of two masks outside a third."""
    if removed is None:
        return whole
    if b is None:
        return 0, _uncovered(a, removed)
    common = coco.merge([a.to_coco(), b.to_coco(), removed.to_coco()], intersect=True)
    inter = whole[0] - int(coco.area(common))
    return inter, _uncovered(a, removed) + _uncovered(b, removed) - inter


def _uncovered(mask: Rle, cover: Rle | None) -> int:
    return mask.area - (overlap(mask, cover) if cover is not None else 0)


def pair(truth: Annotated, results: Sequence[Entry]) -> tuple[list[Entry | None], str]:
    """The prediction of every entry of the truth, and the rule that found it (a key of `PAIRING_RULES`).

    A crowd has none.
    """
    by_group: dict[object, list[Entry]] = {}
    for result in results:
        by_group.setdefault(result.group, []).append(result)
    if _ids_agree(truth, by_group):
        known = {(r.group, r.id): r for r in results}
        return [None if entry.crowd else known.get((entry.group, entry.id)) for entry in truth.entries], "identity"
    visible = all(e.visible is not None for e in (*truth.instances, *results))
    pairs: dict[int, Entry] = {}
    order = [i for i, entry in enumerate(truth.entries) if not entry.crowd]
    order.sort(key=lambda i: str(truth.entries[i].group))
    for _, indices in groupby(order, key=lambda i: truth.entries[i].group):
        pairs |= _assigned(truth, list(indices), by_group, visible)
    return [pairs.get(i) for i in range(len(truth.entries))], "visible" if visible else "masks"


def _ids_agree(truth: Annotated, by_group: dict[object, list[Entry]]) -> bool:
    """The rule of "identity"; ids that agree by chance, 1, 2, 3, … on both sides, are not enough."""
    true = {(entry.group, entry.id): entry for entry in truth.entries}
    overlaps = []
    for group, entries in by_group.items():
        if len({entry.id for entry in entries}) != len(entries):
            return False
        for entry in entries:
            other = true.get((group, entry.id))
            if other is None or entry.visible is None or other.visible is None:
                return False
            both = [(a, b) for a, b in zip(entry.visible, other.visible, strict=True) if a and b]
            overlaps.extend(i / u for i, u in (_inter_union(a, b) for a, b in both))
    return not overlaps or float(np.mean(overlaps)) >= 0.5


def _assigned(
    truth: Annotated, indices: list[int], by_group: dict[object, list[Entry]], visible: bool
) -> dict[int, Entry]:
    group = truth.entries[indices[0]].group
    results = by_group.get(group, [])
    if not results:
        return {}
    size = truth.sizes[group]

    def joined(entry: Entry) -> dict:
        return join(entry.visible if visible else entry.masks, size).to_coco()

    rows = [joined(truth.entries[i]) for i in indices]
    ious = np.asarray(coco.iou(rows, [joined(r) for r in results], [0] * len(results)))
    return {indices[i]: results[j] for i, j in zip(*linear_sum_assignment(-ious), strict=True) if ious[i, j] > 0}
