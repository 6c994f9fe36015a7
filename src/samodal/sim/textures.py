"""Procedural textures, drawn from their names: (H, W, 3) uint8, tiling in x and y."""

from functools import cache

import numpy as np


@cache
def texture(name: str) -> np.ndarray:
    """Draw a texture.

    Args:
        name: kind and number, e.g. "facade-3"; equal names give equal pixels everywhere.

    Returns:
        (256, 256, 3) uint8; a sky is (128, 512, 3) from the zenith to the horizon and does not tile in y.
    """
    kind, number = name.split("-")
    rng = np.random.Generator(np.random.PCG64([sum(kind.encode()), int(number)]))
    return _KINDS[kind](rng).clip(0, 255).astype(np.uint8)


def _noise(rng, size: int, octaves: tuple[int, ...]) -> np.ndarray:
    """Smooth tiling noise in about [-1, 1], (size, size): random grids of growing resolution, enlarged and added."""
    total = np.zeros((size, size))
    for grid in octaves:
        values = rng.random((grid, grid)) * 2 - 1
        at = np.arange(size) * grid / size
        low = at.astype(int)
        share = at - low
        share = share * share * (3 - 2 * share)
        high = (low + 1) % grid
        rows = values[low] * (1 - share)[:, None] + values[high] * share[:, None]
        total += (rows[:, low] * (1 - share) + rows[:, high] * share) * octaves[0] ** 0.5 / grid**0.5
    return total / 1.6


def _tone(rng, low, high) -> np.ndarray:
    low, high = np.asarray(low, float), np.asarray(high, float)
    return low + (high - low) * rng.random()


def _asphalt(rng):
    base = _tone(rng, (78, 78, 82), (128, 124, 120))
    image = base + 14 * _noise(rng, 256, (4, 16, 64))[..., None] + 10 * (rng.random((256, 256, 1)) - 0.5)
    for _ in range(int(rng.random() * 4)):
        y, x = int(rng.random() * 200), int(rng.random() * 200)
        image[y : y + 30, x : x + 50] -= 12
    return image


def _pavement(rng):
    base = _tone(rng, (140, 136, 130), (190, 184, 172))
    image = base + 10 * _noise(rng, 256, (8, 64))[..., None] + np.zeros((256, 256, 1))
    step = (32, 64, 128)[int(rng.random() * 3)]
    tint = (rng.random((256 // step, 256 // step)) - 0.5) * 22
    image += np.kron(tint, np.ones((step, step)))[..., None]
    image[::step], image[1::step] = image[::step] - 34, image[1::step] - 20
    image[:, ::step] -= 34
    return image


def _grass(rng):
    base = _tone(rng, (70, 96, 44), (120, 128, 66))
    noise = _noise(rng, 256, (4, 32, 128))
    return base + noise[..., None] * (30, 26, 14)


def _foliage(rng):
    base = _tone(rng, (44, 84, 34), (112, 124, 48))
    noise = _noise(rng, 256, (16, 64, 128))
    image = base + noise[..., None] * (44, 48, 26)
    image[noise < -0.45] *= 0.55
    return image


def _wall(rng):
    base = _tone(rng, (150, 92, 72), (196, 186, 168))
    image = base + 9 * _noise(rng, 256, (8, 64))[..., None] + np.zeros((256, 256, 1))
    if rng.random() < 0.6:
        for row in range(16):
            y = row * 16
            tint = np.repeat((rng.random(8) - 0.5) * 26, 32)
            image[y : y + 16] += np.roll(tint, 16 * (row % 2))[None, :, None]
            image[y : y + 2] = base * 1.12
            for k in range(8):
                x = (k * 32 + 16 * (row % 2)) % 256
                image[y : y + 16, x : x + 2] = base * 1.12
    else:
        image[:, ::64] -= 40
        image[:12] -= 26
    return image


def _facade(rng):
    """Two bays by two floors."""
    base = _tone(rng, (120, 96, 84), (216, 206, 188)) * (0.85 + 0.3 * rng.random(3))
    base = base.clip(60, 214)
    image = base + 9 * _noise(rng, 256, (4, 64))[..., None] + np.zeros((256, 256, 1))
    if rng.random() < 0.4:
        image[::8] -= 16
    width, height = 44 + int(rng.random() * 44), 56 + int(rng.random() * 34)
    frame = (base * 0.6, np.array([214.0, 212, 206]), np.array([70.0, 66, 62]))[int(rng.random() * 3)]
    bars, band = int(rng.random() * 3), rng.random() < 0.5
    for row in range(2):
        for column in range(2):
            y, x = row * 128 + (128 - height) // 2, column * 128 + (128 - width) // 2
            image[y - 5 : y + height + 5, x - 5 : x + width + 5] = frame
            glass = 44 + 46 * np.linspace(1, 0, height)[:, None, None] + np.array([0.0, 8, 18]) + 26 * rng.random()
            image[y : y + height, x : x + width] = glass
            if rng.random() < 0.5:
                depth = int(height * (0.2 + 0.5 * rng.random()))
                image[y : y + depth, x : x + width] = image[y : y + depth, x : x + width] * 0.5 + 90
            for bar in range(bars):
                at = x + width * (bar + 1) // (bars + 1)
                image[y : y + height, at - 2 : at + 2] = frame
            image[y + height + 5 : y + height + 11, x - 9 : x + width + 9] = base * 1.1
        if band:
            image[row * 128 : row * 128 + 9] = base * 0.78
    return image


def _sky(rng):
    zenith = _tone(rng, (84, 128, 190), (150, 176, 206))
    horizon = _tone(rng, (190, 206, 222), (222, 222, 220))
    share = np.linspace(0, 1, 128)[:, None, None] ** 0.8
    image = zenith * (1 - share) + horizon * share + np.zeros((128, 512, 1))
    clouds = _noise(rng, 512, (4, 8, 16, 32, 64))[::4]
    cover = ((clouds + 0.35 * rng.random() - 0.1) * 2).clip(0, 1)[..., None] * (0.45 + 0.55 * rng.random())
    image = image * (1 - cover) + (216 + 20 * clouds[..., None]) * cover
    return image.clip(0, 224)


_KINDS = {
    "asphalt": _asphalt,
    "pavement": _pavement,
    "grass": _grass,
    "foliage": _foliage,
    "wall": _wall,
    "facade": _facade,
    "sky": _sky,
}
