"""The training loop of VidEoMT: single frames first, then clips; by the clock or by steps, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from samodal.training import schedule
from samodal.training.vis.clips import Clips
from samodal.training.vis.draw import choose, prepare
from samodal.training.vis.objective import Objective
from samodal.videomt import Network, save

if TYPE_CHECKING:
    from samodal.commands.train_vis import VisSettings


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: steps done.
        seconds: spent so far, measurements included.
        history: what was measured in between, with the step.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.step:,} steps in {self.seconds / 60:.1f} min"


class Loop:
    """Trains a network on clips.

    Args:
        settings: see `VisSettings`.
        network: on the device that trains.
        clips: the training data, with the network's classes and size.
        out: folder of log, state and checkpoint.
        check: measures the network, for the log.
    """

    def __init__(
        self,
        settings: VisSettings,
        network: Network,
        clips: Clips,
        out: Path,
        check: Callable[[], dict[str, float]] | None = None,
    ):
        self.settings, self.network, self.clips, self.check = settings, network, clips, check
        self.state_file, self.log_file = out / f"{settings.name}.state.pt", out / f"{settings.name}.log.jsonl"
        self.checkpoint = out / f"{settings.name}.safetensors"
        self.objective = Objective(network, settings.dense)
        self.parameters = list(self.objective.parameters())
        self.optimizer = new_optimizer(self.objective, settings)
        self.progress = Progress()

    def run(self) -> Progress:
        """Train to the end, from where an interrupted run stopped; gives where it ended."""
        if self.settings.resume and self.state_file.exists():
            self._load()
            print(f"going on after {self.progress}", flush=True)
        self._began = time.monotonic() - self.progress.seconds
        saved = checked = time.monotonic()
        sums, since = {}, (self.progress.step, self.progress.seconds)
        self.network.train()
        for chosen, done in self._steps():
            for name, value in self.step(chosen, done).items():
                sums[name] = sums.get(name, 0.0) + value
            if self.progress.step % self.settings.log_every == 0:
                self._log(sums, since)
                sums, since = {}, (self.progress.step, self.progress.seconds)
            if self.check and time.monotonic() - checked > 60 * self.settings.check_minutes:
                self._check()
                checked = time.monotonic()
            if time.monotonic() - saved > 60 * self.settings.save_minutes:
                self._save()
                saved = time.monotonic()
        self.network.eval()
        save(self.network, self.checkpoint, half=True)
        return self.progress

    def finish(self) -> None:
        """Forget the state; the training is over and its card written."""
        self.state_file.unlink(missing_ok=True)

    def length(self, done: float, rng: np.random.Generator) -> int:
        """Frames of a step's clips, at a share of the training."""
        if done < self.settings.images:
            return 1
        return int(rng.integers(min(3, self.settings.longest), self.settings.longest + 1))

    def step(self, chosen: np.ndarray, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser on (B, T) frames; gives its losses, still on the device."""
        settings, device = self.settings, self.network.device
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * schedule.cosine(self.progress.step, done, settings.warmup)
        generator = None
        if settings.augment:
            generator = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + self.progress.step)
        step = prepare(self.clips, chosen, self.network.config.mask_size, generator)
        half = torch.autocast(device.type, torch.bfloat16) if settings.precision == "bf16" else nullcontext()
        with half:
            values = self.objective(step)
        values["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return {name: value.detach() for name, value in values.items()} | {"norm": norm}

    def _steps(self) -> Iterator[tuple[np.ndarray, float]]:
        """The frames of each step and the share of the training that is done, to its end."""
        while (done := self._share_done()) < 1.0:
            rng = np.random.default_rng((self.settings.seed, self.progress.step))
            length = self.length(done, rng)
            yield choose(self.clips, max(1, self.settings.batch // length), length, self.settings.stride, rng), done

    def _share_done(self) -> float:
        self.progress.seconds = time.monotonic() - self._began
        if self.settings.minutes:
            return min(1.0, self.progress.seconds / (60 * self.settings.minutes))
        return min(1.0, self.progress.step / self.settings.steps)

    def _check(self) -> None:
        line = {"step": self.progress.step, **self.check()}
        self.progress.history.append(line)
        self._write({"measured": True, **line})

    def _log(self, sums: dict[str, torch.Tensor], since: tuple[int, float]) -> None:
        steps = self.progress.step - since[0]
        means = {name: round(float(value) / steps, 5) for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {self.progress.step}; try a lower lr")
        self.progress.seconds = time.monotonic() - self._began
        rate = steps * self.settings.batch / max(self.progress.seconds - since[1], 1e-9)
        self._write(
            {
                "step": self.progress.step,
                "minutes": round(self.progress.seconds / 60, 3),
                "lr": self.optimizer.param_groups[0]["lr"],
                **means,
                "frames_per_s": round(rate, 1),
            }  # fmt: skip
        )

    def _write(self, line: dict) -> None:
        with open(self.log_file, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()), flush=True)

    def _save(self) -> None:
        """Write everything that a resumed run needs, and the checkpoint as it is; a file is whole or not there."""
        held = {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        unfinished = self.state_file.with_suffix(".part")
        torch.save(held, unfinished)
        unfinished.replace(self.state_file)
        draft = self.checkpoint.with_suffix(".draft.safetensors")
        save(self.network, draft, half=True)
        draft.replace(self.checkpoint)

    def _load(self) -> None:
        held = torch.load(self.state_file, map_location="cpu", weights_only=True)
        self.objective.load_state_dict(held["objective"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.progress = Progress(**held["progress"])


def new_optimizer(objective: Objective, settings: VisSettings) -> torch.optim.Optimizer:
    """AdamW on all parameters; biases, norms, scales and embeddings are not decayed."""
    plain = {id(module.weight) for module in objective.modules() if isinstance(module, nn.Embedding)}
    matrices = [p for p in objective.parameters() if p.ndim > 1 and id(p) not in plain]
    others = [p for p in objective.parameters() if p.ndim <= 1 or id(p) in plain]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=matrices[0].is_cuda)
