"""The completer as the pipeline's segmenter: visible masks and their neighbours in, whole objects out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from samodal.checkpoints.exported import laid_out
from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.parts import Decoded, Features, Prompt
from samodal.segmenters.completion.layers import Crop, spread, told
from samodal.segmenters.completion.network import Completer, stacked
from samodal.shapes import hull_front

THRESHOLDS = (0.8, 0.6, 0.4)
"""Probabilities above which a pixel belongs to the smallest, the given and the largest hypothesis."""
RIM = 0.04
"""Where a mask comes nearer to the border of its crop, as a share of its side, a larger crop is looked at as well."""
WIDER = 1.6
"""Side of that larger crop, in longer sides of the box of the answer before."""
LOOKS = 3
"""Most larger crops of an instance, each after an answer at the rim: from a head, the first one sees hips."""
SQUARE, LARGER_SQUARE = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
"""What is not covered by the first anywhere is a rim; the second is that and a pixel around it."""
TRUSTED = 0.4
"""Expected IoU below which an answer is replaced by what geometry alone says (`samodal.shapes.hull_front`)."""
SURE = 0.68
"""Expected IoU of the first crop below which an answer is doubted however sure the network is of a larger one. In that
the thing is smaller, and the network believes what it doubted."""
OPEN, SLIVER = 0.67, 100
"""Shares of the visible area that a doubted answer may grow where nothing hides it; and pixels of a visible mask below
which it may grow at will: of a sliver, a poor guess is more than what is seen."""


class CompletionSegmenter:
    """Completes each visible mask in a crop around it (see `samodal.parts.Segmenter`); frames are not looked at.

    Args:
        network: is moved to the device and set to evaluation.
        device: as torch names it.
        chunk: most crops that go through the network at once; bounds its memory, not the result.

    Attributes:
        details: whether the probability of each pixel is given as well.
    """

    details = False

    def __init__(self, network: Completer, device: str | torch.device = "cpu", chunk: int = 64):
        self.network = network.to(device, memory_format=torch.channels_last).eval()
        self.device, self.chunk, self.config = torch.device(device), chunk, network.config

    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        """Only the sizes of the frames: the prompts say all."""
        return Features(main=None, sizes=tuple(frame.shape[:2] for frame in frames))

    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """A whole object for each prompt, in the order given.

        Raises:
            InputError: for a prompt without a mask.
        """
        if any(not prompt.mask for prompt in prompts):
            raise InputError(
                "the segmenter completion needs the visible mask as a prompt; choose --rules.prompt=mask+neighbours, "
                "or --preset default, which has it"
            )
        answers = [answer.trusted(prompt) for answer, prompt in zip(self._answers(prompts), prompts, strict=True)]
        boxes = np.array([[mask.box for mask in answer.masks] for answer in answers], np.float32).reshape(-1, 3, 4)
        return Decoded(
            amodal=[answer.masks[1].clipped() for answer in answers],
            iou=[answer.iou for answer in answers],
            beyond=[answer.masks[1] for answer in answers],
            spread=np.abs(boxes[:, 0] - boxes[:, 2]) / 2,
            hypotheses=[answer.masks for answer in answers],
            confidence=[answer.confidence for answer in answers] if self.details else None,
        )

    def _answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """What is said of each prompt, after looks at larger crops where they are needed."""
        answers: dict[int, Answer] = {}
        crops, first = dict(enumerate(self._crops(prompts))), {}
        for _ in range(1 + LOOKS):
            answers |= zip(crops, self._completed([prompts[n] for n in crops], list(crops.values())), strict=True)
            first = first or {n: answer.iou for n, answer in answers.items()}
            wider = {n: larger(crop, *(mask.box for mask in answers[n].masks[1:])) for n, crop in crops.items()}
            crops = {n: crop for n, crop in wider.items() if crop is not None}
        return [replace(answers[n], sure=first[n] >= SURE) for n in range(len(prompts))]

    def _crops(self, prompts: Sequence[Prompt]) -> list[Crop]:
        """Where to look first."""
        return [Crop.around(prompt.mask.box, self.config.context, self.config.least) for prompt in prompts]

    @torch.inference_mode()
    def _completed(self, prompts: Sequence[Prompt], crops: Sequence[Crop]) -> list[Answer]:
        """What the network says of each crop."""
        answers = []
        for start in range(0, len(prompts), self.chunk):
            part = slice(start, start + self.chunk)
            probability, iou = self._predicted(prompts[part], crops[part])
            rows = zip(prompts[part], crops[part], probability, iou, strict=True)
            answers += [
                Answer.of(prompt.mask, crop, values, float(score), self.details) for prompt, crop, values, score in rows
            ]
        return answers

    def _predicted(self, prompts: Sequence[Prompt], crops: Sequence[Crop]) -> tuple[list[np.ndarray], np.ndarray]:
        """(S, S) probabilities of each crop and (N,) expected IoU."""
        size = self.config.size
        numbers = [self.config.class_number(prompt.category) for prompt in prompts]
        layers = [
            told(crop, size, prompt.mask, prompt.neighbours or (), prompt.earlier, grounded=number > 0)
            for prompt, crop, number in zip(prompts, crops, numbers, strict=True)
        ]
        names = tuple(layers[0])
        planes = np.stack([crop[name] for crop in layers for name in names]).reshape(-1, len(names), size, size)
        inputs = torch.from_numpy(planes)
        if names != self.config.layers:
            inputs = stacked(dict(zip(names, inputs.unbind(1), strict=True)), self.config.layers)
        inputs = laid_out(inputs, self.network)
        completed = self.network(inputs, torch.tensor(numbers, device=self.device))
        probability = completed.amodal.float().sigmoid().cpu().numpy()
        kept = [
            without_rims(values, crop["visible"] >= 0.5, (crop["front"] + crop["behind"]) >= 0.5)
            for values, crop in zip(probability, layers, strict=True)
        ]
        kept = [
            values if number else only_behind(values, crop)
            for values, crop, number in zip(kept, layers, numbers, strict=True)
        ]
        return kept, completed.iou.float().sigmoid().cpu().numpy()


def without_rims(probability: np.ndarray, visible: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Probabilities without what is only a rim of a pixel or two around what is visible, where nothing covers it.

    Visible masks are uncertain by a pixel, which is no completion.

    Args:
        probability: (S, S) float32.
        visible, covered: (S, S) bool: the instance's visible mask, and those of its neighbours.
    """
    kept, free, open_to_view = probability.copy(), ~visible, ~covered
    for limit in THRESHOLDS:
        grown = (kept > limit) & free
        if grown.any():
            core = cv2.erode(grown.view(np.uint8), SQUARE)
            thin = grown & open_to_view & (cv2.dilate(core, LARGER_SQUARE) == 0)
            np.minimum(kept, limit, out=kept, where=thin)
    return kept


def only_behind(probability: np.ndarray, crop: Mapping[str, np.ndarray]) -> np.ndarray:
    """Probabilities without what lies neither behind another instance nor outside the picture.

    For instances of unknown class. Of a road user, a shape seldom misleads and occluders often have no name, as poles
    and hedges. Of anything else the shape is a guess, and what nobody hides would be seen.

    Args:
        probability: (S, S) float32.
        crop: what the network was told, (S, S) float32 each.
    """
    explained = np.maximum(crop["visible"], crop["front"]) + 1 - crop["inside"]
    return np.where(explained >= 0.5, probability, np.minimum(probability, THRESHOLDS[-1]))


def larger(crop: Crop, given: Sequence[int], large: Sequence[int]) -> Crop | None:
    """The crop to look at next, where an object may go on beyond one; None where it ends within it.

    Args:
        crop: in which it was completed.
        given, large: x0, y0, x1, y1 of the boxes of these two masks.
    """
    rim, (x0, y0, x1, y1), (left, top, right, bottom) = RIM * crop.side, given, crop.box
    if x0 >= left + rim and y0 >= top + rim and x1 <= right - rim and y1 <= bottom - rim:
        return None
    return Crop.around(large, WIDER, crop.side)


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said of one prompt.

    Attributes:
        masks: small, given and large, each within the next; they may reach over the border of the frame.
        iou: expected of the given one.
        confidence: the probability of each pixel, only where it is wanted: it can be larger than all else in a frame.
        sure: whether what was said of the first crop was expected to be right, see `SURE`.
    """

    masks: tuple[Mask, Mask, Mask]
    iou: float
    confidence: Confidence | None
    sure: bool = True

    @classmethod
    def of(cls, visible: Mask, crop: Crop, probability: np.ndarray, iou: float, details: bool) -> Answer:
        """From (S, S) probabilities of a crop."""
        x, y, values = spread(probability, crop)
        small, given, large = _nested(visible, x, y, values)
        return cls((small, given, large), iou, Confidence.of(x, y, values) if details else None)

    def trusted(self, prompt: Prompt) -> Answer:
        """The same, or what geometry alone says of the prompt where little of it is to be expected, or where it was not
        sure and grows in the open."""
        if self.iou >= TRUSTED and (self.sure or not self._in_the_open(prompt)):
            return self
        guess = hull_front(prompt.mask, prompt.neighbours or ())
        return replace(self, masks=(prompt.mask, guess, guess.union(self.masks[2])))

    def _in_the_open(self, prompt: Prompt) -> bool:
        """Whether much of what was added to the visible mask lies in the frame and under no neighbour."""
        added = self.masks[1].clipped().minus(prompt.mask)
        unexplained = added.area - added.covered_area(prompt.neighbours or ())
        return prompt.mask.area >= SLIVER and unexplained > OPEN * prompt.mask.area


def _nested(visible: Mask, x: int, y: int, values: np.ndarray) -> tuple[Mask, ...]:
    """What is visible and what is above each of `THRESHOLDS`, of (h, w) probabilities from column x and row y on; the
    visible mask lies within them."""
    x0, y0, x1, y1 = visible.box
    values, nested = values.copy(), []
    np.copyto(values[y0 - y : y1 - y, x0 - x : x1 - x], 1, where=visible.inside)
    for limit in sorted(THRESHOLDS):  # a smaller one lies in the box of the larger one
        mask = Mask(visible.size, x, y, values > limit)
        values = values[mask.y - y : mask.box[3] - y, mask.x - x : mask.box[2] - x]
        x, y = mask.x, mask.y
        nested.insert(0, mask)
    return tuple(nested)
