"""Amodal video instance segmentation for driving."""

__version__ = "0.1.0"
