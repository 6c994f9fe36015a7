"""The cutter's network: what of a box is visible, from the pixels of a crop around it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from samodal.frontends.cutter.config import CutterConfig
from samodal.segmenters.completion.crop_network import CropNetwork


class Cut(NamedTuple):
    """Of N crops.

    Attributes:
        visible: (N, S, S) logits of the visible mask.
        iou: (N,) logits of its IoU with the truth.
    """

    visible: Tensor
    iou: Tensor


class Cutter(CropNetwork):
    """Visible masks of boxes.

    Args:
        config: see `CutterConfig`.
    """

    def __init__(self, config: CutterConfig):
        super().__init__(config, masks=1)

    def forward(self, layers: Tensor, kinds: Tensor) -> Cut:
        """Cut.

        Args:
            layers: (N, L, S, S) float, in the order of the config.
            kinds: (N,) int64, numbers of classes, 0 for unknown.
        """
        masks, iou = self.answers(layers, kinds)
        return Cut(masks[:, 0], iou)
