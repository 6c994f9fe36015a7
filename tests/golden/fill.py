"""Deterministic stand-in weights for checkpoint compatibility.

A released checkpoint is a mapping from parameter name to tensor. `keys/*.json` lists names and shapes of the
released ones; `fill` gives each a value that depends on its name and shape alone, so that two implementations
can be compared on the same "checkpoint" without storing it. The expected arrays beside this file were computed
by the released code of S-AModal (commit 7e70a11, https://github.com/ifnspaml/S-AModal) on these weights; they
and these few lines come from the study that preceded this package.
"""

import json
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def load_keys(name: str) -> dict[str, list[int]]:
    """Names and shapes of one released checkpoint, as load_keys("samodal_vit_b")."""
    return json.loads((HERE / "keys" / f"{name}.json").read_text())


def fill(keys: dict[str, list[int]], gain: dict[str, float] | None = None) -> dict[str, np.ndarray]:
    """float32 values for every (name, shape); `gain` scales the names that contain a given text."""
    state = {}
    for name, shape in keys.items():
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
        if "gaussian_matrix" in name:
            value = noise
        elif "pos_embed" in name or "rel_pos" in name:
            value = 0.02 * noise
        elif len(shape) >= 2:
            value = noise / np.float32(np.sqrt(np.prod(shape[1:])))
        elif name.endswith("weight"):
            value = 1 + 0.1 * noise
        else:
            value = 0.02 * noise
        for text, factor in (gain or {}).items():
            if text in name:
                value = value * np.float32(factor)
        state[name] = np.ascontiguousarray(value, dtype=np.float32)
    return state
