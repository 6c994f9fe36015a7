"""VidEoMT, an online video segmenter that is a plain vision transformer: our own implementation of the network.

Norouzi et al., "Your ViT is Secretly Also a Video Segmentation Model" (CVPR 2026). Parameters are named as in
transformers' `videomt`, whose checkpoints load; unlike there, the queries that carry identities go in and out of every
frame, inputs may be rectangular, and nothing needs torchvision.
"""

from samodal.frontends.videomt.config import SIZES, VideomtConfig
from samodal.frontends.videomt.model import Network, Predicted
from samodal.frontends.videomt.weights import load, save

__all__ = ["SIZES", "Network", "Predicted", "VideomtConfig", "load", "save"]
