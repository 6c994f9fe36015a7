"""Training in one process, by the clock or by steps: log, states and resuming. What a step is, each training says."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from samodal.training import schedule


class ClockSettings(Protocol):
    """What the settings of each such training have; one of `minutes` and `steps` is 0."""

    name: str
    minutes: float
    steps: int
    lr: float
    seed: int
    resume: bool
    save_minutes: float
    log_every: int


@dataclass
class Progress:
    """Where a training stands: steps done and seconds spent, measurements included."""

    step: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.step:,} steps in {self.seconds / 60:.1f} min"


class ClockLoop:
    """Trains a network.

    A kind of training has `coming`, `losses` and `per_second`, and where it wants more, `factor`, `measure_if_due`,
    `save_draft` and `end`. Each step is a function of its number, so that a state needs no generator.

    Args:
        settings: see `ClockSettings`.
        network: on the device that trains.
        out: folder of log and state.
        held: what a state has beside the progress, by name: modules, and "optimizer".
        progress: at the start.
        clip: norm to which the gradients of `parameters` are cut; None for none.
        stage: of a training that has several: its state and its lines of the log have this name.
    """

    def __init__(
        self,
        settings: ClockSettings,
        network: nn.Module,
        out: Path,
        held: dict[str, nn.Module | torch.optim.Optimizer],
        progress: Progress,
        parameters: list[nn.Parameter],
        clip: float | None = None,
        stage: str = "",
    ):
        self.settings, self.network, self.held, self.progress = settings, network, held, progress
        self.device, self.optimizer = next(network.parameters()).device, held["optimizer"]
        self.parameters, self.clip, self.stage = parameters, clip, stage
        self.minutes, self.steps = settings.minutes, settings.steps
        self.log_file = out / f"{settings.name}.log.jsonl"
        self.state_file = out / ".".join(filter(None, (settings.name, stage, "state.pt")))

    def run(self) -> Progress:
        """Train to the end, from where an interrupted run stopped; gives where it ended."""
        if self.settings.resume and self.state_file.exists():
            self._load()
            text = f"going on after step {self.progress.step}, {self.progress.seconds / 60:.1f} min"
            print(f"{self.stage}: {text}" if self.stage else text, flush=True)
        self._began = time.monotonic() - self.progress.seconds
        saved, sums, since = time.monotonic(), {}, (self.progress.step, self.progress.seconds)
        self.network.train()
        with closing(self.coming()) as coming:
            while (done := self.share_done()) < 1.0:
                for name, value in self.step(next(coming), done).items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.progress.step % self.settings.log_every == 0:
                    self._log(sums, since)
                    sums, since = {}, (self.progress.step, self.progress.seconds)
                self.measure_if_due()
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    self._save()
                    saved = time.monotonic()
        self.end()
        self.network.eval()
        return self.progress

    def coming(self) -> Generator[Any, None, None]:
        """What the steps see, without end, from the one that is next."""
        raise NotImplementedError

    def losses(self, seen: Any, done: float) -> dict[str, torch.Tensor]:
        """The losses of a step at a share of the training, "loss" among them."""
        raise NotImplementedError

    def per_second(self, steps: float) -> dict[str, float]:
        """What the log says of so many steps a second."""
        raise NotImplementedError

    def factor(self, done: float) -> float:
        """Of the highest learning rate."""
        return schedule.cosine(self.progress.step, done, self.settings.warmup)

    def measure_if_due(self) -> None:
        """Called after each step."""

    def save_draft(self) -> None:
        """Called when a state was written."""

    def end(self) -> None:
        """Called after the last step."""

    def finish(self) -> None:
        """Forget the state; the training is over."""
        self.state_file.unlink(missing_ok=True)

    def step(self, seen: Any, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser, at a share of the training; gives its losses, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * self.factor(done)
        values = self.losses(seen, done)
        values["loss"].backward()
        norm = {} if self.clip is None else {"norm": nn.utils.clip_grad_norm_(self.parameters, self.clip)}
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return {name: value.detach() for name, value in values.items()} | norm

    def share_done(self) -> float:
        """In [0, 1], by the clock or by steps."""
        self.progress.seconds = time.monotonic() - self._began
        if self.minutes:
            return min(1.0, self.progress.seconds / (60 * self.minutes))
        return min(1.0, self.progress.step / self.steps)

    def generator(self) -> torch.Generator:
        """Of the step that is next, on the device."""
        return torch.Generator(self.device).manual_seed(self.settings.seed * 1_000_003 + self.progress.step)

    def precision(self) -> AbstractContextManager:
        """In which losses are computed, as the settings have it."""
        half = self.settings.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()

    def _log(self, sums: dict[str, torch.Tensor], since: tuple[int, float]) -> None:
        """Means since step and second. The only place of a step that waits for the device."""
        steps = self.progress.step - since[0]
        means = {name: round(float(value) / steps, 5) for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {self.progress.step}; try a lower lr")
        self.progress.seconds = time.monotonic() - self._began
        line = {
            "step": self.progress.step, "minutes": round(self.progress.seconds / 60, 3),
            "lr": self.optimizer.param_groups[0]["lr"], **means,
            **self.per_second(steps / max(self.progress.seconds - since[1], 1e-9)),
        }  # fmt: skip
        self.write({"stage": self.stage, **line} if self.stage else line)

    def write(self, line: dict) -> None:
        """A line of the log, printed, too."""
        with open(self.log_file, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()), flush=True)

    def _save(self) -> None:
        """Write everything that a resumed run needs."""
        state = {name: part.state_dict() for name, part in self.held.items()} | {"progress": vars(self.progress)}
        replaced(self.state_file, lambda path: torch.save(state, path))
        self.save_draft()

    def _load(self) -> None:
        state = torch.load(self.state_file, map_location="cpu", weights_only=True)
        for name, part in self.held.items():
            part.load_state_dict(state[name])
        self.progress = type(self.progress)(**state["progress"])


def replaced(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file where another one may lie, which stays whole until then."""
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    write(unfinished)
    unfinished.replace(path)
