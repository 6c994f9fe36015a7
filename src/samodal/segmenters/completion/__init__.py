"""Completion of whole visible masks in crops: shapes from shapes, without pixels."""

from samodal.segmenters.completion.choose import load_segmenter
from samodal.segmenters.completion.config import CompletionConfig
from samodal.segmenters.completion.network import Completed, Completer
from samodal.segmenters.completion.segmenter import CompletionSegmenter
from samodal.segmenters.completion.weights import load, save

__all__ = ["Completed", "Completer", "CompletionConfig", "CompletionSegmenter", "load", "load_segmenter", "save"]
