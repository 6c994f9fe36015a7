"""Run a step through a tracker as it is used, and say how wrong it is (CoTracker3, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.trackers.cotracker.model import Estimate, Network
from samodal.training.tracker.draw import Step

GAMMA = 0.8
"""Weight of an update against the next."""
BEND = 6.0
"""Pixels of the network's frames at which the Huber loss turns from square to straight."""
NEAR = 6.0
"""Pixels within which a position counts as right, for the confidence; 13 of a frame 960 wide."""
HIDDEN, OUTSIDE = 0.6, 0.1
"""Weights of points that are covered and that have left the image, against visible ones. CoTracker3 gives
hidden points 0.2; here they are what the tracker is for."""
MARGIN = 0.25
"""Points farther outside than this share of the image's width and height are not learned from."""
NEWEST = 4.0
"""Weight of a window's newest frame against its others: in use only that frame is read."""


class Follow(nn.Module):
    """Windows after each other, each begun from the estimates of the last.

    Args:
        network: the tracker.
        iterations: updates of each window; None as many as in use.
    """

    def __init__(self, network: Network, iterations: int | None = None):
        super().__init__()
        self.network, self.iterations = network, iterations or network.config.iterations

    def forward(self, step: Step, taught: torch.Generator | None = None, share: float = 0.0) -> list[list[Estimate]]:
        """The estimates of every window after every update; support points come after the instance's own.

        Args:
            taught, share: with a generator, a share of the items begins each window near the truth, as an untrained
                tracker's own estimates teach the next window little.
        """
        network = self.network
        stride, window = network.config.stride, network.config.window
        clips, length = len(step.levels[0] if step.pixels is None else step.pixels), step.xy.shape[1]
        if step.pixels is None:
            levels = [level.flatten(0, 1) for level in step.levels]
        else:
            levels = network.pyramid(step.pixels.flatten(0, 1))
        number = torch.arange(len(step.item), device=step.item.device)
        shown = torch.cat([step.xy[number, step.query], step.support], dim=1) / stride  # (M, P, 2)
        points = shown.shape[1]
        frame = (step.item * length + step.query).repeat_interleave(points)
        support = [f.unflatten(0, (-1, points)) for f in network.support(levels, frame, shown.flatten(0, 1))]
        real = torch.cat([step.own, step.own.new_ones(len(step.own), points - step.own.shape[1])], dim=1)
        estimates: list[list[Estimate]] = []
        for n, first in enumerate(step.windows):
            here = [part.unflatten(0, (clips, length))[:, first : first + window].flatten(0, 1) for part in levels]
            start = _start(shown, window) if n == 0 else _continued(estimates[-1][-1], first - step.windows[n - 1])
            if taught is not None:
                start = _near_truth(start, step, first, stride, taught, share)
            estimates.append(network.refine(here, support, start, self.iterations, real, step.item))
        return estimates


def _near_truth(
    start: Estimate, step: Step, first: int, stride: int, taught: torch.Generator, share: float
) -> Estimate:
    """A share of the items begins from the truth, off by a shift that grows over the window, up to some cells."""
    window, own = start.xy.shape[1], step.xy.shape[2]
    device = start.xy.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=taught, device=device)

    chosen = (draw(len(start.xy), 1, 1) < share) & step.own[:, None] & step.known[:, first : first + window]
    drift = (draw(len(start.xy), 1, own, 2) - 0.5) * 8 * draw(len(start.xy), 1, 1, 1)
    ramp = torch.linspace(0, 1, window, device=device).view(1, -1, 1, 1)
    near = step.xy[:, first : first + window] / stride + drift * ramp + 0.5 * (draw(*step.xy[:, :window].shape) - 0.5)
    xy = start.xy.clone()
    xy[:, :, :own] = torch.where(chosen[..., None], near, xy[:, :, :own])
    return Estimate(xy, start.visibility, start.confidence)


def _start(shown: Tensor, window: int) -> Estimate:
    nothing = shown.new_zeros(len(shown), window, shown.shape[1])
    return Estimate(shown[:, None].expand(-1, window, -1, -1), nothing, nothing)


def _continued(before: Estimate, shift: int) -> Estimate:
    """An estimate some frames later: what is known, then its newest frame again and again; no gradient goes back."""
    parts = before.xy.detach(), before.visibility.detach(), before.confidence.detach()
    frame = (torch.arange(parts[0].shape[1], device=parts[0].device) + shift).clamp(max=parts[0].shape[1] - 1)
    return Estimate(*(part[:, frame] for part in parts))


def losses(estimates: list[list[Estimate]], step: Step, stride: int) -> dict[str, Tensor]:
    """Of all windows and updates: tracks (Huber), visibility and confidence (cross-entropy), and their sum."""
    tracks, visibility, confidence = [], [], []
    total = sum(GAMMA ** (len(updates) - 1 - n) for updates in estimates for n in range(len(updates)))
    extent = step.xy.new_tensor([step.size[1], step.size[0]])
    for first, updates in zip(step.windows, estimates, strict=True):
        length = updates[0].xy.shape[1]
        frames = slice(first, first + length)
        truth, visible, known = step.xy[:, frames], step.visible[:, frames], step.known[:, frames]
        inside = _within(truth, extent, 0.0)
        known = known & _within(truth, extent, MARGIN)
        weight = torch.where(visible, 1.0, torch.where(inside, HIDDEN, OUTSIDE)) * known * step.own[:, None]
        newest = torch.ones(length, device=weight.device)
        newest[-1] = NEWEST
        weight = weight * newest[:, None]
        for n, estimate in enumerate(updates):
            share = GAMMA ** (len(updates) - 1 - n) / total
            own = truth.shape[2]
            error = (estimate.xy[:, :, :own] * stride - truth).norm(dim=-1)
            tracks.append(share * _mean(F.huber_loss(error, torch.zeros_like(error), "none", BEND), weight))
            right = (error.detach() < NEAR).float()
            visibility.append(share * _mean(_entropy(estimate.visibility[..., :own], visible.float()), weight))
            confidence.append(share * _mean(_entropy(estimate.confidence[..., :own], right), weight))
    values = {"tracks": sum(tracks), "visibility": sum(visibility), "confidence": sum(confidence)}
    return values | {"loss": 0.1 * values["tracks"] + 0.5 * values["visibility"] + 0.3 * values["confidence"]}


def _within(xy: Tensor, extent: Tensor, margin: float) -> Tensor:
    """Whether points (..., 2) lie in the image, or not farther outside than a share of its (2,) extent."""
    return ((xy > -0.5 - margin * extent) & (xy < extent * (1 + margin) - 0.5)).all(-1)


def _entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)


@torch.no_grad()
def scores(estimates: list[list[Estimate]], step: Step, stride: int) -> dict[str, Tensor]:
    """Sums over the newest frame of every window, where points are inside the image, for `summed`.

    "visible" and "hidden": the mean share within 0.5, 1, 2, 4 and 8 pixels of the network's frames; "right": whether
    it is predicted rightly whether a point is visible.
    """
    sums: dict[str, Tensor] = {}
    extent = step.xy.new_tensor([step.size[1], step.size[0]])
    for first, updates in zip(step.windows, estimates, strict=True):
        last = updates[-1]
        newest = first + last.xy.shape[1] - 1
        truth, own = step.xy[:, newest], step.xy.shape[2]
        inside = _within(truth, extent, 0.0)
        valid = inside & step.known[:, newest] & step.own & (step.query < newest)[:, None]
        error = (last.xy[:, -1, :own] * stride - truth).norm(dim=-1)
        within = sum((error < limit).float() for limit in (0.5, 1, 2, 4, 8)) / 5
        visible = step.visible[:, newest]
        judged = (last.visibility[:, -1, :own] > 0) == visible
        for name, value, which in (
            ("visible", within, valid & visible),
            ("hidden", within, valid & ~visible),
            ("right", judged.float(), valid),
        ):
            sums[name] = sums.get(name, 0) + (value * which).sum()
            sums[f"{name}_count"] = sums.get(f"{name}_count", 0) + which.sum()
    return sums
