"""What a run came to, in a few numbers for each instance: run.json keeps it, so that no mask is read to sum up many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from samodal.results.by_track import TrackKeys
from samodal.tracks import UNSEEN, FrameResult, Instance, State

FEW = 3
"""Frames of an instance at most that are perhaps no instance at all."""


@dataclass
class _Track:
    """An instance so far; frames are counted from 0, and seconds from the start of the video."""

    id: int | str
    category: str
    first: int
    last: int
    start: float
    end: float
    frames: int = 0
    visible: int = 0
    hidden: int = 0
    kept: int = 0
    scored: int = 0
    score: float = 0.0
    longest_hidden: float = 0.0

    def add(self, instance: Instance, result: FrameResult) -> None:
        """Take the instance in a frame."""
        self.last, self.end = result.t, result.time
        self.frames += 1
        self.visible += instance.visible is not None
        self.hidden += instance.state in UNSEEN and instance.amodal is not None
        self.kept += instance.state is State.KEPT
        if instance.state in UNSEEN:
            self.longest_hidden = max(self.longest_hidden, instance.seconds_since_seen)
        elif instance.score is not None:
            self.scored += 1
            self.score += instance.score

    def told(self) -> dict[str, Any]:
        values = asdict(self)
        scored, score = values.pop("scored"), values.pop("score")
        rounded = {name: round(values[name], 3) for name in ("start", "end", "longest_hidden")}
        return values | rounded | {"score": round(score / scored, 4) if scored else None}


@dataclass
class Digest:
    """The numbers of a stream of frames, gathered as it passes.

    Attributes:
        seconds: of the last frame, from the start of the video.
        cuts: new scenes.
    """

    seconds: float = 0.0
    cuts: int = 0
    _tracks: dict[int | str, _Track] = field(default_factory=dict)
    _keys: TrackKeys = field(default_factory=TrackKeys)

    def gathered(self, frames: Iterable[tuple[str, FrameResult]]) -> Iterator[tuple[str, FrameResult]]:
        """The same (name, result), unchanged."""
        for name, result in frames:
            self.seconds, self.cuts = result.time, self.cuts + result.cut
            for key, instance in zip(self._keys.of(result), result.instances, strict=True):
                if key not in self._tracks:
                    at = result.t, result.t, result.time, result.time
                    self._tracks[key] = _Track(key, instance.category, *at)
                self._tracks[key].add(instance, result)
            yield name, result

    def told(self) -> dict[str, Any]:
        """The numbers for run.json."""
        instances = [track.told() for track in self._tracks.values()]
        return {"seconds": round(self.seconds, 3), "cuts": self.cuts, "instances": instances}


def doubts(digest: dict[str, Any], merges: int) -> tuple[float, str]:
    """How much a clip deserves a look, 0 for not at all, and why, in words.

    Args:
        digest: as `Digest.told` gives it.
        merges: ids of the front end that turned out to be one.
    """
    instances = digest["instances"]
    if not instances:
        return 1.0, "no instance in any frame"
    frames = sum(track["frames"] for track in instances) or 1
    longest = max(instances, key=lambda track: track["longest_hidden"])
    short = sum(track["frames"] <= FEW for track in instances)
    kept = sum(track["kept"] for track in instances) / frames
    reasons = [
        (longest["longest_hidden"] / 3, f"{longest['category']} {longest['id']} hidden for "
         f"{longest['longest_hidden']:.1f} s", longest["longest_hidden"] >= 1),
        (4 * kept, f"{kept:.0%} of the masks left out too much and were not taken", kept >= 0.05),
        (short / len(instances), f"{short} of {len(instances)} ids in {FEW} frames or fewer",
         4 * short > len(instances)),
        (merges / len(instances), f"{merges} ids merged with others", merges > 0),
        (0.2 * digest["cuts"], f"{digest['cuts']} scene cuts", digest["cuts"] > 0),
    ]  # fmt: skip
    holding = sorted((reason for reason in reasons if reason[2]), reverse=True)
    return round(sum(weight for weight, _, _ in holding), 3), "; ".join(text for _, text, _ in holding)
