"""The pipeline by number of instances, in turn with the same work in the manner of the released code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from samodal.bench.scenes import SHOWN, Scene
from samodal.bench.settings import BenchSettings
from samodal.bench.stages import Clock, latencies
from samodal.build import found_device, make_method
from samodal.parts import Features, Prediction, Prompt, Segmenter
from samodal.settings import RunSettings

TENTH = 10
"""Frames of which the first and the last time are the median: a hidden instance must not cost more and more."""


class Released:
    """A segmenter that encodes the frame again for each instance, and decodes each alone, as the released code does."""

    def __init__(self, segmenter: Segmenter):
        self._segmenter = segmenter

    def encode(self, frames: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return frames

    def decode(self, frames: Sequence[np.ndarray], prompts: Sequence[Prompt], index: Sequence[int]) -> _Answers:
        answers = []
        for prompt, n in zip(prompts, index, strict=True):
            features: Features = self._segmenter.encode([frames[n]])
            answers += self._segmenter.decode(features, [prompt], [0]).predictions()
        return _Answers(answers)


class _Answers(list[Prediction]):
    def predictions(self) -> list[Prediction]:
        return self


def grid(settings: BenchSettings) -> list[dict[str, Any]]:
    """A row for each number of visible and hidden instances."""
    rows = []
    for visible in settings.numbers("visible"):
        for hidden in settings.numbers("hidden"):
            rows.append(measured(settings, visible, hidden))
            shown = "  ".join(f"{key} {value:.1f}" for key, value in rows[-1]["ours"].items())
            print(f"{visible:>3} visible {hidden:>3} hidden: {shown}  ratio {rows[-1]['ratio']:.2f}", file=sys.stderr)
    return rows


def measured(settings: BenchSettings, visible: int, hidden: int) -> dict[str, Any]:
    """One row: latencies of `Pipeline.step` in ours and in the released manner, their ratio, and ours by stage."""
    ours, released = (make_method(RunSettings(**settings.parts)) for _ in range(2))
    released.segmenter = Released(released.segmenter)
    stages = {name: f"method.pipeline:Pipeline.{method}" for name, method in
              (("prompts", "_select"), ("segmenter", "_segment"), ("hidden phase", "_follow"))}  # fmt: skip
    scene, clock = Scene((settings.height, settings.width), visible, hidden), Clock()
    done = synchronised(settings.device)
    for pipeline in (ours, released):
        pipeline.reset("bench")
    seconds: tuple[list[float], list[float]] = ([], [])
    for t, instances in enumerate(scene.frames(settings.rounds)):
        for spent, pipeline, watch in zip(seconds, (ours, released), (clock, Clock()), strict=True):
            done()
            start = perf_counter()
            with watch.on(stages if t >= SHOWN else {}):
                result = pipeline.step(scene.image, instances, t / 10)
            done()
            spent.append(perf_counter() - start)
    ours_s, released_s = (spent[SHOWN:] for spent in seconds)
    states = [str(instance.state) for instance in result.instances]
    return {
        "visible": visible,
        "hidden": hidden,
        "found_hidden": sum(state not in ("visible", "kept") for state in states),
        "ours": latencies(ours_s),
        "released": latencies(released_s),
        "ratio": min(released_s) / min(ours_s),
        "first_ms": 1000 * float(np.median(ours_s[:TENTH])),
        "last_ms": 1000 * float(np.median(ours_s[-TENTH:])),
        "stages": clock.table(settings.rounds),
    }


def synchronised(device: str):
    """What to call before the clock is read: a GPU works on while the program goes on."""
    import torch

    if not found_device(device).startswith("cuda"):
        return lambda: None
    return torch.cuda.synchronize
