"""The training of a VidEoMT from its settings to its checkpoint and card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.errors import InputError
from samodal.frontends.videomt import Network, load
from samodal.training import card
from samodal.training.setup import check_length, check_precision, device_of
from samodal.training.vis.clips import Clips, load_clips
from samodal.training.vis.loop import Loop
from samodal.training.vis.start import start
from samodal.training.vis.validate import measure

if TYPE_CHECKING:
    from samodal.cli.train_vis import VisSettings


def train(settings: VisSettings) -> str:
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
    counts = {"clips": len(learned), "frames": len(learned.frames), "instances": learned.instances}
    print(f"{counts}, {len(held_out or ())} clips held out, {learned.nbytes() / 1e9:.1f} GB", flush=True)
    learned, held_out = learned.to(device), held_out.to(device) if held_out else None
    few = held_out.part(0, min(8, len(held_out))) if held_out else None
    loop = Loop(settings, network, learned, out, few and (lambda: measure(network, few)))
    spent = loop.run()
    metrics = measure(load(loop.checkpoint).to(device), held_out) if held_out else {}
    write_card(loop, counts, metrics)
    loop.finish()
    return f"{loop.checkpoint} after {spent}; held out: {metrics}"


def check_settings(settings: VisSettings) -> None:
    """Raise InputError, with the way out, for settings that cannot be meant."""
    if not settings.data:
        raise InputError("no data; give --data streetsim:ROOT/tracks (samodal synth --split tracks makes it) or asd:…")
    check_length(settings)
    check_precision(settings)
    for name in ("batch", "longest", "stride", "log_every"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} must be at least 1, got {getattr(settings, name)}")


def data_of(settings: VisSettings, network: Network) -> tuple[Clips, Clips | None]:
    """The clips to learn from and those to measure on, None for none.

    Raises:
        InputError: if nothing is left to train on.
    """
    config, workers = network.config, settings.workers
    clips = load_clips(settings.data, config, count=settings.clips, workers=workers)
    if settings.val:
        return clips, load_clips(settings.val, config, workers=workers)
    cut = len(clips) - settings.held_out
    if cut < 1:
        raise InputError(
            f"{settings.data}: {len(clips)} clips, {settings.held_out} of them held out, leave none to train on; "
            "give --held_out, or --val with other data"
        )
    return clips.part(0, cut), clips.part(cut, len(clips)) if settings.held_out else None


def write_card(loop: Loop, counts: dict[str, int], metrics: dict) -> None:
    """The model card beside the checkpoint."""
    card.write_trained(
        loop, "VidEoMT", counts, metrics,
        data=f"{counts['instances']:,} instances",
        batch=f"{loop.settings.batch} frames",
        measured=", frame after frame, without regard to classes: AP50 of the visible masks of instances of at least "
        "0.2 % of the frame (32x32 pixels of 540x960), the mean IoU of the best detection for each, how often an "
        "instance found in two frames in a row has the same query, and the number of instances.",
        use=f"--vis videomt:{loop.settings.name}.safetensors",
    )  # fmt: skip
