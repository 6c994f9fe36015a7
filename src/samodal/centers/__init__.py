"""Instances of single frames from the embedding that the amodal SAM makes of them anyway."""

from samodal.centers.checkpoints import load, save
from samodal.centers.model import Centers, CentersConfig, Predicted

__all__ = ["Centers", "CentersConfig", "Predicted", "load", "save"]
