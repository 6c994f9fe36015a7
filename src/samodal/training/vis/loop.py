"""The training loop of VidEoMT: single frames first, then clips; by the clock or by steps, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from samodal.frontends.videomt import Network, save
from samodal.training import clock
from samodal.training.clock import ClockLoop, replaced
from samodal.training.setup import adamw
from samodal.training.vis.clips import Clips
from samodal.training.vis.draw import choose, prepare
from samodal.training.vis.objective import Objective

if TYPE_CHECKING:
    from samodal.cli.train_vis import VisSettings


@dataclass
class Progress(clock.Progress):
    """Where a training stands.

    Attributes:
        history: what was measured in between, with the step.
    """

    history: list[dict] = field(default_factory=list)


class Loop(ClockLoop):
    """Trains a network on clips.

    Args:
        settings: see `VisSettings`.
        network: on the device that trains.
        clips: the training data, with the network's classes and size.
        out: folder of log, state and checkpoint.
        check: measures the network, for the log.
    """

    progress: Progress

    def __init__(
        self,
        settings: VisSettings,
        network: Network,
        clips: Clips,
        out: Path,
        check: Callable[[], dict[str, float]] | None = None,
    ):
        self.clips, self.check, self.objective = clips, check, Objective(network, settings.dense)
        self.checkpoint = out / f"{settings.name}.safetensors"
        parameters = list(self.objective.parameters())
        embeddings = [module.weight for module in self.objective.modules() if isinstance(module, nn.Embedding)]
        held = {"objective": self.objective, "optimizer": adamw(settings, parameters, embeddings)}
        super().__init__(settings, network, out, held, Progress(), parameters, settings.clip)
        self._checked = time.monotonic()

    def length(self, done: float, rng: np.random.Generator) -> int:
        """Frames of a step's clips, at a share of the training."""
        if done < self.settings.images:
            return 1
        return int(rng.integers(min(3, self.settings.longest), self.settings.longest + 1))

    def coming(self) -> Generator[np.ndarray, None, None]:
        """(B, T) frames of each step."""
        while True:
            rng = np.random.default_rng((self.settings.seed, self.progress.step))
            length = self.length(self.share_done(), rng)
            yield choose(self.clips, max(1, self.settings.batch // length), length, self.settings.stride, rng)

    def losses(self, seen: np.ndarray, done: float) -> dict[str, torch.Tensor]:
        """Of (B, T) frames."""
        generator = self.generator() if self.settings.augment else None
        step = prepare(self.clips, seen, self.network.config.mask_size, generator)
        with self.precision():
            return self.objective(step)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"frames_per_s": round(steps * self.settings.batch, 1)}

    def measure_if_due(self) -> None:
        """Every `check_minutes`."""
        if self.check and time.monotonic() - self._checked > 60 * self.settings.check_minutes:
            line = {"step": self.progress.step, **self.check()}
            self.progress.history.append(line)
            self.write({"measured": True, **line})
            self._checked = time.monotonic()

    def save_draft(self) -> None:
        """The checkpoint as it is."""
        replaced(self.checkpoint, lambda path: save(self.network, path, half=True))

    def end(self) -> None:
        self.save_draft()
