"""Amodal video instance segmentation for driving: which pixels every object covers, the hidden ones included.

    import samodal

    tracker = samodal.load()
    for frame in tracker.stream("drive.mp4"):
        frame.ids, frame.masks("amodal")

Names are imported when they are first used, so that `import samodal` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from samodal.version import __version__

if TYPE_CHECKING:
    from samodal.api import AmodalTracker, load
    from samodal.confidence import Confidence
    from samodal.errors import InputError
    from samodal.masks import Mask
    from samodal.method.pipeline import Pipeline
    from samodal.method.rules import Rules, preset
    from samodal.parts import FrontEnd, Method, PointTracker, Prompt, PromptSelector, Segmenter, Video, VisSession
    from samodal.rle import Rle
    from samodal.tracks import FrameResult, Instance, State, VisibleInstance
    from samodal.video import open_video
    from samodal.views.frame import FrameView
    from samodal.views.run import Run, open_run
    from samodal.views.tracks import Tracks

__all__ = [
    "AmodalTracker", "Confidence", "FrameResult", "FrameView", "FrontEnd", "InputError", "Instance", "Mask", "Method",
    "Pipeline", "PointTracker", "Prompt", "PromptSelector", "Rle", "Rules", "Run", "Segmenter", "State", "Tracks",
    "Video", "VisSession", "VisibleInstance", "__version__", "load", "open_run", "open_video", "preset",
]  # fmt: skip

_HOMES = {
    "api": ("AmodalTracker", "load"),
    "confidence": ("Confidence",),
    "errors": ("InputError",),
    "masks": ("Mask",),
    "method.pipeline": ("Pipeline",),
    "method.rules": ("Rules", "preset"),
    "parts": (
        "FrontEnd", "Method", "PointTracker", "Prompt", "PromptSelector", "Segmenter", "Video", "VisSession",
    ),
    "rle": ("Rle",),
    "tracks": ("FrameResult", "Instance", "State", "VisibleInstance"),
    "video": ("open_video",),
    "views.frame": ("FrameView",),
    "views.run": ("Run", "open_run"),
    "views.tracks": ("Tracks",),
}  # fmt: skip


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"samodal.{home}"), name)
    raise AttributeError(f"module 'samodal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
