"""What SAVOS is trained by: windows to the sum of its losses (facts/datasets_metrics.md 3.4)."""

from __future__ import annotations

import torch
from torch import nn

from samodal.baselines.savos import Savos
from samodal.baselines.savos.losses import consistency_loss, patch_loss, reconstruction_loss
from samodal.training.savos.draw import Windows


class Objective(nn.Module):
    """The losses of a network on windows.

    Args:
        network: that is trained.
        patch_weight: of the loss on pictures, .1 for FishBowl and 0 for KINS-car.
    """

    def __init__(self, network: Savos, patch_weight: float = 0.0):
        super().__init__()
        self.network, self.patch_weight = network, patch_weight

    def forward(self, windows: Windows) -> dict[str, torch.Tensor]:
        """reconstruction, consistency (both directions), patch where it is weighed, and loss, their sum."""
        given, valid = windows.inputs(), windows.valid
        found = self.network(*given)
        directions = (found.forward, valid), (found.reverse, valid.flip(1))
        values = {
            "reconstruction": reconstruction_loss(found.probability, given.visible, windows.counted, valid),
            "consistency": sum(consistency_loss(*one) for one in directions),
        }
        loss = values["reconstruction"] + values["consistency"]
        if self.patch_weight:
            images = windows.images.movedim(-1, 2).float() / 255
            both = (images, given.visible), (images.flip(1), given.visible.flip(1))
            values["patch"] = sum(
                patch_loss(one, *seen, known) for (one, known), seen in zip(directions, both, strict=True)
            )
            loss = loss + self.patch_weight * values["patch"]
        return values | {"loss": loss}
