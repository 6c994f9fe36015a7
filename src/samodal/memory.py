"""The point memory: what is known of every instance seen so far (paper, section 3 and Figure 2)."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from samodal.masks import Rle


@dataclass
class Remembered:
    """One instance.

    Attributes:
        id, category: as the front end named them.
        tuples: (t, (K, 2) float32 points) of the frames in which it was prompted, oldest first.
        centres: (t, (2,) float) centre of the box of its amodal mask in those frames.
        amodal: its amodal mask in the last of them; None until then.
        score: of that frame.
        seen_t, seen_s: when it was last prompted, as frame index and seconds.
        followed: whether the point tracker has its points now.
        shift: (2,) dx, dy in pixels by which its mask has moved since.
        gone: it left the image by the border rule.
    """

    id: int | str
    category: str
    tuples: deque = field(default_factory=deque)
    centres: deque = field(default_factory=deque)
    amodal: Rle | None = None
    score: float | None = None
    seen_t: int = -1
    seen_s: float = 0.0
    followed: bool = False
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    gone: bool = False

    @property
    def points(self) -> np.ndarray:
        """(K, 2) the most recent points."""
        return self.tuples[-1][1]

    def velocity(self, window: int = 5) -> np.ndarray:
        """(2,) pixels a frame: median step of the amodal box's centre over the last `window` prompted frames.

        The median, because one bad mask throws the centre far off in the two steps it belongs to.
        """
        recent = list(self.centres)[-(window + 1) :]
        steps = [(b - a) / (tb - ta) for (ta, a), (tb, b) in zip(recent, recent[1:], strict=False)]
        return np.median(steps, axis=0) if steps else np.zeros(2)

    def mean_step(self) -> np.ndarray:
        """(2,) mean |dx|, |dy| between consecutive stored points; infinite with fewer than two (facts 4.5)."""
        firsts = np.array([points[0] for _, points in self.tuples])
        return np.abs(np.diff(firsts, axis=0)).mean(axis=0) if len(firsts) > 1 else np.full(2, np.inf)


class PointMemory:
    """Every instance seen so far, by id, in order of first appearance, within a bound.

    Args:
        tuples: point K-tuples kept per instance.
        instances: instances kept.
    """

    def __init__(self, tuples: int, instances: int):
        self.tuples = tuples
        self.instances = instances
        self._known: dict[int | str, Remembered] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self):
        return iter(list(self._known.values()))

    def get(self, key: int | str) -> Remembered | None:
        return self._known.get(key)

    def store(self, key, category: str, t: int, time: float, points: np.ndarray, amodal: Rle, score) -> None:
        """Remember the points and the amodal mask of an instance prompted in frame t."""
        one = self._known.setdefault(
            key, Remembered(key, category, deque(maxlen=self.tuples), deque(maxlen=self.tuples))
        )
        x0, y0, x1, y1 = amodal.box
        one.tuples.append((t, points))
        one.centres.append((t, np.array([(x0 + x1) / 2, (y0 + y1) / 2])))
        one.category, one.amodal, one.score = category, amodal, score
        one.seen_t, one.seen_s, one.followed, one.gone, one.shift = t, time, False, False, np.zeros(2)

    def missing(self, reported: Iterable[int | str]) -> list[Remembered]:
        """The memory check of Figure 2: remembered instances that are not among the reported ids."""
        reported = set(reported)
        return [one for key, one in self._known.items() if key not in reported]

    def forget(self, now: float, remember_s: float | None) -> list[int | str]:
        """Drop what was not seen for longer than `remember_s` seconds, and the longest unseen beyond the bound.

        Returns:
            The ids dropped.
        """
        oldest_first = sorted(self._known.values(), key=lambda one: one.seen_t)
        excess = {one.id for one in oldest_first[: max(0, len(oldest_first) - self.instances)]}
        late = {one.id for one in oldest_first if remember_s is not None and now - one.seen_s > remember_s}
        for key in excess | late:
            del self._known[key]
        return list(excess | late)

    def state(self) -> list[dict]:
        return [vars(one) | {"tuples": list(one.tuples), "centres": list(one.centres)} for one in self]

    def load_state(self, state: list[dict]) -> None:
        self._known = {}
        for entry in state:
            bounded = {name: deque(entry[name], maxlen=self.tuples) for name in ("tuples", "centres")}
            self._known[entry["id"]] = Remembered(**(entry | bounded))
