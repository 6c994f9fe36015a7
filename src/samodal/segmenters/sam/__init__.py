"""The amodal SAM (paper, supplement A): a Segment Anything model with adapters in its image encoder."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samodal.segmenters.sam.config import AmodalSamConfig
    from samodal.segmenters.sam.load import load_segmenter
    from samodal.segmenters.sam.model import AmodalSam
    from samodal.segmenters.sam.segmenter import SamSegmenter

__all__ = ["AmodalSam", "AmodalSamConfig", "SamSegmenter", "load_segmenter"]

_HOMES = {
    "AmodalSam": "model",
    "AmodalSamConfig": "config",
    "SamSegmenter": "segmenter",
    "load_segmenter": "load",
}


def __getattr__(name: str):
    # torch and transformers take seconds to import, so they come with the first use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
