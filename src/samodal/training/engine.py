"""The engine of every training: by the clock or by steps, with log, state and resuming. A task says what a step is."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from samodal.errors import InputError
from samodal.interruption import at_a_good_time
from samodal.outputs import cannot_write
from samodal.training import schedule
from samodal.training.optimizer import check_optimised
from samodal.training.state import (
    Settings,
    check_resumable,
    damaged,
    publish,
    read_state,
    replaced,
    result_path,
    state_path,
    unfinished_path,
)
from samodal.training.workers import ahead


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: steps done.
        seconds: spent so far, measurements included.
        best: highest measurement so far, of the checkpoint that is kept.
        history: what was measured, with the step.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    history: list[dict] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.step:,} steps in {self.seconds / 60:.1f} min"

    def of(self, batch: str) -> str:
        """The same with what each step saw."""
        return f"{self.step:,} steps of {batch} in {self.seconds / 60:.1f} min"


class Engine:
    """Trains a network.

    A task has `draw`, `losses` and `per_second`, and where it wants more, the methods below them. A draw is a function
    of the step's number, so that a resumed training goes on as if it had not stopped.

    Args:
        settings: see `Settings`.
        network: on the device that trains.
        optimizer: of exactly the parameters of `learner` that require a gradient.
        learner: the network with what is only trained beside it; None for the network alone.
        clip: norm to which gradients are cut; None for none.
        stage: of a training that has several: its state and its lines of the log have this name.

    Attributes:
        threads: that draw steps ahead; 0 draws each step when it is due.
        checkpoint: the network as it is kept until the training is over; `finish` gives it the name `result`.
        main: whether this process writes log and state, as the first of several does.
        random: a generator on the CPU that draws in turn, or None; a state holds it, too.

    Raises:
        RuntimeError: if the optimiser has other parameters than those to be trained.
    """

    threads = 0
    main = True

    def __init__(
        self,
        settings: Settings,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        learner: nn.Module | None = None,
        clip: float | None = None,
        stage: str = "",
    ):
        self.settings, self.network, self.optimizer = settings, network, optimizer
        self.learner = network if learner is None else learner
        self.clip, self.stage, self.minutes, self.steps = clip, stage, settings.minutes, settings.steps
        self.device, self.random = next(network.parameters()).device, None
        self.progress = Progress()
        self.checkpoint, self.result = unfinished_path(settings), result_path(settings)
        self.log_file = Path(settings.out) / f"{settings.name}.log.jsonl"
        self.state_file = state_path(settings, stage)
        self.optimised = check_optimised(self.learner, optimizer)
        self.parameters = [p for p in self.learner.parameters() if p.requires_grad]
        self.report(self.optimised)

    def draw(self, step: int) -> Any:
        """What a step sees."""
        raise NotImplementedError

    def losses(self, drawn: Any, done: float) -> dict[str, torch.Tensor]:
        """The losses of a step at a share of the training, "loss" among them."""
        raise NotImplementedError

    def per_second(self, steps: float) -> dict[str, float]:
        """What the log says of so many steps a second."""
        raise NotImplementedError

    def factor(self, done: float) -> float:
        """Of the highest learning rate."""
        return schedule.cosine(self.progress.step, done, self.settings.warmup)

    def backward(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute gradients and cut them; gives their norm, for the log."""
        loss.backward()
        return {} if self.clip is None else {"norm": nn.utils.clip_grad_norm_(self.parameters, self.clip)}

    def measure_if_due(self) -> None:
        """Called after each step."""

    def save_draft(self) -> None:
        """Called when a state was written."""

    def end(self) -> None:
        """Called after the last step."""

    def report(self, text: str) -> None:
        """Print."""
        print(text, flush=True)

    def run(self) -> Progress:
        """Train to the end, from where an interrupted training stopped; gives where it ended.

        Raises:
            InputError: if the state was made with other settings.
            RuntimeError: if the loss is not finite.
        """
        self._resume()
        self._clean_log()
        self._began = time.monotonic() - self.progress.seconds
        saved, sums, since = time.monotonic(), {}, (self.progress.step, self.progress.seconds)
        self.network.train()
        with closing(self._draws()) as draws, at_a_good_time() as stop_if_told:
            while (done := self.share_done()) < 1.0:
                for name, value in self.step(next(draws), done).items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.progress.step % self.settings.log_every == 0:
                    self._log(sums, since)
                    sums, since = {}, (self.progress.step, self.progress.seconds)
                self.measure_if_due()
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    self.save_state()
                    saved = time.monotonic()
                stop_if_told(self.save_state)
        self.end()
        self.network.eval()
        return self.progress

    def step(self, drawn: Any, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser, at a share of the training; gives its losses, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * self.factor(done)
        values = self.losses(drawn, done)
        norm = self.backward(values["loss"])
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

    def note(self, measured: dict) -> None:
        """Keep a measurement in the history and the log."""
        line = {"step": self.progress.step, **measured}
        self.progress.history.append(line)
        self.write({"measured": True, **line})

    def write(self, line: dict) -> None:
        """A line of the log, printed, too."""
        if self.main:
            try:
                with open(self.log_file, "a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
            except OSError as error:
                raise cannot_write(self.log_file, error) from None
        self.report("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()))

    def save_state(self) -> None:
        """Write everything that a resumed training needs."""
        if not self.main:
            return
        state = {
            "settings": dataclasses.asdict(self.settings), "model": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(), "progress": vars(self.progress),
            "random": None if self.random is None else self.random.get_state(),
        }  # fmt: skip
        replaced(self.state_file, partial(torch.save, state))
        self.save_draft()

    def finish(self) -> None:
        """Let what the training made take the place of an older result, and forget its state."""
        if self.main:
            publish(self.checkpoint, self.result)
            self.state_file.unlink(missing_ok=True)

    def _draws(self) -> Generator[Any, None, None]:
        if self.threads:
            yield from ahead(self.draw, self.progress.step, self.threads)
        while True:
            yield self.draw(self.progress.step)

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

    def _clean_log(self) -> None:
        """Take off what an earlier training of this name wrote: of this stage, all steps after the state's."""
        if not self.main or not self.log_file.exists():
            return
        lines = self.log_file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for n, line in enumerate(lines, 1) if line.endswith("\n") and self._holds(line, n)]
        replaced(self.log_file, lambda path: path.write_text("".join(kept), encoding="utf-8"))

    def _holds(self, line: str, number: int) -> bool:
        """Whether a line of the log is of another stage, or of a step that the state holds."""
        try:
            held = json.loads(line)
            return held.get("stage", "") != self.stage or held["step"] <= self.progress.step
        except (ValueError, KeyError, AttributeError, TypeError):
            raise InputError(f"{self.log_file}, line {number}: damaged; delete the line, or the file") from None

    def _resume(self) -> None:
        if not self.settings.resume or not self.state_file.exists():
            return
        state = read_state(self.state_file, self.settings)
        try:
            self.learner.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.random is not None:
                self.random.set_state(state["random"])
            self.progress = Progress(**state["progress"])
        except (KeyError, IndexError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise damaged(self.state_file, error) from None
        text = f"going on after step {self.progress.step}, {self.progress.seconds / 60:.1f} min"
        self.report(f"{self.stage}: {text}" if self.stage else text)


def begin(settings: Settings, *stages: str, **least: int) -> torch.device:
    """Check settings, make the folder, and give the device: where none is named, a GPU if there is any.

    Args:
        stages: names of the training's stages, where it has several.
        least: the least value of further settings.

    Raises:
        InputError: with the way out, for settings that cannot be meant or differ from those of an interrupted training.
    """
    if not any(getattr(settings, name, "") for name in ("data", "silhouettes", "pictures", "cache")):
        raise InputError("no data; give --data streetsim:ROOT/tracks (samodal synth --split tracks makes it) or asd:…")
    if bool(settings.minutes) == bool(settings.steps):
        raise InputError(f"give either minutes or steps as the length, got {settings.minutes} and {settings.steps}")
    if getattr(settings, "precision", "bf16") not in ("bf16", "float32"):
        raise InputError(f"precision {settings.precision!r}: choose bf16 or float32")
    for name, value in ({"log_every": 1, "batch": 1, "held_out": 0} | least).items():
        if getattr(settings, name, value) < value:
            raise InputError(f"{name} must be at least {value}, got {getattr(settings, name)}")
    check_resumable(settings, *stages)
    return device_of(settings)


def device_of(settings: Settings) -> torch.device:
    """That settings name; where they name none, a GPU if there is any."""
    return torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def clips_to_train_on(settings: Any, clips: int) -> int:
    """How many clips are learned from, where the last `held_out` are measured on.

    Raises:
        InputError: if none is left.
    """
    if clips <= settings.held_out:
        raise InputError(
            f"{settings.data}: {clips} clips, {settings.held_out} of them held out, leave none to train on; give "
            "more data, or fewer to --held_out"
        )
    return clips - settings.held_out
