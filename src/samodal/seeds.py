"""Randomness that depends on what is drawn for, not on the order of work."""

import zlib

import numpy as np


def generator(seed: int, clip: str, instance: int | str, t: int) -> np.random.Generator:
    """A generator of its own for one instance in one frame of one clip."""
    return np.random.default_rng([seed, _digest(clip), _digest(str(instance)), t])


def _digest(text: str) -> int:
    """Names of files need not be UTF-8: Python holds what is not as surrogates."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
