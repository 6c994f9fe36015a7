"""Chewing Gum after SAVOS: chewing-gum:SPLIT[,COUNT], drawn when it is asked for; nothing is read or written.

Two polygons of one colour each on a plain ground of 50x56 pixels (height x width). One stands still, the other walks
round it, and either may be the nearer. What the farther one looks like behind the nearer one is only told by other
frames: it has a square beside its polygon, which may be hidden.
Source: a description of the generator of SAVOS' authors. It leaves open, and here it is so: polygons are drawn anew for
each sequence, from its name; the square fills one quarter of the 16x16 pixels around its object's centre and has its
colour; the walk goes clockwise.
"""

from pathlib import Path

import numpy as np

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.errors import InputError
from samodal.parts import Frame
from samodal.rle import Rle
from samodal.seeds import generator

SPLITS = {"train": 10_000, "val": 500, "test": 1_000}
"""Sequences of each split."""
SIZE = (50, 56)
LENGTH = 40
CATEGORY = "polygon"

_STILL = (28, 25)
_CORNERS = ((20, 17), (36, 17), (36, 33), (20, 33))
_STEP = 2
_RADIUS = 8
_PLACES = 44
"""Points on the circle that vertices are drawn from."""


class ChewingGumVideo(LabelledVideo):
    """One sequence, made from its name alone.

    Attributes:
        colours: (3, 3) uint8 RGB of the ground and of objects 1 and 2; object 1 stands still.
        centres: (2, T, 2) int, x and y.
        front: the id of the nearer object.
    """

    size = SIZE
    numbers = tuple(range(LENGTH))
    frame_names = tuple(f"{t:06d}" for t in range(LENGTH))

    def __init__(self, name: str, number: int):
        self.name, self.number, self.source = name, number, f"chewing-gum:{name}"
        rng = generator(0, name, "chewing-gum", 0)
        self.colours = np.concatenate([rng.integers(0, 128, (1, 3)), rng.integers(0, 256, (2, 3))]).astype(np.uint8)
        self.front = int(rng.integers(1, 3))
        self._stamps = [polygon(rng) for _ in range(2)]
        y, x = _RADIUS * rng.integers(0, 2, 2)
        self._stamps[2 - self.front][y : y + _RADIUS, x : x + _RADIUS] = True
        self.centres = np.array([[_STILL] * LENGTH, _walk(int(rng.integers(0, len(_CORNERS))))])

    def masks(self, t: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Amodal and visible (H, W) bool of objects 1 and 2 in frame t."""
        whole = [_placed(stamp, centre) for stamp, centre in zip(self._stamps, self.centres[:, t], strict=True)]
        visible = list(whole)
        visible[2 - self.front] = whole[2 - self.front] & ~whole[self.front - 1]
        return whole, visible

    def frame(self, t: int) -> Frame:
        """Frame t with its image."""
        image = np.empty((*SIZE, 3), np.uint8)
        image[:] = self.colours[0]
        for mask, colour in zip(self.masks(t)[1], self.colours[1:], strict=True):
            image[mask] = colour
        return Frame(t, t / self.fps, image, self.frame_names[t])

    def frame_truth(self, t: int) -> list[InstanceTruth]:
        """Both objects in frame t."""
        return [
            InstanceTruth(
                key, CATEGORY, Rle.encode(whole), Rle.encode(visible) if visible.any() else None, key != self.front
            )
            for key, (whole, visible) in enumerate(zip(*self.masks(t), strict=True), start=1)
        ]

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        visible = [(key, Rle.encode(mask)) for key, mask in enumerate(self.masks(t)[1], start=1) if mask.any()]
        return [InstanceTruth(key, CATEGORY, mask, mask) for key, mask in visible]


def open_chewing_gum(path: Path) -> Dataset:
    """The data set of SPLIT or SPLIT,COUNT.

    Raises:
        InputError: for another split, or more sequences than it has.
    """
    split, comma, count = str(path).partition(",")
    if split not in SPLITS or (comma and not count.isdecimal()):
        raise InputError(f"chewing-gum:{path}: expected chewing-gum:SPLIT or chewing-gum:SPLIT,COUNT, {_known()}")
    number = int(count) if comma else SPLITS[split]
    if not 0 < number <= SPLITS[split]:
        raise InputError(f"chewing-gum:{path}: no {number} sequences; {_known()}")
    names = [f"{split}_{n:05d}" for n in range(number)]
    return Dataset(f"chewing-gum:{split}", names, lambda name: ChewingGumVideo(name, 1 + names.index(name)))


def polygon(rng: np.random.Generator) -> np.ndarray:
    """(17, 17) bool: a polygon of 7 to 11 random vertices on a circle about the middle, with the pixels on its edge."""
    places = np.sort(rng.choice(_PLACES, rng.integers(7, 12), replace=False)) * 2 * np.pi / _PLACES
    corners = _RADIUS * np.stack([np.cos(places), np.sin(places)], 1)
    sides = np.roll(corners, -1, 0) - corners
    y, x = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    # On the inner side of every side: the polygon has its corners on a circle, so that it is convex.
    turn = sides[:, 0, None, None] * (y - corners[:, 1, None, None]) - sides[:, 1, None, None] * (
        x - corners[:, 0, None, None]
    )
    return (turn >= -1e-9).all(0)


def _walk(corner: int) -> list[tuple[int, int]]:
    """The centres, x and y, of an object that walks round the rectangle from a corner."""
    x, y = _CORNERS[corner]
    centres = []
    for _ in range(LENGTH):
        centres.append((x, y))
        to_x, to_y = _CORNERS[(corner + 1) % len(_CORNERS)]
        x, y = x + _STEP * np.sign(to_x - x), y + _STEP * np.sign(to_y - y)
        if (x, y) == (to_x, to_y):
            corner += 1
    return centres


def _placed(stamp: np.ndarray, centre: np.ndarray) -> np.ndarray:
    x, y = centre - _RADIUS
    mask = np.zeros(SIZE, bool)
    mask[y : y + stamp.shape[0], x : x + stamp.shape[1]] = stamp
    return mask


def _known() -> str:
    return "where SPLIT is one of " + ", ".join(f"{name} ({count:,})" for name, count in SPLITS.items())
