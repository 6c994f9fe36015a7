"""The training of the heads from their settings to checkpoint and card."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.errors import InputError
from samodal.frontends.centers import Centers, CentersConfig, save
from samodal.frontends.videomt import VideomtConfig
from samodal.segmenters.sam import AmodalSam
from samodal.training import card, schedule
from samodal.training.centers.frames import Augmented, Batch, Frames, embed
from samodal.training.centers.objective import losses, targets
from samodal.training.setup import check_length, device_of
from samodal.training.vis.clips import Clips, load_clips

if TYPE_CHECKING:
    from samodal.cli.train_centers import CentersSettings


def train(settings: CentersSettings) -> str:
    """Read the clips, embed their frames, train the heads, write them in 16 bit with their card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    if not settings.data:
        raise InputError("no data; give --data streetsim:ROOT/tracks (samodal synth --split tracks makes it) or asd:…")
    check_length(settings)
    device = device_of(settings)
    sam = AmodalSam.from_checkpoint(settings.encoder).to(device).eval()
    classes = tuple(settings.classes.split(","))
    view = VideomtConfig(classes=classes, size=sam.config.size, patch=sam.config.patch, stem="patch")
    clips = load_clips(settings.data, view, count=settings.clips, workers=settings.workers)
    if len(clips) <= settings.held_out:
        raise InputError(f"{settings.data}: {len(clips)} clips, {settings.held_out} held out, leave none to train on")
    cut = len(clips) - settings.held_out
    learned = frames_of(settings, clips.part(0, cut), sam)
    held = embed(clips.part(cut, len(clips)), sam, settings.every, settings.seed) if settings.held_out else None
    config = CentersConfig(settings.encoder, sam.config.out_channels, classes, settings.width)
    network = Centers.initialise(config, settings.seed).to(device)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    log = learn(settings, network, learned)
    checkpoint = out / f"{settings.name}.safetensors"
    save(network, checkpoint, half=True)
    metrics = {"held_out_loss": held_out_loss(network, held)} if held is not None else {}
    facts = {
        **card.origin_of(settings, device), "clips": cut, "frames": len(learned), **log, "metrics": metrics,
        "parameters": sum(p.numel() for p in network.parameters()), "config": config.to_dict(),
        "settings": dataclasses.asdict(settings),
    }  # fmt: skip
    write_card(checkpoint, facts)
    return f"{checkpoint} after {log['steps']} steps in {log['minutes']:.1f} min; {metrics}"


def frames_of(settings: CentersSettings, clips: Clips, sam: AmodalSam) -> Frames | Augmented:
    """What is learned from."""
    if settings.augment:
        return Augmented(clips.to(next(sam.parameters()).device), sam, settings.every)
    return embed(clips, sam, settings.every, settings.seed)


def learn(settings: CentersSettings, network: Centers, frames: Frames | Augmented) -> dict:
    """Train in place; gives steps, minutes and the log, one entry for every `log_every` steps."""
    network.train()
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    generator = torch.Generator().manual_seed(settings.seed)
    began, step, sums, lines = time.monotonic(), 0, {}, []
    while (done := _share(settings, step, began)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule.cosine(step, done, settings.warmup)
        chosen = torch.randint(len(frames), (settings.batch,), generator=generator)
        batch = frames.batch(chosen, device, settings.seed * 1_000_003 + step)
        values = loss_of(network, batch, settings.instances, generator)
        values["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
        if step % settings.log_every == 0:
            line = {"step": step, "minutes": round((time.monotonic() - began) / 60, 2)}
            lines.append(line | {name: round(float(value) / settings.log_every, 4) for name, value in sums.items()})
            sums = {}
            print("  ".join(f"{name} {value}" for name, value in lines[-1].items()), flush=True)
    network.eval()
    return {"steps": step, "minutes": (time.monotonic() - began) / 60, "log": lines}


def loss_of(network: Centers, batch: Batch, most: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The losses of some frames."""
    predicted = network(batch.embeddings, batch.pixels)
    wanted = targets(batch.owners, batch.labels, len(network.config.classes))
    return losses(network, predicted, wanted, most, generator)


@torch.no_grad()
def held_out_loss(network: Centers, frames: Frames) -> float:
    """Mean loss over frames that were not learned from, eight at a time."""
    device, generator = next(network.parameters()).device, torch.Generator().manual_seed(0)
    total = 0.0
    for part in torch.arange(len(frames)).split(8):
        values = loss_of(network, frames.batch(part, device, 0), 100, generator)
        total += float(values["loss"]) * len(part)
    return total / len(frames)


def _share(settings: CentersSettings, step: int, began: float) -> float:
    if settings.steps:
        return step / settings.steps
    return (time.monotonic() - began) / (60 * settings.minutes)


def write_card(checkpoint: Path, facts: dict) -> None:
    """The model card beside the checkpoint."""
    what = (
        f"Heads of {facts['parameters']:,} parameters on the frozen image encoder of {facts['config']['encoder']}: "
        "visible road\nusers in single frames. Trained from random weights by us; the licence is the package's where "
        "the encoder's is."
    )
    points = [
        f"data: {facts['settings']['data']}: {facts['clips']:,} clips, {facts['frames']:,} frames; "
        f"seed {facts['seed']}",
        f"cost: {facts['steps']:,} steps in {facts['minutes']:.1f} min on {facts['hardware']}, embeddings not counted",
        card.made_by(facts),
        f"use: `samodal run drive.mp4 --vis centers:{facts['name']}.safetensors`",
    ]
    metrics = "\n".join(f"* {name}: {value:.4f}" for name, value in facts["metrics"].items()) or "Not measured."
    card.write(checkpoint, facts, what, points, {"Metrics": metrics}, [json.dumps(line) for line in facts["log"][-20:]])
