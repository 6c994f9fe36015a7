"""The feature network alone: taught by matching, then used once for all clips.

On a GPU both are left out and everything is learned together. On a CPU most of a step's time would go into features;
learned first and kept, they leave it to the transformer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from samodal.trackers.cotracker.features import gather_squares, interpolate
from samodal.trackers.cotracker.model import Network
from samodal.training.tracker.draw import Draw, Step, augment, fetch, normalised
from samodal.training.tracker.point_clips import Clips

SHARPNESS = 20.0
"""Factor on the products of features before the softmax over all cells of a frame."""


def matching(network: Network, step: Step, *_) -> dict[str, Tensor]:
    """Which cell of every other frame shows a point of the query's frame: cross-entropy over all cells, per level.

    Only points that are visible there count. "found" is the share of them whose best cell of the finest level is
    within a cell of the truth.
    """
    clips, length = step.pixels.shape[:2]
    levels = network.pyramid(step.pixels.flatten(0, 1))
    stride, number = network.config.stride, torch.arange(len(step.item), device=step.item.device)
    frame = step.item * length + step.query
    visible = step.visible & step.known & step.own[:, None]
    loss, found = step.xy.new_zeros(()), None
    for n, level in enumerate(levels):
        height, width = level.shape[1:3]
        cells = step.xy / stride / 2**n
        shown = cells[number, step.query]
        around, fraction = gather_squares(level, shown, 0, frame[:, None].expand(-1, shown.shape[1]))
        query = interpolate(around, fraction)[:, :, 0, 0]  # (M, N, D)
        every = level.unflatten(0, (clips, length)).flatten(2, 3)[step.item]  # (M, L, h w, D)
        logits = SHARPNESS * torch.einsum("mnd,mlcd->mlnc", query, every).float()
        target, inside = _corners(cells, height, width)
        weight = (visible & inside).float()
        right = sum(share * logits.log_softmax(-1).gather(-1, cell[..., None])[..., 0] for cell, share in target)
        loss = loss - (right * weight).sum() / weight.sum().clamp(min=1) / len(levels)
        if found is None:
            best = logits.argmax(-1)
            place = torch.stack([best % width, best // width], -1)
            found = ((place - cells).abs().amax(-1) <= 1).float() * weight
            found = found.sum() / weight.sum().clamp(min=1)
    return {"loss": loss, "found": found}


def _corners(cells: Tensor, height: int, width: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """The four cells around each point with their bilinear shares, and whether the point lies between cells."""
    inside = (cells >= 0).all(-1) & (cells[..., 0] <= width - 1) & (cells[..., 1] <= height - 1)
    limit = cells.new_tensor([width - 1, height - 1])
    low = cells.floor().clamp(min=0).minimum(limit - 1)
    part = (cells - low).clamp(0, 1)
    corners = []
    for right in (0, 1):
        for down in (0, 1):
            cell = (low[..., 1] + down) * width + low[..., 0] + right
            share = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
            corners.append((cell.long(), share))
    return corners, inside


@torch.no_grad()
def with_features(
    clips: Clips, network: Network, versions: int, seed: int, report: Callable[[str], None] = print
) -> Clips:
    """Feature maps of all clips as they are and of `versions - 1` augmented copies of each."""
    held, columns = [], []
    network.eval()
    for version in range(versions):
        for number in range(len(clips)):
            step = fetch(_whole(clips, number), clips)
            if version:
                augment(step, torch.Generator(clips.device).manual_seed((seed * 64 + version) * 1_000_003 + number))
            frames = normalised(step.pixels[0])
            maps = [network.pyramid(frame[None]) for frame in frames]
            held.append([torch.cat(level).half() for level in zip(*maps, strict=True)])
            moved = (step.xy[0], step.visible[0], step.known[0])
            columns.append([part.transpose(0, 1).numpy(force=True) for part in moved] + [clips.ids[number]])
        report(f"features of version {version + 1} of {versions}")
    levels = [torch.stack(level) for level in zip(*held, strict=True)]
    return Clips(clips.size, *(list(column) for column in zip(*columns, strict=True)), levels=levels)


def _whole(clips: Clips, number: int) -> Draw:
    """A clip from its first frame to its last with all its points, as an item that hides none of them."""
    xy, visible, known = (getattr(clips, name)[number].swapaxes(0, 1)[None] for name in ("xy", "visible", "known"))
    points = xy.shape[2]
    return Draw(
        clip=np.array([number]), begin=np.array([0]), windows=[0], item=np.array([0]), query=np.array([0]), xy=xy,
        visible=visible, known=known, support=np.zeros((1, 0, 2), np.float32), own=np.ones((1, points), bool),
    )  # fmt: skip
