"""A made-up clip with exact truth: a square that passes behind a post."""

import numpy as np

from samodal.parts import Decoded, Features, Frame, Observed
from samodal.tracks import VisibleInstance

SIZE = (60, 120)


def square(x: int, y: int = 20, side: int = 16, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A (H, W) bool square whose top left pixel is (x, y); what lies outside is cut off."""
    mask = np.zeros(size, bool)
    mask[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = True
    return mask


def post(left: int = 50, width: int = 24, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[:, left : left + width] = True
    return mask


def image_of(t: int, car: np.ndarray | None = None, front: np.ndarray | None = None) -> np.ndarray:
    """A (H, W, 3) uint8 picture; the textures of background, car and post differ and move with them."""
    rows, columns = np.indices(SIZE)
    picture = np.stack([(rows * 7 + columns * 3) % 60 + 40] * 3, axis=2).astype(np.uint8)
    if car is not None and car.any():
        x0 = np.flatnonzero(car.any(axis=0))[0]
        texture = (190 + 40 * np.sin((columns - x0) * 0.9 + rows * 0.4) + 25 * np.cos(rows * 1.1)).astype(np.uint8)
        picture[car] = np.stack([texture, texture // 2, texture // 3], axis=2)[car]
    if front is not None:
        picture[front] = (20, 160, 20)
    return picture


def passing_square(frames: int = 20, step: int = 4, start: int = 10):
    """(truth masks, observed frames): car 7 moves right at `step` pixels a frame behind the post."""
    truth, observed = [], []
    for t in range(frames):
        car, front = square(start + step * t), post()
        seen = car & ~front
        visible = [VisibleInstance(7, "car", 0.9, seen)] if seen.any() else []
        truth.append(car)
        observed.append(Observed(Frame(t, t / 10, image_of(t, car, front), f"{t:06d}"), visible))
    return truth, observed


class Oracle:
    """A segmenter that knows the truth: it answers a prompt with the true mask under its first point.

    Args:
        truth: one list of (H, W) bool masks per frame.
    """

    transform = None

    def __init__(self, truth):
        self.truth = truth
        self.t = -1
        self.encoded = 0

    def encode(self, frames):
        self.encoded += 1
        return Features(main=None, sizes=(frames[0].shape[:2],))

    def decode(self, features, prompts, index):
        import torch

        masks = [self._under(prompt.points[0]) for prompt in prompts]
        logits = torch.from_numpy(np.stack(masks).astype(np.float32) * 20 - 10)
        return Decoded(amodal=logits, iou=torch.full((len(masks),), 0.8))

    def _under(self, point):
        x, y = (int(v) for v in point)
        candidates = [mask for masks in self.truth for mask in masks if mask[y, x]]
        return candidates[0] if candidates else np.zeros(SIZE, bool)
