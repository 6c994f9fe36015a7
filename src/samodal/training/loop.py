"""The one training loop: visible and amodal stages, one or several processes, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from samodal.segmenters.sam import AmodalSam
from samodal.training import schedule
from samodal.training.augment import AugmentSettings
from samodal.training.batch import InstanceTable, Order, draw_batch
from samodal.training.cache import Cache
from samodal.training.objective import Objective
from samodal.training.paste import Paster
from samodal.training.prompts import draw_prompts
from samodal.training.stages import StepPlan, plan_step

if TYPE_CHECKING:
    from accelerate import Accelerator

    from samodal.cli.train import TrainSettings


class Predict(nn.Module):
    """Encode frames once and decode all their prompts: one call, as several processes need it."""

    def __init__(self, model: AmodalSam):
        super().__init__()
        self.model = model

    def forward(self, pixels, points, labels, boxes, masks, index, multimask):
        """See `AmodalSam.embed` and `AmodalSam.decode`; a frozen encoder keeps nothing for a backward pass."""
        learns = any(p.requires_grad for p in self.model.vision_encoder.parameters())
        with nullcontext() if learns else torch.no_grad():
            embedding = self.model.embed(pixels)
        return self.model.decode(embedding, points, labels, boxes, masks, index, multimask)


def check_optimised(model: AmodalSam, optimizer: torch.optim.Optimizer, adapters: bool) -> str:
    """Hold that the optimiser has exactly the trainable parameters, and say which they are.

    The released training gave its optimiser the mask decoder alone, so its adapters never learned (facts 4.1).

    Args:
        model: after `tune`.
        optimizer: before its first step.
        adapters: whether adapters must be among them.

    Returns:
        A line per part of the model: its name, tensors and parameters.

    Raises:
        RuntimeError: naming what is missing or too much.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    trainable = set(model.trainable())
    optimised = {names.get(id(p), "a foreign tensor") for group in optimizer.param_groups for p in group["params"]}
    if trainable != optimised:
        raise RuntimeError(
            f"the optimiser does not have what is to be trained; missing: {sorted(trainable - optimised)[:5]}, "
            f"too much: {sorted(optimised - trainable)[:5]}"
        )
    if adapters and not any(".adapter." in name for name in optimised):
        raise RuntimeError("adapters are to be trained, but the model has none or they are frozen")
    parts: dict[str, list[int]] = {}
    for name, parameter in model.trainable().items():
        part = "vision_encoder.adapter" if ".adapter." in name else name.split(".")[0]
        parts.setdefault(part, []).append(parameter.numel())
    lines = [f"  {part}: {len(sizes)} tensors, {sum(sizes):,} parameters" for part, sizes in parts.items()]
    total, all_of_them = sum(sum(s) for s in parts.values()), sum(p.numel() for p in model.parameters())
    return "\n".join([f"optimised = trainable: {total:,} of {all_of_them:,} parameters", *lines])


def new_optimizer(model: AmodalSam, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW on the trainable parameters; biases, norms and single vectors are not decayed."""
    trainable = list(model.trainable().values())
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=trainable[0].is_cuda)


@dataclass
class Progress:
    """Where a training stands; what a resumed one takes up.

    Attributes:
        step: steps done.
        seconds: spent so far, validation included.
        best: highest validation so far.
        history: one entry per validation.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    history: list[dict] = field(default_factory=list)


class Loop:
    """Trains a model on a cache.

    Args:
        settings: see `TrainSettings`.
        model: on the accelerator's device, tuned.
        cache: the training data.
        accelerator: decides device, precision and processes.
        validate: called now and then with `Predict`; gives metrics.
        keep: called with the metrics when the model is to be kept.
        out: folder of log and state.
    """

    def __init__(
        self,
        settings: TrainSettings,
        model: AmodalSam,
        cache: Cache,
        accelerator: Accelerator,
        validate: Callable[[Predict], dict[str, float]] | None,
        keep: Callable[[dict[str, float]], None],
        out: Path,
    ):
        self.settings, self.model, self.accelerator = settings, model, accelerator
        self.validate, self.keep = validate, keep
        self.state_file = out / f"{settings.name}.state.pt"
        self.log_file = out / f"{settings.name}.log.jsonl"
        self.cache = cache.to(accelerator.device)
        self.table = InstanceTable(self.cache, settings.occluded_weight)
        self.order = Order(cache, settings.frames * accelerator.num_processes, settings.instances, settings.seed)
        self.total_steps = settings.steps or math.ceil(settings.epochs * self.order.steps_per_epoch)
        self.objective = Objective(settings.loss, settings.iou_weight, settings.loss_size)
        self.augment = AugmentSettings() if settings.augment else None
        self.paste = Paster(self.cache) if settings.paste_occluders else None
        optimizer = new_optimizer(model, settings)
        self.report(check_optimised(model, optimizer, settings.tune == "adapters"))
        self.predict, self.optimizer = accelerator.prepare(Predict(model), optimizer)
        self.parameters = list(model.trainable().values())
        self.progress = Progress()

    def report(self, text: str) -> None:
        """Print once, whatever the number of processes."""
        self.accelerator.print(text, flush=True)

    def run(self) -> Progress:
        """Train to the end, from where an interrupted run stopped; gives where it ended."""
        if self.settings.resume and self.state_file.exists():
            self._load_state()
            self.report(f"going on after step {self.progress.step}, {self.progress.seconds / 60:.1f} min")
        self._began = time.monotonic() - self.progress.seconds
        self._saved = time.monotonic()
        self._running: dict[str, torch.Tensor] = {}
        self._logged = (self.progress.step, self.progress.seconds)
        self.predict.train()
        while (done := self._share_done()) < 1.0:
            values = self.step(done)
            self._sum(values)
            if self.progress.step % self.settings.log_every == 0:
                self._log()
            self._validate_if_due(self._share_done())
            self._save_if_due()
        self.state_file.unlink(missing_ok=True)
        return self.progress

    def step(self, done: float) -> dict[str, torch.Tensor]:
        """One step of the optimiser, at a share of the training; gives its losses, still on the device."""
        settings, step = self.settings, self.progress.step
        plan = plan_step(
            settings.prompts,
            step,
            settings.seed,
            points=settings.points,
            multimask=settings.multimask,
            band_share=settings.band_share,
        )
        rate = settings.lr * self._rate_factor(done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch, prompts = self._draw(plan, self._generator(step))
        logits, iou = self.predict(
            batch.pixels,
            prompts.points,
            prompts.labels,
            prompts.boxes,
            prompts.masks,
            batch.index,
            plan.multimask,
        )
        target = batch.visible if settings.stage == "visible" else batch.amodal
        values = self.objective(logits, iou, target, batch, self.model.transform)
        self.accelerator.backward(values["loss"])
        if settings.clip:
            self.accelerator.clip_grad_norm_(self.parameters, settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return {k: v.detach() for k, v in values.items()}

    def _draw(self, plan: StepPlan, generator: torch.Generator):
        """The step's frames, masks and prompts of this process."""
        settings, accelerator = self.settings, self.accelerator
        units = self.order(self.progress.step)[accelerator.process_index :: accelerator.num_processes]
        units = torch.from_numpy(units).to(accelerator.device)
        if self.order.by_instance:
            frames, chosen = self.cache.frame[units], units[:, None]
        else:
            frames, chosen = units, self.table.draw(units, settings.instances, generator)
        height, width = self.order.input_size(self.progress.step)
        if plan.band:
            patch = self.model.config.patch
            height = max(patch, round(height * settings.band / patch) * patch)
        batch = draw_batch(
            self.cache, frames, chosen, self.model.transform, generator,
            augment=self.augment, out=(height, width), cut=plan.band, min_visible=settings.min_visible,
            paste=self.paste,
        )  # fmt: skip
        return batch, draw_prompts(batch.visible, plan, generator)

    def _generator(self, step: int) -> torch.Generator:
        """Fresh for every step and process, so that nothing but the step's number needs to be kept."""
        generator = torch.Generator(self.accelerator.device)
        words = np.random.SeedSequence((self.settings.seed, step, self.accelerator.process_index))
        return generator.manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))

    def _rate_factor(self, done: float) -> float:
        step = self.progress.step
        if self.settings.schedule == "step":
            return schedule.every_ten_epochs(step / self.order.steps_per_epoch)
        if self.settings.schedule == "released":
            return schedule.released(step, self.total_steps)
        return schedule.cosine(step, done, self.settings.warmup)

    def _share_done(self) -> float:
        """In [0, 1]: by steps, or by the clock of the first process."""
        self.progress.seconds = time.monotonic() - self._began
        if not self.settings.minutes:
            return min(1.0, self.progress.step / self.total_steps)
        share = min(1.0, self.progress.seconds / (60 * self.settings.minutes))
        if self.accelerator.num_processes == 1:
            return share
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor([share], device=self.accelerator.device)))

    def _sum(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self._running[name] = self._running.get(name, 0.0) + value

    def _log(self) -> None:
        """Means since the last line. The only place of a step that waits for the device."""
        steps = self.progress.step - self._logged[0]
        means = {k: float(v) / steps for k, v in self._running.items()}
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {self.progress.step}; try a lower lr")
        self.progress.seconds = time.monotonic() - self._began
        seconds = self.progress.seconds - self._logged[1]
        frames = steps * self.settings.frames * self.accelerator.num_processes
        line = {
            "step": self.progress.step, "minutes": round(self.progress.seconds / 60, 3),
            "lr": self.optimizer.param_groups[0]["lr"], **{k: round(v, 5) for k, v in means.items()},
            "frames_per_s": round(frames / seconds, 1),
            "instances_per_s": round(frames * self.settings.instances / seconds, 1),
        }  # fmt: skip
        self._running, self._logged = {}, (self.progress.step, self.progress.seconds)
        self._write(line)

    def _write(self, line: dict) -> None:
        step = line["step"]
        self.accelerator.log({k: v for k, v in line.items() if k != "step" and v is not None}, step=step)
        if self.accelerator.is_main_process:
            with open(self.log_file, "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        self.report("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()))

    def _validate_if_due(self, done: float) -> None:
        """In the second half at even steps, the last one at the end; the best model so far is kept."""
        if self.validate is None:
            if done >= 1.0:
                self.keep({})
            return
        count = max(1, self.settings.validations)
        if len(self.progress.history) >= count or done < 0.5 + 0.5 * (len(self.progress.history) + 1) / count:
            return
        if self.accelerator.is_main_process:
            # Not the prepared model: validation is in float32, as running is.
            metrics = self.validate(Predict(self.model))
            self._write({"step": self.progress.step, **{f"val_{k}": v for k, v in metrics.items()}})
            self.progress.history.append({"step": self.progress.step, **metrics})
            value = metrics[f"{self.settings.stage}_miou"]
            if value > self.progress.best:
                self.progress.best = value
                self.keep(metrics)
        else:
            self.progress.history.append({})
        self.accelerator.wait_for_everyone()

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved < 60 * self.settings.save_minutes:
            return
        self.save_state()
        self._saved = time.monotonic()

    def save_state(self) -> None:
        """Write everything that a resumed run needs; the file is whole or not there."""
        if not self.accelerator.is_main_process:
            return
        self.progress.seconds = time.monotonic() - self._began
        held = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        unfinished = self.state_file.with_suffix(".part")
        torch.save(held, unfinished)
        unfinished.replace(self.state_file)

    def _load_state(self) -> None:
        held = torch.load(self.state_file, map_location="cpu", weights_only=True)
        self.model.load_state_dict(held["model"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.progress = Progress(**held["progress"])
