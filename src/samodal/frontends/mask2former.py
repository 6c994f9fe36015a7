"""`mask2former:CHECKPOINT`: Mask2Former (Cheng et al. 2022) on single frames, with our association."""

from pathlib import Path

import torch

from samodal.checkpoints.hub import Wanted
from samodal.errors import InputError
from samodal.frontends.hub_segmenter import HubSegmenter, Preparation


class Mask2Former(HubSegmenter):
    """A Mask2Former trained for instances or panoptics; of a panoptic model only the road users are taken."""

    wanted = Wanted("Mask2Former", "mask2former", "facebook/mask2former-swin-tiny-coco-instance")

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        if "semantic" in Path((argument or "").split(",")[0]).name.lower():
            raise InputError(
                f"--vis mask2former:{argument}: a semantic checkpoint has one mask for all cars of a frame; take one "
                "that ends in -instance or -panoptic"
            )
        super().__init__(argument, device)

    @staticmethod
    def architecture():
        from transformers import Mask2FormerForUniversalSegmentation

        return Mask2FormerForUniversalSegmentation

    @staticmethod
    def preparation(config) -> Preparation:
        return Preparation({"shortest_edge": 800, "longest_edge": 1333}, divisor=32)

    @staticmethod
    def read(output) -> tuple[torch.Tensor, torch.Tensor]:
        # The last class is "nothing".
        return output.class_queries_logits[0].softmax(-1)[:, :-1], output.masks_queries_logits[0]
