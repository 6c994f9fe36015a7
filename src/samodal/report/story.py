"""What happened in a run, gathered frame by frame: how long each track was visible, hidden or lost, and behind whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from samodal.masks import Mask
from samodal.method.filter import region
from samodal.tracks import UNSEEN, FrameResult, Instance, State

VISIBLE, PARTLY, HIDDEN, LEAVING, LOST = range(5)
"""Codes of what a track is in a frame."""
WORDS = ("visible", "partly hidden", "hidden", "leaving", "lost")
LEAST_HIDDEN = 0.1
"""Share of a whole mask that others hide from which an instance counts as partly hidden."""
BORDER = 2
"""Pixels: a mask so near to the border of the frame may go on behind it."""


@dataclass
class Gap:
    """A stretch of frames in which a track is not seen.

    Attributes:
        before: the last frame in which it was seen; None where it never was.
        first, last: frames of the stretch, as far as it is known.
        placed: the last frame in which it has a mask; None where it has none.
        seconds: how long.
        hiders: seconds by track, weighted with the share that each hides.
        covered, counted: sum over its masks of the share that others cover, and how many masks.
        lost: seconds of it without a mask.
        back: the frame in which it is seen again; None where it never is.
        overlap: IoU of the first mask after with the one that was expected there; None where one is missing.
        off: how far its middle was from the expected one, in `region(0.9)`; None where no spread was told.
        rival: the largest IoU of the first mask after with one that was expected of another hidden track, and that
            track.
    """

    before: int | None
    first: int
    last: int
    placed: int | None = None
    seconds: float = 0.0
    hiders: Counter = field(default_factory=Counter)
    covered: float = 0.0
    counted: int = 0
    lost: float = 0.0
    back: int | None = None
    overlap: float | None = None
    off: float | None = None
    rival: tuple[float, int] | None = None

    @property
    def cover(self) -> float | None:
        """Mean share of its masks that lies under the visible masks of others; None where it has no mask."""
        return self.covered / self.counted if self.counted else None


@dataclass
class TrackStory:
    """One track.

    Attributes:
        number: its place among the tracks.
        id: as shown; "ID@T" for an id that is used again after a scene cut.
        runs: [first frame, frames, code of the state], one after another.
        seconds: by code of the state.
        gap: the stretch without being seen that is going on.
        longest: the longest stretch that is over.
        mask: the newest amodal mask.
        step: (2,) pixels a frame by which the middle of its box moved last while it was hidden.
        spread: (2,) of that middle, as told with the mask; None where it was not.
        last: the newest frame in which it is, and `seen` the newest in which it is seen.
        end: why it ended, in words.
    """

    number: int
    id: int | str
    category: str
    runs: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=lambda: [0.0] * 5)
    gap: Gap | None = None
    longest: Gap | None = None
    mask: Mask | None = None
    step: np.ndarray | None = None
    spread: np.ndarray | None = None
    last: int = -1
    seen: int | None = None
    end: str = ""

    @property
    def hidden_seconds(self) -> float:
        """Seconds in which it is not seen at all."""
        return sum(self.seconds[HIDDEN:])

    def expected(self, frame: int) -> Mask | None:
        """Where its hidden mask goes if it moves on to a frame; None where it has none."""
        if not self.mask or self.gap is None or self.gap.placed is None:
            return None
        step = np.zeros(2) if self.step is None else self.step
        return self.mask.moved(step * (frame - self.gap.placed)).clipped()

    def place(self, frame: int, instance: Instance) -> None:
        """Take its mask in a frame in which it is hidden."""
        before = self.gap.before if self.gap.placed is None else self.gap.placed
        if self.mask and before is not None:
            self.step = (instance.amodal.centre - self.mask.centre) / (frame - before)
        self.gap.placed, self.spread = frame, instance.centre_spread

    def note(self, frame: int, code: int) -> None:
        """Append the state of a frame."""
        if self.runs and self.runs[-1][2] == code and sum(self.runs[-1][:2]) == frame:
            self.runs[-1][1] += 1
        else:
            self.runs.append([frame, 1, code])
        self.last, self.end = frame, ""


def code_of(instance: Instance, hidden_share: float) -> int:
    """What an instance is in a frame, of which others hide this share."""
    if instance.state in UNSEEN:
        return {State.HIDDEN: HIDDEN, State.LEAVING: LEAVING, State.LOST: LOST}[instance.state]
    return PARTLY if hidden_share >= LEAST_HIDDEN else VISIBLE


class Story:
    """All tracks of a run.

    Attributes:
        tracks: by number.
        pairs: seconds by (number of the track that hides, number of the hidden one), and the frame in which most is
            hidden with that share.
        ended: the gaps that ended in the newest frame, each with its track.
    """

    def __init__(self, fps: float):
        self.tracks: list[TrackStory] = []
        self.pairs: dict[tuple[int, int], list[float]] = {}
        self.ended: list[tuple[TrackStory, Gap]] = []
        self._scene, self._time, self._newest = 0, None, -1
        self._numbers: dict[tuple[int, int | str], int] = {}
        self._ids: dict[int | str, int] = {}
        self._open: list[tuple[TrackStory, int, dict[int, float]]] = []
        self.step = 1 / fps

    def add(self, result: FrameResult) -> tuple[dict[int | str, int], dict[int | str, int]]:
        """Take the next frame; gives the track's number and the code of the state of each instance by id."""
        if self._time is not None:
            self.step = max(0.0, result.time - self._time)
            self._spend(self.step)
        self._time, self._newest = result.time, result.t
        if result.cut:
            self._cut(result.t)
        numbers = {instance.id: self._number(instance) for instance in result.instances}
        hidden = self._expected(result, numbers)
        present = set(numbers.values())
        for track, *_ in self._open:
            if track.number not in present:
                _rest(track)
        self._open, self.ended, codes = [], [], {}
        for instance in result.instances:
            track = self.tracks[numbers[instance.id]]
            shares = {numbers[other]: share for other, share in result.hidden_by[instance.id]}
            codes[instance.id] = code = code_of(instance, sum(shares.values()))
            self._follow(track, instance, result.t, code, shares, hidden)
            self._open.append((track, code, shares))
            for front, share in shares.items():
                known = self.pairs.setdefault((front, track.number), [0.0, result.t, share])
                if share > known[2]:
                    known[1:] = result.t, share
        return numbers, codes

    def end(self) -> None:
        """No frame follows: say of each track why it ended."""
        self._spend(self.step)
        for track in self.tracks:
            if track.gap is not None:
                self._close(track)
            if not track.end:
                still = track.last == self._newest
                track.end = f"still {WORDS[track.runs[-1][2]]} at the end" if still else _reason(track)

    def _expected(self, result: FrameResult, numbers: dict[int | str, int]) -> dict[int, Mask | None]:
        """Where hidden tracks are expected in a frame, by number; nothing of a frame in which none of them is seen."""
        gone = {number for number in numbers.values() if self.tracks[number].gap}
        if not any(numbers[i.id] in gone and i.state not in UNSEEN for i in result.instances):
            return {}
        return {number: self.tracks[number].expected(result.t) for number in sorted(gone)}

    def _spend(self, seconds: float) -> None:
        """The frame before was shown for so long."""
        for track, code, shares in self._open:
            track.seconds[code] += seconds
            for front, share in shares.items():
                self.pairs[front, track.number][0] += seconds
                if track.gap is not None:
                    track.gap.hiders[front] += seconds * share
            if track.gap is not None:
                track.gap.seconds += seconds
                track.gap.lost += seconds * (code == LOST)

    def _cut(self, frame: int) -> None:
        for track in self.tracks:
            if track.last == frame - 1 and not track.end:
                track.end = "ended by a scene cut"
        self._scene, self._ids = frame, {}

    def _number(self, instance: Instance) -> int:
        key = instance.id
        if key not in self._ids:
            again = any(known == key for _, known in self._numbers)
            self._ids[key] = self._numbers[self._scene, key] = len(self.tracks)
            self.tracks.append(
                TrackStory(len(self.tracks), f"{key}@{self._scene}" if again else key, instance.category)
            )
        return self._ids[key]

    def _follow(
        self,
        track: TrackStory,
        instance: Instance,
        frame: int,
        code: int,
        shares: dict[int, float],
        hidden: dict[int, Mask | None],
    ) -> None:
        """Bring a track's gap to this frame."""
        if code >= HIDDEN:
            track.gap = track.gap or Gap(track.seen, frame, frame)
            track.gap.last = frame
            if instance.amodal:
                track.place(frame, instance)
                track.gap.covered, track.gap.counted = track.gap.covered + sum(shares.values()), track.gap.counted + 1
        else:
            if track.gap is not None:
                self._return(track, instance, frame, hidden)
            track.seen = frame
        track.note(frame, code)
        track.mask = instance.amodal or track.mask

    def _return(self, track: TrackStory, instance: Instance, frame: int, hidden: dict[int, Mask | None]) -> None:
        gap, expected = track.gap, hidden[track.number]
        gap.back = frame
        if instance.amodal and expected is not None:
            gap.overlap = instance.amodal.iou(expected)
            if track.spread is not None and expected:
                away = (instance.amodal.centre - expected.centre) / track.spread
                gap.off = float(np.linalg.norm(away) / region(0.9))
            others = [
                (instance.amodal.iou(mask), number)
                for number, mask in hidden.items()
                if mask and number != track.number and self.tracks[number].category == track.category
            ]
            gap.rival = max(others, default=None)
        self.ended.append((track, gap))
        self._close(track)

    def _close(self, track: TrackStory) -> None:
        if track.longest is None or track.gap.seconds > track.longest.seconds:
            track.longest = track.gap
        track.gap = None


def _rest(track: TrackStory) -> None:
    """Say why a track may have ended, and keep no more of its mask than a later return needs: many tracks are over."""
    track.end = track.end or _reason(track)
    track.mask = Mask.from_rle(track.mask.rle) if track.gap and track.mask else None


def _reason(track: TrackStory) -> str:
    """Why a track has no further frame, from its last one."""
    code, mask = track.runs[-1][2], track.mask
    if code == LOST:
        return "lost: nothing told any longer where it was"
    if mask:
        (x0, _, x1, y1), (height, width) = mask.box, mask.size
        sides = (("left", x0 <= BORDER), ("right", x1 >= width - BORDER), ("lower", y1 >= height - BORDER))
        for side, meets in sides:
            if meets:
                return f"left the picture at its {side} border"
    return (
        "left the picture" if code == LEAVING else "forgotten while hidden" if code == HIDDEN else "no longer reported"
    )
