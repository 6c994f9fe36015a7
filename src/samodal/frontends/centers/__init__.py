"""Instances of single frames from the embedding that the amodal SAM makes of them anyway."""

from samodal.frontends.centers.model import Centers, CentersConfig, Predicted
from samodal.frontends.centers.weights import load, save

__all__ = ["Centers", "CentersConfig", "Predicted", "load", "save"]
