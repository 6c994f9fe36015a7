"""The parts that can be swapped, as protocols, and what is handed from part to part.

A part is one small file and one line in `registry.py`. It need not inherit from its protocol. Frames are (H, W, 3)
uint8 RGB, t is a frame index from 0, points are (x, y) float32 in original-frame pixels with integers at pixel
centres. Each part converts to its own conventions at its border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from samodal.checks import finite
from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.masks import Mask, MaskLike
from samodal.tracks import Clip, FrameResult, VisibleInstance

if TYPE_CHECKING:
    import torch


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


@runtime_checkable
class Video(Protocol):
    """A source of frames that can be read from its start any number of times (a camera: once).

    Attributes:
        name: names the clip.
        size: (H, W) in pixels, of every frame.
        length: number of frames, None where it cannot be known (a stream).
        fps: frames per second, for writing an overlay; times come with the frames.
        truth: what a data set knows about the clip, None elsewhere.
        source: what the user gave, for messages.
        number: place in a sorted data set, from 1; None elsewhere.
        detections: visible masks of a front end that come with a data set; None elsewhere.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def length(self) -> int | None: ...

    @property
    def fps(self) -> float: ...

    @property
    def truth(self) -> Clip | None: ...

    @property
    def source(self) -> str: ...

    @property
    def number(self) -> int | None: ...

    @property
    def detections(self) -> Clip | None: ...

    def __iter__(self) -> Iterator[Frame]: ...


class VisSession(Protocol):
    """A front end at work on one video, frame by frame in order.

    One with a true attribute `alone` takes no results and no GPU: frames to come may be reported by another thread.
    """

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The instances visible in frame t; raises InputError where the results do not fit the frame."""
        ...

    def reset(self) -> None:
        """Forget everything seen; the next frame is frame 0."""
        ...


@runtime_checkable
class LearningSession(VisSession, Protocol):
    """A session that decides with the help of what the method knows, as association does.

    `samodal.build` gives every other session a `learn` that does nothing, so that callers need not ask.
    """

    def learn(self, result: FrameResult) -> None:
        """Take in the result of the newest frame before the next `step`; results of earlier frames come too late."""
        ...


@runtime_checkable
class LookingAhead(VisSession, Protocol):
    """A session whose `looks`, called with frame and t in turn, work on frames to come, each in a thread of its own."""

    looks: Sequence[Callable[[np.ndarray, int], None]]


class FrontEnd(Protocol):
    """An online video instance segmentation method (paper, Figure 2)."""

    def open(self, video: Video) -> VisSession: ...


@dataclass(frozen=True, eq=False, init=False)
class Prompt:
    """What a segmenter is told about one instance. Any parts may come together; K may differ between instances.

    Attributes:
        points: (K, 2) float32, x and y in original-frame pixels, integers at pixel centres.
        labels: (K,) int, 1 on the instance, 0 off it (paper, supplement A: only positive ones are used).
        box: (4,) float32, x0, y0, x1, y1 in original-frame pixels.
        mask: the visible mask.
        neighbours: visible masks of the other instances in the frame; None where they are not told.
        category: class name; None where it is not told.
        earlier: an amodal mask of the instance from an earlier frame, moved to this one; None where there is none.

    Raises:
        InputError: for arrays of other shapes, coordinates that are not finite, or a prompt that says nothing.
    """

    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    box: np.ndarray | None = None
    mask: Mask | None = None
    neighbours: tuple[Mask, ...] | None = None
    category: str | None = None
    earlier: Mask | None = None

    def __init__(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: MaskLike | None = None,
        neighbours: Sequence[MaskLike] | None = None,
        category: str | None = None,
        earlier: MaskLike | None = None,
    ):
        if points is None and box is None and mask is None and neighbours is None:
            raise InputError("prompt: expected points, a box, a mask or neighbours, got none of them")
        if points is not None:
            points = finite(points, (-1, 2), "points", "prompt")
            labels = np.ones(len(points), int) if labels is None else np.asarray(labels, int)
            if labels.shape != (len(points),):
                raise InputError(f"prompt: {len(points)} points need as many labels, got shape {labels.shape}")
        values = {
            "points": points,
            "labels": None if points is None else labels,
            "box": None if box is None else finite(box, (4,), "box", "prompt"),
            "mask": None if mask is None else Mask.of(mask),
            "neighbours": None if neighbours is None else tuple(Mask.of(other) for other in neighbours),
            "category": category,
            "earlier": None if earlier is None else Mask.of(earlier),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def told(self, **more: Any) -> Prompt:
        """The same with other values of these attributes, taken from other prompts or masks: none is checked again."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **more)
        return other

    @property
    def shape(self) -> tuple[int, bool, bool]:
        """What must agree for prompts to share a batch: number of points, box or not, mask or not."""
        return 0 if self.points is None else len(self.points), self.box is not None, self.mask is not None


class PromptSelector(Protocol):
    """Chooses the prompt of an instance from what is visible of it, never from amodal truth."""

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        """image (H, W, 3) uint8 RGB; the visible masks of the instance and of all others in the frame.

        `rng` is seeded per (seed, clip, instance, frame).
        """
        ...


@dataclass
class Features:
    """Frames as a segmenter's encoder sees them, computed once per frame.

    Attributes:
        main: (B, C, h, w); None for a segmenter that reads prompts alone.
        skips: finer maps for segmenters that use them.
        sizes: (H, W) of each of the B frames in original pixels.
    """

    main: torch.Tensor | None
    skips: tuple[torch.Tensor, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a segmenter says about one prompt. Attributes are as in `Decoded`, of this prompt alone; `iou` in [0, 1]."""

    amodal: Mask
    iou: float
    beyond: Mask | None = None
    spread: np.ndarray | None = None
    hypotheses: tuple[Mask, Mask, Mask] | None = None
    confidence: Confidence | None = None

    def united(self, visible: Mask) -> Prediction:
        """The same with the visible pixels in every mask; what lies beyond the frame is at least the amodal mask."""
        amodal = self.amodal.union(visible)
        return replace(
            self,
            amodal=amodal,
            beyond=None if self.beyond is None else self.beyond.union(amodal),
            hypotheses=self.hypotheses and tuple(mask.union(visible) for mask in self.hypotheses),
        )

    @property
    def details(self) -> dict[str, Any]:
        """All but the mask, by the names that an `Instance` has for them."""
        names = ("beyond", "spread", "hypotheses", "confidence")
        return {"expected_iou": self.iou} | {name: getattr(self, name) for name in names}


@dataclass
class Decoded:
    """What a segmenter says about N prompts. All but the first two are None where it does not give them.

    Attributes:
        amodal: (N, H, W) float32 logits at the frame's original size, above 0 is inside; or N masks.
        iou: (N,) the model's own estimate of the IoU of `amodal`; it need not lie in [0, 1].
        beyond: N masks of the whole objects, also of what lies over the border of the frame.
        spread: (N, 4) float32 pixels, half-width of the interval of x0, y0, x1, y1 of the amodal box.
        hypotheses: N times three nested masks: small, as in `amodal`, large.
        confidence: N cut-outs of probability; only where `Segmenter.details` asks for it.
    """

    amodal: torch.Tensor | Sequence[Mask]
    iou: torch.Tensor | Sequence[float]
    beyond: Sequence[Mask] | None = None
    spread: np.ndarray | None = None
    hypotheses: Sequence[tuple[Mask, Mask, Mask]] | None = None
    confidence: Sequence[Confidence] | None = None

    def masks(self) -> list[Mask]:
        """The N amodal masks, cut out."""
        # NumPy compares three times as fast as torch on a CPU.
        return [mask if isinstance(mask, Mask) else Mask.of(mask.numpy(force=True) > 0) for mask in self.amodal]

    def scores(self) -> list[float]:
        """`iou` within [0, 1]."""
        return [min(max(float(value), 0.0), 1.0) for value in self.iou]

    def predictions(self) -> list[Prediction]:
        """What is said about each prompt.

        Raises:
            ValueError: where there is more or less of something than there are masks.
        """
        masks, extras = self.masks(), (self.beyond, self.spread, self.hypotheses, self.confidence)
        columns = [[None] * len(masks) if column is None else column for column in extras]
        return [Prediction(*row) for row in zip(masks, self.scores(), *columns, strict=True)]


class Segmenter(Protocol):
    """A promptable amodal segmenter.

    It may have an attribute `details`, False at first. Where it is set to True (`--details`), `decode` also gives what
    costs time or room: `Decoded.hypotheses` and `Decoded.confidence`.
    """

    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        """Frames of one size, (H, W, 3) uint8 RGB each."""
        ...

    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        """One mask per prompt; index[i] names the frame of prompts[i]. Prompts of equal shape share a batch."""
        ...


class PointTracker(Protocol):
    """Follows any number of points online. Keys name groups of points, one per instance.

    Each implementation states whether points of different keys influence each other. One that matches squares has their
    side in pixels as `patch`: no points are followed whose squares show mostly something else.
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
