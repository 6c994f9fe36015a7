"""The splits of StreetSim as fixed lists of sequence names; nothing is drawn here."""

import random
from dataclasses import dataclass
from functools import cache

from samodal.errors import InputError

WEATHERS = ("day", "dusk", "night", "rain", "fog")
_SHARES = (9, 3, 2, 3, 3)


@dataclass(frozen=True)
class Split:
    """What all sequences of a split have in common.

    Attributes:
        count: number of sequences.
        frames: of each sequence.
        interval_s: time between two frames in seconds.
        pool: which assets may be drawn, see `samodal.sim.assets`.
    """

    count: int
    frames: int
    interval_s: float
    pool: str


SPLITS = {
    "train": Split(5000, 4, 1.0, "train"),
    "val": Split(40, 60, 0.1, "train"),
    "test": Split(64, 60, 0.1, "test"),
    "test_seen": Split(24, 60, 0.1, "train"),
    "tracks": Split(2000, 32, 0.1, "train"),
}


@cache
def sequences(split: str) -> tuple[str, ...]:
    """The names of a split's sequences, e.g. "test_0000_day"; the name decides every pixel.

    Raises:
        InputError: if there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"StreetSim has no split {split!r}; choose one of {', '.join(SPLITS)}")
    return tuple(f"{split}_{k:04d}_{_weather(split, k)}" for k in range(SPLITS[split].count))


def split_of(sequence: str) -> Split:
    """The split that a sequence name belongs to.

    Raises:
        InputError: if it is not the name of a sequence of any split.
    """
    name = sequence.rsplit("_", 2)[0]
    if name not in SPLITS or sequence not in sequences(name):
        raise InputError(f"StreetSim has no sequence {sequence!r}; names look like test_0000_day")
    return SPLITS[name]


def _weather(split: str, index: int) -> str:
    if index == 0:
        return "day"  # the first of the test split is shipped as the example
    return random.Random(f"streetsim weather {split} {index}").choices(WEATHERS, _SHARES)[0]
