"""How long each stage of the work takes, measured where its function is called."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from time import perf_counter, thread_time
from unittest.mock import patch

import numpy as np

RUN = {
    "detector": "frontends.detector.front_end:boxes_in",
    "cutter": "frontends.detector.front_end:detections",
    "association": "method.association:Association.step",
    "cuts": "method.cuts:CutDetector.step",
    "camera": "method.camera:Look.at",
    "prompts": "method.pipeline:Pipeline._select",
    "segmenter": "method.pipeline:Pipeline._segment",
    "memory": "method.pipeline:Pipeline._remember",
    "hidden phase": "method.pipeline:Pipeline._follow",
    "lines": "results.frames:FramesWriter.write",
    "saved state": "runs.saved:SavedRun._save",
    "drawing": "drawing.overlay:Drawer.draw",
    "writing video": "drawing.video:VideoWriter.write",
}
"""Stages of a run, each with the function that does it. Decoding is measured as what an iterator takes."""
BUDGET = {
    "decoding": 6, "detector": 85, "cutter": 66, "association": 12, "cuts": 5, "camera": 10, "prompts": 9,
    "segmenter": 95, "memory": 8, "hidden phase": 6, "lines": 4, "saved state": 4, "drawing": 9, "writing video": 14,
}  # fmt: skip
"""Milliseconds on the processor that a frame may take for 6 frames a second on two cores, 333 in all: of 960x540 with
eight instances, by `--backend onnx`."""
ORDER = {stage: n for n, stage in enumerate(BUDGET)}


class Clock:
    """Seconds by stage: by the clock, and of the calling thread on the processor."""

    def __init__(self) -> None:
        self.spent: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def wrapped(self, stage: str, function: Callable) -> Callable:
        """The function, measured as a stage."""

        @functools.wraps(function)
        def measured(*arguments, **named):
            start, worked = perf_counter(), thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.spent[stage].append((perf_counter() - start, thread_time() - worked))

        return measured

    def items(self, stage: str, items: Iterator) -> Iterator:
        """The items of an iterator; what it takes to make them is a stage."""
        following = self.wrapped(stage, lambda: next(items, None))
        while (item := following()) is not None:
            yield item

    @contextmanager
    def on(self, stages: Mapping[str, str]) -> Iterator[None]:
        """Measure these functions of the package, wherever they are called, until the end of the `with` statement."""
        with ExitStack() as stack:
            for stage, place in stages.items():
                module, _, path = place.partition(":")
                owner, _, name = path.rpartition(".")
                target = import_module(f"samodal.{module}")
                target = getattr(target, owner) if owner else target
                stack.enter_context(patch.object(target, name, self.wrapped(stage, getattr(target, name))))
            yield

    def table(self, frames: int) -> dict[str, dict[str, float]]:
        """{stage: {"ms": a frame by the clock, "cpu_ms": on the processor, "best_ms": least of a call}}, those of a run
        in its order."""
        return {
            stage: {
                "ms": 1000 * sum(wall for wall, _ in spent) / frames,
                "cpu_ms": 1000 * sum(cpu for _, cpu in spent) / frames,
                "best_ms": 1000 * min(wall for wall, _ in spent),
            }
            for stage, spent in sorted(self.spent.items(), key=lambda entry: ORDER.get(entry[0], len(ORDER)))
        }


def latencies(seconds: list[float]) -> dict[str, float]:
    """p50, p90 and p99 in milliseconds, and frames a second by the median."""
    values = 1000 * np.asarray(seconds)
    quantiles = {f"p{share}": float(np.percentile(values, share)) for share in (50, 90, 99)}
    return quantiles | {"fps": 1000 / quantiles["p50"]}
