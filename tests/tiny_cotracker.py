"""A CoTracker3 small enough for tests, and videos for it."""

from dataclasses import replace

import numpy as np
import torch

from samodal.trackers.cotracker import CoTracker3
from samodal.trackers.cotracker.config import SMALL, CoTrackerConfig
from samodal.trackers.cotracker.model import Network

TINY = replace(
    SMALL, resolution=(32, 48), stride=4, widths=(8, 8, 8, 8), features=8, hidden=16, heads=2, virtual=4, window=8
)


def tiny(seed: int = 0, config: CoTrackerConfig = TINY) -> CoTracker3:
    """A random model whose updates are large enough to see."""
    torch.manual_seed(seed)
    network = Network(config)
    network.initialise()
    torch.nn.init.normal_(network.updateformer.flow_head.weight, std=0.02)
    return CoTracker3(network)


def noise(frames: int, height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
