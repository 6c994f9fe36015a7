"""Randomness that depends on what is drawn for, not on the order of work."""

import zlib

import numpy as np


def generator(seed: int, clip: str, instance: int | str, t: int) -> np.random.Generator:
    """A generator of its own for one instance in one frame of one clip."""
    return np.random.default_rng([seed, zlib.crc32(clip.encode()), zlib.crc32(str(instance).encode()), t])
