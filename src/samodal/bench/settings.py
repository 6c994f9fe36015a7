"""What `samodal bench` takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from samodal.errors import InputError
from samodal.registry import SEGMENTERS, TRACKERS

WARM = 3
"""Frames of the whole run that are not counted: caches and memory are filled then."""


@dataclass(frozen=True)
class BenchSettings:
    """Frames a second, latency, start-up time and memory on this machine, by stage and by number of instances."""

    video: str | None = field(default=None, metadata={"positional": str})
    """Video of the whole run; by default the embedded real clip."""
    json: Path | None = None
    """Write the numbers to this file."""
    against: Path | None = None
    """A file of --json from an earlier commit: ends with exit code 3 where a ratio is more than 5 % below its own."""
    frames: int = 40
    """Frames of the whole run."""
    visible: str = "1,5,10,30"
    """Numbers of visible instances of the drawn scenes, separated by commas; empty for none of these scenes."""
    hidden: str = "0,1,10"
    """Numbers of hidden instances beside them."""
    rounds: int = 12
    """Frames measured in each scene."""
    height: int = 540
    """Height of the drawn scenes in pixels."""
    width: int = 960
    """Width of the drawn scenes in pixels."""
    disk: int = 0
    """Measure also 1080p JPEGs on disk to lines on disk, so many of them, with ten visible instances: an untrained
    network in the manner of the released code, ours, and ours compiled. Meant for an NVIDIA GPU."""
    disk_network: Literal["vit_b", "vit_l", "vit_h", "small", "tiny"] = "vit_b"
    """Size of that network; the last two take smaller pictures."""
    table: Path | None = None
    """Write the rows of --disk to this CSV file."""
    preset: str = "default"
    """As for samodal run."""
    segmenter: str | None = field(default=None, metadata={"parts": ("segmenter", SEGMENTERS)})
    """As for samodal run."""
    weights: str | None = None
    """As for samodal run."""
    tracker: str = field(default="lucas_kanade", metadata={"parts": ("point tracker", TRACKERS)})
    """As for samodal run."""
    device: str = "auto"
    """As for samodal run."""
    backend: Literal["torch", "onnx", "compiled"] = "torch"
    """As for samodal run."""

    @property
    def parts(self) -> dict[str, Any]:
        """What of these settings `RunSettings` has as well."""
        names = ("preset", "segmenter", "weights", "tracker", "device", "backend")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self):
        if self.frames <= WARM or self.rounds < 2 or min(self.height, self.width) < 64:
            raise InputError(f"frames must be {WARM + 1} or more, rounds 2 or more, height and width 64 or more")
        if self.disk and self.disk < 40:
            raise InputError(f"--disk {self.disk}: expected 40 frames or more, or 0 for none")
        if self.against is not None and not self.against.is_file():
            raise InputError(f"--against {self.against}: no such file; samodal bench --json {self.against} writes it")

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers that `visible` or `hidden` lists; raises InputError where they are none."""
        try:
            numbers = tuple(int(word) for word in getattr(self, name).split(",") if word)
        except ValueError:
            numbers = (-1,)
        if min(numbers, default=1) < (name == "visible"):
            raise InputError(f"--{name} {getattr(self, name)}: expected numbers with commas between, as 1,5,10")
        return numbers
