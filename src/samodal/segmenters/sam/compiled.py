"""The amodal SAM in a hurry: frames prepared on the GPU, a compiled encoder in 16 bits, and run lengths from the GPU.

Everything is as in `SamSegmenter`, with fewer launches and copies. A frame is copied to the GPU as it is, resized and
normalised there (`FrameTransform.pixels_of`), and encoded in float16 by a compiled encoder whose relative positions
are channels (`GridAttention.folded`). Prompts are filled up to an even number, so that few graphs are recorded.
Masks are enlarged and thresholded on the GPU, and come back as the places where a mask begins and ends.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from samodal import images
from samodal.errors import InputError
from samodal.graphs import LOCK, Graphs
from samodal.masks import Mask
from samodal.parts import Decoded, Features, Prompt
from samodal.segmenters.sam import adapter
from samodal.segmenters.sam.model import AmodalSam
from samodal.segmenters.sam.segmenter import SamSegmenter
from samodal.together import between

HELD = 64
"""Frames encoded ahead that are kept at most, until they are asked for."""
SLOTS = 2
"""Batches of frames that are on their way to the GPU at a time."""


@dataclass
class Embedded(Features):
    """Frames whose encoding may still be under way on a GPU.

    Attributes:
        ready: when it is done; None where it is.
    """

    ready: torch.cuda.Event | None = None


class CompiledSamSegmenter(SamSegmenter):
    """See the module. It takes each frame alone, or `batch` of them ahead of their time (`encode_ahead`).

    Args:
        model: its image encoder and mask decoder are changed to `precision`, in place.
        device: an NVIDIA GPU; on a CPU it gives the same, without graphs, for tests.
        chunk: most prompts that are decoded at once.
        precision: of image encoder and mask decoder. With float32 a mask differs from that of `SamSegmenter` by
            rounding alone.
        compiled: whether they are compiled, which takes a minute the first time (`samodal warmup`).
        batch: frames that are encoded at once in `encode_ahead`.
    """

    def __init__(
        self,
        model: AmodalSam,
        device: str | torch.device = "cuda",
        chunk: int = 64,
        precision: torch.dtype = torch.float16,
        compiled: bool = True,
        batch: int = 4,
    ):
        super().__init__(model, device, chunk)
        model.vision_encoder.to(precision).fold()
        model.mask_decoder.to(precision)
        self.precision, self.batch, self._compiled = precision, batch, compiled
        self._encoding = Graphs(self._fast(self._embedding, dynamic=False), self.device)
        self._decoding: dict[tuple[int, int], Graphs] = {}
        self._ahead: OrderedDict[int, tuple[np.ndarray, Embedded, int]] = OrderedDict()
        on_gpu = self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if on_gpu else None
        # The caller waits for it, and must not wait for the frames to come.
        self._urgent = torch.cuda.Stream(self.device, priority=-1) if on_gpu else None
        self._slots: list[tuple[torch.Tensor, torch.cuda.Event]] = []

    @torch.inference_mode()
    def encode_ahead(self, frames: Sequence[np.ndarray]) -> None:
        """Begin to encode frames of one size, which `encode` will be asked for one by one, as the same arrays."""
        frames = list(frames)
        features = self._begun([*frames, *frames[-1:] * (self.batch - len(frames))])
        for n, frame in enumerate(frames):
            self._ahead[id(frame)] = (frame, features, n)
        while len(self._ahead) > HELD:
            self._ahead.popitem(last=False)

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> Embedded:
        """Embed frames of one size, (H, W, 3) uint8 RGB each; those that were encoded ahead together are taken from
        there."""
        known = [self._ahead.pop(id(frame), None) for frame in frames]
        found = [(features, n) for _, features, n in filter(None, known)]
        if len(found) < len(frames) or found != [(found[0][0], found[0][1] + n) for n in range(len(found))]:
            return self._begun(frames)
        features, first = found[0]
        # All of them where several are asked for: graphs are of one number of frames.
        main = features.main[first : first + 1] if len(frames) == 1 else features.main
        return Embedded(main, (), features.sizes[first : first + len(frames)], features.ready)

    def warm(self, size: tuple[int, int], points: int) -> Iterator[str]:
        """Compile all that frames of (H, W) pixels with so many points a prompt need; says what is done."""
        frame, prompt = np.zeros((*size, 3), np.uint8), Prompt(points=np.zeros((points, 2), np.float32))
        features = self.encode([frame])
        yield "encoder, frame by frame"
        self.encode_ahead([frame] * self.batch)
        yield f"encoder, {self.batch} frames at once"
        for count in (2, 10):
            self.decode(features, [prompt] * count, [0] * count)
        yield "decoder"
        self.decode(self.encode([frame] * self.batch), [prompt] * 2 * self.batch, [*range(self.batch)] * 2)
        yield f"decoder, {self.batch} frames at once"

    def _begun(self, frames: Sequence[np.ndarray]) -> Embedded:
        sizes = tuple(frame.shape[:2] for frame in frames)
        if self._stream is None:
            pixels = torch.from_numpy(np.stack(frames))
            return Embedded(self._encoding(pixels), (), sizes)
        pinned = self._filled(frames)
        with LOCK, torch.cuda.stream(self._stream):
            main = self._encoding(pinned).clone()
            ready = torch.cuda.Event()
            ready.record()
        self._slots.append((pinned, ready))
        return Embedded(main, (), sizes, ready)

    def _filled(self, frames: Sequence[np.ndarray]) -> torch.Tensor:
        """Frames side by side in memory that a GPU reads without the help of a CPU."""
        shape, pinned = (len(frames), *frames[0].shape), None
        if len(self._slots) >= SLOTS:
            pinned, done = self._slots.pop(0)
            done.synchronize()
        if pinned is None or pinned.shape != shape:
            with LOCK:
                pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        for place, frame in zip(pinned.numpy(), frames, strict=True):
            place[:] = frame
        return pinned

    def _embedding(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 to (B, C, h, w)."""
        return self.model.embed(self.transform.pixels_of(frames))

    @torch.inference_mode()
    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """One amodal mask per prompt, in the order given, as cut-outs; see `SamSegmenter.decode`.

        Raises:
            InputError: where numbers grow too large for the precision, as those of some networks do in float16.
        """
        sizes = set(features.sizes)
        if len(sizes) > 1:
            raise ValueError(f"prompts of frames of different sizes cannot share a result: {sorted(sizes)}")
        size = sizes.pop()
        masks: list[Mask] = [Mask.nowhere(size)] * len(prompts)
        iou = np.zeros(len(prompts), np.float32)
        with torch.cuda.stream(self._urgent):  # nothing without a GPU
            if self.device.type == "cuda" and isinstance(features, Embedded) and features.ready is not None:
                features.ready.wait(torch.cuda.current_stream(self.device))
            for members in self._batches(prompts):
                filled = filled_up(members)
                frames = [index[i] for i in filled]
                one = len(set(frames)) == 1  # then its embedding need not be there for each prompt
                embedding = features.main[frames[0] : frames[0] + 1] if one else features.main
                # Copied by the decoder, which does not wait for the encoder first, as a copy from here would.
                inputs = self._told([prompts[i] for i in filled], size)
                inputs |= {} if one else {"index": torch.tensor(frames)}
                named = (inputs.get(name) for name in ("points", "labels", "boxes", "masks", "index"))
                changes, score = self._decoder(size)(embedding, *named)
                edges = edges_of(changes[: len(members)])  # before the scores: these are there then
                iou[members] = score[: len(members)].numpy(force=True)
                for i, mask in zip(members, between(edges, size), strict=True):
                    masks[i] = mask
        if not np.isfinite(iou).all():
            raise InputError(f"the amodal SAM gives numbers beyond {self.precision}; use --backend torch")
        return Decoded(amodal=masks, iou=iou)

    def _decoder(self, size: tuple[int, int]) -> Graphs:
        """What decodes prompts on frames of (H, W) pixels."""
        if size not in self._decoding:
            self._decoding[size] = Graphs(self._fast(partial(self._edges, size), dynamic=None), self.device)
        return self._decoding[size]

    def _edges(self, size: tuple[int, int], embedding: torch.Tensor, *prompts: torch.Tensor | None) -> Any:
        """Where the masks of N prompts begin and end, see `edges_of`, and their expected IoU (N,)."""
        low, iou = self.model.decode(embedding, *prompts)
        # Run lengths are counted down the columns. Small masks are turned over sooner than large ones.
        turned = replace(self.transform, size=self.transform.size[::-1])
        inside = (turned.to_frame(low[:, 0].float().transpose(1, 2), size[::-1]) > 0).flatten(1)
        return F.pad(inside, (1, 0)) != F.pad(inside, (0, 1)), iou[:, 0].float()

    def _fast(self, function: Callable[..., Any], dynamic: bool | None) -> Callable[..., Any]:
        """The function compiled, without the GPU's short form of float32 (TF32). Frames and masks are resized in
        float32: the short form moves borders of small masks by a pixel, and hardly saves time.

        Args:
            dynamic: None: for any number of prompts, the first dimension of all inputs but the first one.
        """
        made = function
        if self._compiled:
            for constant in (*images.CONSTANT, *adapter.CONSTANT):  # marked here, as it imports the compiler
                torch.compiler.assume_constant_result(constant)
            warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
            made = torch.compile(function, fullgraph=True, dynamic=dynamic)

        def called(first: torch.Tensor, *others: torch.Tensor | None) -> Any:
            if self._compiled:
                for value in others:
                    if value is not None:
                        torch._dynamo.mark_dynamic(value, 0)
            before = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = False
            try:
                return made(first, *others)
            finally:
                torch.backends.cuda.matmul.allow_tf32 = before

        return called


def filled_up(members: Sequence[int]) -> list[int]:
    """Members with the last of them repeated, up to a multiple of 2, from 16 on of 8: few graphs."""
    count = len(members)
    step = 2 if count <= 16 else 8
    return [*members, *[members[-1]] * (-count % step)]


def edges_of(changes: torch.Tensor) -> list[np.ndarray]:
    """For each of N masks its edges, see `samodal.edges`.

    Args:
        changes: (N, H * W + 1) bool, whether a pixel differs from the one before it; none is before the first and after
            the last. One copy is made from its device.
    """
    masks, places = changes.nonzero().numpy(force=True).T
    return np.split(places, np.searchsorted(masks, np.arange(1, len(changes))))
