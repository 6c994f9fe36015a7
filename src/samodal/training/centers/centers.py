"""The training of heads that find road users in the embedding of an amodal SAM, quick on a CPU."""

from __future__ import annotations

import json

import torch

from samodal.frontends.centers import Centers, CentersConfig, save
from samodal.frontends.videomt import VideomtConfig
from samodal.segmenters.sam import AmodalSam
from samodal.training import card
from samodal.training.centers.frames import Augmented, Batch, Frames, embed
from samodal.training.centers.settings import CentersSettings
from samodal.training.centers.targets import losses, targets
from samodal.training.engine import Engine, begin, clips_to_train_on
from samodal.training.state import once
from samodal.training.vis.clips import Clips, load_clips


@once()
def train(settings: CentersSettings) -> str:
    """Read the clips, embed their frames, train the heads, write them in 16 bit with their card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    device = begin(settings, every=1)
    sam = AmodalSam.from_checkpoint(settings.encoder).to(device).eval()
    classes = tuple(settings.classes.split(","))
    view = VideomtConfig(classes=classes, size=sam.config.size, patch=sam.config.patch, stem="patch")
    clips = load_clips(settings.data, view, count=settings.clips, workers=settings.workers)
    cut = clips_to_train_on(settings, len(clips))
    learned = frames_of(settings, clips.part(0, cut), sam)
    held_out = embed(clips.part(cut, len(clips)), sam, settings.every, settings.seed) if settings.held_out else None
    config = CentersConfig(settings.encoder, sam.config.out_channels, classes, settings.width)
    engine = CentersEngine(settings, Centers.initialise(config, settings.seed).to(device), learned)
    progress = engine.run()
    metrics = {"held_out_loss": held_out_loss(engine.network, held_out)} if held_out is not None else {}
    write_card(engine, cut, metrics)
    engine.finish()
    return f"{engine.result} after {progress}; {metrics}"


class CentersEngine(Engine):
    """Trains heads on frames.

    Args:
        settings: see `CentersSettings`.
        network: on the device that trains.
        frames: what is learned from.
    """

    def __init__(self, settings: CentersSettings, network: Centers, frames: Frames | Augmented):
        optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        super().__init__(settings, network, optimizer, clip=5.0)
        self.frames, self.random = frames, torch.Generator().manual_seed(settings.seed)

    def draw(self, step: int) -> Batch:
        """Random frames on the device."""
        chosen = torch.randint(len(self.frames), (self.settings.batch,), generator=self.random)
        return self.frames.batch(chosen, self.device, self.settings.seed * 1_000_003 + step)

    def losses(self, drawn: Batch, done: float) -> dict[str, torch.Tensor]:
        return loss_of(self.network, drawn, self.settings.instances, self.random)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"frames_per_s": round(steps * self.settings.batch, 1)}

    def end(self) -> None:
        save(self.network, self.checkpoint, half=True)


def frames_of(settings: CentersSettings, clips: Clips, sam: AmodalSam) -> Frames | Augmented:
    """What is learned from."""
    if settings.augment:
        return Augmented(clips.to(next(sam.parameters()).device), sam, settings.every)
    return embed(clips, sam, settings.every, settings.seed)


def loss_of(network: Centers, batch: Batch, most: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The losses of some frames; see `losses`."""
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


def write_card(engine: CentersEngine, clips: int, metrics: dict[str, float]) -> None:
    """The model card beside the checkpoint."""
    settings, config, frames = engine.settings, engine.network.config.to_dict(), len(engine.frames)
    log = [json.loads(line) for line in engine.log_file.read_text(encoding="utf-8").splitlines()]
    facts = card.facts_of(engine, clips=clips, frames=frames, log=log, metrics=metrics, config=config)
    what = (
        f"Heads of {facts['parameters']:,} parameters on the frozen image encoder of {settings.encoder}: visible road "
        "users in single frames. Trained from random weights by us; the licence is the package's where the encoder's "
        "is."
    )
    card.write_card(
        engine, facts, what, data=f"{clips:,} clips, {frames:,} frames",
        cost=f"{engine.progress}, embeddings not counted,",
        parts={"Metrics": card.table(f"On {card.held_out_clips(settings)}.", {"": metrics})},
        use=f"--vis centers:{settings.name}.safetensors",
    )  # fmt: skip
