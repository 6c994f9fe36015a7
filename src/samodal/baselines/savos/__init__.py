"""SAVOS: amodal masks of a whole track from its visible masks and optical flow, to compare with.

Source: Yao et al. 2022, "Self-supervised Amodal Video Object Segmentation", and the code released with it
(amazon-science/self-supervised-amodal-video-object-segmentation), which "the released code" means in this package.
"""

from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.model import Savos
from samodal.baselines.savos.weights import load, save

__all__ = ["Savos", "SavosConfig", "load", "save"]
