"""A front end of your own: whatever moves before a standing camera is an object.

    python examples/own_front_end.py [street.mp4]

Without a video it draws one: a car that passes behind a post. The same class runs on the command line:
PYTHONPATH=examples samodal run street.mp4 --vis own_front_end:Moving
"""

import sys

import cv2
import numpy as np

import samodal
from samodal.frontends.per_frame import AssociatedSession, association_for
from samodal.method.association import Detection


class Moving:
    """Regions that differ from the background, frame by frame; the association of samodal gives them ids."""

    def __init__(self, area: int = 150):
        self.area = area

    def open(self, video):
        self.background = cv2.createBackgroundSubtractorMOG2(history=50, detectShadows=False)
        return AssociatedSession(self.detect, association_for(video))

    def detect(self, image: np.ndarray) -> list[Detection]:
        """The moving regions of a (H, W, 3) uint8 RGB frame."""
        moving = cv2.morphologyEx(self.background.apply(image), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(moving)
        large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= self.area]
        return [Detection(category="car", score=1.0, mask=numbers == n) for n in large]


def drawn(frames: int = 60):
    """Pictures of a car that drives behind a post; the first ones show the empty street."""
    street = np.random.default_rng(0).integers(90, 110, (120, 240, 3), np.uint8)
    for t in range(frames):
        image = street.copy()
        if t >= 10:
            image[60:84, max(0, 5 * (t - 14)) : 5 * (t - 14) + 24] = (200, 40, 40)
        image[:, 110:135] = (60, 60, 70)
        yield image


def main() -> None:
    """Follow what moves, and say how long each was seen and hidden."""
    video = samodal.open_video(sys.argv[1]) if len(sys.argv) > 1 else drawn()
    states: dict[int | str, list[str]] = {}
    for frame in samodal.load(vis=Moving()).stream(video):
        for instance in frame:
            states.setdefault(instance.id, []).append(str(instance.state))
    for key, names in sorted(states.items(), key=lambda item: -len(item[1]))[:5]:
        print(f"{key}: seen in {names.count('visible')} frames, hidden in {names.count('hidden')}")


if __name__ == "__main__":
    main()
