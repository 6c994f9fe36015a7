"""What a detector is built from."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.checkpoints.config import NetworkConfig
from samodal.frontends.road_users import ROAD_USERS

STRIDES = (8, 16, 32)
"""Pixels of the input from one cell to the next, of the three grids."""
KNOTS = 11
"""Scores of which a curve has values."""


@dataclass(frozen=True)
class DetectorConfig(NetworkConfig):
    """A detector.

    Attributes:
        classes: names of its classes.
        unreported: those of them that are learned only to be told apart, and never reported.
        width: channels, as a share of YOLOX-L's; YOLOX-nano has 0.25.
        depth: residual blocks, as a share of YOLOX-L's.
        pixels: height and width; larger frames are made smaller until they have no more pixels than that.
        curves: what makes a probability of a score, for each class in turn `KNOTS` values: those of the scores 0, 0.1 …
            1, straight lines between them; empty takes scores as they are.

    Raises:
        ValueError: for curves that are no such values.
    """

    classes: tuple[str, ...] = ROAD_USERS
    unreported: tuple[str, ...] = ()
    width: float = 0.25
    depth: float = 0.33
    pixels: tuple[int, int] = (540, 960)
    curves: tuple[float, ...] = ()

    def __post_init__(self):
        if len(self.curves) not in (0, KNOTS * len(self.classes)) or not all(0 <= value <= 1 for value in self.curves):
            raise ValueError(
                f"curves need {KNOTS} values from 0 to 1 for each of the {len(self.classes)} classes, or none"
            )
