"""Weather, time of day, sensor noise and exposure as steps on finished images.

Integers and tables only, so that every machine gives the same pixels.
"""

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

SHINES = 227
"""From this brightness on a surface shines by itself; `geometry` keeps lit surfaces below."""


def apply(image: Image.Image, kind: str, sequence: str, t: int, haze: np.ndarray | None) -> np.ndarray:
    """Turn a clear day into another kind of weather.

    Args:
        image: (H, W) RGB.
        kind: a member of `samodal.sim.splits.WEATHERS`.
        sequence, t: decide rain drops, noise and exposure.
        haze: (H, W) uint8, how much of each pixel is fog (255: all); None without fog.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rng = random.Random(f"{sequence} exposure")
    gain, noise = rng.randint(226, 286), rng.randint(1, 5)
    if kind == "fog":
        image = Image.composite(Image.new("RGB", image.size, (196, 200, 204)), image, Image.fromarray(haze))
    if kind == "rain":
        image = _rain(image, random.Random(f"{sequence} rain {t}"))
    if kind == "night":
        noise += 4
        image = _night(image)
    return np.asarray(_noisy(image.point(_tables(kind, gain)), noise, random.Random(f"{sequence} noise {t}")))


_TINTS = {
    "day": (256, 256, 256),
    "dusk": (240, 200, 176),
    "night": (256, 256, 256),
    "rain": (206, 214, 222),
    "fog": (236, 240, 246),
}


def _tables(kind: str, gain: int) -> list[int]:
    """256 values for each channel: exposure and the colour of the light; what shines keeps its brightness."""
    tables = []
    for tint in _TINTS[kind]:
        tables += [v if v >= SHINES else min(v * gain * tint >> 16, 255) for v in range(256)]
    return tables


@lru_cache(maxsize=4)
def _beam(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint16: light of the ego car's lamps and of the street, 256 is daylight."""
    height, width = size
    y = np.arange(height)[:, None] * 1000 // height
    x = np.abs(np.arange(width)[None] * 1000 // width - 500)
    reach = np.maximum(0, 1000 - np.abs(y - 640) * 1000 // np.where(y > 640, 420, 210))
    spread = np.maximum(0, 1000 - x * 1000 // (200 + np.maximum(0, y - 450) * 9 // 10))
    lamps = 190 * reach // 1000 * spread // 1000
    return np.stack([70 + lamps, 72 + lamps * 15 // 16, 90 + lamps * 13 // 16], -1).astype(np.uint16)


def _night(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    dark = (pixels.astype(np.uint16) * _beam(pixels.shape[:2]) >> 8).astype(np.uint8)
    shines = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2]) >= SHINES
    dark[shines] = pixels[shines]
    return Image.fromarray(dark)


def _rain(image: Image.Image, rng: random.Random) -> Image.Image:
    """Less contrast, and streaks."""
    pixels = np.array(image.point([(v * 200 + 128 * 56) >> 8 for v in range(256)] * 3))
    height, width = pixels.shape[:2]
    slant = rng.randint(-2, 2)
    for _ in range(220):
        x, y, length = rng.randrange(width), rng.randrange(height), height * rng.randint(20, 60) // 1000
        rows = np.arange(y, min(y + length, height))
        columns = np.clip(x + slant * (rows - y) // 6, 0, width - 1)
        pixels[rows, columns] = (pixels[rows, columns].astype(np.uint16) * 3 + 200) // 4
    return Image.fromarray(pixels)


@lru_cache(maxsize=16)
def _grain(strength: int, size: tuple[int, int]) -> Image.Image:
    """Sensor noise around 128 of about `strength` / 2 levels, a quarter wider and higher than a frame."""
    height, width = size[0] * 5 // 4, size[1] * 5 // 4
    rng = np.random.Generator(np.random.PCG64(strength))
    raw = np.frombuffer(rng.bytes(height * width * 12), np.uint8).reshape(height, width, 3, 4)
    total = raw[..., 0].astype(np.int16) + raw[..., 1] + raw[..., 2] + raw[..., 3]
    return Image.fromarray(((total - 510) * strength // 300 + 128).astype(np.uint8))


def _noisy(image: Image.Image, strength: int, rng: random.Random) -> Image.Image:
    grain = _grain(strength, (image.height, image.width))
    x, y = rng.randrange(image.width // 4), rng.randrange(image.height // 4)
    part = grain.crop((x, y, x + image.width, y + image.height))
    return ImageChops.add(image, part, 1, -128)
