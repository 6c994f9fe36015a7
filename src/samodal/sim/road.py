"""The road as a curve: from (s, u), metres along it and to its right, to the ground plane."""

import math
from dataclasses import dataclass

import numpy as np

_STEP = 0.5
_BEHIND = 60.0


@dataclass(frozen=True, eq=False)
class Curve:
    """A centre line of piecewise constant curvature.

    Attributes:
        xy: (M, 2) float64, points every half metre, rounded to 0.1 mm so that every machine has the same.
        heading: (M,) float64, radians, 0 along +y, positive to the left.
    """

    xy: np.ndarray
    heading: np.ndarray

    @classmethod
    def bend(cls, pieces: list[tuple[float, float]]) -> "Curve":
        """Pieces of (length in metres, curvature in 1/metres), the first beginning 60 m behind s = 0."""
        turns = np.concatenate([np.full(round(length / _STEP), curvature * _STEP) for length, curvature in pieces])
        heading = np.concatenate([[0.0], np.cumsum(turns)])
        heading -= heading[round(_BEHIND / _STEP)]
        step = np.stack([-np.sin(heading), np.cos(heading)], 1) * _STEP
        xy = np.concatenate([[[0.0, 0.0]], np.cumsum(step[:-1], 0)])
        xy -= xy[round(_BEHIND / _STEP)]
        return cls(np.round(xy, 4), np.round(heading, 6))

    def at(self, s: float, u: float = 0.0) -> tuple[float, float, float]:
        """(x, y, heading) of the point u metres to the right of the centre line at s."""
        place = min(max((s + _BEHIND) / _STEP, 0.0), len(self.xy) - 1.001)
        low = int(place)
        share = place - low
        x, y = (self.xy[low] * (1 - share) + self.xy[low + 1] * share).tolist()
        heading = float(self.heading[low] * (1 - share) + self.heading[low + 1] * share)
        return x + u * math.cos(heading), y + u * math.sin(heading), heading
