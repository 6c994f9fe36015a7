"""Where the rule `cut` sees scene cuts: in clips without one, with fewer and fewer frames, and where clips are joined.

Prints two tables: cuts in each clip of --real and in those of StreetSim at every 1st, 2nd, 3rd and 5th frame; and how
many joins of each kind are found in the frame of the join, with the other cuts of those sequences.

    python benchmarks/scene_cuts.py --real drive.mp4 frames_at_5_hz@5 --streetsim data/test
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from samodal.method.cuts import CutDetector
from samodal.method.rules import preset
from samodal.video import open_video

STRIDES = (1, 2, 3, 5)
PIECE = 8
"""Frames of a sequence before a join, and after it."""
APART_S = 2.0
"""Seconds that are left out, at least, where a drive is joined with itself."""


class Shots:
    """The frames of a clip, no larger than they need be.

    Args:
        source: a video or folder of frames; @HZ behind it is the rate of a folder, 10 without.
    """

    def __init__(self, source: str):
        path, _, rate = source.partition("@")
        video = open_video(path)
        self.name, self.fps = Path(path).name, float(rate) if rate else video.fps
        # The same frames serve many sequences; the detector makes them smaller still.
        self.frames = [cv2.resize(frame.image, (640, 360), interpolation=cv2.INTER_AREA) for frame in video]

    def piece(self, rng: random.Random, stride: int) -> range:
        """Frames of a sequence that begins anywhere; fewer than `PIECE` in a short clip."""
        last = max(0, len(self.frames) - (PIECE - 1) * stride - 1)
        start = rng.randint(0, last)
        return range(start, len(self.frames), stride)[:PIECE]

    @property
    def is_long(self) -> bool:
        """Whether two sequences of it can lie apart."""
        return len(self.frames) > APART_S * self.fps + 2 * PIECE + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", nargs="*", default=[], help="videos and folders of frames, each as PATH or PATH@HZ")
    parser.add_argument("--streetsim", type=Path, help="a split of StreetSim, in AmodalSynthDrive's layout")
    parser.add_argument("--clips", type=int, default=24, help="how many clips of it")
    parser.add_argument("--joins", type=int, default=100, help="of each kind")
    parser.add_argument("--cut", type=float, default=preset("default").cut, help="the rule")
    given = parser.parse_args()
    real = [Shots(source) for source in given.real]
    folders = sorted((given.streetsim / "images" / "front").iterdir()) if given.streetsim else []
    made = [Shots(str(folder)) for folder in folders[: given.clips]]
    print(f"{'clips without a cut':<34}" + "".join(f"{f'every {n}.':>12}" for n in STRIDES))
    for name, shots in [*((clip.name, [clip]) for clip in real), *([("StreetSim", made)] if made else [])]:
        print(f"{name[:33]:<34}" + "".join(f"{_silence(shots, stride, given.cut):>12}" for stride in STRIDES))
    print(f"\n{'joins':<34}{'found':>12}{'other cuts':>12}")
    found, others, count = Counter(), Counter(), Counter()
    for kind, frames, times, seam in _joins(real, made, given.joins):
        seen = cuts(frames, times, given.cut)
        count[kind] += 1
        found[kind] += seam in seen
        others[kind] += len(set(seen) - {seam})
    for kind in count:
        print(f"{kind:<34}{f'{found[kind]} of {count[kind]}':>12}{others[kind]:>12}")


def cuts(frames: Sequence[np.ndarray], times: Sequence[float], threshold: float | None) -> list[int]:
    """The frames at which the detector sees a new scene."""
    detector = CutDetector(threshold)
    return [n for n, (frame, time) in enumerate(zip(frames, times, strict=True)) if detector.step(frame, time)]


def _silence(shots: Sequence[Shots], stride: int, threshold: float) -> str:
    """Cuts and pairs of frames, over all ways to take every so-manieth frame."""
    seen = pairs = 0
    for clip in shots:
        for start in range(stride):
            frames = clip.frames[start::stride]
            seen += len(cuts(frames, [n * stride / clip.fps for n in range(len(frames))], threshold))
            pairs += max(0, len(frames) - 1)
    return f"{seen} of {pairs}"


def _joins(real: Sequence[Shots], made: Sequence[Shots], count: int) -> Iterator[tuple[str, list, list, int]]:
    """(kind, frames, times, first frame after the join), `count` of each kind, at every 1st, 2nd and 3rd frame."""
    rng = random.Random(0)
    pairs = {
        "real, real": [(a, b) for a in real for b in real if a is not b],
        "real, StreetSim": [pair for a in real for b in made for pair in ((a, b), (b, a))],
        "StreetSim, same weather": [(a, b) for a in made for b in made if a is not b and _weather(a) == _weather(b)],
        "StreetSim, other weather": [(a, b) for a in made for b in made if _weather(a) != _weather(b)],
        "a real drive, other place": [(clip, clip) for clip in real if clip.is_long],
        "a StreetSim drive, other place": [(clip, clip) for clip in made if clip.is_long],
    }
    for kind, chosen in pairs.items():
        for n in range(count if chosen else 0):
            a, b = rng.choice(chosen)
            stride = 1 if b in made and a is b else 1 + n % 3  # too short for more
            first, second = a.piece(rng, stride), b.piece(rng, stride)
            while a is b and abs(first.start - second.start) < APART_S * a.fps + PIECE * stride:
                first, second = a.piece(rng, stride), b.piece(rng, stride)
            frames = [clip.frames[t] for clip, piece in ((a, first), (b, second)) for t in piece]
            yield kind, frames, [t * stride / b.fps for t in range(len(frames))], len(first)


def _weather(clip: Shots) -> str:
    return clip.name.rpartition("_")[2]


if __name__ == "__main__":
    main()
