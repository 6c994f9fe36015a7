"""CoTracker3 as an online point tracker: a result for the newest frame at every frame.

Points of different keys do not influence each other: each key is a batch item of its own, with support points that
depend on its own points alone. What other keys there are, and their order, changes results by no more than the
rounding of a batched product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from samodal.checks import Array, check_entries, fits
from samodal.errors import InputError, shown
from samodal.trackers.checks import Index, Points, Size, check_frames, check_groups, check_size
from samodal.trackers.cotracker.model import Estimate
from samodal.trackers.cotracker.tracker import VISIBLE_ONLINE, CoTracker3, grid_points

# A key with more points than this is followed as several items that do not influence each other.
MOST_POINTS = 256


@dataclass
class _Frame:
    """A frame in the ring; its features are made when first needed."""

    number: int
    t: int
    pixels: Tensor
    levels: list[Tensor] | None = None


@dataclass
class _Span:
    """An estimate of P points in consecutive frames: xy (F, P, 2), visibility and confidence logits (F, P)."""

    first: int
    parts: tuple[Tensor, Tensor, Tensor]

    @property
    def last(self) -> int:
        return self.first + len(self.parts[0]) - 1

    def at(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The parts in the frames of given numbers; later frames are like the last."""
        index = (frames - self.first).clamp(0, len(self.parts[0]) - 1)
        return tuple(part[index] for part in self.parts)


@dataclass
class _Item:
    """Points that are estimated together: `own` of a key, then support points.

    Attributes:
        cells: (P, 2) where they were added, in cells of the finest feature map.
        support: (P, side * side, C) per level, their features there.
        start: the estimate that windows begin from.
        latest: the newest estimate.
    """

    own: int
    cells: Tensor
    support: list[Tensor]
    start: _Span | None = None
    latest: _Span | None = None


@dataclass
class _Group:
    """Points of a key: (N, 2) pixels as added in frame `number`."""

    xy: np.ndarray
    number: int
    items: list[_Item] = field(default_factory=list)


class CoTrackerOnline:
    """Follows points with a CoTracker3 whose window ends in the newest frame.

    Features are made once per frame, for the frames of a single window, and only while there is something to follow.
    Features of points are kept from the frame in which they were added. So a frame costs the same however long ago that
    was. Each window begins from an estimate that is renewed every half window, which refines each frame as often as
    the model was trained to. Frames before a point was added are in the window too, so its motion up to then is known.

    Confidence is the model's probability that the position is nearly right, hidden or not.

    Args:
        weights: a CoTracker3, or what `CoTracker3.from_checkpoint` takes; the released weights are CC-BY-NC 4.0.
        device: where to compute.
        every: frames between windows; between them points stay where they were last estimated. 8 is the released
            schedule, for an eighth of the transformer's cost; a point's first window is never delayed.
        support: support points along each side of the frame, and of a box around the points of a key; None as the
            model was trained.
        items: keys per forward pass.

    Raises:
        InputError: where there are no weights, or they are not those of a CoTracker3.
    """

    def __init__(
        self,
        weights: CoTracker3 | str | Path | None = None,
        device: str | torch.device = "cpu",
        every: int = 1,
        support: tuple[int, int] | None = None,
        items: int = 16,
    ):
        if weights is None:
            raise InputError(
                "cotracker3 needs weights: give the path of scaled_online.pth or the hub name facebook/cotracker3 "
                "(both CC-BY-NC 4.0: not for commercial use), or a .safetensors of our own"
            )
        model = weights if isinstance(weights, CoTracker3) else CoTracker3.from_checkpoint(weights)
        self.network = model.to(device).network
        self.support = self.network.config.support if support is None else support
        self.every, self.items = every, items
        self.reset()

    def reset(self) -> None:
        self._ring: deque[_Frame] = deque(maxlen=self.network.config.window)
        self._size: tuple[int, int] | None = None
        self._groups: dict[Any, _Group] = {}

    @torch.inference_mode()
    def observe(self, frame: np.ndarray, t: int) -> None:
        """Raises InputError for a frame whose size differs from the frames before."""
        size = frame.shape[:2]
        check_size(size, self._size, t)
        # Each frame gets its window, whether or not positions were read in it.
        self._advance()
        number = self._ring[-1].number + 1 if self._ring else 0
        self._size = size
        self._ring.append(_Frame(number, t, self.network.pixels(frame[None])))

    @torch.inference_mode()
    def add(self, key: Any, xy: np.ndarray, t: int) -> None:
        """Points of a frame before the newest get their first window at once, not a window for each frame since.

        Raises:
            InputError: where frame t is no longer kept, or a point is not finite.
        """
        frame = next((frame for frame in self._ring if frame.t == t), None)
        if frame is None:
            known = [frame.t for frame in self._ring]
            raise InputError(f"cotracker3 keeps the frames {known} and cannot follow points from frame {t}")
        xy = np.asarray(xy, np.float32).reshape(-1, 2)
        if not np.isfinite(xy).all():
            raise InputError(f"points of {key!r} in frame {t} are not all finite")
        blocks = [xy[i : i + MOST_POINTS] for i in range(0, len(xy), MOST_POINTS)]
        self._groups[key] = _Group(xy.copy(), frame.number, [self._item(block, frame) for block in blocks])

    def drop(self, key: Any) -> None:
        self._groups.pop(key, None)

    @torch.inference_mode()
    def positions(self) -> dict[Any, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        self._advance()
        return {key: self._position(group) for key, group in self._groups.items()}

    def state(self) -> dict:
        return {
            "size": self._size,
            "frames": [(frame.number, frame.t, frame.pixels.numpy(force=True)) for frame in self._ring],
            "groups": {
                key: {"xy": group.xy, "number": group.number, "items": [_item_state(item) for item in group.items]}
                for key, group in self._groups.items()
            },
        }

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"size": Size, "frames": list, "groups": dict}, "state of the tracker")
        pixels = Annotated[np.ndarray, Array("float32", (1, 3, *self.network.config.resolution))]
        check_frames(state["frames"], tuple[tuple[Index, Index, pixels], ...])
        check_groups(state["groups"], {"xy": Points, "number": Index, "items": list})
        for key, group in state["groups"].items():
            self._check_items(group, f"state of the tracker, points of {shown(key)}")
        self.reset()
        self._size = state["size"]
        for number, t, pixels in state["frames"]:
            self._ring.append(_Frame(number, t, self._tensor(pixels)))
        for key, group in state["groups"].items():
            items = [self._loaded_item(item) for item in group["items"]]
            self._groups[key] = _Group(group["xy"], group["number"], items)

    def _check_items(self, group: dict, where: str) -> None:
        """Refuse items that `_item_state` never gives for a group of points."""
        config = self.network.config
        for item in group["items"]:
            count = len(item["cells"]) if isinstance(item, dict) and isinstance(item.get("cells"), np.ndarray) else 0
            side = Annotated[np.ndarray, Array("float32", (count, config.side**2, config.features))]
            check_entries(
                item, {"own": Index, "cells": Points, "support": list, "start": object, "latest": object}, where
            )
            spans = [span for span in (item["start"], item["latest"]) if span is not None]
            for span in spans:
                check_entries(span, {"first": Index, "parts": list}, where)
                frames = len(span["parts"][0]) if span["parts"] and isinstance(span["parts"][0], np.ndarray) else 0
                two, one = ((Annotated[np.ndarray, Array("float32", (frames, count, *more))]) for more in ((2,), ()))
                if not frames or not fits(span["parts"], tuple[two, one, one]):
                    raise InputError(f"{where}: parts cannot be {shown(span['parts'])}")
            if len(item["support"]) != config.levels or not fits(item["support"], tuple[side, ...]):
                raise InputError(f"{where}: support cannot be {shown(item['support'])}")
            if item["own"] > count or (item["start"] is None) != (item["latest"] is None):
                raise InputError(f"{where}: {item['own']} of {count} points, or only one of two estimates")
        if sum(item["own"] for item in group["items"]) != len(group["xy"]):
            raise InputError(f"{where}: not as many as its items follow")

    def _item(self, xy: np.ndarray, frame: _Frame) -> _Item:
        """Points (N, 2) in pixels of a frame, and their support points, with their features."""
        points = np.concatenate([xy, support_points(xy, self._size, *self.support)])
        cells = self.network.cells(self._tensor(points), self._size)
        first = torch.zeros(len(points), dtype=torch.long, device=cells.device)
        return _Item(len(xy), cells, self.network.support(self._levels(frame), first, cells))

    def _levels(self, frame: _Frame) -> list[Tensor]:
        if frame.levels is None:
            frame.levels = self.network.pyramid(frame.pixels)
        return frame.levels

    def _advance(self) -> None:
        """Bring what is due up to the newest frame, all keys in a single batch."""
        due = [item for group in self._groups.values() for item in group.items if self._due(group, item)]
        if not due:
            return
        window = self.network.config.window
        # A video shorter than the window ends with copies of its newest frame, as in the released code.
        padded = [*self._ring, *[self._ring[-1]] * (window - len(self._ring))]
        levels = [torch.cat(level) for level in zip(*(self._levels(frame) for frame in padded), strict=True)]
        numbers = torch.tensor([frame.number for frame in padded], device=levels[0].device)
        for i in range(0, len(due), self.items):
            self._refine(due[i : i + self.items], levels, numbers)

    def _due(self, group: _Group, item: _Item) -> bool:
        newest = self._ring[-1].number
        if item.latest is None:
            return newest > group.number
        return newest - item.latest.last >= self.every

    def _refine(self, items: Sequence[_Item], levels: list[Tensor], numbers: Tensor) -> None:
        """Estimate some items in a window, and renew what the next windows begin from where it is old."""
        starts = zip(*(self._start(item, numbers) for item in items), strict=True)
        start = Estimate(*(_stack(parts) for parts in starts))
        support = [
            pad_sequence(list(level), batch_first=True) for level in zip(*(i.support for i in items), strict=True)
        ]
        counts = torch.tensor([len(item.cells) for item in items], device=numbers.device)
        real = torch.arange(start.xy.shape[2], device=numbers.device) < counts[:, None]
        refined = self.network.refine(levels, support, start, self.network.config.iterations, real)[-1]
        frames, step = len(self._ring), self.network.config.window // 2
        for n, item in enumerate(items):
            parts = (refined.xy, refined.visibility, refined.confidence)
            # Copied, or the whole batch would live as long as any of its items.
            own = tuple(part[n, :frames, : len(item.cells)].clone() for part in parts)
            item.latest = _Span(self._ring[0].number, own)
            if item.start is None or item.latest.last - item.start.last >= step:
                item.start = item.latest

    def _start(self, item: _Item, numbers: Tensor) -> tuple[Tensor, ...]:
        """What a window begins from: (S, P, 2) cells and (S, P) logits twice."""
        if item.start is not None:
            return item.start.at(numbers)
        unknown = item.cells.new_zeros(len(numbers), len(item.cells))
        return item.cells.expand(len(numbers), -1, -1), unknown, unknown

    def _position(self, group: _Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a group is in the newest frame; where it was added, for certain, if that is the newest frame."""
        if not group.items or group.items[0].latest is None:
            return group.xy.copy(), np.ones(len(group.xy), bool), np.ones(len(group.xy), np.float32)
        newest = [[part[-1, : item.own] for part in item.latest.parts] for item in group.items]
        cells, visibility, confidence = (torch.cat(parts) for parts in zip(*newest, strict=True))
        confidence = confidence.sigmoid()
        visible = visibility.sigmoid() * confidence > VISIBLE_ONLINE
        xy = self.network.frame_pixels(cells, self._size)
        return xy.numpy(force=True), visible.numpy(force=True), confidence.numpy(force=True)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.network.device)

    def _loaded_item(self, state: dict) -> _Item:
        spans = {
            name: span and _Span(span["first"], tuple(self._tensor(part) for part in span["parts"]))
            for name, span in (("start", state["start"]), ("latest", state["latest"]))
        }
        support = [self._tensor(level) for level in state["support"]]
        return _Item(state["own"], self._tensor(state["cells"]), support, **spans)


def support_points(xy: np.ndarray, size: tuple[int, int], grid: int, around: int) -> np.ndarray:
    """Points that show the motion of the background, of the occluder and of what is near.

    Args:
        xy: (N, 2) the points of an instance, N at least 1.
        size: (H, W) of the frame.
        grid: points along each side of the frame.
        around: points along each side of a box around `xy`: half as large again, and at least an eighth of the frame.

    Returns:
        (grid * grid + around * around, 2) float32 pixels, all within the frame.
    """
    everywhere = grid_points(grid, size).numpy()
    limit = np.array([size[1] - 1, size[0] - 1], np.float32)
    low, high = xy.min(axis=0), xy.max(axis=0)
    half = np.maximum(0.75 * (high - low), (limit + 1) / 16)
    near = grid_points(around, (1, 1)).numpy() if around else np.zeros((0, 2), np.float32)
    near = (low + high) / 2 + (2 * near - 1) * half
    return np.concatenate([everywhere, near]).clip(0, limit).astype(np.float32)


def _stack(parts: Sequence[Tensor]) -> Tensor:
    """(S, P, ...) of different P to (B, S, largest P, ...), filled up with zeros."""
    return pad_sequence([part.transpose(0, 1) for part in parts], batch_first=True).transpose(1, 2)


def _item_state(item: _Item) -> dict:
    spans = {
        name: span and {"first": span.first, "parts": [part.numpy(force=True) for part in span.parts]}
        for name, span in (("start", item.start), ("latest", item.latest))
    }
    support = [level.numpy(force=True) for level in item.support]
    return {"own": item.own, "cells": item.cells.numpy(force=True), "support": support} | spans
