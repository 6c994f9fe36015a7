"""The training of a VidEoMT: single frames first, then clips."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from samodal.frontends.videomt import Network, load, save
from samodal.training import card
from samodal.training.engine import Engine, begin, clips_to_train_on
from samodal.training.optimizer import adamw
from samodal.training.state import once, replaced
from samodal.training.vis.clips import Clips, load_clips
from samodal.training.vis.queries import Objective
from samodal.training.vis.settings import VisSettings
from samodal.training.vis.start import start
from samodal.training.vis.steps import choose, prepare
from samodal.training.vis.tally import measure

FEW = 8
"""Held-out clips that are measured in between."""


@once()
def train(settings: VisSettings) -> str:
    """Read the clips, train, write the checkpoint in 16 bit and its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    device = begin(settings, longest=1, stride=1)
    torch.set_float32_matmul_precision("high")
    network = start(settings).to(device)
    learned, held_out = data_of(settings, network)
    counts = {"clips": len(learned), "frames": len(learned.frames), "instances": learned.instances}
    print(f"{counts}, {len(held_out or ())} clips held out, {learned.nbytes() / 1e9:.1f} GB", flush=True)
    learned, held_out = learned.to(device), held_out.to(device) if held_out else None
    few = held_out.part(0, min(FEW, len(held_out))) if held_out else None
    engine = VisEngine(settings, network, learned, few and (lambda: measure(network, few)))
    progress = engine.run()
    metrics = measure(load(engine.checkpoint).to(device), held_out) if held_out else {}
    write_card(engine, counts, metrics)
    engine.finish()
    return f"{engine.result} after {progress}; held out: {metrics}"


class VisEngine(Engine):
    """Trains a network on clips.

    Args:
        settings: see `VisSettings`.
        network: on the device that trains.
        clips: the training data, with the network's classes and size.
        check: measures the network, for the log.
    """

    def __init__(
        self,
        settings: VisSettings,
        network: Network,
        clips: Clips,
        check: Callable[[], dict[str, float]] | None = None,
    ):
        self.clips, self.check, self.objective = clips, check, Objective(network, settings.dense)
        embeddings = [module.weight for module in self.objective.modules() if isinstance(module, nn.Embedding)]
        optimizer = adamw(settings, list(self.objective.parameters()), embeddings)
        super().__init__(settings, network, optimizer, learner=self.objective, clip=settings.clip)
        self._checked = time.monotonic()

    def draw(self, step: int) -> np.ndarray:
        """(B, T) frames."""
        rng = np.random.default_rng((self.settings.seed, step))
        length = self.length(self.share_done(), rng)
        return choose(self.clips, max(1, self.settings.batch // length), length, self.settings.stride, rng)

    def length(self, done: float, rng: np.random.Generator) -> int:
        """Frames of a step's clips, at a share of the training."""
        if done < self.settings.images:
            return 1
        return int(rng.integers(min(3, self.settings.longest), self.settings.longest + 1))

    def losses(self, drawn: np.ndarray, done: float) -> dict[str, torch.Tensor]:
        """Of (B, T) frames."""
        generator = self.generator() if self.settings.augment else None
        step = prepare(self.clips, drawn, self.network.config.mask_size, generator)
        with self.precision():
            return self.objective(step)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"frames_per_s": round(steps * self.settings.batch, 1)}

    def measure_if_due(self) -> None:
        """Every `check_minutes`."""
        if self.check and time.monotonic() - self._checked > 60 * self.settings.check_minutes:
            self.note(self.check())
            self._checked = time.monotonic()

    def save_draft(self) -> None:
        """The checkpoint as it is."""
        replaced(self.checkpoint, lambda path: save(self.network, path, half=True))

    def end(self) -> None:
        self.save_draft()


def data_of(settings: VisSettings, network: Network) -> tuple[Clips, Clips | None]:
    """The clips to learn from and those to measure on, None for none.

    Raises:
        InputError: if nothing is left to train on.
    """
    config, workers = network.config, settings.workers
    clips = load_clips(settings.data, config, count=settings.clips, workers=workers)
    if settings.val:
        return clips, load_clips(settings.val, config, workers=workers)
    cut = clips_to_train_on(settings, len(clips))
    return clips.part(0, cut), clips.part(cut, len(clips)) if settings.held_out else None


def write_card(engine: VisEngine, counts: dict[str, int], metrics: dict) -> None:
    """The model card beside the checkpoint."""
    settings = engine.settings
    facts = card.facts_of(engine, **counts, held_out=metrics, config=engine.network.config.to_dict())
    about = (
        f"On {card.held_out_clips(settings)}, frame after frame, without regard to classes: AP50 of the visible masks "
        "of instances of at least 0.2 % of the frame (32x32 pixels of 540x960), the mean IoU of the best detection for "
        "each, how often an instance found in two frames in a row has the same query, and the number of instances."
    )
    card.write_card(
        engine, facts, card.described("VidEoMT", facts["parameters"], settings.init),
        data=f"{counts['clips']:,} clips, {counts['frames']:,} frames, {counts['instances']:,} instances",
        cost=engine.progress.of(f"{settings.batch} frames"), parts={"Held-out clips": card.table(about, {"": metrics})},
        use=f"--vis videomt:{settings.name}.safetensors",
    )  # fmt: skip
