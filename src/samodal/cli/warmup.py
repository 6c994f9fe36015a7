"""`samodal warmup`: compile once what `--backend compiled` needs, so that no run has to wait for it."""

from dataclasses import dataclass, field

from samodal.errors import InputError
from samodal.registry import SEGMENTERS


@dataclass(frozen=True)
class WarmupSettings:
    """Compile the amodal SAM for frames of one size. Later runs with --backend compiled take it from the cache folder
    (XDG_CACHE_HOME); it holds for this GPU and this version of torch."""

    height: int = 1080
    """Height of the frames in pixels."""
    width: int = 1920
    """Width of the frames in pixels."""
    points: int = 1
    """Prompt points of each instance: the rule `points` of the runs to come."""
    segmenter: str = field(default="sam", metadata={"parts": ("segmenter", SEGMENTERS)})
    """As for samodal run."""
    weights: str | None = None
    """As for samodal run."""
    device: str = "auto"
    """As for samodal run."""

    def __post_init__(self):
        if min(self.height, self.width) < 16 or not 1 <= self.points <= 255:
            raise InputError("warmup: height and width must be 16 or more, points from 1 to 255")


def main(settings: WarmupSettings) -> None:
    """Compile, and print how long each step took."""
    from time import perf_counter

    from samodal.build import segmenter_of, with_segmenter
    from samodal.settings import RunSettings

    wanted = with_segmenter(RunSettings(segmenter=settings.segmenter, weights=settings.weights, preset="paper"))
    segmenter = segmenter_of(wanted.segmenter, wanted.weights, settings.device, "compiled")
    if not hasattr(segmenter, "warm"):
        raise InputError(f"warmup: the segmenter {settings.segmenter} has nothing to compile")
    start = perf_counter()
    for step in segmenter.warm((settings.height, settings.width), settings.points):
        print(f"{perf_counter() - start:6.1f} s  {step}", flush=True)
