"""What a step minimises: the loss on the masks, and on the predicted IoU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from samodal.images import FrameTransform
from samodal.training.losses import focal_dice, iou_loss, released_loss, true_iou
from samodal.training.sam.batch import Batch

SURELY_OUTSIDE = -50.0
"""A logit whose focal and dice loss against "outside" is zero in float32."""


@dataclass(frozen=True)
class Objective:
    """How predictions are judged.

    Attributes:
        loss: "focal_dice" or "released".
        iou_weight: of the loss on the predicted IoU; 0 leaves it out.
        size: where masks are compared: "double" the decoder's resolution, the "input", or the original "frame".
    """

    loss: str
    iou_weight: float
    size: str

    def __call__(
        self,
        logits: torch.Tensor,
        iou: torch.Tensor,
        target: torch.Tensor,
        batch: Batch,
        transform: FrameTransform,
    ) -> dict[str, torch.Tensor]:
        """Judge the predictions of a step.

        Args:
            logits: (N, M, 4h, 4w); of M > 1 masks only the best is trained, the IoU head on all.
            iou: (N, M).
            target: (N, H, W) bool at input size.
            batch: the rest of the step.
            transform: of the model.

        Returns:
            Scalars: "loss" (with gradient), "mask_loss", "iou_loss", "iou" (mean true IoU).
        """
        unknown = batch.unknown
        if unknown is not None:
            _, unknown = self.sized(logits, unknown, batch, transform)
        logits, target = self.sized(logits, target, batch, transform)
        if unknown is not None:
            # Surely outside, in prediction and target alike: no part of the loss counts such a pixel.
            target = target * (1 - unknown)
            logits = logits.masked_fill(unknown[:, None] > 0, SURELY_OUTSIDE)
        mask_loss = self._mask_loss(logits, target)
        with torch.no_grad():
            reached = true_iou(logits, target[:, None])
        values = {"mask_loss": mask_loss, "iou": reached.amax(1).mean()}
        if self.iou_weight:
            repeated = target[:, None].expand_as(logits).flatten(0, 1)
            values["iou_loss"] = iou_loss(iou.flatten(), logits.flatten(0, 1), repeated)
        else:
            values["iou_loss"] = torch.zeros_like(mask_loss)
        values["loss"] = mask_loss + self.iou_weight * values["iou_loss"]
        return {k: v if k == "loss" else v.detach() for k, v in values.items()}

    def _mask_loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.loss == "released":
            return released_loss(logits[:, 0], target)
        count = logits.shape[1]
        each = focal_dice(logits.flatten(0, 1), target.repeat_interleave(count, dim=0))
        each = each.view(-1, count)
        return each.amin(1).mean()

    def sized(
        self, logits: torch.Tensor, target: torch.Tensor, batch: Batch, transform: FrameTransform
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, M, H, W) and targets (N, H, W) float at the size where they are compared.

        Targets at the original size come from masks at input size: what the resizing lost stays lost.
        """
        target = target.float()
        if self.size == "double":
            size = (2 * logits.shape[-2], 2 * logits.shape[-1])
            halved = F.avg_pool2d(target[:, None], target.shape[-2] // size[0])[:, 0]
            return _upsample(logits, size), (halved >= 0.5).float()
        if self.size == "input":
            return _upsample(logits, target.shape[-2:]), target
        frame_size = tuple(batch.frame_size[0].tolist())
        height, width = batch.content[0].tolist()
        large = transform.to_frame(logits.flatten(0, 1), frame_size)
        target = F.interpolate(target[:, None, :height, :width], frame_size, mode="nearest-exact")[:, 0]
        return large.view(*logits.shape[:2], *frame_size), target


def _upsample(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(logits.float(), tuple(size), mode="bilinear", align_corners=False)
