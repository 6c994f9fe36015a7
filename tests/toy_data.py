"""A tiny data set of coloured boxes and discs in AmodalSynthDrive's layout, for tests of training."""

from pathlib import Path

import numpy as np
from PIL import Image

from samodal.data.asd import InstanceTruth, write_frame
from samodal.rle import Rle

COLOURS = ((220, 40, 40), (40, 200, 60), (60, 80, 230))
"""Of the three shapes of a scene, the last one in front."""


def scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, list[InstanceTruth]]:
    """A picture of three shapes, each of which may cover those before it."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.full((*size, 3), 120, np.uint8)
    owner = np.zeros(size, int)
    amodal = []
    for i, colour in enumerate(COLOURS, start=1):
        y, x = rng.uniform(0.3, 0.7) * size[0], rng.uniform(0.15, 0.85) * size[1]
        high, wide = rng.uniform(0.12, 0.22) * size[0], rng.uniform(0.06, 0.12) * size[1]
        down, across = abs(rows - y) / high, abs(columns - x) / wide
        mask = (down < 1) & (across < 1) if i % 2 else down**2 + across**2 < 1
        image[mask] = colour
        owner[mask] = i
        amodal.append(mask)
    return image, [_truth(i, mask, owner == i) for i, mask in enumerate(amodal, start=1)]


def _truth(number: int, amodal: np.ndarray, visible: np.ndarray) -> InstanceTruth:
    seen = Rle.encode(visible) if visible.any() else None
    return InstanceTruth(number, "car" if number % 2 else "person", Rle.encode(amodal), seen)


def write_toy(root: Path, sequences: int, frames: int, seed: int, size: tuple[int, int] = (128, 224)) -> str:
    """Write sequences of unrelated frames below `root`; gives the data set's name for `open_dataset`."""
    rng = np.random.default_rng(seed)
    for number in range(sequences):
        name = f"toy_{number:04d}"
        folder = root / "images" / "front" / name
        folder.mkdir(parents=True)
        for t in range(frames):
            image, instances = scene(rng, size)
            # PNG would be exact, but the layout's own JPEG is what readers meet.
            Image.fromarray(image).save(folder / f"front_full_{t:04d}_rgb.jpg", quality=95)
            write_frame(root / "amodal_instance_seg" / "front" / name, t, instances, size)
    return f"streetsim:{root}"
