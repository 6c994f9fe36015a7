"""An untrained amodal SAM of a real size, whose masks are those of a drawn scene.

Networks of the released size come without weights here, and an untrained one answers in noise, of which run lengths are
a hundred times longer than of objects. So the network does all its work, and after it the scene's masks take the place
of the noise: what follows it has masks as it would have them.
"""

from __future__ import annotations

from typing import Any

import torch

from samodal.bench.scenes import Scene
from samodal.segmenters.sam.compiled import CompiledSamSegmenter
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.segmenters.sam.model import AmodalSam
from samodal.segmenters.sam.segmenter import SamSegmenter


class DrawnSam(AmodalSam):
    """See the module; `draw` first."""

    def draw(self, scene: Scene) -> None:
        """The masks of the visible instances of a scene are the answers to its prompts, in this order."""
        masks = torch.stack([torch.as_tensor(mask) for mask in scene.front])
        self.register_buffer("drawn", self.transform.masks_to_prompt(masks)[:, 0])

    def decode(self, embedding: torch.Tensor, *prompts: Any, **named: Any) -> tuple[torch.Tensor, torch.Tensor]:
        logits, iou = super().decode(embedding, *prompts, **named)
        drawn = self.drawn[: len(logits)]
        drawn = torch.cat([drawn, drawn[-1:].expand(len(logits) - len(drawn), -1, -1)])
        return drawn[:, None].to(logits.dtype) + 0 * logits, iou


def drawn_segmenter(size: str, scene: Scene, device: str, backend: str = "torch", **options: Any) -> SamSegmenter:
    """The segmenter of an untrained model of `AmodalSamConfig.named` with the masks of a scene."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DrawnSam(AmodalSamConfig.named(size))
    model.draw(scene)
    return CompiledSamSegmenter(model, device, **options) if backend == "compiled" else SamSegmenter(model, device)
