"""What a step learns from: windows that follow each other as in use, points of an instance as an item.

As the online tracker works, so it learns: an item is the points of one instance with support points around them, and
each window begins where an earlier window ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from samodal.trackers.cotracker.config import CoTrackerConfig
from samodal.trackers.cotracker.online import support_points
from samodal.training.augment import AugmentSettings, Views, draw_views, grid, recolour, warp_frames
from samodal.training.tracker.point_clips import Clips

AUGMENT = AugmentSettings(zoom=(1.0, 1.6))


@dataclass
class Draw:
    """M items on B clips, over L frames.

    Attributes:
        clip: (B,) which clips.
        begin: (B,) first of the L frames in each.
        windows: first frame of each window, counted in the L.
        item: (M,) which of the B clips an item looks at.
        query: (M,) the frame, counted in the L, in which its points are shown; within the first window.
        xy: (M, L, N, 2) float32, where its points are, in pixels of the network's frames.
        visible, known: (M, L, N) bool, as in `Clips`.
        support: (M, Q, 2) float32, support points in the query's frame.
        own: (M, N) bool, False for points that pad the batch.
    """

    clip: np.ndarray
    begin: np.ndarray
    windows: list[int]
    item: np.ndarray
    query: np.ndarray
    xy: np.ndarray
    visible: np.ndarray
    known: np.ndarray
    support: np.ndarray
    own: np.ndarray


class Drawer:
    """Draws steps from clips.

    Args:
        clips: to draw from.
        config: of the network.
        windows: that follow each other.
        points: of an instance at most, N.
        items: instances of a clip.
    """

    def __init__(self, clips: Clips, config: CoTrackerConfig, windows: int, points: int, items: int):
        self.clips, self.config, self.points, self.items = clips, config, points, items
        self.step = config.window // 2
        longest = (clips.length - config.window) // self.step + 1
        self.windows = min(windows, longest)
        self.groups = [_groups(*columns) for columns in zip(clips.ids, clips.visible, clips.known, strict=True)]

    def __call__(self, clips: np.ndarray, rng: np.random.Generator) -> Draw:
        """A step on some clips, given by number."""
        last = int(rng.integers(1, self.step + 1))
        starts = [n * self.step for n in range(self.windows)]
        if self.windows > 1:
            # Only the last window of a chain is read, up to half a window after the window before it.
            starts[-1] = starts[-2] + last
        length = starts[-1] + self.config.window
        begin = rng.integers(0, self.clips.length - length + 1, len(clips))
        rows = [
            (b, *self._item(clip, first, length, group, rng))
            for b, (clip, first) in enumerate(zip(clips, begin, strict=True))
            for group in self._choose(clip, rng)
        ]
        item, *columns = (np.stack(column) for column in zip(*rows, strict=True))
        return Draw(clips, begin, starts, item, *columns)

    def _choose(self, clip: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Some of the clip's instances, those that are hidden at times more often."""
        groups, weights = self.groups[clip]
        chosen = rng.choice(len(groups), self.items, replace=self.items > (weights > 0).sum(), p=weights)
        return [groups[n] for n in chosen]

    def _item(self, clip: int, first: int, length: int, group: tuple[int, int], rng: np.random.Generator):
        """query, xy, visible, known, support and own of an instance."""
        frames, rows = slice(first, first + length), slice(*group)
        visible = self.clips.visible[clip][rows, frames]
        window = self.config.window
        # In use the points were seen shortly before the newest frame of their first window.
        weight = (visible[:, :window].sum(0) + 1e-3) * np.arange(1, window + 1)
        query = rng.choice(window, p=weight / weight.sum())
        candidates = np.flatnonzero(visible[:, query]) if visible[:, query].any() else np.arange(len(visible))
        size = rng.integers(1, self.points + 1) if rng.random() < 0.3 else self.points
        picks = rng.permutation(candidates)[:size]
        pick = group[0] + picks
        xy, known = self.clips.xy[clip][pick, frames], self.clips.known[clip][pick, frames]
        visible = visible[picks]
        missing = self.points - len(pick)
        own = np.arange(self.points) < len(pick)
        # An item whose points are never seen in the window teaches nothing.
        known = known & visible[:, query, None]
        shown = xy[:, query]
        around = support_points(shown, self.clips.size, *self.config.support)
        padded = (np.pad(part, [(0, missing)] + [(0, 0)] * (part.ndim - 1)) for part in (xy, visible, known))
        xy, visible, known = (part.swapaxes(0, 1) for part in padded)
        return np.int64(query), xy, visible, known, around, own


def _groups(ids: np.ndarray, visible: np.ndarray, known: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """(first, last + 1) of the points of every instance, and how likely it is drawn."""
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    groups = list(zip(starts.tolist(), [*starts[1:].tolist(), len(ids)], strict=True))
    hidden = np.array([(known[a:b] & ~visible[a:b]).mean() for a, b in groups])
    shown = np.array([visible[a:b].mean() for a, b in groups])
    weights = np.minimum(shown, 0.2) * (0.2 + hidden)
    return groups, weights / weights.sum()


@dataclass
class Step:
    """A draw on the device, moved and recoloured.

    Attributes:
        size: (h, w) of the network's frames.
        pixels: (B, L, 3, h, w) float32 in [-1, 1]; None where there are feature maps.
        levels: (B, L, h', w', D) per level instead.
        windows, item, query, xy, visible, known, support, own: as in `Draw`.
    """

    size: tuple[int, int]
    pixels: torch.Tensor | None
    levels: list[torch.Tensor] | None
    windows: list[int]
    item: torch.Tensor
    query: torch.Tensor
    xy: torch.Tensor
    visible: torch.Tensor
    known: torch.Tensor
    support: torch.Tensor
    own: torch.Tensor


def prepare(draw: Draw, clips: Clips, generator: torch.Generator | None) -> Step:
    """A draw on the device; pictures are augmented where there is a generator, feature maps taken as they are."""
    step = fetch(draw, clips)
    if step.pixels is None:
        return step
    if generator is not None:
        augment(step, generator)
        # A point that is covered where it is shown has other features than its own.
        number = torch.arange(len(step.item), device=step.item.device)
        step.known = step.known & step.visible[number, step.query][:, None]
    step.pixels = normalised(step.pixels)
    return step


def fetch(draw: Draw, clips: Clips) -> Step:
    """A draw with its pictures in 0..255, or with feature maps."""
    device = clips.device
    frame = torch.from_numpy(draw.begin[:, None] + np.arange(draw.xy.shape[1])).to(device)
    which = torch.from_numpy(draw.clip).to(device)[:, None], frame
    names = ("item", "query", "xy", "visible", "known", "support", "own")
    tensors = {name: torch.from_numpy(getattr(draw, name)).to(device) for name in names}
    if clips.levels is not None:
        return Step(clips.size, None, [level[which].float() for level in clips.levels], draw.windows, **tensors)
    return Step(clips.size, clips.frames[which], None, draw.windows, **tensors)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """0..255 to [-1, 1], as `Network.pixels`."""
    return 2 * (pixels.float() / 255) - 1


def augment(step: Step, generator: torch.Generator) -> None:
    """Change the pictures of a step, in 0..255, and its points with them."""
    _move(step, generator)
    _cover(step, generator)
    _recolour(step, generator)


def _move(step: Step, generator: torch.Generator) -> None:
    """Mirror, and zoom in on a part of the image that slides over the clip as if the camera moved."""
    (count, length), size = step.pixels.shape[:2], step.size
    content = torch.tensor([size], device=step.pixels.device).repeat(count, 1)
    a, b = (draw_views(content, size, AUGMENT, generator) for _ in range(2))
    share = torch.linspace(0, 1, length, device=content.device)[None, :, None]
    # Between two views that lie inside the image all lie inside.
    inverse = torch.lerp(1 / a.zoom[:, None, None], 1 / b.zoom[:, None, None], share)
    corner = torch.lerp(a.corner[:, None], b.corner[:, None], share)
    zoom = 1 / inverse
    views = Views(zoom.flatten(), corner.flatten(0, 1), a.flip.repeat_interleave(length))
    where = grid(views, content.repeat_interleave(length, 0), size, size)
    step.pixels = warp_frames(step.pixels.flatten(0, 1), where).unflatten(0, (count, length))

    def moved(xy: torch.Tensor, zoom: torch.Tensor, corner: torch.Tensor) -> torch.Tensor:
        flip = a.flip[step.item][:, None, None] if xy.ndim == 4 else a.flip[step.item][:, None]
        x = torch.where(flip, size[1] - 1 - xy[..., 0], xy[..., 0])
        xy = torch.stack([x, xy[..., 1]], -1)
        return (xy + 0.5 - corner) * zoom - 0.5

    number = torch.arange(len(step.item), device=content.device)
    step.xy = moved(step.xy, zoom[step.item][:, :, None], corner[step.item][:, :, None])
    at = (step.item[number], step.query)
    step.support = moved(step.support, zoom[at][:, None], corner[at][:, None])
    inside = ((step.xy > -0.5) & (step.xy < step.xy.new_tensor([size[1], size[0]]) - 0.5)).all(-1)
    step.visible = step.visible & inside


def _cover(step: Step, generator: torch.Generator, share: float = 0.6) -> None:
    """Slide a piece of another clip over some clips; what it covers is hidden from then on, until it has passed."""
    (count, length), size = step.pixels.shape[:2], step.size
    device = step.pixels.device

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    extent = torch.tensor([size[1], size[0]], device=device)
    half = extent * (0.04 + 0.16 * draw(count, 2))
    half = torch.where(draw(count, 1) < share, half, 0.0)
    time = torch.linspace(0, 1, length, device=device)[None, :, None]
    centre = extent * torch.lerp(draw(count, 1, 2) * 1.2 - 0.1, draw(count, 1, 2) * 1.2 - 0.1, time)  # (B, L, 2)
    x = torch.arange(size[1], device=device)
    y = torch.arange(size[0], device=device)
    over = (x - centre[..., :1]).abs() < half[:, None, :1], (y - centre[..., 1:]).abs() < half[:, None, 1:]
    over = over[1][..., :, None] & over[0][..., None, :]  # (B, L, h, w)
    # The picture on it moves with it.
    offset = centre - centre[:, :1]
    gx = 2 * (x - offset[..., :1] + 0.5) / size[1] - 1
    gy = 2 * (y - offset[..., 1:] + 0.5) / size[0] - 1
    where = torch.stack(torch.broadcast_tensors(gx[:, :, None, :], gy[:, :, :, None]), -1).flatten(0, 1)
    picture = step.pixels[:, 0].roll(1, 0).float().repeat_interleave(length, 0)
    picture = F.grid_sample(picture, where, padding_mode="reflection", align_corners=False)
    step.pixels = torch.where(over[:, :, None], picture.unflatten(0, (count, length)), step.pixels.float())
    at = (step.xy - centre[step.item][:, :, None]).abs() < half[step.item][:, None, None]
    step.visible = step.visible & ~at.all(-1)


def _recolour(step: Step, generator: torch.Generator) -> None:
    """Each clip in colours of its own, all its frames alike."""
    length = step.pixels.shape[1]
    tall = step.pixels.float().transpose(1, 2).flatten(2, 3)  # (B, 3, L h, w)
    tall = recolour(tall, AUGMENT, generator)
    step.pixels = tall.unflatten(2, (length, -1)).transpose(1, 2)
