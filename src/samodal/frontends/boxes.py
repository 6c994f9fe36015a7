"""`boxes:FILE[,CUTTER]`: boxes of any detector or tracker, and the cutter's visible masks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samodal.categories import ours
from samodal.errors import InputError, nearest
from samodal.files import inside
from samodal.frontends.checkpoint import parse
from samodal.frontends.cutter import Box
from samodal.frontends.cutter.detections import EMBEDDED, detections, loaded
from samodal.frontends.file import places
from samodal.frontends.per_frame import AssociatedSession, association_for
from samodal.frontends.road_users import ROAD_USERS
from samodal.method.association import Association, AssociationRules, Detection
from samodal.parts import Video, VisSession
from samodal.progress import notice
from samodal.results.boxes_files import BoxesOfFrames, FoundBox, read_boxes
from samodal.tracks import VisibleInstance
from samodal.video import StreamVideo

SUFFIXES = (".txt", ".csv", ".json")
PEDESTRIANS = "person"
"""What boxes without a class are taken for: MOTChallenge's results are of pedestrians."""


@dataclass(frozen=True)
class Limits:
    """What is reported as an instance. Its score is that of its box times the expected IoU of its mask.

    Attributes:
        score: least score of what begins an instance, where the file has no ids.
        keep: least score of everything else.
        area: least visible pixels in the frame.
        most: boxes of a frame at most, the best.
    """

    score: float = 0.35
    keep: float = 0.2
    area: int = 32
    most: int = 100


class BoxesFrontEnd:
    """Boxes from a file, cut out by a network. The file's ids are kept; without any, association gives them.

    Args:
        argument: FILE[,CUTTER][,LIMIT=VALUE…][,class=NAME]: a file that `results.boxes_files.read_boxes` knows, or a
            folder with such a file for each clip, CLIP.txt, .csv or .json; what `frontends.cutter.load` takes, by
            default the shipped cutter; changed `Limits`; and the class of boxes of which the file does not tell it.
        device: where the cutter runs.

    Raises:
        InputError: without a file, or for a cutter, limit or class that is none.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        file, *pieces = (argument or "").split(",")
        words = [piece for piece in pieces if "=" not in piece]
        if not file or len(words) > 1:
            raise InputError("--vis boxes needs a file, and may be told a cutter, as in --vis boxes:tracks.txt")
        self.path = Path(file)
        names = [piece.removeprefix("class=") for piece in pieces if piece.startswith("class=")]
        self.category = ours(names[-1]) if names else PEDESTRIANS
        if self.category is None:
            raise InputError(f"--vis boxes: class {names[-1]!r} is no road user{nearest(names[-1], ROAD_USERS)}")
        limits = [piece for piece in pieces if "=" in piece and not piece.startswith("class=")]
        checkpoint, self.limits = parse(",".join([*(words or [""]), *limits]), "boxes", Limits(), embedded=EMBEDDED)
        self.cutter = loaded(checkpoint, str(device))

    def open(self, video: Video) -> VisSession:
        boxes = read_boxes(self._file(video.name), video.number)
        in_frame = self._in_frames(boxes, video)
        if boxes.tracked:
            return _Tracked(self, in_frame, video.source)
        rules = AssociationRules(begin=self.limits.score)
        return _Untracked(self, in_frame, video.source, association_for(video, rules))

    def _file(self, clip: str) -> Path:
        if not self.path.is_dir():
            return self.path
        found = [path for suffix in SUFFIXES if (path := inside(self.path, clip + suffix, "clip")).is_file()]
        if len(found) != 1:
            raise InputError(
                f"{self.path}: expected one of {', '.join(clip + suffix for suffix in SUFFIXES)}, found {len(found)}"
            )
        return found[0]

    def _in_frames(self, boxes: BoxesOfFrames, video: Video) -> Callable[[int], list[Box]]:
        """Gives the boxes of frame t."""
        number = _numbering(boxes, video)
        others: dict[str, int] = {}
        frames = {n: [self._box(box, others) for box in found] for n, found in boxes.frames.items()}
        if others:
            told = ", ".join(f"{name} ({count})" for name, count in sorted(others.items())[:6])
            notice(f"{boxes.path}: boxes of no road user are left out: {told}")
        return lambda t: [box for box in frames.get(number(t), []) if box is not None]

    def _box(self, found: FoundBox, others: dict[str, int]) -> Box | None:
        category = self.category if found.category is None else ours(found.category)
        if category is None:
            others[found.category] = others.get(found.category, 0) + 1
            return None
        return Box(category, 1.0 if found.score is None else found.score, found.corners, found.id)

    def detect(self, frame: np.ndarray, boxes: list[Box], where: str) -> list[Detection]:
        """The visible instances of a (H, W, 3) uint8 RGB frame; no pixel belongs to two."""
        limits = self.limits
        return detections(self.cutter, frame, boxes, where, keep=limits.keep, area=limits.area, most=limits.most)


def _numbering(boxes: BoxesOfFrames, video: Video) -> Callable[[int], int]:
    """Gives the file's number of frame t.

    Raises:
        InputError: where the file has boxes, and none in any frame of the video.
    """
    labelled, length, first = boxes.frames.keys(), video.length, boxes.first
    if first is None:  # COCO's ids of images count from 0 or 1
        first = int(length in labelled and 0 not in labelled)
    if length is None or not labelled:
        return lambda t: t + first
    if max(labelled) >= first + length and isinstance(video, StreamVideo):
        length = video.counted()  # a header may state less
    numbers = places(boxes.path, labelled, getattr(video, "numbers", None), length, first)
    left = labelled - set(numbers)
    if left == labelled:
        raise InputError(
            f"{boxes.path}: boxes of frames {min(labelled)} to {max(labelled)}, but the video has frames {numbers[0]} "
            f"to {numbers[-1]}; were they made of another video?"
        )
    if left:
        notice(f"{boxes.path}: boxes of frames up to {max(left)}; the video ends with frame {numbers[-1]}")
    return lambda t: numbers[t] if t < len(numbers) else -1


class _Tracked:
    """Instances with the ids of the file."""

    def __init__(self, front_end: BoxesFrontEnd, in_frame: Callable[[int], list[Box]], source: str):
        self._front_end, self._in_frame, self._source = front_end, in_frame, source

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        found = self._front_end.detect(frame, self._in_frame(t), f"{self._source}: frame {t}")
        return [VisibleInstance(seen.hint, seen.category, seen.score, seen.mask) for seen in found]

    def reset(self) -> None:
        """Nothing is carried from frame to frame."""


class _Untracked(AssociatedSession):
    """Instances with ids by association."""

    def __init__(
        self, front_end: BoxesFrontEnd, in_frame: Callable[[int], list[Box]], source: str, association: Association
    ):
        self._front_end, self._in_frame, self._source = front_end, in_frame, source
        super().__init__(list, association)

    def detections(self, frame: np.ndarray, t: int) -> list[Detection]:
        return self._front_end.detect(frame, self._in_frame(t), f"{self._source}: frame {t}")
