"""What SAVOS learns from: visible masks alone, by the losses of the released code."""

import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.baselines.savos.model import SQUEEZE, Directed
from samodal.baselines.savos.warp import warp


def reconstruction_loss(probability: Tensor, visible: Tensor, counted: Tensor, valid: Tensor) -> Tensor:
    """Binary cross entropy of the prediction for frame t + 1 against its visible mask, a scalar.

    Summed over the image, mean over the valid frames among 1 ... T - 2: those that both directions predict.

    Args:
        probability: (B, T, H, W), as `Predicted.probability`.
        visible: (B, T, H, W), 1 in the object's visible pixels.
        counted: (B, T, H, W), 0 in the visible masks of other objects, where nobody knows, elsewhere 1.
        valid: (B, T), 0 for frames that only fill a batch.
    """
    predicted, wanted = probability[:, :-2].clamp(SQUEEZE, 1 - SQUEEZE), visible[:, 1:-1].to(probability)
    each = F.binary_cross_entropy(predicted, wanted, reduction="none") * counted[:, 1:-1]
    used = valid[:, 1:-1].to(probability)
    return (each.sum((2, 3)) * used).sum() / used.sum().clamp(min=1)


def consistency_loss(direction: Directed, valid: Tensor) -> Tensor:
    """How little the mask of each frame, warped, agrees with the mask of the next: 1 - soft IoU; a scalar.

    Times validity, summed up over time so that an early disagreement counts in all frames after it, summed over
    frames and averaged over the batch. Soft IoU is the sum of products over the sum of a + b - ab. The form of
    the released code is not known exactly: the value here is 2 % below its value on the golden input.

    Args:
        direction: the pass of a direction; the loss of SAVOS is the sum of both.
        valid: (B, T) in that direction's order, 0 for frames that only fill a batch.
    """
    moved, following = direction.warped[:, :-1, 0], direction.full[:, 1:, 0]
    both = (moved * following).sum((2, 3))
    either = (moved + following).sum((2, 3)) - both
    apart = (1 - both / either.clamp(min=SQUEEZE)) * valid[:, 1:].to(moved)
    return torch.cumsum(apart, 1).sum(1).mean()


def patch_loss(direction: Directed, images: Tensor, visible: Tensor, valid: Tensor) -> Tensor:
    """How much pictures of the object, warped, differ from the next pictures, as FishBowl's training has it; a scalar.

    Absolute differences, meant over colours and summed over the pixels that both the warped and the next visible mask
    have; mean over the valid frames. They are summed as in `reconstruction_loss`; the released form is not known.

    Args:
        direction: the pass of a direction.
        images: (B, T, 3, H, W) in that direction's order, in 0..1.
        visible: (B, T, H, W) in that order, 1 in the object's visible pixels.
        valid: (B, T) in that order, 0 for frames that only fill a batch.
    """
    shown = torch.cat([images, visible[:, :, None].to(images)], 2)[:, :-1]
    moved = warp(shown.flatten(0, 1), direction.motion[:, :-1].flatten(0, 1)).unflatten(0, shown.shape[:2])
    overlap = moved[:, :, 3] * visible[:, 1:]
    apart = ((moved[:, :, :3] - images[:, 1:]).abs().mean(2) * overlap).sum((2, 3))
    used = valid[:, 1:].to(apart)
    return (apart * used).sum() / used.sum().clamp(min=1)
