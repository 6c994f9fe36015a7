"""The training loop of a point tracker: one process, by the clock or by steps, resumable."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from samodal.trackers.cotracker.model import Network
from samodal.training.clock import ClockLoop, Progress
from samodal.training.setup import adamw
from samodal.training.tracker.clips import Clips
from samodal.training.tracker.draw import Draw, Drawer, Step, prepare
from samodal.training.tracker.objective import Follow, scores
from samodal.training.workers import ahead

if TYPE_CHECKING:
    from samodal.cli.train_tracker import TrackerSettings


class Stage(NamedTuple):
    """What a part of a training learns.

    Attributes:
        name: of its state file and in the log.
        learn: from a step, a generator and the share of the training that is done to the losses, "loss" among them.
        parameters: that are trained.
        minutes, steps: its length, one of them 0.
        windows: that follow each other.
    """

    name: str
    learn: Callable[[Step, torch.Generator, float], dict[str, torch.Tensor]]
    parameters: list[nn.Parameter]
    minutes: float
    steps: int
    windows: int


class Loop(ClockLoop):
    """Trains a part of a network on clips; its state is gone when it is done.

    Args:
        settings: see `TrackerSettings`.
        stage: what is learned.
        network: on the device that trains.
        clips: the training data, on the same device.
        out: folder of log and state.
    """

    def __init__(self, settings: TrackerSettings, stage: Stage, network: Network, clips: Clips, out: Path):
        self.learn, self.clips = stage.learn, clips
        self.drawer = new_drawer(settings, network, clips, stage.windows)
        held = {"model": network, "optimizer": adamw(settings, stage.parameters)}
        super().__init__(settings, network, out, held, Progress(), stage.parameters, settings.clip, stage.name)
        self.minutes, self.steps = stage.minutes, stage.steps

    def coming(self) -> Generator[Draw, None, None]:
        """The draw of each step."""
        return ahead(self.draw, self.progress.step, 1)

    def draw(self, number: int) -> Draw:
        """What step `number` follows."""
        batch = self.settings.batch
        rng = np.random.default_rng((self.settings.seed, number))
        return self.drawer(rng.choice(len(self.clips), batch, replace=batch > len(self.clips)), rng)

    def losses(self, seen: Draw, done: float) -> dict[str, torch.Tensor]:
        generator = self.generator()
        step = prepare(seen, self.clips, generator if self.settings.augment else None)
        with self.precision():
            return self.learn(step, generator, done)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"clips_per_s": round(steps * self.settings.batch, 1)}

    def end(self) -> None:
        self.finish()


def new_drawer(settings: TrackerSettings, network: Network, clips: Clips, windows: int) -> Drawer:
    """What draws steps from clips, by the settings."""
    return Drawer(clips, network.config, windows, settings.points, settings.instances)


@torch.no_grad()
def measure(settings: TrackerSettings, network: Network, clips: Clips, rounds: int = 4) -> dict[str, float]:
    """Scores on every clip, `rounds` draws of each, in float32 and without augmentation; see `scores`."""
    drawer, follow, sums = new_drawer(settings, network.eval(), clips, settings.windows), Follow(network), {}
    for number in range(rounds):
        rng = np.random.default_rng((7, number))
        for first in range(0, len(clips), settings.batch):
            chosen = np.arange(first, min(first + settings.batch, len(clips)))
            step = prepare(drawer(chosen, rng), clips, None)
            for name, value in scores(follow(step), step, network.config.stride).items():
                sums[name] = sums.get(name, 0) + value
    shares = {name: float(sums[name] / sums[f"{name}_count"].clamp(min=1)) for name in ("visible", "hidden", "right")}
    return shares | {name: int(value) for name, value in sums.items() if name.endswith("_count")}
