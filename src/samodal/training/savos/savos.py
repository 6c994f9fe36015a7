"""The training of SAVOS from visible masks and optical flow; the checkpoint that is best by visible masks is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from samodal.baselines.savos import Savos, load, save
from samodal.baselines.savos.config import SIZES
from samodal.baselines.savos.losses import consistency_loss, patch_loss, reconstruction_loss
from samodal.errors import InputError
from samodal.training import card, schedule
from samodal.training.engine import Engine, begin, clips_to_train_on
from samodal.training.savos.flow_clips import Clip, Stretch, Wanted, load_clips
from samodal.training.savos.held_out import measure
from samodal.training.savos.settings import SavosSettings
from samodal.training.savos.windows import Windows, draw, windows
from samodal.training.state import once, replaced

FEW = 8
"""Held-out clips that are measured in between."""


@once()
def train(settings: SavosSettings) -> str:
    """Read the clips, train, write the checkpoint in 16 bit and its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    device = begin(settings, length=3, min_length=2, validations=1)
    if settings.size not in SIZES:
        raise InputError(f"unknown size of SAVOS {settings.size!r}; known: {', '.join(SIZES)}")
    torch.set_float32_matmul_precision("high")
    network = start(settings).to(device)
    learned, held_out = data_of(settings, network)
    counts = {
        "clips": len(learned),
        "frames": sum(len(clip.frames) for clip in learned),
        "tracks": sum(len(clip.stretches) for clip in learned),
    }
    size = sum(clip.nbytes for clip in [*learned, *held_out]) / 1e9
    print(f"{counts}, {len(held_out)} clips held out, {size:.1f} GB", flush=True)
    few = held_out[:FEW]
    engine = SavosEngine(settings, network, learned, few and (lambda: measure(network, few, settings.length)))
    progress = engine.run()
    metrics = measure(load(engine.checkpoint).to(device), held_out, settings.length) if held_out else {}
    write_card(engine, counts, metrics)
    engine.finish()
    return f"{engine.result} after {progress}; held out: {metrics}"


class Objective(nn.Module):
    """The losses of SAVOS on windows (Yao et al. 2022, section 3).

    Args:
        network: that is trained.
        patch_weight: of the loss on pictures, .1 for FishBowl and 0 for KINS-car in the released training.
    """

    def __init__(self, network: Savos, patch_weight: float = 0.0):
        super().__init__()
        self.network, self.patch_weight = network, patch_weight

    def forward(self, windows: Windows) -> dict[str, torch.Tensor]:
        """reconstruction, consistency (both directions), patch where it is weighed, and loss, their sum."""
        given, valid = windows.inputs(), windows.valid
        predicted = self.network(*given)
        directions = (predicted.forward, valid), (predicted.reverse, valid.flip(1))
        values = {
            "reconstruction": reconstruction_loss(predicted.probability, given.visible, windows.counted, valid),
            "consistency": sum(consistency_loss(*direction) for direction in directions),
        }
        loss = values["reconstruction"] + values["consistency"]
        if self.patch_weight:
            images = windows.images.movedim(-1, 2).float() / 255
            shown = (images, given.visible), (images.flip(1), given.visible.flip(1))
            values["patch"] = sum(
                patch_loss(directed, *pictures, known)
                for (directed, known), pictures in zip(directions, shown, strict=True)
            )
            loss = loss + self.patch_weight * values["patch"]
        return values | {"loss": loss}


class SavosEngine(Engine):
    """Trains a network on the tracks of clips.

    Args:
        settings: see `SavosSettings`.
        network: on the device that trains.
        clips: the training data.
        check: measures the network; "visible_iou" chooses the checkpoint, without it the last one is kept.
    """

    threads = 4

    def __init__(
        self, settings: SavosSettings, network: Savos, clips: list[Clip], check: Callable[[], dict] | None = None
    ):
        self.check, self.objective = check, Objective(network, settings.patch_weight)
        self.tracks: list[tuple[Clip, Stretch]] = [(clip, stretch) for clip in clips for stretch in clip.stretches]
        parameters = list(network.parameters())
        super().__init__(settings, network, torch.optim.Adam(parameters, settings.lr, fused=parameters[0].is_cuda))
        self.draft = self.checkpoint.with_name(f"{settings.name}.draft.safetensors")

    def draw(self, step: int) -> Windows:
        """The windows of a step, on the device."""
        settings = self.settings
        parts = draw(self.tracks, settings.batch, settings.length, settings.seed, step)
        return windows(parts, settings.length).to(self.device)

    def losses(self, drawn: Windows, done: float) -> dict[str, torch.Tensor]:
        return self.objective(drawn)

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
            self.note(measured)
        if not measured or measured["visible_iou"] > self.progress.best:
            self.progress.best = measured.get("visible_iou", self.progress.best)
            replaced(self.checkpoint, self._write_network)

    def save_draft(self) -> None:
        """The network as it is."""
        replaced(self.draft, self._write_network)

    def finish(self) -> None:
        """Forget state and draft."""
        super().finish()
        self.draft.unlink(missing_ok=True)

    def _write_network(self, path: Path) -> None:
        save(self.network, path, half=True)


def start(settings: SavosSettings) -> Savos:
    """The network to start from: a checkpoint, or random weights by the seed."""
    if settings.init:
        return load(settings.init, **({"skip": settings.skip} if settings.skip else {}))
    torch.manual_seed(settings.seed)
    return Savos(dataclasses.replace(SIZES[settings.size], skip=settings.skip or "visible"))


def data_of(settings: SavosSettings, network: Savos) -> tuple[list[Clip], list[Clip]]:
    """The clips to learn from and those to measure on.

    Raises:
        InputError: if there is no track to train or to measure on.
    """
    wanted = Wanted(network.config.enlarge, settings.min_area, settings.min_length)
    held = 0 if settings.val else settings.held_out
    clips = load_clips(settings.data, wanted, count=settings.clips, held_out=held, workers=settings.workers)
    if settings.val:
        count = settings.held_out
        learned = clips
        held_out = load_clips(settings.val, wanted, count=count, held_out=count, workers=settings.workers)
    else:
        cut = clips_to_train_on(settings, len(clips))
        learned, held_out = clips[:cut], clips[cut:]
    for data, some in ((settings.data, learned), (settings.val or settings.data, held_out)):
        if some and not any(clip.stretches for clip in some):
            raise InputError(
                f"{data}: no instance is visible in {settings.min_length} frames in a row with {settings.min_area} "
                f"pixels, in {len(some)} clips; give --min_length or --min_area, or videos"
            )
    return learned, held_out


def write_card(engine: SavosEngine, counts: dict[str, int], metrics: dict) -> None:
    """The model card beside the checkpoint."""
    settings = engine.settings
    facts = card.facts_of(engine, **counts, held_out=metrics, config=engine.network.config.to_dict())
    about = (
        f"On {card.held_out_clips(settings)}: mean IoU over the frames of all tracks of the prediction with the "
        "visible mask, without regard to others' visible pixels (this chose the checkpoint); of the amodal mask with "
        "the true one, and of the visible mask with it; and of the part that is not visible, of which copying the "
        "visible mask has 0."
    )
    what = card.described("SAVOS", facts["parameters"], settings.init, "No amodal mask was used in its training.")
    card.write_card(
        engine, facts, what,
        data=f"{counts['clips']:,} clips, {counts['frames']:,} frames, {counts['tracks']:,} tracks of at least "
        f"{settings.min_length} frames",
        cost=engine.progress.of(f"{settings.batch} windows of {settings.length} frames"),
        parts={"Held-out clips": card.table(about, {"": metrics})},
        use=f"--vis … --method savos:{settings.name}.safetensors",
    )  # fmt: skip
