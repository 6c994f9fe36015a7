"""How good a SAVOS is on held-out clips: by visible masks, which choose the checkpoint, and by truth, for the card."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from samodal.baselines.savos import Savos
from samodal.rle import Rle
from samodal.training.savos.flow_clips import OUTSIDE, Clip
from samodal.training.savos.windows import Part, Windows, windows

THRESHOLD = 0.5


@torch.no_grad()
def measure(network: Savos, clips: list[Clip], length: int) -> dict[str, float | int | None]:
    """Mean IoUs over all frames of all stretches, each cut into windows as inference cuts them.

    visible_iou: of the prediction with the visible mask, without regard to pixels of others' visible masks, as the
    loss (the released training counts them). amodal_iou: of the amodal mask as inference makes it, the visible mask and
    what is predicted behind others, with the true mask; amodal_iou_copied: of the visible mask with it; hidden_iou: of
    what is not visible, where there is such a part; these are None where there is no truth. frames, hidden_frames: how
    many.

    Args:
        network: left in the mode it was in.
        clips: with `amodal` where that is known.
        length: frames of a window.
    """
    training = network.training
    network.eval()
    rows = [row for clip in clips for part in parts(clip, length) for row in _rows(network, part)]
    network.train(training)
    counts = np.array(rows, np.int64).reshape(-1, 4, 2)
    names = ("visible_iou", "amodal_iou", "amodal_iou_copied", "hidden_iou")
    means = {name: _mean(counts[:, n]) for n, name in enumerate(names)}
    return means | {"frames": len(counts), "hidden_frames": int((counts[:, 3, 1] > 0).sum())}


def parts(clip: Clip, length: int) -> Iterator[Part]:
    """All stretches in windows that follow each other; a single frame at an end needs no prediction and is left out."""
    for stretch in clip.stretches:
        for first in range(0, len(stretch) - 1, length):
            yield Part(clip, stretch, first, min(length, len(stretch) - first))


def _mean(counts: np.ndarray) -> float | None:
    """Of intersections over unions (N, 2), of those with a union; None for none."""
    used = counts[counts[:, 1] > 0]
    return float((used[:, 0] / used[:, 1]).mean()) if len(used) else None


def _rows(network: Savos, part: Part) -> Iterator[list[tuple[int, int]]]:
    """Intersection and union of each frame by visible masks, by whole masks, of copying and of hidden parts.

    (0, 0) where it is not known, or nothing is hidden.
    """
    device = next(network.parameters()).device
    given = windows([part], part.length)
    moved = given.to(device)
    predicted = (network(*moved.inputs()).of_frames()[0] > THRESHOLD).cpu().numpy()
    visible, counted, others = (part[0].numpy() for part in (given.visible, given.counted, _others(given)))
    x, y = (part.stretch.boxes[part.first] - given.boxes[0, 0].numpy())[:2]
    for t in range(part.length):
        row = [_counts(predicted[t] & counted[t], visible[t])]
        truth = part.clip.amodal.get((part.stretch.place, part.stretch.start + part.first + t))
        if truth is None:
            yield row + [(0, 0)] * 3
            continue
        whole = visible[t] | (predicted[t] & others[t])
        near, area = _near(truth, x, y, visible[t].shape), truth.area
        outside = area - int(near.sum())
        hidden = _counts(whole & ~visible[t], near & ~visible[t])
        has_hidden = outside + int((near & ~visible[t]).sum()) > 0
        row += [(i, u + outside) for i, u in (_counts(whole, near), _counts(visible[t], near))]
        yield [*row, (hidden[0], hidden[1] + outside) if has_hidden else (0, 0)]


def _others(given: Windows) -> torch.Tensor:
    """(1, T, h, w) bool: other instances' visible pixels."""
    return ~given.counted & (given.owners != OUTSIDE)


def _near(mask: Rle, x: int, y: int, shape: tuple[int, int]) -> np.ndarray:
    """The part of a mask in the region of this shape whose corner is (x, y)."""
    near = mask.decode()[y : y + shape[0], x : x + shape[1]]
    return np.pad(near, [(0, n - m) for n, m in zip(shape, near.shape, strict=True)])


def _counts(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    return int((a & b).sum()), int((a | b).sum())
