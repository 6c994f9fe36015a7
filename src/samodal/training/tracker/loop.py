"""The training loop of a point tracker: one process, by the clock or by steps, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from samodal.trackers.cotracker.model import Network
from samodal.training import schedule
from samodal.training.tracker.clips import Clips
from samodal.training.tracker.draw import Draw, Drawer, Step, prepare
from samodal.training.tracker.objective import Follow, scores

if TYPE_CHECKING:
    from samodal.commands.train_tracker import TrackerSettings


@dataclass
class Progress:
    """Where a training stands: steps done and seconds spent."""

    step: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.step:,} steps in {self.seconds / 60:.1f} min"


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


class Loop:
    """Trains a part of a network on clips.

    Args:
        settings: see `TrackerSettings`.
        stage: what is learned.
        network: on the device that trains.
        clips: the training data, on the same device.
        out: folder of log and state.
    """

    def __init__(self, settings: TrackerSettings, stage: Stage, network: Network, clips: Clips, out: Path):
        self.settings, self.stage, self.network, self.clips = settings, stage, network, clips
        self.state_file = out / f"{settings.name}.{stage.name}.state.pt"
        self.log_file = out / f"{settings.name}.log.jsonl"
        self.drawer = new_drawer(settings, network, clips, stage.windows)
        matrices = [p for p in stage.parameters if p.ndim > 1]
        others = [p for p in stage.parameters if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.lr, fused=network.device.type == "cuda")
        self.progress = Progress()

    def run(self) -> Progress:
        """Train to the end, from where an interrupted run stopped; gives where it ended."""
        if self.settings.resume and self.state_file.exists():
            self._load()
            print(
                f"{self.stage.name}: going on after step {self.progress.step}, {self.progress.seconds / 60:.1f} min",
                flush=True,
            )
        self._began = time.monotonic() - self.progress.seconds
        saved, sums, since = time.monotonic(), {}, (self.progress.step, self.progress.seconds)
        self.network.train()
        for draw in self._draws():
            done = self._share_done()
            if done >= 1.0:
                break
            for name, value in self.step(draw, done).items():
                sums[name] = sums.get(name, 0.0) + value
            if self.progress.step % self.settings.log_every == 0:
                self._log(sums, since)
                sums, since = {}, (self.progress.step, self.progress.seconds)
            if time.monotonic() - saved > 60 * self.settings.save_minutes:
                self._save()
                saved = time.monotonic()
        self.network.eval()
        self.state_file.unlink(missing_ok=True)
        return self.progress

    def step(self, draw: Draw, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser, at a share of the training; gives its losses, still on the device."""
        settings, device = self.settings, self.network.device
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * schedule.cosine(self.progress.step, done, settings.warmup)
        generator = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + self.progress.step)
        step = prepare(draw, self.clips, generator if settings.augment else None)
        half = torch.autocast(device.type, torch.bfloat16) if settings.precision == "bf16" else nullcontext()
        with half:
            values = self.stage.learn(step, generator, done)
        values["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.stage.parameters, settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return {name: value.detach() for name, value in values.items()} | {"norm": norm}

    def _draws(self) -> Iterator[Draw]:
        """Steps without end from the one that is next, drawn one ahead of the device."""
        settings = self.settings

        def make(number: int) -> Draw:
            rng = np.random.default_rng((settings.seed, number))
            clips = rng.choice(len(self.clips), settings.batch, replace=settings.batch > len(self.clips))
            return self.drawer(clips, rng)

        with ThreadPoolExecutor(1) as pool:
            number = self.progress.step
            waiting = pool.submit(make, number)
            while True:
                draw, number = waiting.result(), number + 1
                waiting = pool.submit(make, number)
                yield draw

    def _share_done(self) -> float:
        self.progress.seconds = time.monotonic() - self._began
        if self.stage.minutes:
            return min(1.0, self.progress.seconds / (60 * self.stage.minutes))
        return min(1.0, self.progress.step / self.stage.steps)

    def _log(self, sums: dict[str, torch.Tensor], since: tuple[int, float]) -> None:
        steps = self.progress.step - since[0]
        means = {name: round(float(value) / steps, 5) for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {self.progress.step}; try a lower lr")
        self.progress.seconds = time.monotonic() - self._began
        rate = steps * self.settings.batch / max(self.progress.seconds - since[1], 1e-9)
        line = {
            "stage": self.stage.name, "step": self.progress.step, "minutes": round(self.progress.seconds / 60, 3),
            "lr": self.optimizer.param_groups[0]["lr"], **means, "clips_per_s": round(rate, 1),
        }  # fmt: skip
        with open(self.log_file, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()), flush=True)

    def _save(self) -> None:
        """Write everything that a resumed run needs; the file is whole or not there."""
        held = {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        unfinished = self.state_file.with_suffix(".part")
        torch.save(held, unfinished)
        unfinished.replace(self.state_file)

    def _load(self) -> None:
        held = torch.load(self.state_file, map_location="cpu", weights_only=True)
        self.network.load_state_dict(held["model"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.progress = Progress(**held["progress"])


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
