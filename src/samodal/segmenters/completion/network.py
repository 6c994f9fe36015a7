"""The completer's network, over a crop of masks.

It answers a stronger prompt than points (the paper's outlook, section 7): the whole visible mask of an instance and the
masks of its neighbours. Its input has no pixels of the picture, so it does not depend on how a camera or a simulator
draws things. Amodal completion of masks from masks: PCNet-M (Zhan et al. 2020); two heads: ViTA-Seg (2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.segmenters.completion.config import CompletionConfig
from samodal.segmenters.completion.crop_network import CropNetwork


class Completed(NamedTuple):
    """Of N crops.

    Attributes:
        amodal: (N, S, S) logits of the whole object.
        hidden: the same of its hidden part; None without that head.
        iou: (N,) logits of the IoU of the amodal mask, united with the visible mask, with the truth.
    """

    amodal: Tensor
    hidden: Tensor | None
    iou: Tensor


def stacked(told: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """(N, L, S, S) input of a completer.

    Args:
        told: (N, S, S) each, as `samodal.segmenters.completion.layers.told` names them.
        names: of the layers wanted. Two of them follow from others: "neighbours", all that are in front or behind, and
            "contact", where something else meets the visible mask (ASBU, Nguyen and Todorovic 2021).
    """
    told = dict(told)
    if "neighbours" in names or "contact" in names:
        told["neighbours"] = torch.maximum(told["front"], told["behind"])
    if "contact" in names:
        told["contact"] = _grown(told["visible"]) * _grown(told["neighbours"])
    return torch.stack([told[name] for name in names], 1)


def _grown(layer: Tensor) -> Tensor:
    return F.max_pool2d(layer[:, None], 5, stride=1, padding=2)[:, 0]


class Completer(CropNetwork):
    """Completes crops.

    Args:
        config: see `CompletionConfig`.
    """

    def __init__(self, config: CompletionConfig):
        super().__init__(config, masks=1 + config.hidden_head)

    def of_whole_masks(self) -> Completer:
        """The same network without the head for the hidden part, which only training asks for."""
        network, state = Completer.initialise(self.config.replace(hidden_head=False), 0), self.state_dict()
        kept = {name: state[name][: len(value)] for name, value in network.masks.state_dict(prefix="masks.").items()}
        network.load_state_dict(state | kept)
        return network.train(self.training)

    def forward(self, layers: Tensor, kinds: Tensor) -> Completed:
        """Complete.

        Args:
            layers: (N, L, S, S) float in [0, 1], in the order of the config.
            kinds: (N,) int64, numbers of classes, 0 for unknown.
        """
        masks, iou = self.answers(layers, kinds)
        return Completed(masks[:, 0], masks[:, 1] if self.config.hidden_head else None, iou)
