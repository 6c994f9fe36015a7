"""How well identities are held: HOTA, IDF1, id switches, and what happens after gaps. By mask IoU, class-agnostic.

Sources: HOTA by Luiten et al. 2021, "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking"; IDF1 by Ristani
et al. 2016; id switches as CLEAR MOT counts them (Bernardin and Stiefelhagen 2008). Matching follows TrackEval, the
published implementation of all three.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from samodal.metrics.levels import results_by_video, truth_by_video
from samodal.results.entries import Annotated, Entry
from samodal.rle import Rle
from samodal.tracks import Clip

ALPHAS = np.arange(0.05, 0.96, 0.05)
"""IoU thresholds that HOTA is the mean over."""
MATCH = 0.5
"""Least IoU for IDF1, switches, transfers and gaps."""
_EPSILON = np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Counts:
    """What is counted in a clip; counts of clips are added.

    Attributes:
        true_positives, false_negatives, false_positives: (19,) masks by IoU threshold.
        associated: (19,) sum over true positives of the share of both tracks on which they agree.
        id_true_positives: masks, under the best one-to-one assignment of whole tracks.
        truths, results: masks in truth and in the results.
        switches: times that a true instance gets another id than before.
        transfers: times that an id gets another true instance than before: wrong merges.
        gaps: stretches without a mask inside a true track, whose instance was matched before and after.
        returned: of these, those after which the instance has the id it had before.
    """

    true_positives: np.ndarray
    false_negatives: np.ndarray
    false_positives: np.ndarray
    associated: np.ndarray
    id_true_positives: int
    truths: int
    results: int
    switches: int
    transfers: int
    gaps: int
    returned: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def scores(self) -> dict[str, float | int | None]:
        """HOTA, DetA, AssA, IDF1 and the share of gaps after which the old id is found again, in [0, 1]; and counts.

        A share of nothing is None.
        """
        detection = self.true_positives / np.maximum(
            1, self.true_positives + self.false_negatives + self.false_positives
        )
        association = self.associated / np.maximum(1, self.true_positives)
        total = self.truths + self.results
        return {
            "HOTA": float(np.sqrt(detection * association).mean()) if total else None,
            "DetA": float(detection.mean()) if total else None,
            "AssA": float(association.mean()) if total else None,
            "IDF1": 2 * self.id_true_positives / total if total else None,
            "id_switches": self.switches,
            "id_transfers": self.transfers,
            "gaps": self.gaps,
            "found_again": self.returned / self.gaps if self.gaps else None,
        }


def count_identities(
    results: Mapping[str, Clip], truth: Mapping[str, Clip], masks: str = "visible"
) -> dict[str, Counts]:
    """Counts by name of the clip, over the labelled frames of the truth.

    Args:
        results: by clip name; a clip without results has no predictions.
        truth: by clip name.
        masks: "visible" or "amodal".

    Raises:
        InputError: if there are results of a clip that the truth does not have, or of other frames.
    """
    return count_entries(truth_by_video(truth, masks), results_by_video(results, truth, masks, "ones"))


def count_entries(truth: Annotated, results: Sequence[Entry]) -> dict[Hashable, Counts]:
    """Counts by video. Crowds are not counted, nor what lies in one and is no instance."""
    return {
        group: _count(
            [entry for entry in truth.instances if entry.group == group],
            _outside_crowds(truth, [entry for entry in results if entry.group == group]),
            length,
        )
        for group, length in truth.lengths.items()
    }


def _outside_crowds(truth: Annotated, results: Sequence[Entry]) -> list[Entry]:
    """Result tracks without the masks of which more than half lies in a crowd, unless they match an instance."""
    group = results[0].group if results else None
    true = [entry for entry in truth.entries if entry.group == group]
    if not any(entry.crowd for entry in true):
        return list(results)

    def counts(mask: Rle | None, t: int) -> bool:
        others = [(entry.masks[t].to_coco(), entry.crowd) for entry in true if entry.masks[t] is not None]
        if mask is None or not others:
            return mask is not None
        masks, crowds = map(list, zip(*others, strict=True))
        # The IoU with a crowd is the share of the mask that lies in it.
        overlaps = np.asarray(coco.iou([mask.to_coco()], masks, crowds))[0]
        crowded = np.array(crowds, bool)
        return bool((overlaps[~crowded] >= MATCH).any() or not (overlaps[crowded] > MATCH).any())

    return [
        replace(entry, masks=tuple(mask if counts(mask, t) else None for t, mask in enumerate(entry.masks)), areas=())
        for entry in results
    ]


def identity_scores(counts: Iterable[Counts]) -> dict[str, float | int | None]:
    """The scores of all clips together; see `Counts.scores`. There must be a clip."""
    first, *others = counts
    return sum(others, first).scores


def _count(truth: Sequence[Entry], results: Sequence[Entry], length: int) -> Counts:
    frames = [_frame(truth, results, t) for t in range(length)]
    # (tracks,) int: masks of each track.
    truths, predicted = (
        np.array([sum(mask is not None for mask in track.masks) for track in tracks], int)
        for tracks in (truth, results)
    )
    shape = (len(truths), len(predicted))
    switches, transfers, gaps, returned = _follow(frames, len(truths))
    matches = np.zeros((len(ALPHAS), *shape))
    for rows, columns, similarity in _aligned(frames, truths, predicted):
        for matched, alpha in zip(matches, ALPHAS, strict=True):
            good = similarity >= alpha - _EPSILON
            matched[rows[good], columns[good]] += 1
    true_positives = matches.sum(axis=(1, 2))
    whole = np.maximum(1, truths[:, None] + predicted - matches)
    return Counts(
        true_positives,
        truths.sum() - true_positives,
        predicted.sum() - true_positives,
        (matches * matches / whole).sum(axis=(1, 2)),
        _best_whole(frames, shape),
        int(truths.sum()),
        int(predicted.sum()),
        switches,
        transfers,
        gaps,
        returned,
    )


Frame = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Numbers of the true tracks and of the result tracks that have a mask in a frame, and (n, m) their IoUs."""


def _frame(truth: Sequence[Entry], results: Sequence[Entry], t: int) -> Frame:
    rows = np.array([n for n, track in enumerate(truth) if track.masks[t] is not None], int)
    columns = np.array([n for n, track in enumerate(results) if track.masks[t] is not None], int)
    if not (len(rows) and len(columns)):
        return rows, columns, np.zeros((len(rows), len(columns)))
    true = [truth[n].masks[t].to_coco() for n in rows]
    predicted = [results[n].masks[t].to_coco() for n in columns]
    return rows, columns, np.asarray(coco.iou(true, predicted, [0] * len(predicted)))


def _aligned(frames: Sequence[Frame], truths: np.ndarray, predicted: np.ndarray) -> Iterator[Frame]:
    """By frame, the one-to-one matches of HOTA: tracks that agree as a whole come first. (rows, columns, IoUs)."""
    together = np.zeros((len(truths), len(predicted)))
    for rows, columns, similarity in frames:
        total = similarity.sum(axis=0)[None, :] + similarity.sum(axis=1)[:, None] - similarity
        share = np.divide(similarity, total, out=np.zeros_like(similarity), where=total > _EPSILON)
        together[np.ix_(rows, columns)] += share
    alignment = together / np.maximum(_EPSILON, truths[:, None] + predicted - together)
    for rows, columns, similarity in frames:
        i, j = linear_sum_assignment(alignment[np.ix_(rows, columns)] * similarity, maximize=True)
        yield rows[i], columns[j], similarity[i, j]


def _best_whole(frames: Sequence[Frame], shape: tuple[int, int]) -> int:
    """IDTP: the most frames that one-to-one pairs of whole tracks can agree on."""
    agreed = np.zeros(shape)
    for rows, columns, similarity in frames:
        agreed[np.ix_(rows, columns)] += similarity >= MATCH
    i, j = linear_sum_assignment(agreed, maximize=True)
    return int(agreed[i, j].sum())


def _follow(frames: Sequence[Frame], count: int) -> tuple[int, int, int, int]:
    """Switches, transfers, gaps and how many of them an instance came back from under its old id.

    Frame by frame, the match of the frame before is kept where it still holds (CLEAR MOT).
    """
    switches = transfers = gaps = returned = 0
    last, follows, before = {}, {}, {}
    absent = np.ones(count, bool)
    for rows, columns, similarity in frames:
        now_absent = np.ones(count, bool)
        now_absent[rows] = False
        same = np.array([[before.get(row) == column for column in columns] for row in rows]).reshape(similarity.shape)
        value = np.where(similarity >= MATCH - _EPSILON, similarity + 1000 * same, 0)
        best = np.stack(linear_sum_assignment(value, maximize=True), axis=1)
        pairs = [(int(rows[i]), int(columns[j])) for i, j in best if value[i, j] > 0]
        for row, column in pairs:
            switches += last.get(row, column) != column
            transfers += follows.get(column, row) != row
            if absent[row] and row in last:
                gaps += 1
                returned += last[row] == column
            last[row], follows[column] = column, row
            now_absent[row] = False
        # A gap ends with the first match after it: until then an instance counts as absent.
        unmatched = np.setdiff1d(rows, [row for row, _ in pairs])
        now_absent[unmatched] = absent[unmatched]
        before, absent = dict(pairs), now_absent
    return switches, transfers, gaps, returned
