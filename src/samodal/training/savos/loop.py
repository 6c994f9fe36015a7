"""The training loop of SAVOS: one process, by the clock or by steps, resumable; keeps the best checkpoint."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.savos import Savos, save
from samodal.training import schedule
from samodal.training.savos.clips import Clip, Stretch
from samodal.training.savos.draw import Windows, ahead, draw, windows
from samodal.training.savos.objective import Objective

if TYPE_CHECKING:
    from samodal.commands.train_savos import SavosSettings

THREADS = 4
"""That cut out windows; each step's is a function of the seed and the step alone."""


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: steps done.
        seconds: spent so far, measurements included.
        best: highest IoU by visible masks that was measured; the checkpoint has it.
        history: what was measured, with the step.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    history: list[dict] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.step:,} steps in {self.seconds / 60:.1f} min"


class Loop:
    """Trains a network on the tracks of clips.

    Args:
        settings: see `SavosSettings`.
        network: on the device that trains.
        clips: the training data.
        out: folder of log, state and checkpoint.
        check: measures the network; "visible_iou" chooses the checkpoint, without it the last one is kept.
    """

    def __init__(
        self,
        settings: SavosSettings,
        network: Savos,
        clips: list[Clip],
        out: Path,
        check: Callable[[], dict] | None = None,
    ):
        self.settings, self.network, self.check = settings, network, check
        self.tracks: list[tuple[Clip, Stretch]] = [(clip, one) for clip in clips for one in clip.stretches]
        self.device = next(network.parameters()).device
        self.state_file, self.log_file = out / f"{settings.name}.state.pt", out / f"{settings.name}.log.jsonl"
        self.checkpoint = out / f"{settings.name}.safetensors"
        self.draft = out / f"{settings.name}.draft.safetensors"
        self.objective = Objective(network, settings.patch_weight)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr, fused=self.device.type == "cuda")
        self.progress = Progress()

    def run(self) -> Progress:
        """Train to the end, from where an interrupted run stopped; gives where it ended."""
        if self.settings.resume and self.state_file.exists():
            self._load()
            print(f"going on after {self.progress}", flush=True)
        self._began = time.monotonic() - self.progress.seconds
        saved, sums, since = time.monotonic(), {}, (self.progress.step, self.progress.seconds)
        self.network.train()
        coming = ahead(self.windows, self.progress.step, THREADS)
        while (done := self._share_done()) < 1.0:
            self._check_if_due(done)
            for name, value in self.step(next(coming), done).items():
                sums[name] = sums.get(name, 0.0) + value
            if self.progress.step % self.settings.log_every == 0:
                self._log(sums, since)
                sums, since = {}, (self.progress.step, self.progress.seconds)
            if time.monotonic() - saved > 60 * self.settings.save_minutes:
                self._save()
                saved = time.monotonic()
        coming.close()
        self._check()
        self.network.eval()
        return self.progress

    def finish(self) -> None:
        """Forget state and draft; the training is over and its card written."""
        self.state_file.unlink(missing_ok=True)
        self.draft.unlink(missing_ok=True)

    def windows(self, number: int) -> Windows:
        """What step `number` sees, on the device."""
        settings = self.settings
        parts = draw(self.tracks, settings.batch, settings.length, settings.seed, number)
        return windows(parts, settings.length).to(self.device)

    def step(self, seen: Windows, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser, at a share of the training; gives its losses, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * schedule.halved_twice(done)
        values = self.objective(seen)
        values["loss"].backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return {name: value.detach() for name, value in values.items()}

    def _share_done(self) -> float:
        self.progress.seconds = time.monotonic() - self._began
        if self.settings.minutes:
            return min(1.0, self.progress.seconds / (60 * self.settings.minutes))
        return min(1.0, self.progress.step / self.settings.steps)

    def _check_if_due(self, done: float) -> None:
        """Measure at equal shares of the training; the last time is at its end."""
        if self.check and len(self.progress.history) < int(done * self.settings.validations):
            self._check()

    def _check(self) -> None:
        """Measure, and keep the network where it is the best so far."""
        measured = self.check() if self.check else {}
        if measured:
            line = {"step": self.progress.step, **measured}
            self.progress.history.append(line)
            self._write({"measured": True, **line})
        if not measured or measured["visible_iou"] > self.progress.best:
            self.progress.best = measured.get("visible_iou", self.progress.best)
            _replace(self.network, self.checkpoint)

    def _log(self, sums: dict[str, torch.Tensor], since: tuple[int, float]) -> None:
        steps = self.progress.step - since[0]
        means = {name: round(float(value) / steps, 5) for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {self.progress.step}; try a lower lr")
        self.progress.seconds = time.monotonic() - self._began
        rate = steps / max(self.progress.seconds - since[1], 1e-9)
        self._write(
            {
                "step": self.progress.step,
                "minutes": round(self.progress.seconds / 60, 3),
                "lr": self.optimizer.param_groups[0]["lr"],
                **means,
                "steps_per_s": round(rate, 3),
            }  # fmt: skip
        )

    def _write(self, line: dict) -> None:
        with open(self.log_file, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()), flush=True)

    def _save(self) -> None:
        """Write everything that a resumed run needs, and the network as it is; a file is whole or not there."""
        held = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        unfinished = self.state_file.with_suffix(".part")
        torch.save(held, unfinished)
        unfinished.replace(self.state_file)
        _replace(self.network, self.draft)

    def _load(self) -> None:
        held = torch.load(self.state_file, map_location="cpu", weights_only=True)
        self.network.load_state_dict(held["network"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.progress = Progress(**held["progress"])


def _replace(network: Savos, path: Path) -> None:
    """Write a network in 16 bit where another one may lie, which stays whole until then."""
    unfinished = path.with_name(f"{path.stem}.part.safetensors")
    save(network, unfinished, half=True)
    unfinished.replace(path)
