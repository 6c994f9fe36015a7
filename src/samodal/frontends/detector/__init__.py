"""A detector of road users in pictures of real streets."""

from samodal.frontends.detector.boxes import boxes_in
from samodal.frontends.detector.config import DetectorConfig
from samodal.frontends.detector.model import Detector, Raw
from samodal.frontends.detector.weights import load, save

__all__ = ["Detector", "DetectorConfig", "Raw", "boxes_in", "load", "save"]
