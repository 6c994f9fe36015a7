"""A training from its settings to its checkpoint and card."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.cli.train import TrainSettings
from samodal.errors import InputError, missing_extra
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.training.cache import Cache, first_frames, open_cache
from samodal.training.card import Made, peak_memory, write_card
from samodal.training.loop import Loop, Predict, check_optimised
from samodal.training.paste import pasted
from samodal.training.validate import validate

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

    def keep(metrics: dict[str, float]) -> None:
        if accelerator.is_main_process:
            model.save(checkpoint, half=settings.half)

    def validation(predict: Predict) -> dict[str, float]:
        return validate(predict, val, accelerator.device, frames=_frames_at_once(settings))

    loop = Loop(settings, model, cache, accelerator, validation if val else None, keep, out)
    progress = loop.run()
    metrics: dict[str, dict[str, float]] = {}
    if accelerator.is_main_process:
        metrics = measured(
            checkpoint,
            settings,
            {"train": cache, "val": val, "test": _test_data(settings, model)},
            accelerator.device,
        )
        made = Made(
            progress.step, progress.seconds / 60, cache.counts, sum(p.numel() for p in model.parameters()),
            sum(p.numel() for p in model.trainable().values()), peak_memory(accelerator.device), metrics,
            progress.history, check_optimised(model, loop.optimizer, settings.tune == "adapters"),
        )  # fmt: skip
        write_card(checkpoint.with_suffix(".md"), settings, made, accelerator.device, loop.log_file)
    accelerator.end_training()
    return Outcome(checkpoint, metrics, progress.step, progress.seconds / 60)


def measured(
    checkpoint: Path, settings: TrainSettings, caches: dict[str, Cache | None], device: torch.device
) -> dict[str, dict[str, float]]:
    """The metrics of a checkpoint as it lies on disk, by name of the data; of the training data a part."""
    if not settings.val and not settings.test:
        return {}
    predict = Predict(AmodalSam.from_checkpoint(checkpoint).to(device))
    parts = {k: first_frames(c, TRAIN_FRAMES) if k == "train" else c for k, c in caches.items() if c is not None}
    return {k: validate(predict, c, device, frames=_frames_at_once(settings)) for k, c in parts.items()}


def _frames_at_once(settings: TrainSettings) -> int:
    return max(1, min(32, settings.frames))


def check_settings(settings: TrainSettings) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: with the way out.
    """
    if not settings.data:
        raise InputError("no data; give --data streetsim:ROOT/train or asd:ROOT/train")
    lengths = {k: getattr(settings, k) for k in ("minutes", "steps", "epochs") if getattr(settings, k)}
    if settings.points < 0:
        raise InputError(f"points must be 0 or more, got {settings.points}")
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
    """The model to start from, with what is to be trained marked so.

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
    with accelerator.main_process_first():
        cache = _open(settings, model, settings.data, settings.cache, centres=False)
        val = _open(settings, model, settings.val, settings.val_cache) if settings.val else None
        if val is not None and settings.paste_occluders:
            val = pasted(val, min_visible=settings.min_visible)
    memory = cache.nbytes() / 1e9
    accelerator.print(
        f"{cache.counts['frames']:,} frames, {cache.counts['instances']:,} instances, {memory:.2f} GB",
        flush=True,
    )
    return cache, val


def _test_data(settings: TrainSettings, model: AmodalSam) -> Cache | None:
    if not settings.test:
        return None
    # Measured once at the end: true amodal masks decide nothing there.
    return _open(settings, model, settings.test, settings.test_cache, amodal=True)


def _open(
    settings: TrainSettings, model: AmodalSam, data: str, path: str, centres: bool = True, amodal: bool | None = None
) -> Cache:
    """The prepared data; with `paste_occluders` its amodal masks are read only where `amodal` is True."""
    return open_cache(
        data, model.transform, path=Path(path) if path else None, min_visible=settings.min_visible,
        centres=centres, amodal=not settings.paste_occluders if amodal is None else amodal, workers=settings.workers,
    )  # fmt: skip
