"""What flows through the package: instances of one frame, and tracks of a whole clip.

Identity is the pair (clip name, id). A method receives `VisibleInstance`s and returns `FrameResult`s;
`Clip` holds the same by track, and truth and results are the same type.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from samodal.errors import InputError
from samodal.masks import Rle, overlap


class State(StrEnum):
    """What is known of an instance in one frame."""

    VISIBLE = "visible"
    """Reported by the front end; the amodal mask is predicted from this frame."""
    KEPT = "kept"
    """Reported; the predicted mask covered too little of the visible one, so the visible mask stands alone."""
    HIDDEN = "hidden"
    """Not reported, or a sliver too small to prompt from: its last amodal mask is moved along."""
    LEAVING = "leaving"
    """Hidden, and its moved mask reaches over the image's border."""
    LOST = "lost"
    """Hidden for so long that nothing tells where it is: known, but without a mask."""


UNSEEN = (State.HIDDEN, State.LEAVING, State.LOST)
"""States of an instance that is not prompted, but remembered."""


@dataclass(frozen=True, eq=False)
class VisibleInstance:
    """One instance as a front end sees it in one frame.

    Attributes:
        id: stable within the clip.
        category: class name, e.g. "car".
        score: confidence in [0, 1]; None where the front end gives none.
        mask: (H, W) bool, the visible pixels; not empty.
    """

    id: int | str
    category: str
    score: float | None
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance in one frame of a result.

    Attributes:
        id, category: as the front end named them.
        score: in [0, 1], what AP ranks by; None for a method that has none, and where the instance is lost.
        state: see `State`.
        visible: the front end's mask, None where it reported nothing.
        amodal: the whole object's pixels inside the image, None where nothing can be said.
        points: (K, 2) float32, x and y of the prompt points in original pixels; None where none were used.
        followed: (N, 2) float32, where the tracker has the points now; None unless hidden or leaving.
        frames_since_seen, seconds_since_seen: 0 where reported in this frame.
    """

    id: int | str
    category: str
    score: float | None
    state: State
    visible: Rle | None
    amodal: Rle | None
    points: np.ndarray | None = None
    followed: np.ndarray | None = None
    frames_since_seen: int = 0
    seconds_since_seen: float = 0.0

    @property
    def occlusion(self) -> float | None:
        """Share of the amodal mask that is not visible, in [0, 1]; None without an amodal mask."""
        return occlusion_rate(self.visible, self.amodal)


@dataclass(frozen=True)
class FrameResult:
    """All instances of one frame: visible and hidden ones.

    Attributes:
        t: index of the frame in its video, from 0.
        time: seconds from the start of the video, from the file's own timestamps.
        instances: ordered by first appearance.
        cut: whether a new scene begins here, so that all that was known is forgotten.
    """

    t: int
    time: float
    instances: tuple[Instance, ...]
    cut: bool = False


@dataclass(frozen=True)
class Track:
    """One instance through a clip, one entry per frame, None where absent.

    Attributes:
        id: stable within the clip.
        category: class name.
        score: of the whole track, None where its method gives none.
        visible, amodal: masks.
        states: None where the instance is absent; truth has none at all and holds Nones.
        scores: of each frame.
    """

    id: int | str
    category: str
    score: float | None
    visible: tuple[Rle | None, ...]
    amodal: tuple[Rle | None, ...]
    states: tuple[State | None, ...] = ()
    scores: tuple[float | None, ...] = ()

    def __post_init__(self):
        length = len(self.amodal)
        for name in ("states", "scores"):
            if not getattr(self, name):
                object.__setattr__(self, name, (None,) * length)
        lengths = {n: len(getattr(self, n)) for n in ("visible", "amodal", "states", "scores")}
        if set(lengths.values()) != {length}:
            raise ValueError(f"track {self.id}: columns of different length: {lengths}")

    def occlusion(self, t: int) -> float | None:
        """Share of the amodal mask of frame t that is not visible, in [0, 1]; None without an amodal mask."""
        return occlusion_rate(self.visible[t], self.amodal[t])


@dataclass(frozen=True)
class Clip:
    """The tracks of one video: truth of a data set, or results of a method.

    Attributes:
        name: unique within the data set; (name, track id) is an identity.
        size: (H, W) of every frame in pixels.
        frames: file names of the frames, or "000000", "000001", … where they have none.
        tracks: every instance that ever appears.
        labelled: which frames have truth (t indices); None means all.
        linked: whether an id is the same instance in every frame; else each track is of one frame (KINS-car).
    """

    name: str
    size: tuple[int, int]
    frames: tuple[str, ...]
    tracks: tuple[Track, ...]
    labelled: tuple[int, ...] | None = None
    info: dict = field(default_factory=dict)
    linked: bool = True

    def __post_init__(self):
        seen = set()
        for track in self.tracks:
            if track.id in seen:
                raise InputError(f"clip {self.name}: two tracks have the id {track.id}")
            seen.add(track.id)
            if len(track.amodal) != len(self.frames):
                raise InputError(
                    f"clip {self.name}: track {track.id} has {len(track.amodal)} entries but the clip has "
                    f"{len(self.frames)} frames; were the results made on another video?"
                )

    def __len__(self) -> int:
        return len(self.frames)


def occlusion_rate(visible: Rle | None, amodal: Rle | None) -> float | None:
    """1 - |visible within amodal| / |amodal|, in [0, 1]; None where there is no amodal pixel."""
    if amodal is None or amodal.area == 0:
        return None
    return 1.0 - (overlap(visible, amodal) / amodal.area if visible is not None else 0.0)


def clip_from_results(
    name: str,
    size: tuple[int, int],
    frames: Sequence[str],
    results: Iterable[FrameResult],
    info: dict | None = None,
) -> Clip:
    """Turn a stream of frame results into columns per track.

    The score of a track is the mean of its frame scores over the frames in which it was reported (facts:
    released rule; frames filled in by following points do not count), None where no frame has one.

    An id that a front end uses again after a scene cut is another instance: its track is named "ID@T" after the first
    frame T of its scene.
    """
    length = len(frames)
    columns: dict[int | str, dict] = {}
    scene, scene_of = 0, {}
    for result in results:
        scene = result.t if result.cut else scene
        for one in result.instances:
            key = one.id if scene_of.setdefault(one.id, scene) == scene else f"{one.id}@{scene}"
            column = columns.setdefault(
                key,
                {"category": one.category} | {k: [None] * length for k in ("visible", "amodal", "states", "scores")},
            )
            column["visible"][result.t] = one.visible
            column["amodal"][result.t] = one.amodal
            column["states"][result.t] = one.state
            column["scores"][result.t] = one.score
    tracks = tuple(
        Track(
            id=key,
            category=c["category"],
            score=_track_score(c["scores"], c["states"]),
            visible=tuple(c["visible"]),
            amodal=tuple(c["amodal"]),
            states=tuple(c["states"]),
            scores=tuple(c["scores"]),
        )
        for key, c in columns.items()
    )
    return Clip(name, tuple(size), tuple(frames), tracks, info=info or {})


def _track_score(scores: list[float | None], states: list[State | None]) -> float | None:
    reported = [s for s, state in zip(scores, states, strict=True) if s is not None and state not in UNSEEN]
    return float(np.mean(reported)) if reported else None
