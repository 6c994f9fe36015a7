"""The training of a point tracker: features by matching first, where that is wanted, then everything by following."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from samodal.errors import InputError
from samodal.segmenters.completion.config import CompletionConfig
from samodal.trackers.cotracker import CoTracker3
from samodal.trackers.cotracker.model import Network
from samodal.training import card
from samodal.training.completion.silhouettes import load_silhouettes
from samodal.training.detector.settings import DetectorSettings
from samodal.training.engine import Engine, Progress, begin, clips_to_train_on
from samodal.training.optimizer import adamw
from samodal.training.state import damaged, once, read_state
from samodal.training.streets.pictures import load_pictures
from samodal.training.tracker.draw import Draw, Drawer, Step, prepare
from samodal.training.tracker.features import matching, with_features
from samodal.training.tracker.following import Follow, losses, scores
from samodal.training.tracker.point_clips import Clips, joined, load_clips, of_stills
from samodal.training.tracker.settings import TrackerSettings
from samodal.training.tracker.stills import still_clips


@once("match", "follow")
def train(settings: TrackerSettings) -> str:
    """Read the clips, train, write the checkpoint in 16 bit and its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    folder = folder_of(settings)
    if settings.stills and not (settings.silhouettes and (settings.pictures or settings.cache)):
        raise InputError("--stills takes real pictures: give --pictures (or their --cache) and --silhouettes")
    device = begin(settings, "match", "follow")
    init = CoTracker3.from_checkpoint(settings.init) if settings.init else None
    tracker = (init or CoTracker3.untrained(settings.size, settings.seed)).to(device)
    clips = load_clips(folder, tracker.network, count=settings.clips, workers=settings.workers)
    cut = clips_to_train_on(settings, len(clips))
    print(f"{cut} clips to train on, {settings.held_out} held out, {clips.frames.nbytes / 1e9:.2f} GB", flush=True)
    learned = clips.part(slice(0, cut))
    if settings.stills:
        learned = joined(learned, real_clips(settings, clips.size, clips.length, learned.frames.device))
    engine, spent = learn(settings, tracker.network, learned)
    tracker.save(engine.checkpoint, half=True)
    metrics = {}
    if settings.held_out:
        kept = CoTracker3.from_checkpoint(engine.checkpoint).to(device)
        metrics = measure(settings, kept.network, clips.part(slice(cut, None)))
    write_card(engine, cut, spent, metrics)
    engine.finish()
    return f"{engine.result} after {', '.join(map(str, spent.values()))}; held out: {metrics}"


class Stage(NamedTuple):
    """What a part of a training learns.

    Attributes:
        name: of its state file and in the log.
        learn: from a step, a generator and the share of the training that is done to the losses, "loss" among them.
        trained: whether a parameter of this name is trained.
        minutes, steps: its length, one of them 0.
        windows: that follow each other.
    """

    name: str
    learn: Callable[[Step, torch.Generator, float], dict[str, torch.Tensor]]
    trained: Callable[[str], bool]
    minutes: float
    steps: int
    windows: int


class TrackerEngine(Engine):
    """Trains a part of a network on clips.

    Args:
        settings: see `TrackerSettings`.
        stage: what is learned.
        network: on the device that trains.
        clips: the training data, on the same device.
    """

    threads = 1

    def __init__(self, settings: TrackerSettings, stage: Stage, network: Network, clips: Clips):
        self.learn, self.clips = stage.learn, clips
        self.drawer = new_drawer(settings, network, clips, stage.windows)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(stage.trained(name))
        optimizer = adamw(settings, [p for p in network.parameters() if p.requires_grad])
        super().__init__(settings, network, optimizer, clip=settings.clip, stage=stage.name)
        self.minutes, self.steps = stage.minutes, stage.steps
        self.matched = self.checkpoint.with_name(f"{settings.name}.match.pt")

    def draw(self, step: int) -> Draw:
        """Which clips, frames and points are followed."""
        batch = self.settings.batch
        rng = np.random.default_rng((self.settings.seed, step))
        return self.drawer(rng.choice(len(self.clips), batch, replace=batch > len(self.clips)), rng)

    def losses(self, drawn: Draw, done: float) -> dict[str, torch.Tensor]:
        generator = self.generator()
        step = prepare(drawn, self.clips, generator if self.settings.augment else None)
        with self.precision():
            return self.learn(step, generator, done)

    def per_second(self, steps: float) -> dict[str, float]:
        return {"clips_per_s": round(steps * self.settings.batch, 1)}

    def finish(self) -> None:
        """Forget the state, and that of the stage before it."""
        super().finish()
        self.matched.unlink(missing_ok=True)


def folder_of(settings: TrackerSettings) -> Path:
    """The folder of the clips.

    Raises:
        InputError: with the way out.
    """
    kind, _, place = settings.data.partition(":")
    if kind != "streetsim" or not place:
        raise InputError("no clips with points; give --data streetsim:ROOT/tracks (samodal synth --points makes them)")
    if not Path(place).is_dir():
        raise InputError(f"{place}: no such folder; samodal synth --split tracks --points --out ROOT makes it")
    return Path(place)


def real_clips(settings: TrackerSettings, size: tuple[int, int], length: int, device: torch.device) -> Clips:
    """Clips of T frames of (h, w), made of real pictures.

    Raises:
        InputError: if the pictures or outlines cannot be read.
    """
    detector = DetectorSettings()
    pictures, _ = load_pictures(
        "", settings.pictures, tuple(detector.classes.split(",")), every=1, side=detector.side, held_out="",
        cache=settings.cache, workers=settings.workers,
    )  # fmt: skip
    outlines = load_silhouettes(settings.silhouettes, CompletionConfig()).bits.numpy()
    made = still_clips(
        pictures, outlines, size=size, length=length, count=settings.stills, seed=settings.seed,
        workers=settings.workers,
    )  # fmt: skip
    return of_stills(made, size, device)


def learn(settings: TrackerSettings, network: Network, clips: Clips) -> tuple[TrackerEngine, dict[str, Progress]]:
    """Train the stages; gives the last one, and what was spent on each.

    A stage that an interrupted training had finished is not trained again.
    """
    follow, spent = Follow(network, settings.iterations), {}

    def features(name: str) -> bool:
        return name.startswith("fnet.")

    if settings.match_minutes:
        stage = Stage("match", partial(matching, network), features, settings.match_minutes, 0, windows=1)
        spent["match"] = match(TrackerEngine(settings, stage, network, clips))
    if settings.versions:
        clips = with_features(clips, network, settings.versions, settings.seed)

    def following(step: Step, generator: torch.Generator, done: float) -> dict[str, torch.Tensor]:
        return losses(follow(step, generator, settings.taught * (1 - done)), step, network.config.stride)

    trained = (lambda name: not features(name)) if settings.versions else (lambda name: True)
    stage = Stage("follow", following, trained, settings.minutes, settings.steps, settings.windows)
    engine = TrackerEngine(settings, stage, network, clips)
    spent["follow"] = engine.run()
    return engine, spent


def match(engine: TrackerEngine) -> Progress:
    """Train the features, or take those that an interrupted training had finished.

    Raises:
        InputError: if they were made with other settings.
    """
    if engine.settings.resume and engine.matched.exists():
        state = read_state(engine.matched, engine.settings)
        try:
            engine.network.load_state_dict(state["model"])
            return Progress(**state["progress"])
        except (KeyError, AttributeError, TypeError, RuntimeError) as error:
            raise damaged(engine.matched, error) from None
    progress = engine.run()
    engine.save_state()
    engine.state_file.replace(engine.matched)
    return progress


def new_drawer(settings: TrackerSettings, network: Network, clips: Clips, windows: int) -> Drawer:
    """What draws steps from clips, by the settings."""
    return Drawer(clips, network.config, windows, settings.points, settings.instances)


ROUNDS = 4
"""Draws of a clip that are measured: a draw holds a few windows and points of it alone."""


@torch.no_grad()
def measure(settings: TrackerSettings, network: Network, clips: Clips) -> dict[str, float]:
    """Scores on every clip, `ROUNDS` draws of each, in float32 and without augmentation; see `scores`."""
    drawer, follow, sums = new_drawer(settings, network.eval(), clips, settings.windows), Follow(network), {}
    for number in range(ROUNDS):
        rng = np.random.default_rng((7, number))
        for first in range(0, len(clips), settings.batch):
            chosen = np.arange(first, min(first + settings.batch, len(clips)))
            step = prepare(drawer(chosen, rng), clips, None)
            for name, value in scores(follow(step), step, network.config.stride).items():
                sums[name] = sums.get(name, 0) + value
    shares = {name: float(sums[name] / sums[f"{name}_count"].clamp(min=1)) for name in ("visible", "hidden", "right")}
    return shares | {name: int(value) for name, value in sums.items() if name.endswith("_count")}


def write_card(engine: TrackerEngine, clips: int, spent: dict[str, Progress], metrics: dict[str, float]) -> None:
    """The model card beside the checkpoint."""
    settings, config = engine.settings, engine.network.config.to_dict()
    costs = {name: {"step": progress.step, "seconds": progress.seconds} for name, progress in spent.items()}
    facts = card.facts_of(engine, spent=costs, clips=clips, held_out=metrics, config=config)
    about = (
        f"The newest frame of windows that follow each other, on {card.held_out_clips(settings)}: mean share of points "
        "within 0.5, 1, 2, 4 and 8 pixels of the network's frames (about 1 to 16 of a frame 960 wide), of visible and "
        "of hidden points; and how often it is predicted rightly which of the two they are."
    )
    card.write_card(
        engine, facts, card.described("CoTracker3", facts["parameters"], settings.init),
        data=f"{clips:,} clips, instances and scenery{_of_stills(settings)}",
        cost=", ".join(f"{name} {progress.of(f'{settings.batch} clips')}" for name, progress in spent.items()),
        parts={"Held-out clips": card.table(about, {"": metrics})},
    )  # fmt: skip


def _of_stills(settings: TrackerSettings) -> str:
    """What a card says of real pictures, after the rest of the data."""
    if not settings.stills:
        return ""
    pictures = settings.pictures or settings.cache
    return f"; {settings.stills:,} clips made of real pictures ({pictures}) and of outlines ({settings.silhouettes})"
