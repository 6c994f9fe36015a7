"""Randomness that depends on what is drawn for, not on the order of work."""

import zlib

import numpy as np


def generator(seed: int, clip: str, instance: int | str, t: int) -> np.random.Generator:
    """A generator of its own for one instance in one frame of one clip."""
    numbers = [seed, _digest(clip), _digest(str(instance)), t]
    # NumPy takes each number of a list by itself, and an array of 32 bits as it is, for the same generator.
    return np.random.default_rng(np.array(numbers, np.uint32) if 0 <= seed < 2**32 else numbers)


def _digest(text: str) -> int:
    """Names of files need not be UTF-8: Python holds what is not as surrogates."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
