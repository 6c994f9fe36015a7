"""The parts that can be swapped, as protocols. A part is one small file and one line in `registry.py`.

Frames are (H, W, 3) uint8 RGB, t is a frame index from 0, points are (x, y) float32 in original-frame
pixels with integers at pixel centres. Each part converts to its own conventions at its border.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from samodal.method.prompts.prompt import Prompt
from samodal.tracks import Clip, FrameResult, VisibleInstance

if TYPE_CHECKING:
    import torch

    from samodal.images import FrameTransform


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Attributes:
        t: index from 0.
        time: seconds from the start of the video, from the file's own timestamps.
        image: (H, W, 3) uint8 RGB.
        name: file name of the frame, or its index as text.
    """

    t: int
    time: float
    image: np.ndarray
    name: str


class Video(Protocol):
    """A source of frames that can be read from its start any number of times (a camera: once).

    Attributes:
        name: names the clip.
        size: (H, W) in pixels, of every frame.
        length: number of frames, None where it cannot be known (a stream).
        fps: frames per second, for writing an overlay; times come with the frames.
        truth: what a data set knows about the clip, None elsewhere.
        source: what the user gave, for messages.
    """

    name: str
    size: tuple[int, int]
    length: int | None
    fps: float
    truth: Clip | None
    source: str

    def __iter__(self) -> Iterator[Frame]: ...


class VisSession(Protocol):
    """A front end at work on one video, frame by frame in order."""

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The instances visible in frame t; raises InputError where the results do not fit the frame."""
        ...

    def reset(self) -> None:
        """Forget everything seen; the next frame is frame 0."""
        ...


class LearningSession(VisSession, Protocol):
    """A session that decides with the help of what the method knows, as association does."""

    def learn(self, result: FrameResult) -> None:
        """Take in the result of the newest frame before the next `step`; results of earlier frames come too late."""
        ...


class FrontEnd(Protocol):
    """An online video instance segmentation method (paper, Figure 2)."""

    def open(self, video: Video) -> VisSession: ...


class PromptSelector(Protocol):
    """Chooses the prompt of an instance from what is visible of it, never from amodal truth."""

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, neighbours: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Prompt:
        """image (H, W, 3) uint8; mask and neighbours (H, W) bool; rng is seeded per (seed, clip, instance, frame)."""
        ...


@dataclass
class Features:
    """Frames as a segmenter's encoder sees them, computed once per frame.

    Attributes:
        main: (B, C, h, w).
        skips: finer maps for segmenters that use them.
        sizes: (H, W) of each of the B frames in original pixels.
    """

    main: torch.Tensor
    skips: tuple[torch.Tensor, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass
class Decoded:
    """What a segmenter says about N prompts.

    Attributes:
        amodal: (N, H, W) float32 logits at the frame's original size; above 0 is inside.
        visible: the same for the visible part, None where the model has no such head.
        iou: (N,) float32, the model's own estimate of the IoU of `amodal`, not clipped.
    """

    amodal: torch.Tensor
    iou: torch.Tensor
    visible: torch.Tensor | None = None


class Segmenter(Protocol):
    """A promptable amodal segmenter. `transform` is the one preparation of frames, shared with training."""

    transform: FrameTransform

    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        """Frames of one size, (H, W, 3) uint8 RGB each."""
        ...

    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """One mask per prompt; index[i] names the frame of prompts[i]. Prompts of equal shape share a batch."""
        ...


class PointTracker(Protocol):
    """Follows any number of points online. Keys name groups of points, one per instance.

    Each implementation states whether points of different keys influence each other.
    """

    def reset(self) -> None:
        """Forget all frames and points."""
        ...

    def observe(self, frame: np.ndarray, t: int) -> None:
        """See the next frame; frames come in order."""
        ...

    def add(self, key: Any, xy: np.ndarray, t: int) -> None:
        """Start to follow (N, 2) points seen in frame t, now or up to 7 frames earlier; replaces what `key` had."""
        ...

    def drop(self, key: Any) -> None:
        """Stop following; unknown keys are ignored."""
        ...

    def positions(self) -> dict[Any, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """{key: (xy (N, 2) float32, visible (N,) bool, confidence (N,) float32)} in the newest frame."""
        ...

    def state(self) -> dict:
        """Everything needed to go on elsewhere, for `load_state`."""
        ...

    def load_state(self, state: dict) -> None: ...


@dataclass(frozen=True, eq=False)
class Observed:
    """A frame with what the front end saw in it: the input of every method."""

    frame: Frame
    visible: list[VisibleInstance]


class Method(Protocol):
    """Visible instances in, the same with amodal masks out, frame by frame. Offline methods yield late."""

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        """Start afresh on a clip and give one result per frame, in order."""
        ...
