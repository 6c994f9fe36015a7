"""Which query is which instance: ids and classes of what the queries show, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from samodal.frontends.road_users import KINDS


class Known(NamedTuple):
    """An instance that has been reported; its query may lose it and find it again."""

    kind: int
    id: int
    category: str


@dataclass
class Candidate:
    """What a query has shown in the last `streak` frames in a row; evidence (K,) sums its class probabilities."""

    kind: int
    streak: int
    evidence: np.ndarray


class Identities:
    """Names what each query shows; the query is the identity, as it was trained.

    A query that shows another kind (of `KINDS`) than before for long enough shows another instance, with a new id.

    Args:
        names: of the K road users.
        frames: in how many frames in a row an instance is visible before it gets an id.
    """

    def __init__(self, names: tuple[str, ...], frames: int):
        self.names, self.frames = names, frames
        self._kinds = np.array([KINDS[name] for name in names])
        self._known: dict[int, Known] = {}
        self._candidates: dict[int, Candidate] = {}
        self._last_id = 0

    def scores(self, probabilities: np.ndarray) -> np.ndarray:
        """(Q,) from (Q, K): the probability of the likeliest kind, so that a doubt between car and truck is none."""
        return np.minimum(self._by_kind(probabilities).max(1), 1.0)

    def step(self, visible: Iterable[int], probabilities: np.ndarray) -> dict[int, tuple[int, str]]:
        """Ids and classes of the queries that show something in the next frame; those without an id yet are left out.

        Args:
            visible: queries.
            probabilities: (Q, K) of the road users, for all queries.
        """
        visible = list(visible)
        self._candidates = {query: c for query, c in self._candidates.items() if query in visible}
        instances = {query: self._instance(query, probabilities[query]) for query in visible}
        return {query: (known.id, known.category) for query, known in instances.items() if known is not None}

    def _instance(self, query: int, probabilities: np.ndarray) -> Known | None:
        kind = int(self._by_kind(probabilities[None]).argmax())
        known = self._known.get(query)
        if known is not None and known.kind == kind:
            self._candidates.pop(query, None)
            return known
        candidate = self._candidates.get(query)
        if candidate is None or candidate.kind != kind:
            candidate = self._candidates[query] = Candidate(kind, 0, np.zeros(len(self.names)))
        candidate.streak += 1
        candidate.evidence += probabilities * (self._kinds == kind)
        if candidate.streak < self.frames:
            return None
        self._last_id += 1
        self._known[query] = Known(kind, self._last_id, self.names[int(candidate.evidence.argmax())])
        del self._candidates[query]
        return self._known[query]

    def _by_kind(self, probabilities: np.ndarray) -> np.ndarray:
        return np.stack([probabilities[:, self._kinds == kind].sum(1) for kind in sorted(set(KINDS.values()))], 1)
