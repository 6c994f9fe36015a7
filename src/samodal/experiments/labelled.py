"""Stand-ins for a segmenter and a tracker that know the labels, so that what is judged is the hidden phase alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samodal.masks import Mask
from samodal.parts import Decoded, Features, Prompt, PromptSelector
from samodal.seeds import generator

Box = tuple[float, float, float, float]
Boxes = Mapping[tuple[int, int | str], Box]
"""x0, y0, x1, y1 of whole objects by frame and id."""

NOISE = 3.0
"""Pixels, standard deviation of where a point of `noisy` is reported."""
ASTRAY = 4.0
"""Pixels a frame, largest step in x and in y of a point that goes astray."""


def box_mask(box: Box, size: tuple[int, int]) -> Mask:
    """The pixels of a box in a frame of (H, W)."""
    x0, y0, x1, y1 = np.rint(np.clip(box, 0, (*size[::-1], *size[::-1]))).astype(int)
    return Mask(size, int(x0), int(y0), np.ones((max(y1 - y0, 1), max(x1 - x0, 1)), bool))


def told_of_masks(select: PromptSelector) -> PromptSelector:
    """The same prompts with the visible mask, by which `LabelledSegmenter` knows whom it is asked about."""

    def selected(image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        prompt = select(image, mask, neighbours, rng)
        return Prompt(prompt.points, prompt.labels, prompt.box, mask, prompt.neighbours)

    return selected


class LabelledSegmenter:
    """Answers with the labelled box of the whole object, and is sure of it; with the visible mask where there is none.

    Args:
        whole: the mask of a box by the visible mask that it belongs to.
    """

    def __init__(self, whole: Mapping[Mask, Mask]):
        self._whole = whole

    def encode(self, frames: Sequence[np.ndarray]) -> Features:
        return Features(main=None, sizes=tuple(frame.shape[:2] for frame in frames))

    def decode(self, features: Features, prompts: Sequence[Prompt], index: Sequence[int]) -> Decoded:
        visible = [prompt.mask for prompt in prompts]
        return Decoded([self._whole.get(mask, mask) for mask in visible if mask is not None], [1.0] * len(prompts))


class LabelledTracker:
    """Moves points as the labelled box of their object does.

    Args:
        boxes: of all objects; without a label of both frames a point is not believed.
        shown: of each frame the visible masks by id. A point that moves as its object does is called hidden within
            the mask of another; one that is stuck or goes astray is called visible wherever it is.
        noisy: whether a fifth of the points stay where they were, a fifth go astray, and all have `NOISE`.
        first: number of the frame that the tracker calls 0.
    """

    def __init__(self, boxes: Boxes, shown: Sequence[Mapping[int | str, Mask]], noisy: bool = False, first: int = 0):
        self._boxes, self._shown, self._noisy, self._first = boxes, shown, noisy, first
        self.reset()

    def reset(self) -> None:
        self._t, self._points = 0, {}

    def observe(self, frame: np.ndarray, t: int) -> None:
        self._t = t

    def add(self, key: Any, xy: np.ndarray, t: int) -> None:
        self._points[key] = (np.array(xy, np.float64), t)

    def drop(self, key: Any) -> None:
        self._points.pop(key, None)

    def positions(self) -> dict:
        return {key: self._position(key, *shown) for key, shown in self._points.items()}

    def _position(self, key: Any, xy: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        before, now = (self._boxes.get((number + self._first, key)) for number in (t, self._t))
        if before is None or now is None:
            return xy.astype(np.float32), np.zeros(len(xy), bool), np.zeros(len(xy), np.float32)
        before, now = np.reshape(before, (2, 2)), np.reshape(now, (2, 2))
        moved, lost = now[0] + (xy - before[0]) * (now[1] - now[0]) / (before[1] - before[0]), np.zeros(len(xy), bool)
        if self._noisy:
            rng = generator(0, "points", key, t)
            kind, way = rng.random(len(xy)), rng.uniform(-ASTRAY, ASTRAY, xy.shape)
            lost = kind < 0.4
            moved = np.where((kind < 0.2)[:, None], xy, moved)
            moved = np.where(((kind >= 0.2) & lost)[:, None], xy + way * (self._t - t), moved)
            moved = moved + generator(0, "noise", key, self._t).normal(0, NOISE, xy.shape)
        return moved.astype(np.float32), lost | ~self._hidden(moved, key), np.ones(len(xy), np.float32)

    def _hidden(self, xy: np.ndarray, key: Any) -> np.ndarray:
        """(N,) bool, whether points lie within the mask of another instance of this frame."""
        others = [mask.at(xy) for other, mask in self._shown[self._t + self._first].items() if other != key]
        return np.any(others, axis=0) if others else np.zeros(len(xy), bool)

    def state(self) -> dict:
        return {"t": self._t, "points": dict(self._points)}

    def load_state(self, state: dict) -> None:
        self._t, self._points = state["t"], dict(state["points"])


class Lost:
    """A tracker that follows nothing."""

    def reset(self) -> None: ...

    def observe(self, frame: np.ndarray, t: int) -> None: ...

    def add(self, key: Any, xy: np.ndarray, t: int) -> None: ...

    def drop(self, key: Any) -> None: ...

    def positions(self) -> dict:
        return {}

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None: ...
