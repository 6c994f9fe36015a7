"""The completer as the pipeline's segmenter: visible masks and their neighbours in, whole objects out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from samodal.errors import InputError
from samodal.masks import Mask
from samodal.parts import Decoded, Features, Prompt
from samodal.segmenters.completion.layers import Crop, spread, told
from samodal.segmenters.completion.network import Completer, stacked
from samodal.segmenters.completion.weights import load

THRESHOLDS = (0.7, 0.5, 0.3)
"""Probabilities above which a pixel belongs to the smallest, the given and the largest hypothesis."""
RIM = 0.04
"""Where a mask comes nearer to the border of its crop, as a share of its side, a larger crop is looked at as well."""
WIDER = 1.6
"""Side of that larger crop, in longer sides of the box of the first answer."""


class CompletionSegmenter:
    """Completes each visible mask in a crop around it (see `samodal.parts.Segmenter`); frames are not looked at.

    Args:
        network: is moved to the device and set to evaluation.
        device: as torch names it.
        chunk: most crops that are completed at once; bounds the memory, not the result.
    """

    def __init__(self, network: Completer, device: str | torch.device = "cpu", chunk: int = 64):
        self.network = network.to(device).eval()
        self.device, self.chunk, self.config = torch.device(device), chunk, network.config

    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        """Only the sizes of the frames: the prompts say all."""
        return Features(main=None, sizes=tuple(frame.shape[:2] for frame in frames))

    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """A whole object for each prompt, in the order given.

        Raises:
            InputError: for a prompt without a mask.
        """
        if any(prompt.mask is None for prompt in prompts):
            raise InputError(
                "the segmenter completion needs the visible mask as a prompt; choose --rules.prompt=mask+neighbours"
            )
        crops = [Crop.around(prompt.mask.box, self.config.context, self.config.least) for prompt in prompts]
        found = self._completed(prompts, crops)
        again = [i for i, (answer, crop) in enumerate(zip(found, crops, strict=True)) if _at_the_rim(answer, crop)]
        wider = [Crop.around(found[i].largest.box, WIDER, crops[i].side) for i in again]
        for i, answer in zip(again, self._completed([prompts[i] for i in again], wider), strict=True):
            found[i] = answer
        return Decoded(amodal=[answer.given.clipped() for answer in found], iou=[answer.iou for answer in found])

    @torch.inference_mode()
    def _completed(self, prompts: Sequence[Prompt], crops: Sequence[Crop]) -> list[_Answer]:
        """What the network says of each crop."""
        answers = []
        for start in range(0, len(prompts), self.chunk):
            part = slice(start, start + self.chunk)
            probability, iou = self._predicted(prompts[part], crops[part])
            rows = zip(prompts[part], crops[part], probability, iou, strict=True)
            answers += [_answer(prompt.mask, crop, values, float(score)) for prompt, crop, values, score in rows]
        return answers

    def _predicted(self, prompts: Sequence[Prompt], crops: Sequence[Crop]) -> tuple[np.ndarray, np.ndarray]:
        """(N, S, S) probabilities and (N,) expected IoU."""
        size = self.config.size
        layers = [told(crop, size, prompt.mask, prompt.neighbours or (), prompt.earlier)
                  for prompt, crop in zip(prompts, crops, strict=True)]  # fmt: skip
        together = {name: torch.from_numpy(np.stack([one[name] for one in layers])) for name in layers[0]}
        kinds = torch.tensor([self.config.class_number(prompt.category) for prompt in prompts])
        inputs = stacked(together, self.config.layers).to(self.device)
        completed = self.network(inputs, kinds.to(self.device))
        return completed.amodal.float().sigmoid().cpu().numpy(), completed.iou.float().sigmoid().cpu().numpy()


class _Answer:
    """Three nested masks that may reach over the border of the frame, and the expected IoU of the second."""

    def __init__(self, masks: Sequence[Mask], iou: float):
        self.smallest, self.given, self.largest = masks
        self.iou = iou


def _answer(visible: Mask, crop: Crop, probability: np.ndarray, iou: float) -> _Answer:
    x, y, values = spread(probability, crop)
    return _Answer([Mask(visible.size, x, y, values > limit).union(visible) for limit in THRESHOLDS], iou)


def _at_the_rim(answer: _Answer, crop: Crop) -> bool:
    """Whether the answer comes so near to the border of its crop that it may go on behind it."""
    rim, (x0, y0, x1, y1), (left, top, right, bottom) = RIM * crop.side, answer.given.box, crop.box
    return x0 < left + rim or y0 < top + rim or x1 > right - rim or y1 > bottom - rim


def load_segmenter(checkpoint: str | None = None, *, weights: str | None = None, device: str = "cpu"):
    """The segmenter of a checkpoint, or of `weights`; the shipped ones without."""
    return CompletionSegmenter(load(checkpoint or weights or "streetsim-complete"), device)
