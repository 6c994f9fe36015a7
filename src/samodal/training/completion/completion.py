"""The training of the completer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from samodal.errors import InputError
from samodal.segmenters.completion import Completer, CompletionConfig, load, save
from samodal.segmenters.completion.network import stacked
from samodal.training import card
from samodal.training.averages import AveragedEngine
from samodal.training.completion.canvases import Canvases, load_canvases
from samodal.training.completion.draw import DamageSettings, Drawer, Samples
from samodal.training.completion.objective import earlier_shapes, losses, measure
from samodal.training.completion.paste import Paster, PasteSettings
from samodal.training.completion.settings import CompletionSettings
from samodal.training.completion.silhouettes import Silhouettes, load_silhouettes
from samodal.training.engine import begin, device_of
from samodal.training.state import once


@once()
def train(settings: CompletionSettings) -> str:
    """Prepare the data, train, write the network in 16 bit with its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    settings = settings.complete(device_of(settings).type)
    device = begin(settings)
    network = new_network(settings).to(device)
    config = network.config
    data, val = None, None
    if settings.data:
        data = _load(settings, settings.data, settings.cache, config, settings.first)
        data, val = _split(data, settings.held_out)
    if settings.val:
        val = _load(settings, settings.val, settings.val_cache, config, None)
    bank = None
    if settings.silhouettes:
        bank = load_silhouettes(settings.silhouettes, config, settings.turned).to(device)
    val = val and val.to(device)
    metrics = _measured(network, val, "before, ") if settings.init else {}
    engine = CompletionEngine(settings, network, data and data.to(device), bank)
    progress = engine.run()
    metrics |= _measured(engine.kept, val)
    _write_card(engine, metrics)
    engine.finish()
    told = [f"{name}: {', '.join(f'{key} {value:.3f}' for key, value in row.items())}" for name, row in metrics.items()]
    return "\n  ".join([f"{engine.result} after {progress}", *told])


class CompletionEngine(AveragedEngine):
    """Trains a completer.

    Args:
        settings: see `CompletionSettings`.
        network: on the device that trains.
        data: instances of data sets, on that device, or None.
        bank: silhouettes to paste, on that device, or None.

    """

    def __init__(
        self, settings: CompletionSettings, network: Completer, data: Canvases | None, bank: Silhouettes | None
    ):
        super().__init__(settings, network, clip=1.0)
        self.data, self.bank = data, bank
        damage = DamageSettings(no_earlier=settings.no_earlier)
        if not settings.damage:
            damage = replace(damage, rough=0.0, hole=0.0, grown=0.0)
        self.drawer = Drawer(network.config, damage)
        self.paster = Paster(bank, PasteSettings(alone=settings.alone)) if bank is not None else None
        if data is not None:
            self.chances = (0.35 + settings.occluded_weight * data.occlusion.double()).cumsum(0)
        self.norms = [module for module in network.modules() if settings.init and isinstance(module, nn.BatchNorm2d)]

    def draw(self, step: int) -> list[Samples]:
        """Samples of the data, and pasted ones."""
        generator = self.generator()
        pasted = 0
        if self.paster is not None:
            pasted = self.settings.batch if self.data is None else round(self.settings.pasted * self.settings.batch)
        samples = []
        if self.data is not None and pasted < self.settings.batch:
            place = torch.rand(self.settings.batch - pasted, generator=generator, device=self.device).double()
            index = torch.searchsorted(self.chances, place * self.chances[-1]).clamp_max(len(self.data) - 1)
            earlier = earlier_shapes(self.data, index)
            samples.append(self.drawer(self.data.layers(index), self.data.kind[index], earlier, generator))
        if pasted:
            samples.append(self.drawer(*self.paster(pasted, generator), None, generator))
        return samples

    def losses(self, drawn: list[Samples], done: float) -> dict[str, torch.Tensor]:
        for norm in self.norms:
            norm.eval()  # few samples would make poorer statistics
        samples = drawn[0] if len(drawn) == 1 else _together(drawn)
        with self.precision():
            layers = stacked(samples.told, self.network.config.layers)
            completed = self.forward(layers.contiguous(memory_format=torch.channels_last), samples.kind)
        return losses(completed, samples)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"samples_per_s": round(steps * self.settings.batch, 1)}

    def end(self) -> None:
        save(self.kept.eval(), self.checkpoint, half=True)


def _together(drawn: list[Samples]) -> Samples:
    first = drawn[0]
    told = {name: torch.cat([samples.told[name] for samples in drawn]) for name in first.told}
    rest = ("kind", "visible", "amodal", "weight")
    return Samples(told, *(torch.cat([getattr(samples, name) for samples in drawn]) for name in rest))


def new_network(settings: CompletionSettings) -> Completer:
    """The network that training starts from.

    Raises:
        InputError: for a config that cannot be, or weights that cannot be read.
    """
    if settings.init:
        return load(settings.init).train()
    try:
        config = CompletionConfig(
            layers=tuple(settings.layers.split(",")), width=settings.width, norm=settings.norm,
            hidden_head=settings.hidden_head,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from None
    return Completer.initialise(config, settings.seed)


def _load(settings: CompletionSettings, data: str, cache: str, config: CompletionConfig, first: int | None) -> Canvases:
    path = Path(cache) if cache else None
    return load_canvases(
        data, config, path=path, first=first, min_visible=settings.min_visible, workers=settings.workers,
        masks=settings.masks,
    )  # fmt: skip


def _measured(network: Completer, val: Canvases | None, when: str = "") -> dict[str, dict[str, float]]:
    """Columns of the card's table; none where there is nothing to measure on."""
    ways = {} if val is None else {"alone": False, "with earlier shapes": True}
    return {when + name: measure(network, val, earlier) for name, earlier in ways.items()}


def _split(data: Canvases, held_out: int) -> tuple[Canvases, Canvases | None]:
    """What is learned from, and so many instances at the end."""
    if not held_out:
        return data, None
    cut = len(data) - held_out
    if cut < 1:
        raise InputError(f"{len(data)} instances, {held_out} of them held out, leave none; give fewer to --held_out")
    return data.part(0, cut), data.part(cut, len(data))


def _write_card(engine: CompletionEngine, metrics: dict[str, dict[str, float]]) -> None:
    settings, config = engine.settings, engine.network.config
    counts = {"instances": len(engine.data or ()), "silhouettes": len(engine.bank or ())}
    facts = card.facts_of(engine, counts=counts, config=config.to_dict(), metrics=metrics)
    about = (
        f"Mean IoU in crops on {settings.val or 'instances held out'}: whole objects, hidden parts (of instances of "
        "which more than a tenth is hidden), and whole objects by the share hidden, in percent."
    )
    card.write_card(
        engine, facts,
        card.described("completer of masks", sum(p.numel() for p in engine.network.parameters()), settings.init),
        data=f"{counts['instances']:,} instances; {counts['silhouettes']:,} silhouettes of "
        f"{settings.silhouettes or 'nowhere'}",
        cost=engine.progress.of(f"{settings.batch} samples"),
        parts={"Metrics": card.table(about, metrics)},
        use=f"--segmenter completion:{settings.name}.safetensors",
    )  # fmt: skip
