"""Clips with their visible instances, as VidEoMT sees them, all in memory: frames and, per pixel, whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from samodal.categories import ours
from samodal.data.open import opened
from samodal.errors import InputError
from samodal.frontends.videomt.config import VideomtConfig
from samodal.training.workers import read_all, sequences

MOST = 255
"""Instances of a clip that can be told apart; further ones are scenery."""


@dataclass
class Clips:
    """C clips with F frames in all; (H, W) is the network's input.

    Attributes:
        frames: (F, 3, H, W) uint8 RGB, black below and on the right of the content.
        owners: (F, H, W) uint8, whose pixel it is: the place of an instance in its clip from 1, 0 for the scenery.
        labels: (C, S + 1) int64, the class of each place, -1 where there is none; place 0 is unused.
        content: (C, 2) int64, (H, W) of the frames in the input.
        first, length: (C,) int64 on the CPU, where the frames of a clip are.
        classes: names of the classes.
    """

    frames: torch.Tensor
    owners: torch.Tensor
    labels: torch.Tensor
    content: torch.Tensor
    first: np.ndarray
    length: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def device(self) -> torch.device:
        """Where steps are made; frames and owners may have stayed in main memory."""
        return self.labels.device

    @property
    def instances(self) -> int:
        """In all clips, each counted once."""
        return int((self.labels >= 0).sum())

    def nbytes(self) -> int:
        """Of frames and owners."""
        return self.frames.nbytes + self.owners.nbytes

    def to(self, device: torch.device) -> Clips:
        """The same on a device; frames and owners stay where they are if they would fill most of a GPU."""
        stay = device.type == "cuda" and self.nbytes() > 0.5 * torch.cuda.mem_get_info(device)[0]
        names = ("labels", "content") if stay else ("frames", "owners", "labels", "content")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def part(self, start: int, stop: int) -> Clips:
        """The clips [start, stop)."""
        begin, end = int(self.first[start]), int(self.first[stop - 1] + self.length[stop - 1])
        clips = {name: getattr(self, name)[start:stop] for name in ("labels", "content", "length")}
        first = self.first[start:stop] - begin
        return replace(self, frames=self.frames[begin:end], owners=self.owners[begin:end], first=first, **clips)


def load_clips(
    data: str,
    config: VideomtConfig,
    *,
    count: int | None = None,
    workers: int = 0,
    report: Callable[[str], None] = print,
) -> Clips:
    """Read the sequences of data sets with truth.

    Args:
        data: what `open_dataset` takes, such as streetsim:ROOT/tracks; several are separated by commas.
        config: its size, fit and classes; instances of other classes are scenery.
        count: so many sequences of each, the first of them; None for all.
        workers: processes; 0 takes as many as there are cores.
        report: gets lines of progress.

    Raises:
        InputError: if the data set cannot be read, or has no instance of these classes.
    """
    tasks = [(*sequence, config) for sequence in sequences(data, count)]
    return _joined(read_all(_sequence, tasks, data, workers, report), data, config)


def _sequence(task: tuple[str, str, VideomtConfig]) -> tuple[np.ndarray, np.ndarray, list[int], tuple[int, int]]:
    """frames (T, 3, H, W), owners (T, H, W), the class of each place, and the content's size."""
    data, name, config = task
    video, places, labels = opened(data).video(name), {}, []
    frames = np.zeros((video.length, 3, *config.size), np.uint8)
    owners = np.zeros((video.length, *config.size), np.uint8)
    for t in range(video.length):
        frames[t] = config.transform.fitted(video.frame(t).image)
        owner = np.zeros(video.size, np.uint8)
        for instance in video.labels(t) or ():
            label = label_of(instance.category, config.classes)
            if instance.visible is None or label is None:
                continue
            if instance.id not in places and len(places) < MOST:
                places[instance.id] = len(places) + 1
                labels.append(label)
            owner[instance.visible.decode()] = places.get(instance.id, 0)
        height, width = config.transform.resized(video.size)
        owners[t, :height, :width] = np.asarray(
            Image.fromarray(owner).resize((width, height), Image.Resampling.NEAREST)
        )
    return frames, owners, labels, config.transform.resized(video.size)


def label_of(category: str, classes: tuple[str, ...]) -> int | None:
    """The place of a data set's class among those that are learned, None for scenery.

    By its name, or else by the road user that it means: KINS' pedestrian is learned as person, its van as car.
    """
    name = category if category in classes else ours(category)
    return classes.index(name) if name in classes else None


def _joined(read: list[tuple], data: str, config: VideomtConfig) -> Clips:
    labels = np.full((len(read), 1 + max((len(part[2]) for part in read), default=0)), -1)
    for row, (_, _, known, _) in zip(labels, read, strict=True):
        row[1 : 1 + len(known)] = known
    if not (labels >= 0).any():
        raise InputError(f"{data}: no visible {', '.join(config.classes)} in {len(read)} sequences; nothing to learn")
    content = torch.tensor([part[3] for part in read])
    length = np.array([len(part[0]) for part in read])
    first = length.cumsum() - length
    frames = np.empty((length.sum(), 3, *config.size), np.uint8)
    owners = np.empty((length.sum(), *config.size), np.uint8)
    # Each part is let go when it is copied: two copies of everything would not fit.
    for n in reversed(range(len(read))):
        part = read.pop()
        frames[first[n] :][: length[n]], owners[first[n] :][: length[n]] = part[:2]
    return Clips(
        torch.from_numpy(frames), torch.from_numpy(owners), torch.from_numpy(labels), content, first, length,
        config.classes,
    )  # fmt: skip
