"""What flows through the package: instances of one frame, and tracks of a whole clip.

Identity is the pair (clip name, id). A method receives `VisibleInstance`s and returns `FrameResult`s;
`Clip` holds the same by track, and truth and results are the same type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np

from samodal.columns import Column
from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.masks import Mask, MaskLike
from samodal.occlusion import hiders
from samodal.rle import Rle, overlap


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


@dataclass(frozen=True)
class Returned:
    """An instance is taken for one that was not seen in the frame before.

    Attributes:
        margin: by how much this scored better than the next best explanation: another hidden instance, another
            detection, or a new instance; 0 for a tie. Scores: `samodal.method.association`.
        merged: the id that the front end gave it, where that is another: from here on the two are one.
    """

    margin: float
    merged: int | str | None = None


@dataclass(frozen=True, eq=False, init=False)
class VisibleInstance:
    """One instance as a front end sees it in one frame.

    Args:
        id: stable within the clip; an int or str, a NumPy integer becomes an int.
        category: class name, e.g. "car".
        score: confidence in [0, 1]; None where the front end gives none.
        mask: the visible pixels, not empty: (H, W) bool, an `Rle` or a `Mask`; kept as a `Mask`.
        returned: in the frame in which association takes it up again after a gap.

    Raises:
        InputError: for any of these that is something else.
    """

    id: int | str
    category: str
    score: float | None
    mask: Mask
    returned: Returned | None = None

    def __init__(
        self, id: int | str, category: str, score: float | None, mask: MaskLike, returned: Returned | None = None
    ):
        key = int(id) if isinstance(id, np.integer) else id
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError(f"instance {key!r}: expected an int or str as id, got {type(key).__name__}")
        if not isinstance(category, str):
            raise InputError(f"instance {key}: expected a class name as text, got {category!r}")
        score = None if score is None else checked_score(score, f"instance {key}")
        try:
            mask = Mask.of(mask)
        except InputError as error:
            raise InputError(f"instance {key}: {error}") from None
        if not mask:
            raise InputError(f"instance {key}: its visible mask is empty; leave out what is not visible")
        values = {"id": key, "category": category, "score": score, "mask": mask, "returned": returned}
        for name, value in values.items():
            object.__setattr__(self, name, value)


def checked_score(score: Any, where: str) -> float:
    """A score as a float.

    Raises:
        InputError: if it is no number in [0, 1].
    """
    if isinstance(score, bool) or not isinstance(score, int | float | np.integer | np.floating) or not 0 <= score <= 1:
        raise InputError(f"{where}: expected a score in [0, 1] or None, got {score!r}")
    return float(score)


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance in one frame of a result.

    Attributes:
        id, category: as the front end named them; a NumPy integer becomes an int.
        score: in [0, 1], what AP ranks by; None for a method that has none, and where the instance is lost.
        state: see `State`.
        visible: the front end's mask, None where it reported nothing; an `Rle` or array becomes a `Mask`, as below.
        amodal: the whole object's pixels inside the image, None where nothing can be said.
        points: (K, 2) float32, x and y of the prompt points in original pixels; None where none were used.
        followed: (N, 2) float32, where the tracker has the points now; None unless hidden or leaving.
        frames_since_seen, seconds_since_seen: 0 where reported in this frame.
        expected_iou: the segmenter's own estimate of the IoU of its mask, in [0, 1], before it is multiplied with the
            front end's score; of the mask not taken, where `kept`; None where not prompted in this frame.
        beyond: the whole object, also what lies over the border of the frame, where the box then lies partly outside.
        spread: (4,) float32 pixels, half-width of the interval in which x0, y0, x1, y1 of the amodal box are expected.
        hypotheses: three nested amodal masks, the small, the given and the large one.
        confidence: the probability of each pixel.
        returned: in the frame in which association takes it up again after a gap, None in all others.
        centre_spread: (2,) float, spread of x and y of the amodal box's middle in pixels while hidden or leaving, see
            `samodal.method.filter.region`; None where the method does not tell.

    `beyond` to `confidence` are None where the segmenter does not give them, `hypotheses` and `confidence` also where
    nobody asks.
    """

    id: int | str
    category: str
    score: float | None
    state: State
    visible: Mask | None
    amodal: Mask | None
    points: np.ndarray | None = None
    followed: np.ndarray | None = None
    frames_since_seen: int = 0
    seconds_since_seen: float = 0.0
    expected_iou: float | None = None
    beyond: Mask | None = None
    spread: np.ndarray | None = None
    hypotheses: tuple[Mask, Mask, Mask] | None = None
    confidence: Confidence | None = None
    returned: Returned | None = None
    centre_spread: np.ndarray | None = None

    def __post_init__(self):
        object.__setattr__(self, "id", int(self.id) if isinstance(self.id, np.integer) else self.id)
        for name in ("visible", "amodal"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Mask.of(getattr(self, name)))

    @classmethod
    def copied(cls, visible: VisibleInstance, state: State) -> Instance:
        """An instance of whose whole no more is known than its visible mask."""
        masks = visible.mask, visible.mask
        return cls(visible.id, visible.category, visible.score, state, *masks, returned=visible.returned)

    @property
    def hidden(self) -> Mask | None:
        """The pixels of the amodal mask that are not visible; None without an amodal mask."""
        return self.amodal if self.amodal is None or self.visible is None else self.amodal.minus(self.visible)

    @property
    def occlusion(self) -> float | None:
        """Share of the amodal mask that is not visible, in [0, 1]; None without an amodal mask."""
        if not self.amodal:
            return None
        return 1.0 - (self.visible.overlap(self.amodal) / self.amodal.area if self.visible is not None else 0.0)


@dataclass(frozen=True, eq=False)
class FrameResult:
    """All instances of one frame, visible and hidden ones.

    Attributes:
        t: index of the frame in its video, from 0.
        time: seconds from the start of the video, from the file's own timestamps.
        instances: ordered by first appearance.
        cut: whether a new scene begins here, so that all that was known is forgotten.
        image: (H, W, 3) uint8 RGB, the frame itself; None where a result was read from a file.
    """

    t: int
    time: float
    instances: tuple[Instance, ...]
    cut: bool = False
    image: np.ndarray | None = None

    @property
    def ids(self) -> list[int | str]:
        """Of all instances, in their order."""
        return [instance.id for instance in self.instances]

    def masks(self, kind: Literal["amodal", "visible", "hidden"] = "amodal") -> list[np.ndarray | None]:
        """(H, W) bool masks of all instances, in the order of `ids`; None where there is none."""
        masks = self._of_kind(kind, "masks")
        return [None if mask is None else mask.decode() for mask in masks]

    def boxes(self, kind: Literal["amodal", "visible", "hidden"] = "amodal") -> np.ndarray:
        """(N, 4) float32 x0, y0, x1, y1 in pixels, x1 and y1 one past the last; nan where there is no mask."""
        masks = self._of_kind(kind, "boxes")
        boxes = [mask.box if mask else (np.nan,) * 4 for mask in masks]
        return np.array(boxes, np.float32).reshape(-1, 4)

    @cached_property
    def hidden_by(self) -> dict[int | str, tuple[tuple[int | str, float], ...]]:
        """The occlusion graph: of each instance those that hide it, as (id, share), largest share first.

        The share, in (0, 1], is that of the amodal mask's pixels which are not visible and lie under the visible mask
        of the other. Shares below 0.5 %, or of fewer than 4 pixels, are left out (`samodal.occlusion`).
        """
        found = hiders([i.amodal for i in self.instances], [i.visible for i in self.instances])
        named = [tuple((self.instances[n].id, share) for n, share in edges) for edges in found]
        return dict(zip(self.ids, named, strict=True))

    def edges(self) -> list[tuple[int | str, int | str, float]]:
        """The occlusion graph as a list of (id that hides, id that is hidden, share), largest share first."""
        edges = [(other, key, share) for key, others in self.hidden_by.items() for other, share in others]
        return sorted(edges, key=lambda edge: -edge[2])

    def __getitem__(self, key: int | str) -> Instance:
        """The instance of an id; 7 also finds "7", and "7" finds 7.

        Raises:
            KeyError: if it is not in this frame.
        """
        named = [instance for instance in self.instances if str(instance.id) == str(key)]
        if named:
            return next((instance for instance in named if instance.id == key), named[0])
        raise KeyError(f"no instance {key!r} in frame {self.t}; there are {', '.join(map(str, self.ids)) or 'none'}")

    def __contains__(self, key: object) -> bool:
        return str(key) in map(str, self.ids)

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(t={self.t}, time={self.time}, ids={self.ids}{', cut=True' if self.cut else ''})"

    def _of_kind(self, kind: str, what: str) -> list[Mask | None]:
        if kind not in ("amodal", "visible", "hidden"):
            raise InputError(f"expected amodal, visible or hidden {what}, got {kind!r}")
        return [getattr(instance, kind) for instance in self.instances]


COLUMNS = ("visible", "amodal", "states", "scores")
"""What a track has a value of for each frame."""


@dataclass(frozen=True)
class Track:
    """One instance through a clip, one entry per frame, None where absent: columns are tuples, or `Column`s.

    Attributes:
        id: stable within the clip.
        category: class name.
        score: of the whole track, None where its method gives none.
        visible, amodal: masks.
        states: None where the instance is absent; truth has none at all and holds Nones.
        scores: of each frame.
        crowd: whether it is no instance but a region that evaluation leaves out.
    """

    id: int | str
    category: str
    score: float | None
    visible: Sequence[Rle | None]
    amodal: Sequence[Rle | None]
    states: Sequence[State | None] = ()
    scores: Sequence[float | None] = ()
    crowd: bool = False

    def __post_init__(self):
        length = len(self.amodal)
        for name in ("states", "scores"):
            if not getattr(self, name):
                object.__setattr__(self, name, Column(length))
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
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
