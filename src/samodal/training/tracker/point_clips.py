"""Clips with points on their surfaces, as a tracker's network sees them, all in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from samodal.errors import InputError
from samodal.sim.point_files import read_points
from samodal.trackers.cotracker.model import Network
from samodal.training.tracker.stills import StillClip


@dataclass
class Clips:
    """C clips of T frames each, as pictures or as feature maps.

    Attributes:
        size: (h, w) of the network's frames.
        frames: (C, T, 3, h, w) uint8 RGB, on the device that trains; None where there are feature maps.
        levels: the feature pyramid instead, (C, T, h', w', D) per level in half precision.
        xy: per clip (P, T, 2) float32 in pixels of these frames, integers at pixel centres; anything where not `known`.
        visible: per clip (P, T) bool, inside the image and not covered.
        known: per clip (P, T) bool, False behind the camera.
        ids: per clip (P,) int, the instance that a point lies on, 0 for the scenery; ascending.
    """

    size: tuple[int, int]
    xy: list[np.ndarray]
    visible: list[np.ndarray]
    known: list[np.ndarray]
    ids: list[np.ndarray]
    frames: torch.Tensor | None = None
    levels: list[torch.Tensor] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def length(self) -> int:
        """T, frames of each clip."""
        return self.xy[0].shape[1]

    @property
    def device(self) -> torch.device:
        return (self.frames if self.levels is None else self.levels[0]).device

    def part(self, chosen: slice) -> Clips:
        """Some of the clips, as pictures."""
        columns = (getattr(self, name)[chosen] for name in ("xy", "visible", "known", "ids", "frames"))
        return Clips(self.size, *columns)


def joined(first: Clips, second: Clips) -> Clips:
    """The clips of both, as pictures of the same size and length."""
    columns = (getattr(first, name) + getattr(second, name) for name in ("xy", "visible", "known", "ids"))
    return Clips(first.size, *columns, frames=torch.cat([first.frames, second.frames]))


def of_stills(made: Sequence[StillClip], size: tuple[int, int], device: torch.device) -> Clips:
    """Clips made of real pictures, their frames of that (h, w), on a device."""
    xy, visible, ids = ([getattr(clip, name) for clip in made] for name in ("xy", "visible", "ids"))
    known = [np.ones_like(part) for part in visible]
    frames = torch.from_numpy(np.stack([clip.frames for clip in made])).to(device)
    return Clips(size, xy, visible, known, ids, frames=frames)


def load_clips(
    folder: Path, network: Network, *, count: int | None = None, workers: int = 8, report: Callable[[str], None] = print
) -> Clips:
    """Read a split that `samodal synth --points` wrote.

    Args:
        folder: of the split: images/front/<sequence>/*.jpg and points/front/<sequence>.npz.
        network: prepares the frames, on its device.
        count: so many clips, the first of them; None for all.
        workers: threads that decode.

    Raises:
        InputError: where there is no clip with points, or clips have different lengths.
    """
    files = sorted((folder / "points" / "front").glob("*.npz"))[:count]
    if not files:
        raise InputError(f"{folder}: no clip with points; make some: samodal synth --split tracks --points --out ROOT")
    read, points = [], []
    with ThreadPoolExecutor(workers) as pool:
        for n, (file, frames) in enumerate(zip(files, pool.map(_frames, _folders(folder, files)), strict=True)):
            if read and len(frames) != len(read[0]):
                raise InputError(f"{file.stem} has {len(frames)} frames, others have {len(read[0])}")
            pixels = torch.cat([network.pixels(frame[None]) for frame in frames])
            read.append(((pixels + 1) * 127.5).round().clamp(0, 255).byte())
            points.append(_points(file, network, frames[0].shape[:2]))
            if n % 200 == 199:
                report(f"{n + 1} of {len(files)} clips read")
    columns = (list(column) for column in zip(*points, strict=True))
    return Clips(network.config.resolution, *columns, frames=torch.stack(read))


def _folders(folder: Path, files: list[Path]) -> list[Path]:
    return [folder / "images" / "front" / file.stem for file in files]


def _frames(folder: Path) -> list[np.ndarray]:
    """The frames of a clip, (H, W, 3) uint8 each."""
    files = sorted(folder.glob("*_rgb.jpg"))
    if not files:
        raise InputError(f"{folder}: no frames, although there are points; render the split again")
    return [np.array(Image.open(file).convert("RGB")) for file in files]


def _points(file: Path, network: Network, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """xy in the network's pixels, visible, known and ids, by ascending id."""
    held = read_points(file.parents[2], file.stem)
    order = np.argsort(held.ids, kind="stable")
    xy, visible, ids = held.xy[order], held.visible[order], held.ids[order]
    known = np.isfinite(xy).all(-1)
    (height, width), (rows, columns) = size, network.config.resolution
    scale = np.array([(columns - 1) / (width - 1), (rows - 1) / (height - 1)], np.float32)
    return np.where(known[..., None], xy, 0) * scale, visible, known, ids
