"""A tiny VidEoMT, and one that says what a test wrote for it, as a stand-in for a trained one."""

import numpy as np
import torch

from samodal.frontends.videomt import Network, Predicted, VideomtConfig

TINY = VideomtConfig(classes=("person", "car"), size=(32, 64), hidden=32, layers=3, blocks=2, heads=2, queries=4)


def tiny(config: VideomtConfig = TINY, seed: int = 0) -> Network:
    """Random weights, also of what carries the queries on."""
    torch.manual_seed(seed)
    network = Network(config)
    network.initialise()
    torch.nn.init.trunc_normal_(network.query_updater.weight, std=0.1)
    return network.eval()


class Scripted:
    """Answers frame t with the t-th entry of a script: {query: (class, probability, (x0, y0, x1, y1) in mask cells)}.

    Masks are sure inside the box and unsure nowhere; queries that are not named see nothing.
    """

    device = torch.device("cpu")

    def __init__(self, script: list[dict], config: VideomtConfig = TINY):
        self.script, self.config = script, config

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels

    def step(self, tokens: torch.Tensor, queries: int | None) -> tuple[list[Predicted], int]:
        t = 0 if queries is None else queries
        names = [*self.config.classes, None]
        classes = torch.full((1, self.config.queries, len(names)), 1e-6)
        classes[..., -1] = 1
        masks = torch.full((1, self.config.queries, *self.config.mask_size), -9.0)
        for query, (name, probability, (x0, y0, x1, y1)) in self.script[t].items():
            classes[0, query, -1] = 1 - probability
            classes[0, query, names.index(name)] = probability
            masks[0, query, y0:y1, x0:x1] = 9.0
        return [Predicted(classes.log(), masks)], t + 1


def frames(count: int, size: tuple[int, int] = (32, 64), seed: int = 0) -> np.ndarray:
    """(count, H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)
