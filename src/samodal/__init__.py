"""Amodal video instance segmentation for driving."""

from samodal.version import __version__

__all__ = ["__version__"]
