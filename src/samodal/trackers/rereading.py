"""Trackers that others publish, run from a checkout and a checkpoint the user names, as an online tracker.

They take a clip and the points of a frame of it. So for every frame the clip from the points to now is read
again, as the code released with the paper does, but no more than a bounded number of frames.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from samodal.checkpoints.files import read_state_dict, without_prefix
from samodal.checks import check_entries
from samodal.errors import InputError
from samodal.registry import TRACKERS
from samodal.trackers.checks import Index, Points, Size, check_frames, check_groups, check_size

# Points followed in a call; a larger group is split over calls, which do not influence each other.
MOST_POINTS = 256


@dataclass
class _Group:
    """Points of a key, (N, 2) pixels as added in frame t, with that frame."""

    xy: np.ndarray
    t: int
    frame: np.ndarray


class Rereading:
    """The contract of a point tracker around a network that reads clips. Keys do not influence each other.

    Subclasses give `prepare` and `follow`.

    Args:
        network: reads the clips.
        device: where it does.
        frames: most frames that are read at once: the frame of the points and the newest frames after it. A gap up
            to so long is read whole; in a longer gap the frames just after the points are left out, as if time jumped.
    """

    def __init__(self, network: nn.Module, device: str | torch.device, frames: int):
        if frames < 2:
            raise InputError(f"a clip that is re-read has at least 2 frames, got {frames}")
        self.network, self.device, self.frames = network.to(device).eval(), torch.device(device), frames
        self.reset()

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) uint8 as the network wants it; kept, so it should be small."""
        raise NotImplementedError

    def follow(self, clip: Tensor, xy: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 2) positions, (N,) visible and (N,) confidence in the last frame of a clip.

        Args:
            clip: (T, ...) prepared frames, on the device.
            xy: (N, 2) points in its first frame, in pixels of a frame of `size` (H, W).
        """
        raise NotImplementedError

    def reset(self) -> None:
        self._ring: deque[tuple[int, np.ndarray]] = deque(maxlen=self.frames)
        self._size: tuple[int, int] | None = None
        self._groups: dict[Any, _Group] = {}
        self._positions: dict[Any, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def observe(self, frame: np.ndarray, t: int) -> None:
        """Raises InputError for a frame whose size differs from the frames before."""
        size = frame.shape[:2]
        check_size(size, self._size, t)
        self._size = size
        self._ring.append((t, self.prepare(frame)))
        self._positions = {}

    def add(self, key: Any, xy: np.ndarray, t: int) -> None:
        frame = dict(self._ring).get(t)
        if frame is None:
            known = [number for number, _ in self._ring]
            raise InputError(f"the tracker keeps the frames {known} and cannot follow points from frame {t}")
        self._groups[key] = _Group(np.array(xy, np.float32).reshape(-1, 2), t, frame)
        self._positions.pop(key, None)

    def drop(self, key: Any) -> None:
        self._groups.pop(key, None)
        self._positions.pop(key, None)

    def positions(self) -> dict[Any, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for key, group in self._groups.items():
            if key not in self._positions:
                self._positions[key] = self._position(group)
        return {key: tuple(part.copy() for part in self._positions[key]) for key in self._groups}

    def state(self) -> dict:
        groups = {key: vars(group).copy() for key, group in self._groups.items()}
        return {"size": self._size, "frames": list(self._ring), "groups": groups}

    def load_state(self, state: dict) -> None:
        """Raises InputError for what `state` never gives; nothing has changed then."""
        check_entries(state, {"size": Size, "frames": list, "groups": dict}, "state of the tracker")
        check_groups(state["groups"], {"xy": Points, "t": Index, "frame": np.ndarray})
        own = [group["frame"] for group in state["groups"].values()]
        check_frames(state["frames"], tuple[tuple[Index, np.ndarray], ...], own)
        self.reset()
        self._size = state["size"]
        self._ring.extend(state["frames"])
        self._groups = {key: _Group(**group) for key, group in state["groups"].items()}

    def _position(self, group: _Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = len(group.xy)
        since = [frame for t, frame in self._ring if t > group.t][-(self.frames - 1) :]
        if not count or not since:
            return group.xy, np.ones(count, bool), np.ones(count, np.float32)
        clip = torch.from_numpy(np.stack([group.frame, *since])).to(self.device)
        # Some of these networks draw random numbers; the caller's generator stays as it is.
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            blocks = [
                self.follow(clip, group.xy[i : i + MOST_POINTS], self._size) for i in range(0, count, MOST_POINTS)
            ]
        xy, visible, confidence = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return xy.astype(np.float32), visible, confidence.astype(np.float32)


def load(name: str, given: str | None, module: str, attribute: str, **options) -> nn.Module:
    """A network of a checkout with the weights of a checkpoint.

    Args:
        name: of the tracker in the registry, which says how to get both.
        given: CHECKOUT,CHECKPOINT: a folder and a file.
        module, attribute: the class in the checkout.
        options: what it is made with.

    Raises:
        InputError: where something is missing, cannot be imported, or does not fit.
    """
    part = TRACKERS[name]
    way_out = f"licence: {part.licence}; to get it: {part.needs}"
    folder, comma, checkpoint = (given or "").partition(",")
    if not (folder and comma and checkpoint):
        raise InputError(f"{name} is given as {name}:{part.argument}, got {given!r}; {way_out}")
    path, source = Path(checkpoint), Path(folder, *module.split(".")).with_suffix(".py")
    if not Path(folder).is_dir():
        raise InputError(f"{name}: {folder}: no such folder; {way_out}")
    if not source.is_file():
        raise InputError(f"{name}: {folder} is not its checkout, {source.relative_to(folder)} is missing; {way_out}")
    if not path.is_file():
        raise InputError(f"{name}: {path}: no such checkpoint; {way_out}")
    try:
        with _imported_first(Path(folder), module.partition(".")[0]), torch.random.fork_rng(devices=[]):
            network = getattr(importlib.import_module(module), attribute)(**options)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{name}: {folder} cannot be used ({error}); {way_out}") from error
    try:
        network.load_state_dict(without_prefix(read_state_dict(path), network.state_dict()))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{name}: {path}: not the weights of {attribute} ({reason}); {way_out}") from None
    return network


@contextmanager
def _imported_first(folder: Path, package: str) -> Iterator[None]:
    """Import a package from a folder, and leave no trace: two checkouts may both call theirs `cotracker`."""

    def loaded() -> dict:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == package}

    before, path = loaded(), list(sys.path)
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(before)
