"""The training of the detector."""

from __future__ import annotations

from dataclasses import replace

import torch

from samodal.errors import InputError
from samodal.frontends.detector import Detector, DetectorConfig, load, released, save
from samodal.images import normalise
from samodal.training import card
from samodal.training.averages import AveragedEngine
from samodal.training.detector.labels import supplemented
from samodal.training.detector.measure import curves, numbers, seen_in
from samodal.training.detector.objective import losses
from samodal.training.detector.settings import DetectorSettings
from samodal.training.engine import begin
from samodal.training.state import once
from samodal.training.streets.pictures import Pictures, chances_of, load_pictures
from samodal.training.streets.views import Canvas, Viewer


@once()
def train(settings: DetectorSettings) -> str:
    """Read the pictures, train, measure, and write the network in 16 bit with its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or pictures that cannot be used.
    """
    device = begin(settings, batch=2)
    size = _size(settings.size)
    network = new_network(settings).to(device)
    pictures, held_out = load_pictures(
        settings.data, settings.pictures, network.config.classes, every=settings.every, side=settings.side,
        held_out=settings.held_out_names, cache=settings.cache, workers=settings.workers,
    )  # fmt: skip
    pictures = pictures.to(device)
    if settings.init:
        pictures = supplemented(pictures, network.eval(), settings.sure, settings.unsure)
    engine = DetectorEngine(settings, network, pictures, size)
    progress = engine.run()
    metrics = {}
    if len(held_out):
        seen = seen_in(engine.kept, held_out)
        engine.kept.config = replace(engine.kept.config, curves=curves(seen, engine.kept.config.classes))
        metrics = numbers(seen_in(engine.kept, held_out))
    save(engine.kept, engine.checkpoint, half=True)
    _write_card(engine, metrics, len(held_out))
    engine.finish()
    return f"{engine.result} after {progress}; {metrics}"


class DetectorEngine(AveragedEngine):
    """Trains a detector.

    Args:
        settings: see `DetectorSettings`.
        network: on the device that trains.
        pictures: on that device.
        size: (H, W) of the canvases.

    """

    def __init__(self, settings: DetectorSettings, network: Detector, pictures: Pictures, size: tuple[int, int]):
        super().__init__(settings, network, clip=10.0)
        self.size, self.pictures = size, pictures
        self.start = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.viewer = Viewer(
            pictures, chances_of([(pictures.simulated, settings.simulated), (pictures.photos, settings.photos)])
        )

    def draw(self, step: int) -> Canvas:
        """Canvases on the device."""
        return self.viewer(self.settings.batch, self.size, self.generator())

    def losses(self, drawn: Canvas, done: float) -> dict[str, torch.Tensor]:
        with self.precision():
            raw = self.forward(normalise(drawn.pixels).contiguous(memory_format=torch.channels_last))
        return losses(raw, drawn.boxes, drawn.kinds, self.size)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"canvases_per_s": round(steps * self.settings.batch, 1)}

    def end(self) -> None:
        if self.settings.init:
            for name, value in self.kept.state_dict().items():
                value.copy_(torch.lerp(self.start[name], value, self.settings.learned))
        self.kept.eval()


def new_network(settings: DetectorSettings) -> Detector:
    """The network that training starts from.

    Raises:
        InputError: for weights that cannot be read.
    """
    if settings.init and not settings.init.endswith((".pth", ".param")):
        return load(settings.init).train()
    config = DetectorConfig(
        classes=tuple(settings.classes.split(",")), unreported=tuple(filter(None, settings.unreported.split(",")))
    )
    return released.read(settings.init, config) if settings.init else Detector.initialise(config, settings.seed)


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = map(int, text.split("x"))
    except ValueError:
        height = width = 0
    if not height or not width or height % 64 or width % 64:
        raise InputError(f"size {text!r}: expected HEIGHTxWIDTH, multiples of 64, as 384x640")
    return height, width


def _write_card(engine: DetectorEngine, metrics: dict[str, dict[str, float]], held_out: int) -> None:
    settings, pictures = engine.settings, engine.pictures
    counts = {"pictures": len(pictures), "boxes": int((pictures.kinds >= 0).sum()), "held_out": held_out}
    facts = card.facts_of(engine, counts=counts, config=engine.kept.config.to_dict(), metrics=metrics)
    about = (
        f"Recall and precision of boxes at IoU 0.5 and a score of 0.35 on {held_out:,} pictures held out, by the "
        "height of the object. The scores were calibrated on the same pictures."
    )
    card.write_card(
        engine, facts,
        card.described("detector of road users", facts["parameters"], settings.init),
        data=f"{settings.pictures}: {counts['pictures']:,} pictures with {counts['boxes']:,} boxes",
        cost=engine.progress.of(f"{settings.batch} canvases"),
        parts={"Metrics": card.table(about, metrics)},
        use=f"--vis detector:{settings.name}.safetensors",
    )  # fmt: skip
