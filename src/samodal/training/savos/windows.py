"""Windows of tracks, cut from the clips as small as they can be, and moved to the device that trains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from samodal.baselines.savos.inputs import Inputs, ends, prepare, region
from samodal.training.savos.flow_clips import OUTSIDE, Clip, Stretch

COARSE = 32
"""Sides of the regions are multiples of it, so that a GPU meets few different sizes."""
POOLED = 8
"""Steps whose windows are drawn together."""


class Part(NamedTuple):
    """Frames [first, first + length) of a stretch, counted within it."""

    clip: Clip
    stretch: Stretch
    first: int
    length: int

    @property
    def cut(self) -> tuple[slice, slice]:
        """Rows and columns of its region."""
        return region(self.stretch.boxes[self.first : self.first + self.length], self.clip.owners.shape[1:])

    @property
    def sides(self) -> tuple[int, int]:
        """(h, w) of its region."""
        rows, columns = self.cut
        return rows.stop - rows.start, columns.stop - columns.start


class Windows(NamedTuple):
    """What is known of B windows of T frames, each in a region of its own of the same size (h, w).

    Attributes:
        images: (B, T, h, w, 3) uint8 RGB.
        owners: (B, T, h, w) uint8, as in `Clip`, OUTSIDE where the region leaves the frame.
        place: (B,) whose window it is.
        forward, reverse: (B, T, h, w, 2) float16.
        boxes: (B, T, 4) int32, within the region.
        areas: (B, T) int32, visible pixels.
        valid: (B, T) bool, False for frames that only fill the window.
    """

    images: torch.Tensor
    owners: torch.Tensor
    place: torch.Tensor
    forward: torch.Tensor
    reverse: torch.Tensor
    boxes: torch.Tensor
    areas: torch.Tensor
    valid: torch.Tensor

    def to(self, device: torch.device) -> Windows:
        """The same on a device; through pinned memory, so that a GPU goes on working meanwhile."""
        gpu = device.type == "cuda"
        return Windows(*((part.pin_memory() if gpu else part).to(device, non_blocking=gpu) for part in self))

    @property
    def visible(self) -> torch.Tensor:
        """(B, T, h, w) bool."""
        return self.owners == self.place[:, None, None, None]

    @property
    def counted(self) -> torch.Tensor:
        """(B, T, h, w) bool: where it is known whether the object is there, so not behind others."""
        return self.visible | (self.owners == 0)

    def inputs(self) -> Inputs:
        """What the network is given."""
        return prepare(self.images, self.visible, self.forward, self.reverse, self.boxes, self.areas)


def draw(tracks: list[tuple[Clip, Stretch]], batch: int, length: int, seed: int, step: int) -> list[Part]:
    """Random windows of random tracks for a step, a function of its arguments; tracks of fewer frames are taken whole.

    The windows of `POOLED` steps are drawn together and dealt out by the size of their regions, as all of a step are
    computed in the size of the largest.
    """
    group, place = divmod(step, POOLED)
    rng = np.random.default_rng((seed, group))
    pool = []
    for n in rng.choice(len(tracks), batch * POOLED, replace=batch * POOLED > len(tracks)):
        clip, stretch = tracks[n]
        first = int(rng.integers(0, max(0, len(stretch) - length) + 1))
        pool.append(Part(clip, stretch, first, min(length, len(stretch))))
    pool.sort(key=lambda part: np.prod(part.sides))
    start = batch * int(rng.permutation(POOLED)[place])
    return pool[start : start + batch]


def windows(parts: list[Part], length: int) -> Windows:
    """The windows of parts, filled up to `length` frames with the last one standing still.

    What fills has no flow. All regions are as large as the largest must be, in multiples of `COARSE`, but not larger
    than the largest frame.
    """
    sides = []
    for axis in (0, 1):
        largest = max(p.clip.owners.shape[1 + axis] for p in parts)
        needed = max(p.sides[axis] for p in parts)
        sides.append(min(-(-needed // COARSE) * COARSE, largest))
    height, width = sides
    shape = (len(parts), length, height, width)
    made = Windows(
        torch.zeros(*shape, 3, dtype=torch.uint8), torch.full(shape, OUTSIDE, dtype=torch.uint8),
        torch.tensor([p.stretch.place for p in parts], dtype=torch.uint8),
        torch.zeros(*shape, 2, dtype=torch.float16), torch.zeros(*shape, 2, dtype=torch.float16),
        torch.zeros(*shape[:2], 4, dtype=torch.int32), torch.zeros(shape[:2], dtype=torch.int32),
        torch.zeros(shape[:2], dtype=torch.bool),
    )  # fmt: skip
    for b, part in enumerate(parts):
        _fill(Windows(*(array[b] for array in made)), part)
    return made


def _fill(window: Windows, part: Part) -> None:
    """Write a window; all of its arrays are without B."""
    clip, stretch, length = part.clip, part.stretch, part.length
    size, room = clip.owners.shape[1:], window.owners.shape[1:]
    # The region grows to the right and down, or where the frame ends there, to the left and up.
    starts = [max(0, min(cut.start, n - side)) for cut, n, side in zip(part.cut, size, room, strict=True)]
    rows, columns = (slice(start, min(start + side, n)) for start, n, side in zip(starts, size, room, strict=True))
    inside = slice(rows.stop - rows.start), slice(columns.stop - columns.start)
    first = stretch.start + part.first
    frames = slice(first, first + length)
    forward, reverse = ends(*(flow[frames, rows, columns] for flow in (clip.forward, clip.reverse)))
    inner = slice(part.first, part.first + length)
    values = (
        (window.images[:, *inside], clip.frames[frames, rows, columns]),
        (window.owners[:, *inside], clip.owners[frames, rows, columns]),
        (window.boxes, stretch.boxes[inner] - np.array([columns.start, rows.start] * 2, np.int32)),
        (window.areas, stretch.areas[inner]),
    )
    for target, value in values:
        target[:length] = torch.from_numpy(value)
        target[length:] = target[length - 1]
    window.forward[:length, *inside] = torch.from_numpy(forward)
    window.reverse[:length, *inside] = torch.from_numpy(reverse)
    window.valid[:length] = True
