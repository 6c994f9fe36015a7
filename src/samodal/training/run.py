"""A training from its settings to its checkpoint and card."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.commands.train import TrainSettings
from samodal.errors import InputError, missing_extra
from samodal.sam import AmodalSam
from samodal.sam.config import AmodalSamConfig
from samodal.training.cache import Cache, open_cache
from samodal.training.card import Made, write_card
from samodal.training.loop import Loop, Predict, check_optimised
from samodal.training.validate import validate

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Outcome:
    """What a training made.

    Attributes:
        checkpoint: the kept model; its card lies beside it as .md and .json.
        metrics: of the kept model on the validation data.
        steps, minutes: of the whole training.
    """

    checkpoint: Path
    metrics: dict[str, float]
    steps: int
    minutes: float


def train(settings: TrainSettings) -> Outcome:
    """Prepare the data, train, keep the best model and write its card.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    check_settings(settings)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    accelerator = _accelerator(settings, out)
    model = new_model(settings).to(accelerator.device)
    if settings.compile:
        model.vision_encoder.compile()
    cache, val = _data(settings, model, accelerator)
    checkpoint = out / f"{settings.name}.safetensors"
    kept: dict[str, float] = {}

    def keep(metrics: dict[str, float]) -> None:
        kept.clear()
        kept.update(metrics)
        if accelerator.is_main_process:
            model.save(checkpoint, half=settings.half)

    def validation(predict: Predict) -> dict[str, float]:
        return validate(predict, val, accelerator.device, frames=max(1, min(32, settings.frames)))

    loop = Loop(settings, model, cache, accelerator, validation if val else None, keep, out)
    progress = loop.run()
    if accelerator.is_main_process:
        made = Made(
            progress.step, progress.seconds / 60, cache.counts, sum(p.numel() for p in model.parameters()),
            sum(p.numel() for p in model.trainable().values()), kept, progress.history,
            check_optimised(model, loop.optimizer, settings.tune == "adapters"),
        )  # fmt: skip
        write_card(checkpoint.with_suffix(".md"), settings, made, accelerator.device, loop.log_file)
    accelerator.end_training()
    return Outcome(checkpoint, kept, progress.step, progress.seconds / 60)


def check_settings(settings: TrainSettings) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: with the way out.
    """
    if not settings.data:
        raise InputError("train: no data; give --data streetsim:ROOT/train or asd:ROOT/train")
    lengths = {k: getattr(settings, k) for k in ("minutes", "steps", "epochs") if getattr(settings, k)}
    if len(lengths) != 1:
        raise InputError(
            f"train: give exactly one of minutes, steps and epochs as the length, got {lengths or 'none'}"
        )
    if settings.schedule == "released" and settings.minutes:
        raise InputError("train: the released schedule counts steps; give steps or epochs instead of minutes")
    if settings.loss_size == "frame" and (settings.augment or settings.band_share or settings.frames > 1):
        raise InputError(
            "train: loss_size frame needs frames: 1, augment: false and band_share: 0, as released; "
            f"got {settings.frames}, {settings.augment}, {settings.band_share}"
        )


def new_model(settings: TrainSettings) -> AmodalSam:
    """The model to start from, with what is to be trained marked so."""
    if settings.init:
        model = AmodalSam.from_checkpoint(settings.init)
        if settings.adapters == "fresh":
            model.add_adapters(settings.seed)
    else:
        config = AmodalSamConfig.named(settings.size).replace(adapters=settings.adapters != "none")
        model = AmodalSam.initialise(config, settings.seed)
    model.tune(settings.tune)
    return model


def _accelerator(settings: TrainSettings, out: Path) -> Accelerator:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError:
        raise missing_extra("Training", "train") from None

    board = importlib.util.find_spec("tensorboard") is not None
    accelerator = Accelerator(
        mixed_precision="bf16" if settings.precision == "bf16" else "no",
        cpu=settings.device == "cpu",
        log_with="tensorboard" if board else None,
        project_dir=out,
        # A step with points alone leaves the parameters of boxes and masks without a gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if board:
        accelerator.init_trackers(f"tensorboard-{settings.name}")
    return accelerator


def _data(settings: TrainSettings, model: AmodalSam, accelerator: Accelerator) -> tuple[Cache, Cache | None]:
    def opened(data: str, path: str, centres: bool) -> Cache:
        return open_cache(
            data, model.transform, path=Path(path) if path else None, min_visible=settings.min_visible,
            centres=centres, workers=settings.workers, report=accelerator.print,
        )  # fmt: skip

    with accelerator.main_process_first():
        cache = opened(settings.data, settings.cache, False)
        val = opened(settings.val, settings.val_cache, True) if settings.val else None
    memory = cache.nbytes() / 1e9
    accelerator.print(
        f"{cache.counts['frames']:,} frames, {cache.counts['instances']:,} instances, {memory:.2f} GB",
        flush=True,
    )
    return cache, val


def peak_memory(device: torch.device) -> float:
    """Highest GPU memory of this process so far in GB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
