"""`rf_detr:CHECKPOINT`: RF-DETR with masks (Roboflow 2025) on single frames, with our association."""

import torch

from samodal.checkpoints.hub import Wanted
from samodal.errors import InputError
from samodal.frontends.hub_segmenter import HubSegmenter, Preparation


class RfDetr(HubSegmenter):
    """An RF-DETR that gives masks; a model that gives boxes alone is refused."""

    wanted = Wanted("RF-DETR", "rf_detr", "Roboflow/rf-detr-seg-medium")

    @staticmethod
    def architecture():
        try:
            from transformers import RfDetrForInstanceSegmentation
        except ImportError:
            from transformers import __version__

            raise InputError(
                f"--vis rf_detr: transformers {__version__} has no RF-DETR with masks; pip install 'transformers>=5.23'"
            ) from None
        return RfDetrForInstanceSegmentation

    @staticmethod
    def preparation(config) -> Preparation:
        side = config.backbone_config.image_size
        height, width = (side, side) if isinstance(side, int) else side
        return Preparation({"height": height, "width": width})

    @staticmethod
    def read(output) -> tuple[torch.Tensor, torch.Tensor]:
        return output.logits[0].sigmoid(), output.pred_masks[0]
