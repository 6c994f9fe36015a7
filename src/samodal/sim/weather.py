"""Weather, time of day, sensor noise and exposure as steps on finished images.

Integers and tables only, so that every machine gives the same pixels.
"""

import random
from functools import lru_cache

import numpy as np

_SHINES = 227  # brighter than any lit surface, see render: lamps


def apply(image: np.ndarray, kind: str, sequence: str, t: int, haze: np.ndarray | None) -> np.ndarray:
    """Turn a clear day into another one.

    Args:
        image: (H, W, 3) uint8 RGB.
        kind: one of `samodal.sim.splits.WEATHERS`.
        sequence, t: decide rain drops, noise and exposure.
        haze: (H, W) uint8, how much of each pixel is fog (255: all); None without fog.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rng = random.Random(f"{sequence} exposure")
    gain, noise = rng.randint(226, 286), rng.randint(2, 7)
    if kind == "fog":
        image = _blend(image, haze, (196, 200, 204))
    if kind == "rain":
        image = _rain(image, random.Random(f"{sequence} rain {t}"))
    if kind == "night":
        noise += 4
        image = _night(image)
    tables = _tables(kind, gain)
    image = np.stack([tables[c][image[..., c]] for c in range(3)], -1)
    return _noisy(image, noise, random.Random(f"{sequence} noise {t}"))


def _tables(kind: str, gain: int) -> list[np.ndarray]:
    """One table of 256 values per channel: exposure and the colour of the light."""
    tints = {
        "day": (256, 256, 256),
        "dusk": (240, 200, 176),
        "night": (256, 256, 256),
        "rain": (176, 186, 196),
        "fog": (236, 240, 246),
    }
    values = np.arange(256, dtype=np.int64)
    tables = [np.minimum(values * gain * tint >> 16, 255) for tint in tints[kind]]
    if kind == "dusk":
        tables = [np.where(values >= _SHINES, 255 - (c == 2) * 40, tables[c]) for c in range(3)]
    return [table.astype(np.uint8) for table in tables]


def _blend(image: np.ndarray, share: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    share = share.astype(np.uint16)[..., None]
    return ((image * (255 - share) + np.array(colour, np.uint16) * share) // 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _beam(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint16: light of the ego car's lamps and of the street, 256 is daylight."""
    height, width = size
    y = np.arange(height)[:, None] * 1000 // height
    x = np.abs(np.arange(width)[None] * 1000 // width - 500)
    reach = np.maximum(0, 1000 - np.abs(y - 640) * 1000 // np.where(y > 640, 420, 210))
    spread = np.maximum(0, 1000 - x * 1000 // (200 + np.maximum(0, y - 450) * 9 // 10))
    lamps = 130 * reach // 1000 * spread // 1000
    return np.stack([52 + lamps, 54 + lamps * 15 // 16, 70 + lamps * 13 // 16], -1).astype(np.uint16)


def _night(image: np.ndarray) -> np.ndarray:
    dark = (image.astype(np.uint16) * _beam(image.shape[:2]) >> 8).astype(np.uint8)
    shines = image.max(-1, keepdims=True) >= _SHINES
    return np.where(shines, image, dark)


def _rain(image: np.ndarray, rng: random.Random) -> np.ndarray:
    """Less contrast, and streaks."""
    image = ((image.astype(np.uint16) * 200 + 128 * 56) >> 8).astype(np.uint8)
    height, width = image.shape[:2]
    slant = rng.randint(-2, 2)
    for _ in range(220):
        x, y, length = rng.randrange(width), rng.randrange(height), height * rng.randint(20, 60) // 1000
        rows = np.arange(y, min(y + length, height))
        columns = np.clip(x + slant * (rows - y) // 6, 0, width - 1)
        image[rows, columns] = (image[rows, columns].astype(np.uint16) * 3 + 200) // 4
    return image


@lru_cache(maxsize=16)
def _grain(strength: int) -> np.ndarray:
    """(601, 1009, 3) int16 sensor noise of about `strength` / 2 levels, the sum of four even numbers."""
    rng = np.random.Generator(np.random.PCG64(strength))
    raw = (
        np.frombuffer(rng.bytes(601 * 1009 * 3 * 4), np.uint8)
        .reshape(601, 1009, 3, 4)
        .astype(np.int16)
        .sum(-1)
    )
    return ((raw - 510) * strength // 300).astype(np.int16)


def _noisy(image: np.ndarray, strength: int, rng: random.Random) -> np.ndarray:
    grain = _grain(strength)
    y, x = rng.randrange(601), rng.randrange(1009)
    tiles = -(-(image.shape[0] + y) // 601), -(-(image.shape[1] + x) // 1009), 1
    moved = np.tile(grain, tiles)[y : y + image.shape[0], x : x + image.shape[1]]
    return (image + moved).clip(0, 255).astype(np.uint8)
