"""The training loop of SAVOS: one process, by the clock or by steps, resumable; keeps the best checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.baselines.savos import Savos, save
from samodal.training import clock, schedule
from samodal.training.clock import ClockLoop, replaced
from samodal.training.savos.clips import Clip, Stretch
from samodal.training.savos.draw import Windows, draw, windows
from samodal.training.savos.objective import Objective
from samodal.training.workers import ahead

if TYPE_CHECKING:
    from samodal.cli.train_savos import SavosSettings

THREADS = 4
"""That cut out windows; each step's is a function of the seed and the step alone."""


@dataclass
class Progress(clock.Progress):
    """Where a training stands.

    Attributes:
        best: highest IoU by visible masks that was measured; the checkpoint has it.
        history: what was measured, with the step.
    """

    best: float = -1.0
    history: list[dict] = field(default_factory=list)


class Loop(ClockLoop):
    """Trains a network on the tracks of clips.

    Args:
        settings: see `SavosSettings`.
        network: on the device that trains.
        clips: the training data.
        out: folder of log, state and checkpoint.
        check: measures the network; "visible_iou" chooses the checkpoint, without it the last one is kept.
    """

    progress: Progress

    def __init__(
        self,
        settings: SavosSettings,
        network: Savos,
        clips: list[Clip],
        out: Path,
        check: Callable[[], dict] | None = None,
    ):
        self.check = check
        self.tracks: list[tuple[Clip, Stretch]] = [(clip, one) for clip in clips for one in clip.stretches]
        self.checkpoint = out / f"{settings.name}.safetensors"
        self.draft = out / f"{settings.name}.draft.safetensors"
        self.objective = Objective(network, settings.patch_weight)
        parameters = list(network.parameters())
        optimizer = torch.optim.Adam(parameters, lr=settings.lr, fused=parameters[0].is_cuda)
        super().__init__(settings, network, out, {"network": network, "optimizer": optimizer}, Progress(), parameters)

    def coming(self) -> Generator[Windows, None, None]:
        """The windows of each step, on the device."""
        return ahead(self.windows, self.progress.step, THREADS)

    def windows(self, number: int) -> Windows:
        """What step `number` sees, on the device."""
        settings = self.settings
        parts = draw(self.tracks, settings.batch, settings.length, settings.seed, number)
        return windows(parts, settings.length).to(self.device)

    def losses(self, seen: Windows, done: float) -> dict[str, torch.Tensor]:
        return self.objective(seen)

    def factor(self, done: float) -> float:
        return schedule.halved_twice(done)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"steps_per_s": round(steps, 3)}

    def measure_if_due(self) -> None:
        """Measure at equal shares of the training; the last time is at its end."""
        done = self.share_done()
        if self.check and done < 1.0 and len(self.progress.history) < int(done * self.settings.validations):
            self._check()

    def end(self) -> None:
        self._check()

    def _check(self) -> None:
        """Measure, and keep the network where it is the best so far."""
        measured = self.check() if self.check else {}
        if measured:
            line = {"step": self.progress.step, **measured}
            self.progress.history.append(line)
            self.write({"measured": True, **line})
        if not measured or measured["visible_iou"] > self.progress.best:
            self.progress.best = measured.get("visible_iou", self.progress.best)
            replaced(self.checkpoint, self._write_network)

    def save_draft(self) -> None:
        """The network as it is."""
        replaced(self.draft, self._write_network)

    def finish(self) -> None:
        """Forget state and draft; the training is over and its card written."""
        super().finish()
        self.draft.unlink(missing_ok=True)

    def _write_network(self, path: Path) -> None:
        save(self.network, path, half=True)
