"""What a detector is built from."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.checkpoints.config import NetworkConfig
from samodal.frontends.road_users import ROAD_USERS

STRIDES = (8, 16, 32)
"""Pixels of the input from one cell to the next, of the three grids."""


@dataclass(frozen=True)
class DetectorConfig(NetworkConfig):
    """A detector.

    Attributes:
        classes: names of its classes.
        unreported: those of them that are learned only to be told apart, and never reported.
        width: channels, as a share of YOLOX-L's; YOLOX-nano has 0.25.
        depth: residual blocks, as a share of YOLOX-L's.
        pixels: of the frame that it is given at most; larger frames are made smaller.
        slope, offset: of each class, what makes a probability of a score (Platt 1999): the sigmoid of slope x logit of
            the score + offset; empty takes scores as they are.

    Raises:
        ValueError: for lists that do not fit.
    """

    classes: tuple[str, ...] = ROAD_USERS
    unreported: tuple[str, ...] = ()
    width: float = 0.25
    depth: float = 0.33
    pixels: int = 540 * 960
    slope: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    def __post_init__(self):
        if not len(self.slope) == len(self.offset) in (0, len(self.classes)):
            raise ValueError(f"slope and offset need a value for each of the {len(self.classes)} classes, or none")
