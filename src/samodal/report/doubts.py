"""The moments of a run that deserve a look: where the result itself says, or shows, that it may be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from samodal.method.filter import region
from samodal.report.story import HIDDEN, LOST, Gap, Story, TrackStory
from samodal.tracks import FrameResult, Instance, State

MOST = 10
"""Moments that are shown."""
OF_A_TRACK = 2
"""Moments of one track that are shown at most."""
LONG_S = 1.0
"""Seconds hidden from which a stretch deserves a look."""
LOW_IOU = 0.6
"""Expected IoU below which a mask deserves a look."""
AGREED = 0.5
"""IoU of the mask after a gap with the expected one from which the place was right."""
RIVAL = 0.1
"""IoU with the mask that was expected of another from which the two may have been mixed up."""
MISSED = 0.25
"""Share of its masks that lies under others, in the mean, below which these have not hidden it."""
OPEN = 0.4
"""Share of a hidden mask that nothing covers from which it deserves a look."""
WIDE = 1.0
"""Sides of its mask within which its middle is with 90 %, from which a place deserves a look."""
ASIDE_S = 0.5
"""Seconds between the pictures of a moment, where nothing else tells which to show."""


@dataclass(frozen=True)
class Moment:
    """A moment that deserves a look.

    Attributes:
        track: number.
        kind: "long", "back", "open", "low", "kept" or "wide".
        doubt: in [0, 1], what moments are ranked by.
        frame: of it; `before` and `after` are frames to compare with, None where there is none.
        text: what is odd, a sentence.
    """

    track: int
    kind: str
    doubt: float
    frame: int
    before: int | None
    after: int | None
    text: str


class Doubts:
    """Gathers moments frame by frame: of each track and kind the most doubtful one."""

    def __init__(self, story: Story):
        self._story, self._best = story, {}

    def add(self, result: FrameResult, numbers: dict[int | str, int], codes: dict[int | str, int]) -> None:
        """Take a frame that the story has taken."""
        for instance in result.instances:
            if not instance.amodal:
                continue
            track, size = self._story.tracks[numbers[instance.id]], _size(instance)
            side = max(1, round(ASIDE_S / max(self._story.step, 1e-3)))
            for kind, doubt, text in _oddities(instance, result, codes[instance.id], name_of(track)):
                before = track.seen if codes[instance.id] >= HIDDEN else max(track.runs[0][0], result.t - side)
                self._note(Moment(track.number, kind, doubt * size, result.t, before, result.t + side, text))
        for track, gap in self._story.ended:
            self._gap(track, gap)

    def moments(self) -> list[Moment]:
        """The most doubtful moments, when the story is at its end."""
        for track in self._story.tracks:
            if track.longest is not None and track.longest.back is None:
                self._gap(track, track.longest)
        chosen, counts = [], Counter()
        for moment in sorted(self._best.values(), key=lambda m: (-m.doubt, m.frame, m.track)):
            near = any(m.track == moment.track and m.before == moment.before for m in chosen)
            if counts[moment.track] < OF_A_TRACK and not near:
                counts[moment.track] += 1
                chosen.append(moment)
        return chosen[:MOST]

    def _gap(self, track: TrackStory, gap: Gap) -> None:
        """A gap that is over."""
        at = gap.last if gap.placed is None else gap.placed
        if gap.seconds >= LONG_S and gap.before is not None:
            uncovered = 1 - (gap.cover or 0.0)
            wrong = 0.5 if gap.overlap is None else 1 - gap.overlap
            doubt = gap.seconds / (gap.seconds + 2) * (0.4 + 0.3 * uncovered + 0.3 * wrong)
            text = f"{name_of(track)} was not seen for {gap.seconds:.1f} s{behind(gap, self._story.tracks)}. "
            self._note(Moment(track.number, "long", doubt, at, gap.before, gap.back, text + verdict(gap)[1]))
        if gap.overlap is None or gap.back is None or gap.before is None:
            return
        rival, other = gap.rival or (0.0, -1)
        within = gap.off is not None and gap.off <= 1 and rival <= RIVAL  # as far off as was said
        if gap.overlap - rival < AGREED and not within:
            text = (
                f"{name_of(track)} came back elsewhere: its mask overlaps by {gap.overlap:.0%} with the expected one."
            )
            if rival > RIVAL:
                rest = f"but by {rival:.0%} with that of {name_of(self._story.tracks[other])}. Is the id right?"
                text = (
                    f"{name_of(track)} came back: its mask overlaps by {gap.overlap:.0%} with the expected one, {rest}"
                )
            doubt = 0.8 * (AGREED - gap.overlap + rival) / AGREED
            self._note(Moment(track.number, "back", min(1.0, doubt), at, gap.before, gap.back, text))

    def _note(self, moment: Moment) -> None:
        key = moment.track, moment.kind
        if key not in self._best or moment.doubt > self._best[key].doubt:
            self._best[key] = moment


def _oddities(instance: Instance, result: FrameResult, code: int, name: str) -> list[tuple[str, float, str]]:
    """(kind, doubt, sentence) of what is odd about an instance in a frame."""
    odd = []
    if instance.state is State.KEPT:
        text = f"The mask predicted for {name} left out too much of what is seen of it; the visible part stands alone."
        odd.append(("kept", 0.6, text))
    expected = instance.expected_iou
    if expected is not None and expected < LOW_IOU and code < HIDDEN:
        text = f"The segmenter itself expects its mask of {name} to overlap with the truth by {expected:.0%} only."
        odd.append(("low", 0.75 * (1 - expected), text))
    if HIDDEN <= code < LOST and instance.visible is None:
        free = 1 - sum(share for _, share in result.hidden_by[instance.id])
        if free >= OPEN:
            text = (
                f"{name} is said to be hidden, but {free:.0%} of its mask lies where no tracked object could hide it."
            )
            odd.append(("open", 0.85 * free, text))
        if instance.centre_spread is not None:
            width = float(region(0.9) * instance.centre_spread.max())
            if width > WIDE * instance.amodal.side:
                text = f"{name} is hidden, and its place is uncertain: with 90 % it is within {width:.0f} pixels."
                odd.append(("wide", min(0.8, width / instance.amodal.side / 8), text))
    return odd


def _size(instance: Instance) -> float:
    """By how much a small instance counts less: 1 from a hundredth of the frame on."""
    height, width = instance.amodal.size
    return min(1.0, instance.amodal.area / (0.01 * height * width)) ** 0.3


def name_of(track: TrackStory) -> str:
    """An instance in a sentence."""
    return f"#{track.id} {track.category}"


def behind(gap: Gap, tracks: Sequence[TrackStory]) -> str:
    """Behind whom a gap was, as the end of a sentence; empty where nobody is known."""
    if gap.cover is not None and gap.cover < MISSED:
        return ", though next to nothing tracked covered it: the front end may have missed it"
    named = [name_of(tracks[number]) for number, _ in gap.hiders.most_common(2)]
    return f" behind {' and '.join(named)}" if named else ""


def verdict(gap: Gap) -> tuple[str, str]:
    """Whether the masks of a gap can be believed, in a word and in a sentence."""
    if gap.counted == 0:
        return "no mask", "Nothing told where it was, so there is no mask."
    lost = f" For {gap.lost:.1f} s of it there is no mask." if gap.lost > 0.05 else ""
    if gap.overlap is not None and gap.lost <= 0.05:
        where = f"When it was seen again, its mask overlapped with the expected one by {gap.overlap:.0%}."
        return ("believable" if gap.overlap >= AGREED else "doubtful"), where
    under = f"{gap.cover or 0:.0%} of its mask lay behind tracked objects.{lost}"
    under += " It was never seen again, which would have shown where it was." if gap.back is None else ""
    return ("doubtful" if (gap.cover or 0) < 1 - OPEN else "plausible"), under
