"""Instances of single frames from the embedding that the amodal SAM makes of them anyway."""

from samodal.frontends.centers.checkpoints import load, save
from samodal.frontends.centers.model import Centers, CentersConfig, Predicted

__all__ = ["Centers", "CentersConfig", "Predicted", "load", "save"]
