"""Which query is whom: ids and classes of what the queries see, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from samodal.frontends.videomt.names import KINDS


class Known(NamedTuple):
    """A thing that has been reported; its query may lose it and find it again."""

    kind: int
    id: int
    category: str


@dataclass
class Candidate:
    """What a query has seen in the last `streak` frames in a row; evidence (K,) sums its class probabilities."""

    kind: int
    streak: int
    evidence: np.ndarray


class Identities:
    """Names what each query sees; the query is the identity, as it was trained.

    A query that sees another kind of thing (of `KINDS`) than before for long enough sees another thing, with a new id.

    Args:
        names: of the K road users.
        frames: in how many frames in a row a thing is seen before it gets an id.
    """

    def __init__(self, names: tuple[str, ...], frames: int):
        self.names, self.frames = names, frames
        self._kinds = np.array([KINDS[name] for name in names])
        self._known: dict[int, Known] = {}
        self._candidates: dict[int, Candidate] = {}
        self._given = 0

    def scores(self, probabilities: np.ndarray) -> np.ndarray:
        """(Q,) from (Q, K): the probability of the likeliest kind, so that a doubt between car and truck is none."""
        return np.minimum(self._by_kind(probabilities).max(1), 1.0)

    def step(self, seen: Iterable[int], probabilities: np.ndarray) -> dict[int, tuple[int, str]]:
        """Ids and classes of the queries that see something in the next frame; those without an id yet are left out.

        Args:
            seen: queries.
            probabilities: (Q, K) of the road users, for all queries.
        """
        seen = list(seen)
        self._candidates = {query: one for query, one in self._candidates.items() if query in seen}
        known = {query: self._see(query, probabilities[query]) for query in seen}
        return {query: (one.id, one.category) for query, one in known.items() if one is not None}

    def _see(self, query: int, probabilities: np.ndarray) -> Known | None:
        kind = int(self._by_kind(probabilities[None]).argmax())
        known = self._known.get(query)
        if known is not None and known.kind == kind:
            self._candidates.pop(query, None)
            return known
        one = self._candidates.get(query)
        if one is None or one.kind != kind:
            one = self._candidates[query] = Candidate(kind, 0, np.zeros(len(self.names)))
        one.streak += 1
        one.evidence += probabilities * (self._kinds == kind)
        if one.streak < self.frames:
            return None
        self._given += 1
        self._known[query] = Known(kind, self._given, self.names[int(one.evidence.argmax())])
        del self._candidates[query]
        return self._known[query]

    def _by_kind(self, probabilities: np.ndarray) -> np.ndarray:
        return np.stack([probabilities[:, self._kinds == kind].sum(1) for kind in sorted(set(KINDS.values()))], 1)
