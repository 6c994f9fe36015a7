"""SAVOS: amodal masks of a whole track from its visible masks and optical flow, to compare with."""

from samodal.baselines.savos.checkpoints import load, save
from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.model import Savos

__all__ = ["Savos", "SavosConfig", "load", "save"]
