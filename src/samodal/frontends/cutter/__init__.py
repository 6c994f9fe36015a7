"""Visible masks of boxes: a crop around each, and a small network that cuts the object out of it."""

from samodal.frontends.cutter.config import CutterConfig
from samodal.frontends.cutter.masks import Box, visible_masks
from samodal.frontends.cutter.network import Cut, Cutter
from samodal.frontends.cutter.weights import load, save

__all__ = ["Box", "Cut", "Cutter", "CutterConfig", "load", "save", "visible_masks"]
