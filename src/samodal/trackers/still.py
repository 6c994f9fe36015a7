"""Points that stay where they were: a baseline, and a tracker for tests."""

import numpy as np

from samodal.checks import check_entries
from samodal.trackers.checks import Points, check_groups


class Still:
    """Says of every point that it has not moved and that it is visible."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self._points: dict = {}

    def observe(self, frame: np.ndarray, t: int) -> None:
        pass

    def add(self, key, xy: np.ndarray, t: int) -> None:
        self._points[key] = np.array(xy, np.float32)

    def drop(self, key) -> None:
        self._points.pop(key, None)

    def positions(self) -> dict:
        sizes = {key: len(xy) for key, xy in self._points.items()}
        return {key: (self._points[key].copy(), np.ones(n, bool), np.ones(n, np.float32)) for key, n in sizes.items()}

    def state(self) -> dict:
        return {"points": dict(self._points)}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"points": dict}, "state of the tracker")
        check_groups({key: {"xy": xy} for key, xy in state["points"].items()}, {"xy": Points})
        self._points = dict(state["points"])
