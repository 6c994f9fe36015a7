"""The training of a point tracker from its settings to its checkpoint and card."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.errors import InputError
from samodal.trackers.cotracker import CoTracker3
from samodal.trackers.cotracker.model import Network
from samodal.training import card
from samodal.training.setup import check_length, check_precision, device_of
from samodal.training.tracker.clips import Clips, load_clips
from samodal.training.tracker.draw import Step
from samodal.training.tracker.features import matching, with_features
from samodal.training.tracker.loop import Loop, Progress, Stage, measure
from samodal.training.tracker.objective import Follow, losses

if TYPE_CHECKING:
    from samodal.cli.train_tracker import TrackerSettings


def train(settings: TrackerSettings) -> str:
    """Read the clips, train, write the checkpoint in 16 bit and its card.

    Returns:
        A line for the user.

    Raises:
        InputError: for settings that contradict each other or data that cannot be used.
    """
    folder = check_settings(settings)
    device = device_of(settings)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    start = CoTracker3.from_checkpoint(settings.init) if settings.init else untrained(settings)
    tracker = start.to(device)
    clips = load_clips(folder, tracker.network, count=settings.clips, workers=settings.workers)
    cut = len(clips) - settings.held_out
    if cut < 1:
        raise InputError(f"{folder}: {len(clips)} clips, {settings.held_out} of them held out, leave none to train on")
    print(f"{cut} clips to train on, {settings.held_out} held out, {clips.frames.nbytes / 1e9:.2f} GB", flush=True)
    spent = learn(settings, tracker.network, clips.part(slice(0, cut)), out)
    checkpoint = out / f"{settings.name}.safetensors"
    tracker.save(checkpoint, half=True)
    metrics = {}
    if settings.held_out:
        kept = CoTracker3.from_checkpoint(checkpoint).to(device)
        metrics = measure(settings, kept.network, clips.part(slice(cut, None)))
    write_card(checkpoint, settings, tracker, cut, spent, metrics)
    return f"{checkpoint} after {', '.join(map(str, spent.values()))}; held out: {metrics}"


def untrained(settings: TrackerSettings) -> CoTracker3:
    return CoTracker3.untrained(settings.size, settings.seed)


def learn(settings: TrackerSettings, network: Network, clips: Clips, out: Path) -> dict[str, Progress]:
    """Train the stages, and say what was spent on each; a finished stage of an interrupted run is kept."""
    follow, spent = Follow(network, settings.iterations), {}
    features, everything = list(network.fnet.parameters()), list(network.parameters())
    if settings.match_minutes:
        stage = Stage("match", partial(matching, network), features, settings.match_minutes, 0, windows=1)
        kept = out / f"{settings.name}.match.pt"
        if settings.resume and kept.exists():
            network.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True))
        else:
            spent["match"] = Loop(settings, stage, network, clips, out).run()
            torch.save(network.state_dict(), kept)
    if settings.versions:
        clips = with_features(clips, network, settings.versions, settings.seed)
        everything = [p for name, p in network.named_parameters() if not name.startswith("fnet.")]

    def following(step: Step, generator: torch.Generator, done: float) -> dict[str, torch.Tensor]:
        return losses(follow(step, generator, settings.taught * (1 - done)), step, network.config.stride)

    stage = Stage("follow", following, everything, settings.minutes, settings.steps, settings.windows)
    spent["follow"] = Loop(settings, stage, network, clips, out).run()
    return spent


def check_settings(settings: TrackerSettings) -> Path:
    """The folder of the clips.

    Raises:
        InputError: with the way out.
    """
    kind, _, place = settings.data.partition(":")
    if kind != "streetsim" or not place:
        raise InputError("no clips with points; give --data streetsim:ROOT/tracks (samodal synth --points makes them)")
    if not Path(place).is_dir():
        raise InputError(f"{place}: no such folder; samodal synth --split tracks --points --out ROOT makes it")
    check_length(settings)
    check_precision(settings)
    return Path(place)


def write_card(
    checkpoint: Path,
    settings: TrackerSettings,
    tracker: CoTracker3,
    clips: int,
    spent: dict[str, Progress],
    metrics: dict[str, float],
) -> None:
    """The model card beside the checkpoint."""
    config = tracker.config.to_dict()
    costs = {name: vars(progress) for name, progress in spent.items()}
    facts = card.facts_of(settings, tracker.network, config, metrics, spent=costs, clips=clips)
    origin = f"trained on from {settings.init}" if settings.init else card.OURS
    what = f"A CoTracker3 of {facts['parameters']:,} parameters, {origin}."
    points = [
        f"data: {settings.data}: {clips:,} clips, instances and scenery; seed {settings.seed}",
        f"cost: {', '.join(f'{name} {progress}' for name, progress in spent.items())} of {settings.batch} clips a "
        f"step on {facts['hardware']}, {facts['peak_memory_gb']:.1f} GB of GPU memory",
        card.made_by(facts),
    ]
    about = (
        f"The newest frame of windows that follow each other, on {settings.held_out} clips that were not trained "
        "on: mean share of points within 0.5, 1, 2, 4 and 8 pixels of the network's frames (about 1 to 16 of a frame "
        "960 wide), of visible and of hidden points; and how often it is told rightly which of the two they are."
    )
    parts = {"Held-out clips": card.held_out_table(about, metrics), "Config": card.yaml(config)}
    card.write(checkpoint, facts, what, points, parts, card.log_end(checkpoint.parent / f"{settings.name}.log.jsonl"))
