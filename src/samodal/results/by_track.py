"""Results by frame turned into results by track."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from samodal.columns import Column
from samodal.tracks import COLUMNS, UNSEEN, Clip, FrameResult, Instance, State, Track


def clip_from_results(
    name: str,
    size: tuple[int, int],
    frames: Sequence[str],
    results: Iterable[FrameResult],
    info: dict | None = None,
) -> Clip:
    """Turn a stream of frame results into columns per track; see `track_score` and `instances_by_track`."""
    length = len(frames)
    columns: dict[int | str, dict] = {}
    for t, key, instance in instances_by_track(results):
        empty = {"category": instance.category} | {name: {} for name in COLUMNS}
        column = columns.setdefault(key, empty)
        column["visible"][t] = None if instance.visible is None else instance.visible.rle
        column["amodal"][t] = None if instance.amodal is None else instance.amodal.rle
        column["states"][t] = instance.state
        column["scores"][t] = instance.score
    tracks = tuple(
        Track(
            key,
            c["category"],
            track_score([*c["scores"].values()], [*c["states"].values()]),
            *(Column(length, c[name]) for name in COLUMNS),
        )
        for key, c in columns.items()
    )
    return Clip(name, (size[0], size[1]), tuple(frames), tracks, info=info or {})


class TrackKeys:
    """Names the tracks of instances, frame after frame of a clip.

    An id that a front end uses again after a scene cut is another instance: its track is named "ID@T" after the first
    frame T of its scene.
    """

    def __init__(self):
        self._scene, self._scene_of = 0, {}

    def of(self, result: FrameResult) -> list[int | str]:
        """The ids of the tracks of a frame's instances; frames come in order, each once."""
        self._scene = result.t if result.cut else self._scene
        return [
            key if self._scene_of.setdefault(key, self._scene) == self._scene else f"{key}@{self._scene}"
            for key in result.ids
        ]


def instances_by_track(results: Iterable[FrameResult]) -> Iterator[tuple[int, int | str, Instance]]:
    """Every instance of a stream as (frame, id of its track, instance); see `TrackKeys`."""
    keys = TrackKeys()
    for result in results:
        for key, instance in zip(keys.of(result), result.instances, strict=True):
            yield result.t, key, instance


def track_score(scores: Sequence[float | None], states: Sequence[State | None]) -> float | None:
    """The mean of the scores of frames in which a track was reported, None where none of them has one.

    Frames filled in by following points do not count, as in the released code.
    """
    reported = [score for score, state in zip(scores, states, strict=True) if is_reported(score, state)]
    return float(np.mean(reported)) if reported else None


def is_reported(score: float | None, state: State | None) -> bool:
    """Whether the score of a frame is the front end's, so that it counts for the track."""
    return score is not None and state not in UNSEEN


@dataclass
class Totals:
    """What a stream of frames holds, counted as it passes.

    Attributes:
        clip: name.
        frames: how many.
        visible, amodal, hidden: masks: reported by the front end, given out, and of these without a visible part.
        ids: of all instances.
        merges: of two ids that turned out to be one, in the order of frames: t, id, merged (the front end's), margin.
    """

    clip: str
    frames: int = 0
    visible: int = 0
    amodal: int = 0
    hidden: int = 0
    ids: set[int | str] = field(default_factory=set)
    merges: list[dict] = field(default_factory=list)

    def counted(self, frames: Iterable[tuple[str, FrameResult]]) -> Iterator[tuple[str, FrameResult]]:
        """The same (name, result), unchanged."""
        for name, result in frames:
            amodal = [instance for instance in result.instances if instance.amodal is not None]
            self.frames += 1
            self.ids.update(result.ids)
            self.visible += sum(instance.visible is not None for instance in result.instances)
            self.amodal += len(amodal)
            self.merges += [
                {"t": result.t, "id": instance.id, "merged": back.merged, "margin": round(back.margin, 6)}
                for instance in result.instances
                if (back := instance.returned) is not None and back.merged is not None
            ]
            self.hidden += sum(instance.visible is None and instance.state in UNSEEN for instance in amodal)
            yield name, result
