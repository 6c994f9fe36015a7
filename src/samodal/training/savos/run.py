"""The training of SAVOS from its settings to its checkpoint and card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.baselines.savos import Savos, load
from samodal.baselines.savos.config import SIZES
from samodal.errors import InputError
from samodal.training import card
from samodal.training.savos.clips import Clip, Wanted, load_clips
from samodal.training.savos.loop import Loop
from samodal.training.savos.validate import measure
from samodal.training.setup import check_length, device_of

if TYPE_CHECKING:
    from samodal.cli.train_savos import SavosSettings

FEW = 8
"""Held-out clips that are measured in between."""


def train(settings: SavosSettings) -> str:
    """Read the clips, train, write the checkpoint in 16 bit and its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    check_settings(settings)
    device = device_of(settings)
    torch.set_float32_matmul_precision("high")
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
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
    loop = Loop(settings, network, learned, out, few and (lambda: measure(network, few, settings.length)))
    spent = loop.run()
    metrics = measure(load(loop.checkpoint).to(device), held_out, settings.length) if held_out else {}
    write_card(loop, counts, metrics)
    loop.finish()
    return f"{loop.checkpoint} after {spent}; held out: {metrics}"


def check_settings(settings: SavosSettings) -> None:
    """Raise InputError, with the way out, for settings that cannot be meant."""
    if not settings.data:
        raise InputError("no data; give --data streetsim:ROOT/tracks (samodal synth --split tracks makes it) or asd:…")
    check_length(settings)
    if settings.size not in SIZES:
        raise InputError(f"unknown size of SAVOS {settings.size!r}; known: {', '.join(SIZES)}")
    for name, least in (("batch", 1), ("length", 3), ("min_length", 2), ("log_every", 1), ("validations", 1)):
        if getattr(settings, name) < least:
            raise InputError(f"{name} must be at least {least}, got {getattr(settings, name)}")
    if settings.held_out < 0:
        raise InputError(f"held_out must be at least 0, got {settings.held_out}")


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
    cut = len(clips) - held
    if cut < 1:
        raise InputError(
            f"{settings.data}: {len(clips)} clips, {held} of them held out, leave none to train on; give --held_out, "
            "or --val with other data"
        )
    learned, held_out = clips[:cut], clips[cut:]
    if settings.val:
        held_out = load_clips(
            settings.val, wanted, count=settings.held_out, held_out=settings.held_out, workers=settings.workers
        )
    for data, some in ((settings.data, learned), (settings.val or settings.data, held_out)):
        if some and not any(clip.stretches for clip in some):
            raise InputError(
                f"{data}: no instance is visible in {settings.min_length} frames in a row with {settings.min_area} "
                f"pixels, in {len(some)} clips; give --min_length or --min_area, or videos"
            )
    return learned, held_out


def write_card(loop: Loop, counts: dict[str, int], metrics: dict) -> None:
    """The model card beside the checkpoint."""
    settings = loop.settings
    card.write_trained(
        loop, "SAVOS", counts, metrics,
        note="No amodal mask was used in its training.",
        data=f"{counts['tracks']:,} tracks of at least {settings.min_length} frames",
        batch=f"{settings.batch} windows of {settings.length} frames",
        measured=": mean IoU over the frames of all tracks of the prediction with the visible mask, without regard to "
        "others' visible pixels (this chose the checkpoint); of the amodal mask with the true one, and of the visible "
        "mask with it; and of the part that is not visible, of which copying the visible mask has 0.",
        use=f"--vis … --method savos:{settings.name}.safetensors",
    )  # fmt: skip
