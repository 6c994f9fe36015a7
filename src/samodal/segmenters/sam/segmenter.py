"""The amodal SAM as the pipeline's segmenter: frames and prompts in original pixels in, masks at frame size out."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from samodal.masks import Mask
from samodal.parts import Decoded, Features, Prompt
from samodal.segmenters.sam.model import AmodalSam

BUDGET = 2**27
"""Bytes of logits at a frame's size that are held at a time: 16 masks of 1080x1920."""


class SamSegmenter:
    """Encodes a frame once and decodes its prompts together (see `samodal.parts.Segmenter`).

    Args:
        model: is moved to the device and set to evaluation.
        device: as torch names it.
        chunk: most prompts that are decoded at once; bounds the memory of the decoder. Results of other chunks may
            differ by rounding.
        remember: embeddings of this many frames are kept, for running several methods over the same frames.
    """

    def __init__(self, model: AmodalSam, device: str | torch.device = "cpu", chunk: int = 32, remember: int = 0):
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.chunk = chunk
        self.remember = remember
        self._embedded: dict[bytes, torch.Tensor] = {}
        self.transform = model.transform

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        """Embed frames of one size, (H, W, 3) uint8 RGB each."""
        key = hashlib.blake2b(b"".join(map(np.ascontiguousarray, frames))).digest() if self.remember else b""
        main = self._embedded.get(key)
        if main is None:
            pixels = torch.stack([self.transform.pixels(frame) for frame in frames]).to(self.device)
            main = self.model.embed(pixels)
        if self.remember:
            self._embedded[key] = main
            while len(self._embedded) > self.remember:
                del self._embedded[next(iter(self._embedded))]
        return Features(main=main, sizes=tuple(frame.shape[:2] for frame in frames))

    @torch.inference_mode()
    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """One amodal mask per prompt, in the order given; neighbours are not used by this model.

        Where the logits of all prompts at the frame's size take more than `BUDGET`, they become masks part by part.

        Raises:
            ValueError: where the frames of the features differ in size, or a prompt says nothing.
        """
        sizes = set(features.sizes)
        if len(sizes) > 1:
            raise ValueError(f"prompts of frames of different sizes cannot share a result: {sorted(sizes)}")
        height, width = sizes.pop()
        at_once = max(1, BUDGET // (4 * height * width))
        logits = torch.empty(len(prompts), height, width, device=self.device) if len(prompts) <= at_once else None
        masks: dict[int, Mask] = {}
        iou = torch.empty(len(prompts), device=self.device)
        for members in self._batches(prompts):
            frames = torch.tensor([index[i] for i in members], device=self.device)
            inputs = self._inputs([prompts[i] for i in members], (height, width))
            low, score = self.model.decode(features.main, **inputs, index=frames)
            iou[members] = score[:, 0].float()
            for start in range(0, len(members), at_once):
                part = slice(start, start + at_once)
                large = self.transform.to_frame(low[part, 0].float(), (height, width))
                if logits is not None:
                    logits[members[part]] = large
                else:
                    masks |= zip(members[part], Decoded(large, iou[members[part]]).masks(), strict=True)
        amodal = [masks[i] for i in range(len(prompts))] if logits is None else logits
        return Decoded(amodal=amodal, iou=iou)

    def _batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Positions of prompts that may share a batch: a point that only fills up would be attended to."""
        groups: dict[tuple, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault(prompt.shape, []).append(i)
        return [g[start : start + self.chunk] for g in groups.values() for start in range(0, len(g), self.chunk)]

    def _inputs(self, prompts: Sequence[Prompt], frame_size: tuple[int, int]) -> dict[str, torch.Tensor]:
        """What `AmodalSam.decode` takes, of prompts of one shape."""
        return {name: value.to(self.device) for name, value in self._told(prompts, frame_size).items()}

    def _told(self, prompts: Sequence[Prompt], frame_size: tuple[int, int]) -> dict[str, torch.Tensor]:
        """The same on the CPU."""
        points, box, mask = prompts[0].shape
        inputs = {}
        if points:
            xy = self.transform.points(np.stack([p.points for p in prompts]), frame_size)
            inputs["points"] = torch.from_numpy(xy)
            inputs["labels"] = torch.from_numpy(np.stack([p.labels for p in prompts]))
        if box:
            boxes = self.transform.boxes(np.stack([p.box for p in prompts]), frame_size)
            inputs["boxes"] = torch.from_numpy(boxes)
        if mask:
            inputs["masks"] = self.transform.masks_to_prompt(np.stack([p.mask for p in prompts]))
        return inputs
