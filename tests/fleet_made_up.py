"""Videos of a made-up street: cars of one colour pass behind posts; and a front end that sees this colour."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np

from samodal.drawing.video import VideoWriter
from samodal.frontends.per_frame import AssociatedSession, association_for
from samodal.masks import Mask
from samodal.method.association import Detection

SIZE, LANES, SIDE = (90, 160), (8, 36, 64), 18
POSTS = (40, 100)
POST_WIDTH = 8
TUNNEL = (slice(LANES[1] - 4, LANES[1] + SIDE + 4), slice(100, 126))
CRISP = {"preset": "veryfast", "crf": "12", "threads": "1"}


def cars_of(t: int, seed: int = 0) -> dict[int, np.ndarray]:
    """(H, W) bool whole masks of the cars of frame t, by their numbers; each lane has its speed and its gaps."""
    masks = {}
    for lane, top in enumerate(LANES):
        step, every = 2 + lane, 44 + 6 * lane + 5 * (seed % 3)
        for number in range(t // every + 1):
            x = step * (t - number * every) - SIDE + 7 * (seed % 4)
            if -SIDE < x < SIZE[1]:
                mask = np.zeros(SIZE, bool)
                mask[top : top + SIDE, max(0, x) : x + SIDE] = True
                masks[100 * lane + number] = mask
    return masks


def posts() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    for left in POSTS:
        mask[:, left : left + POST_WIDTH] = True
    mask[TUNNEL] = True  # hides whole cars of one lane
    return mask


def picture(t: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    rows, columns = np.indices(SIZE)
    image = np.stack([(rows * 7 + columns * 3 + 11 * seed) % 50 + 40] * 3, axis=2).astype(np.uint8)
    for number, mask in cars_of(t, seed).items():
        shade = 170 + 10 * (number % 7)
        image[mask] = (shade, shade // 3, shade // 4)
    image[posts()] = (30, 90, 30)
    return image


def write_video(path: Path, frames: int, fps: float = 10.0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, SIZE, fps, CRISP) as writer:
        for t in range(frames):
            writer.write(picture(t, seed), t / fps)
    return path


class Reds:
    """Sees what is red, and counts its ids itself, from 1 in each session.

    The environment may ask for a strike: KILL_ONCE=FILE kills the process at frame 5 of the video whose stem FILE
    holds, and empties FILE.
    """

    def open(self, video):
        self._name = video.name
        session = AssociatedSession(self._detect, association_for(video))
        self._step = session.step
        self.reset, self.learn = session.reset, session.learn
        return self

    def step(self, frame, t):
        if t == 5:
            strike(self._name)
        return self._step(frame, t)

    def _detect(self, frame):
        time.sleep(float(os.environ.get("SLOW", 0)))
        red = frame[..., 0].astype(int) - frame[..., 2] > 60
        # What a post parts is one car.
        whole = cv2.morphologyEx(red.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, POST_WIDTH + 5), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(whole)
        pieces = [(labels == n) & red for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= 12]
        return [Detection("car", 0.9, Mask.of(piece)) for piece in pieces if piece.any()]


def strike(name: str) -> None:
    """Kill this process where the file that KILL_ONCE names holds the video's name."""
    file = Path(os.environ.get("KILL_ONCE", "nowhere"))
    if file.exists() and file.read_text() == name:
        file.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
