"""The tracks of a run as columns of numbers; masks stay in the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samodal.results.by_track import TrackKeys, track_score
from samodal.tracks import UNSEEN, FrameResult, State
from samodal.views.frame import html_table, places
from samodal.views.libraries import library

if TYPE_CHECKING:
    import pandas

COLOURS = {"visible": "#0072b2", "partly hidden": "#56b4e9", "hidden": "#e69f00", "lost": "#999999"}
"""Of a time line; told apart without colour by their heights."""
PARTLY = 0.95
"""Visible share below which an instance counts as partly hidden in a time line."""


@dataclass(frozen=True, eq=False)
class TrackView:
    """One instance through a run, N frames in which it is known.

    Attributes:
        id: of its track.
        category: class name.
        score: of the whole track, None where there is none.
        frames: (N,) int64 indices t of frames, ascending.
        times: (N,) float64 seconds.
        states: (N,) names of states.
        visible_share: (N,) float64; nan where there is no whole mask.
        boxes: (N, 4) float32 x0, y0, x1, y1 of whole masks in pixels; nan where there is none.
        frame_seconds: how long a frame lasts.
    """

    id: int | str
    category: str
    score: float | None
    frames: np.ndarray
    times: np.ndarray
    states: np.ndarray
    visible_share: np.ndarray
    boxes: np.ndarray
    frame_seconds: float

    def __repr__(self) -> str:
        times = f"{self.times[0]:g} to {self.times[-1]:g} s"
        return f"TrackView({self.id!r}, {self.category!r}, {times}, hidden for {self.hidden_seconds:g} s)"

    @property
    def hidden_seconds(self) -> float:
        """For how long it is not reported, lost frames included."""
        return float(np.isin(self.states, UNSEEN).sum() * self.frame_seconds)

    @property
    def longest_hidden(self) -> float:
        """Seconds of the longest time without a report."""
        longest = run = 0
        for hidden in np.isin(self.states, UNSEEN):
            run = run + 1 if hidden else 0
            longest = max(longest, run)
        return longest * self.frame_seconds

    def row(self) -> dict[str, Any]:
        """What a table says of it."""
        return {
            "id": self.id, "category": self.category, "score": self.score, "first": int(self.frames[0]),
            "last": int(self.frames[-1]), "frames": len(self.frames), "hidden_seconds": round(self.hidden_seconds, 6),
            "longest_hidden": round(self.longest_hidden, 6), "last_state": str(self.states[-1]),
            "least_visible_share": None if np.isnan(self.visible_share).all() else np.nanmin(self.visible_share),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tracks:
    """All tracks of a run, in the order of first frames.

    `tracks[7]` is one; `tracks[[7, 9]]`, `tracks[tracks.hidden_seconds > 1]` and `tracks[:3]` are fewer of them.
    """

    tracks: tuple[TrackView, ...]

    @classmethod
    def of(cls, results: Iterable[FrameResult], frame_seconds: float) -> Tracks:
        """The tracks of a stream of frames."""
        rows: dict[int | str, list] = defaultdict(list)
        categories, keys = {}, TrackKeys()
        for result in results:
            for key, instance in zip(keys.of(result), result.instances, strict=True):
                categories.setdefault(key, instance.category)
                box = instance.amodal.box if instance.amodal else (np.nan,) * 4
                share = np.nan if instance.occlusion is None else 1 - instance.occlusion
                rows[key].append((result.t, result.time, instance.state, share, box, instance.score))
        return cls(tuple(_track(key, categories[key], row, frame_seconds) for key, row in rows.items()))

    @property
    def ids(self) -> list[int | str]:
        """Of all tracks."""
        return [track.id for track in self.tracks]

    @property
    def categories(self) -> np.ndarray:
        """(N,) class names."""
        return np.array([track.category for track in self.tracks], object)

    @property
    def hidden_seconds(self) -> np.ndarray:
        """(N,) float64."""
        return np.array([track.hidden_seconds for track in self.tracks], float)

    def hidden(self, min_share: float = 0.5) -> Tracks:
        """The tracks of which in some frame at least this share is hidden."""
        return self[[bool((1 - track.visible_share >= min_share).any()) for track in self.tracks]]

    def __getitem__(self, key: Any) -> Any:
        """The track of an id, or fewer tracks: ids, a boolean array of N, or a slice. Raises as for frames."""
        if isinstance(key, int | str) and not isinstance(key, bool):
            return self.tracks[places([key], self.ids)[0]]
        return Tracks(tuple(self.tracks[n] for n in places(key, self.ids)))

    def __iter__(self) -> Iterator[TrackView]:
        return iter(self.tracks)

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        return f"Tracks({len(self)} tracks, {len(self.hidden())} of them hidden by half or more at some time)"

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each track. Needs pandas."""
        return library("pandas").DataFrame([track.row() for track in self.tracks])

    def plot(self, axes: Any = None) -> Any:
        """A time line with a row for each track, the longest hidden on top; gives matplotlib's axes."""
        if axes is None:
            _, axes = library("matplotlib.pyplot").subplots(figsize=(9, 1 + 0.25 * len(self)))
        ordered = sorted(self.tracks, key=lambda track: track.hidden_seconds)
        for height, track in enumerate(ordered):
            kinds = _kinds(track)
            for name, colour in COLOURS.items():
                spans = [(float(time), track.frame_seconds) for time in track.times[kinds == name]]
                thickness = {"visible": 0.8, "partly hidden": 0.6, "hidden": 0.35, "lost": 0.1}[name]
                axes.broken_barh(spans, (height - thickness / 2, thickness), color=colour, label=name)
        axes.set_yticks(range(len(ordered)), [f"{track.id} {track.category}" for track in ordered])
        axes.set_xlabel("seconds")
        handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        axes.legend(handles.values(), handles.keys(), loc="upper right", fontsize="small")
        return axes

    def show(self) -> Any:
        """Show `plot`; gives its axes."""
        axes = self.plot()
        library("matplotlib.pyplot").show()
        return axes

    def _repr_html_(self) -> str:
        rows = [track.row() for track in self.tracks]
        names = ["id", "category", "first", "last", "hidden_seconds", "longest_hidden", "last_state"]
        return html_table(names, [[row[name] for name in names] for row in rows])


def _track(key: int | str, category: str, rows: list[tuple], frame_seconds: float) -> TrackView:
    frames, times, states, shares, boxes, scores = zip(*rows, strict=True)
    score = track_score(scores, states)
    named, where = np.array([str(state) for state in states]), np.array(boxes, np.float32)
    return TrackView(
        key, category, score, np.array(frames), np.array(times), named, np.array(shares), where, frame_seconds
    )


def _kinds(track: TrackView) -> np.ndarray:
    """For each frame of a track the block of the time line that it belongs to."""
    partly = np.where(track.visible_share < PARTLY, "partly hidden", "visible")
    unseen = np.where(track.states == State.LOST, "lost", "hidden")
    return np.where(np.isin(track.states, UNSEEN), unseen, partly)
