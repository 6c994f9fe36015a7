"""The losses of the paper (section 4), of the released code, and of SAM's IoU head. All take (N, H, W)."""

import torch
import torch.nn.functional as F

ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss, as its authors found best (Lin et al. 2017)."""


def focal_dice(
    logits: torch.Tensor, targets: torch.Tensor, focal_weight: float = 20.0, dice_weight: float = 1.0
) -> torch.Tensor:
    """Focal plus dice loss per instance, as SAM was trained and as the paper says.

    Args:
        logits: (N, H, W) float, before the sigmoid.
        targets: (N, H, W) of the same size, bool or float in [0, 1].
        focal_weight, dice_weight: SAM's 20 to 1.

    Returns:
        (N,), so that the best of SAM's three masks can be chosen.

    Source: Kirillov et al. 2023, section 3; the sums are taken per instance so that small instances count as much.
    """
    logits, targets = logits.float().flatten(1), targets.to(torch.float32).flatten(1)
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    miss = probability + targets - 2 * probability * targets
    share = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    focal = (share * miss**GAMMA * entropy).mean(1)
    dice = 1 - (2 * (probability * targets).sum(1) + 1) / (probability.sum(1) + targets.sum(1) + 1)
    return focal_weight * focal + dice_weight * dice


def released_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss that the released training computes, a scalar: 20 x focal of the mean cross-entropy, plus dice.

    It differs from `focal_dice` in that the focal factor is that of the mean over the whole batch (alpha .8,
    gamma 2), and dice pools the batch too (smooth 1).

    Args:
        logits, targets: (N, H, W) or (N, 1, H, W) float, at the frame's own size.

    Source: released code, `SAM/sam_finetune.py` at 7e70a11.
    """
    logits, targets = logits.float(), targets.to(torch.float32)
    entropy = F.binary_cross_entropy_with_logits(logits, targets)
    focal = 0.8 * (1 - torch.exp(-entropy)) ** 2 * entropy
    probability = logits.sigmoid()
    dice = 1 - (2 * (probability * targets).sum() + 1) / (probability.sum() + targets.sum() + 1)
    return 20 * focal + dice


def true_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of the masks logits > 0 with the targets > .5, (..., H, W) to (...); 1 where both are empty."""
    predicted, targets = logits > 0, targets > 0.5
    both = (predicted & targets).sum((-2, -1)).float()
    either = (predicted | targets).sum((-2, -1)).float()
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def iou_loss(predicted: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the predicted IoU against the true one, a scalar.

    Args:
        predicted: (N,), of the IoU head.
        logits, targets: (N, H, W); no gradient flows into the logits.

    Source: Kirillov et al. 2023, appendix A (mean squared error on the true IoU).
    """
    return ((predicted.float() - true_iou(logits.detach(), targets)) ** 2).mean()
