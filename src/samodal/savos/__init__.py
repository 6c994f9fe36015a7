"""SAVOS: amodal masks of a whole track from its visible masks and optical flow, to compare with."""

from samodal.savos.checkpoints import load, save
from samodal.savos.config import SavosConfig
from samodal.savos.model import Savos

__all__ = ["Savos", "SavosConfig", "load", "save"]
