"""Sizes of a CoTracker3: the two released models and smaller sizes of our own."""

from __future__ import annotations

from dataclasses import dataclass

from samodal.checkpoints.config import NetworkConfig
from samodal.errors import InputError


@dataclass(frozen=True)
class CoTrackerConfig(NetworkConfig):
    """All that shapes the network; the defaults are the released online model.

    Attributes:
        resolution: (H, W) to which frames are resized, multiples of `stride`.
        stride: pixels of the resized frame per cell of the finest feature map.
        widths: channels of the four stages of the feature network.
        features: channels of the feature map.
        levels: of the feature pyramid, each half the size of the level before.
        radius: correlations are taken over squares of 2 radius + 1 cells.
        correlation: (hidden, output) channels of the network that reads the correlations of a level.
        hidden, heads, depth: of the transformer; a block over time and a block over points per depth.
        virtual: virtual tracks, through which points exchange what they know.
        window: frames that are read at once.
        iterations: updates of each window.
        support: points that are followed beside those of an instance: along each side of a grid over the frame, and of
            a grid around the instance. The released tracker is used here with a grid of 2, as the paper's was.
        online: whether windows follow each other by half their length; otherwise the whole video is a single window.
    """

    resolution: tuple[int, int] = (384, 512)
    stride: int = 4
    widths: tuple[int, int, int, int] = (64, 96, 128, 128)
    features: int = 128
    levels: int = 4
    radius: int = 3
    correlation: tuple[int, int] = (384, 256)
    hidden: int = 384
    heads: int = 8
    depth: int = 3
    virtual: int = 64
    window: int = 16
    iterations: int = 6
    support: tuple[int, int] = (2, 3)
    online: bool = True

    def __post_init__(self):
        if not self.stride or any(side % self.stride or not side for side in self.resolution):
            raise InputError(f"CoTracker3: resolution {self.resolution} is no multiple of the stride, {self.stride}")
        if not self.heads or self.hidden % self.heads:
            raise InputError(f"CoTracker3: {self.hidden} channels do not divide into {self.heads} heads")
        # These are in no shape of the parameters, so that a file could ask for any work.
        if not 2 <= self.window <= 256 or self.window % 2 or not 1 <= self.iterations <= 64 or max(self.support) > 64:
            raise InputError(
                f"CoTracker3: a window of {self.window}, {self.iterations} iterations or support points {self.support} "
                "are none that it can work with"
            )

    @property
    def side(self) -> int:
        """Cells along a side of a correlated square."""
        return 2 * self.radius + 1

    @property
    def token(self) -> int:
        """Numbers that describe a point in a frame: visibility, confidence, correlations, motion."""
        return 2 + self.levels * self.correlation[1] + 4 * 21


ONLINE = CoTrackerConfig()
OFFLINE = ONLINE.replace(window=60, online=False)
# For two CPU cores: about 2 million parameters, 4 MB in 16 bit. Squares of 5 cells read half as much as those of 7 and
# still reach 64 pixels of the resized frame at the coarsest level.
SMALL = CoTrackerConfig(
    resolution=(256, 448),
    stride=8,
    widths=(16, 32, 64, 64),
    features=64,
    levels=3,
    radius=2,
    correlation=(96, 48),
    hidden=128,
    heads=4,
    depth=2,
    virtual=8,
    window=12,
    iterations=3,
)
# Half of that again: what two CPU cores can train in an hour, 20 ms for a frame's features and a window of it.
MINI = SMALL.replace(resolution=(192, 336), widths=(16, 24, 48, 64), correlation=(64, 32), hidden=96, window=8)
# SMALL with cells half as wide, as fine as the released models': a third more time for a frame's features.
FINE = SMALL.replace(stride=4, levels=4)
SIZES = {"small": SMALL, "fine": FINE, "mini": MINI}
