"""The training of the cutter."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from samodal.errors import InputError
from samodal.frontends.cutter import Box, Cutter, CutterConfig, load, save, visible_masks
from samodal.masks import Mask
from samodal.training import card
from samodal.training.averages import AveragedEngine
from samodal.training.cutter.draw import Drawer, Samples
from samodal.training.cutter.objective import losses
from samodal.training.cutter.settings import CutterSettings
from samodal.training.engine import begin
from samodal.training.state import once
from samodal.training.streets.pictures import Pictures, load_pictures


@once()
def train(settings: CutterSettings) -> str:
    """Read the pictures, train, measure, and write the network in 16 bit with its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or pictures that cannot be used.
    """
    device = begin(settings)
    classes = tuple(settings.classes.split(","))
    network = new_network(settings).to(device)
    pictures, held_out = load_pictures(
        settings.data, settings.pictures, classes, every=settings.every, side=settings.side,
        held_out=settings.held_out_names, cache=settings.cache, workers=settings.workers,
    )  # fmt: skip
    engine = CutterEngine(settings, network, pictures.to(device), classes)
    progress = engine.run()
    metrics = measure(engine.kept, held_out, classes)
    _write_card(engine, metrics)
    engine.finish()
    return f"{engine.result} after {progress}; {metrics}"


class CutterEngine(AveragedEngine):
    """Trains a cutter.

    Args:
        settings: see `CutterSettings`.
        network: on the device that trains.
        pictures: on that device.
        classes: of the pictures.

    """

    def __init__(self, settings: CutterSettings, network: Cutter, pictures: Pictures, classes: tuple[str, ...]):
        super().__init__(settings, network, clip=1.0)
        shares = (settings.simulated, settings.photos, settings.boxed)
        self.drawer = Drawer(pictures, network.config, classes, shares, settings.hidden)

    def draw(self, step: int) -> Samples:
        """Samples on the device."""
        return self.drawer(self.settings.batch, self.generator())

    def losses(self, drawn: Samples, done: float) -> dict[str, torch.Tensor]:
        with self.precision():
            cut = self.forward(drawn.layers.contiguous(memory_format=torch.channels_last), drawn.kinds)
        # Colours say nothing before a mask is there at all (BoxInst, Tian et al. 2021, section 3).
        return losses(cut, drawn, self.settings.affinity * min(1.0, 10 * done))

    def per_second(self, steps: float) -> dict[str, float]:
        return {"samples_per_s": round(steps * self.settings.batch, 1)}

    def end(self) -> None:
        save(self.kept.eval(), self.checkpoint, half=True)


def new_network(settings: CutterSettings) -> Cutter:
    """The network that training starts from.

    Raises:
        InputError: for a config that cannot be, or weights that cannot be read.
    """
    if settings.init:
        return load(settings.init).train()
    try:
        config = CutterConfig(width=settings.width, size=settings.crop)
    except ValueError as error:
        raise InputError(str(error)) from None
    return Cutter.initialise(config, settings.seed)


def measure(network: Cutter, pictures: Pictures, classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Mean IoU of the visible masks of true boxes, for each class with masks, as prediction makes them."""
    device, values = next(network.parameters()).device, defaultdict(list)
    network = network.to(device, memory_format=torch.channels_last).eval()
    for n in range(len(pictures)):
        height, width = pictures.content[n].tolist()
        frame = pictures.pixels[n, :, :height, :width].permute(1, 2, 0).contiguous().numpy(force=True)
        owners = pictures.owners[n, :height, :width].numpy(force=True)
        real = (pictures.kinds[n] >= 0).nonzero()[:, 0].tolist()
        boxes = [Box(classes[pictures.kinds[n, m]], 1.0, tuple(pictures.boxes[n, m].tolist())) for m in real]
        places = [int(pictures.places[n, m]) for m in real]
        if not any(places):
            continue
        masks, _ = visible_masks(network, frame, boxes)
        for box, place, mask in zip(boxes, places, masks, strict=True):
            if place and (truth := Mask.of(owners == place)):
                values[box.category].append(mask.iou(truth))
    column = {f"IoU, {name} ({len(ious)})": float(np.mean(ious)) for name, ious in sorted(values.items())}
    return {"held out": column} if column else {}


def _write_card(engine: CutterEngine, metrics: dict[str, dict[str, float]]) -> None:
    settings, drawer = engine.settings, engine.drawer
    counts = {"masks": int(drawer.masked.sum()), "boxes": int((~drawer.masked).sum())}
    facts = card.facts_of(engine, counts=counts, config=engine.network.config.to_dict(), metrics=metrics)
    card.write_card(
        engine, facts,
        card.described("cutter of visible masks", facts["parameters"], settings.init),
        data=f"{settings.pictures}: {counts['masks']:,} instances with masks, {counts['boxes']:,} with boxes alone",
        cost=engine.progress.of(f"{settings.batch} samples"),
        parts={"Metrics": card.table("Mean IoU of visible masks of true boxes, in pictures held out.", metrics)},
        use=f"--vis detector:,{settings.name}.safetensors",
    )  # fmt: skip
