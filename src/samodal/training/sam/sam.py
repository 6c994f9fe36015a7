"""The training of an amodal SAM, stages visible and amodal, in one or several processes."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from samodal.errors import InputError, missing_extra
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.training import card, schedule
from samodal.training.augment import AugmentSettings
from samodal.training.engine import Engine
from samodal.training.optimizer import adamw
from samodal.training.sam.batch import Batch, InstanceTable, Order, draw_batch
from samodal.training.sam.cache import Cache, first_frames, open_cache
from samodal.training.sam.objective import Objective
from samodal.training.sam.paste import Paster, pasted
from samodal.training.sam.prompts import Prompts, StepPlan, draw_prompts, plan_step
from samodal.training.sam.settings import TrainSettings
from samodal.training.sam.validation import Predict, validate
from samodal.training.state import check_resumable, once

if TYPE_CHECKING:
    from accelerate import Accelerator

TRAIN_FRAMES = 300
"""Frames of the training data on which the kept model is measured, to see how much it overfits."""


@dataclass(frozen=True)
class Outcome:
    """What a training made.

    Attributes:
        checkpoint: the kept model; its card lies beside it as .md and .json.
        metrics: of the kept model, by "train", "val" and "test".
        steps, minutes: of the whole training.
    """

    checkpoint: Path
    metrics: dict[str, dict[str, float]]
    steps: int
    minutes: float


@once(known=lambda path, facts: Outcome(path, facts.get("metrics", {}), facts["steps"], facts["minutes"]))
def train(settings: TrainSettings) -> Outcome:
    """Prepare the data, train, keep the best model and write its card.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    check_settings(settings)
    check_resumable(settings)
    accelerator = _accelerator(settings)
    model = new_model(settings).to(accelerator.device)
    if accelerator.device.type == "cuda":
        model.vision_encoder.fold()
    if settings.compile:
        model.vision_encoder.compile()
    cache, val = _data(settings, model, accelerator)
    engine = SamEngine(settings, model, cache, accelerator, val and (lambda predict: _validate(predict, val, settings)))
    progress = engine.run()
    metrics: dict[str, dict[str, float]] = {}
    if engine.main:
        test = _open(settings, model, "test", amodal=True) if settings.test else None
        metrics = measured(engine.checkpoint, settings, {"train": cache, "val": val, "test": test}, engine.device)
        _write_card(engine, metrics)
        engine.finish()
    accelerator.end_training()
    return Outcome(engine.result, metrics, progress.step, progress.seconds / 60)


class SamEngine(Engine):
    """Trains an amodal SAM on a cache.

    Args:
        settings: see `TrainSettings`.
        model: on the accelerator's device, tuned.
        cache: the training data.
        accelerator: decides device and processes.
        validate: called now and then with `Predict`; gives metrics, of which that of the stage chooses the model.
    """

    def __init__(
        self,
        settings: TrainSettings,
        model: AmodalSam,
        cache: Cache,
        accelerator: Accelerator,
        validate: Callable[[Predict], dict[str, float]] | None,
    ):
        self.accelerator, self.validate, self.main = accelerator, validate, accelerator.is_main_process
        optimizer = adamw(settings, list(model.trainable().values()))
        super().__init__(settings, model, optimizer, clip=settings.clip or None)
        self.cache = cache.to(self.device)
        self.table = InstanceTable(self.cache, settings.occluded_weight)
        self.order = Order(cache, settings.frames * accelerator.num_processes, settings.instances, settings.seed)
        self.steps = settings.steps or math.ceil(settings.epochs * self.order.steps_per_epoch)
        self.objective = Objective(settings.loss, settings.iou_weight, settings.loss_size)
        self.augment = AugmentSettings() if settings.augment else None
        self.paste = Paster(self.cache) if settings.paste_occluders else None
        self.predict, self.optimizer = accelerator.prepare(Predict(model), optimizer)

    def draw(self, step: int) -> tuple[StepPlan, Batch, Prompts]:
        """The step's plan, and the frames, masks and prompts of this process."""
        settings, accelerator = self.settings, self.accelerator
        plan = plan_step(
            settings.prompts, step, settings.seed, points=settings.points, multimask=settings.multimask,
            band_share=settings.band_share,
        )  # fmt: skip
        generator = self.generator()
        units = self.order(step)[accelerator.process_index :: accelerator.num_processes]
        units = torch.from_numpy(units).to(self.device)
        if self.order.by_instance:
            frames, chosen = self.cache.frame[units], units[:, None]
        else:
            frames, chosen = units, self.table.draw(units, settings.instances, generator)
        height, width = self.order.input_size(step)
        if plan.band:
            patch = self.network.config.patch
            height = max(patch, round(height * settings.band / patch) * patch)
        batch = draw_batch(
            self.cache, frames, chosen, self.network.transform, generator,
            augment=self.augment, out=(height, width), cut=plan.band, min_visible=settings.min_visible,
            paste=self.paste,
        )  # fmt: skip
        return plan, batch, draw_prompts(batch.visible, plan, generator)

    def losses(self, drawn: tuple[StepPlan, Batch, Prompts], done: float) -> dict[str, torch.Tensor]:
        """Of the masks of the stage."""
        plan, batch, prompts = drawn
        with self.precision():
            logits, iou = self.predict(
                batch.pixels, prompts.points, prompts.labels, prompts.boxes, prompts.masks, batch.index, plan.multimask
            )
        target = batch.visible if self.settings.stage == "visible" else batch.amodal
        return self.objective(logits.float(), iou.float(), target, batch, self.network.transform)

    def generator(self) -> torch.Generator:
        """Fresh for every step and process."""
        words = np.random.SeedSequence((self.settings.seed, self.progress.step, self.accelerator.process_index))
        return torch.Generator(self.device).manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))

    def factor(self, done: float) -> float:
        if self.settings.schedule == "step":
            return schedule.every_ten_epochs(self.progress.step / self.order.steps_per_epoch)
        if self.settings.schedule == "released":
            return schedule.released(self.progress.step, self.steps)
        return super().factor(done)

    def backward(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        self.accelerator.backward(loss)
        if self.clip is not None:
            self.accelerator.clip_grad_norm_(self.parameters, self.clip)
        return {}

    def share_done(self) -> float:
        """By steps, or by the clock of the first process."""
        share = super().share_done()
        if not self.minutes or self.accelerator.num_processes == 1:
            return share
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor([share], device=self.device)))

    def per_second(self, steps: float) -> dict[str, float]:
        frames = steps * self.settings.frames * self.accelerator.num_processes
        return {"frames_per_s": round(frames, 1), "instances_per_s": round(frames * self.settings.instances, 1)}

    def report(self, text: str) -> None:
        """Print once, whatever the number of processes."""
        self.accelerator.print(text, flush=True)

    def write(self, line: dict) -> None:
        """A line of the log, also to TensorBoard where that is installed."""
        self.accelerator.log({k: v for k, v in line.items() if k != "step" and v is not None}, step=line["step"])
        super().write(line)

    def measure_if_due(self) -> None:
        """In the second half at even shares, the last time at the end; the best model so far is kept."""
        count, past = max(1, self.settings.validations), len(self.progress.history)
        if self.validate is None or past >= count or self.share_done() < 0.5 + 0.5 * (past + 1) / count:
            return
        if self.main:
            # Not the prepared model: validation is in float32, as running is.
            metrics = self.validate(Predict(self.network))
            self.write({"step": self.progress.step, **{f"val_{k}": v for k, v in metrics.items()}})
            self.progress.history.append({"step": self.progress.step, **metrics})
            value = metrics[f"{self.settings.stage}_miou"]
            if value > self.progress.best:
                self.progress.best = value
                self._keep()
        else:
            self.progress.history.append({})
        self.accelerator.wait_for_everyone()

    def end(self) -> None:
        """Keep the last model, where no validation has chosen."""
        if self.validate is None and self.main:
            self._keep()

    def _keep(self) -> None:
        self.network.save(self.checkpoint, half=self.settings.half)


def measured(
    checkpoint: Path, settings: TrainSettings, caches: dict[str, Cache | None], device: torch.device
) -> dict[str, dict[str, float]]:
    """The metrics of a checkpoint as it lies on disk, by name of the data; of the training data a part."""
    if not settings.val and not settings.test:
        return {}
    predict = Predict(AmodalSam.from_checkpoint(checkpoint).to(device))
    parts = {k: first_frames(c, TRAIN_FRAMES) if k == "train" else c for k, c in caches.items() if c is not None}
    return {k: _validate(predict, c, settings) for k, c in parts.items()}


def _validate(predict: Predict, cache: Cache, settings: TrainSettings) -> dict[str, float | None]:
    return validate(predict, cache, frames=max(1, min(32, settings.frames)))


def check_settings(settings: TrainSettings) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: with the way out.
    """
    if not settings.data:
        raise InputError("no data; give --data streetsim:ROOT/train or asd:ROOT/train")
    lengths = {k: getattr(settings, k) for k in ("minutes", "steps", "epochs") if getattr(settings, k)}
    for name, least in (("points", 0), ("frames", 1), ("instances", 1), ("log_every", 1)):
        if getattr(settings, name) < least:
            raise InputError(f"{name} must be {least} or more, got {getattr(settings, name)}")
    if len(lengths) != 1:
        raise InputError(f"give exactly one of minutes, steps and epochs as the length, got {lengths or 'none'}")
    if settings.schedule == "released" and settings.minutes:
        raise InputError("the released schedule counts steps; give steps or epochs instead of minutes")
    if settings.paste_occluders and settings.stage != "amodal":
        raise InputError("paste_occluders makes amodal masks; give stage: amodal with it")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda, but torch finds no GPU here; give device: cpu or leave it out")
    if settings.loss_size == "frame" and (settings.augment or settings.band_share or settings.frames > 1):
        raise InputError(
            "loss_size frame needs frames: 1, augment: false and band_share: 0, as released; "
            f"got {settings.frames}, {settings.augment}, {settings.band_share}"
        )


def new_model(settings: TrainSettings) -> AmodalSam:
    """The model to start from, with what is to be trained marked so; equal for equal settings.

    Raises:
        InputError: if adapters are to be trained where there are none.
    """
    if settings.init:
        model = AmodalSam.from_checkpoint(settings.init)
        if settings.adapters != "keep":
            model.remove_adapters()
        if settings.adapters == "fresh":
            model.add_adapters(settings.seed)
    else:
        config = AmodalSamConfig.named(settings.size).replace(adapters=settings.adapters != "none")
        model = AmodalSam.initialise(config, settings.seed)
    if settings.tune == "adapters" and not model.config.adapters:
        raise InputError("tune adapters needs a model that has some; give adapters: fresh or keep")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # low-rank updates start at random
        model.tune(settings.tune)
    return model


def _accelerator(settings: TrainSettings) -> Accelerator:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError:
        raise missing_extra("Training", "train") from None

    board = importlib.util.find_spec("tensorboard") is not None
    accelerator = Accelerator(
        # Its own mixed precision would be fixed for all trainings of this process.
        mixed_precision="no",
        cpu=settings.device == "cpu",
        log_with="tensorboard" if board else None,
        project_dir=settings.out,
        # A step with points alone leaves the parameters of boxes and masks without a gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if board:
        accelerator.init_trackers(f"tensorboard-{settings.name}")
    return accelerator


def _data(settings: TrainSettings, model: AmodalSam, accelerator: Accelerator) -> tuple[Cache, Cache | None]:
    with accelerator.main_process_first():
        cache = _open(settings, model, "data", centres=False)
        val = _open(settings, model, "val") if settings.val else None
        if val is not None and settings.paste_occluders:
            val = pasted(val, min_visible=settings.min_visible)
    counts, memory = cache.counts, cache.nbytes() / 1e9
    accelerator.print(f"{counts['frames']:,} frames, {counts['instances']:,} instances, {memory:.2f} GB", flush=True)
    return cache, val


def _open(
    settings: TrainSettings, model: AmodalSam, part: str, centres: bool = True, amodal: bool | None = None
) -> Cache:
    """The prepared data of a setting; with `paste_occluders` its amodal masks are read only where `amodal` is True."""
    path = getattr(settings, "cache" if part == "data" else f"{part}_cache")
    return open_cache(
        getattr(settings, part), model.transform, path=Path(path) if path else None,
        min_visible=settings.min_visible, centres=centres,
        amodal=not settings.paste_occluders if amodal is None else amodal, workers=settings.workers,
    )  # fmt: skip


def _write_card(engine: SamEngine, metrics: dict[str, dict[str, float | None]]) -> None:
    settings, counts = engine.settings, engine.cache.counts
    trained = sum(p.numel() for p in engine.parameters)
    facts = card.facts_of(engine, recipe=settings.recipe, counts=counts, trained=trained, metrics=metrics)
    about = (
        "One centre point each; mean IoU per instance at the model's input size, without the union with "
        f"the visible mask. train: its first frames; val: all of {settings.val or 'nothing'}, which chose the "
        f"checkpoint; test: all of {settings.test or 'nothing'}."
    )
    card.write_card(
        engine, facts,
        f"An amodal SAM, stage `{settings.stage}`, tuned `{settings.tune}`: {facts['parameters']:,} parameters, "
        f"{trained:,} of them trained. Recipe: {settings.recipe or 'none'}; starts from: "
        f"{settings.init or 'random weights'}.",
        data=f"{counts['frames']:,} frames, {counts['instances']:,} instances ({counts['hidden']:,} fully hidden and "
        f"{counts['too_small']:,} too small ones left out)",
        cost=str(engine.progress),
        parts={"Metrics": card.table(about, metrics, ""), "Optimised parameters": f"```\n{engine.optimised}\n```"},
    )  # fmt: skip
