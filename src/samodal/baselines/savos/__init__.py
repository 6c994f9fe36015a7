"""SAVOS: amodal masks of a whole track from its visible masks and optical flow, to compare with."""

from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.model import Savos
from samodal.baselines.savos.weights import load, save

__all__ = ["Savos", "SavosConfig", "load", "save"]
