"""A run on disk, read when it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

from samodal.errors import InputError
from samodal.exports.convert import convert
from samodal.exports.source import of_run
from samodal.exports.table import row
from samodal.files import read_json
from samodal.results.frames import read_line
from samodal.views.frame import FrameView, thumbnail
from samodal.views.libraries import library
from samodal.views.tracks import Tracks

if TYPE_CHECKING:
    import pandas

STRIP = 4
"""Frames that a notebook shows of a run."""


def open_run(path: str | Path) -> Run:
    """The results in the folder of a run.

    Raises:
        InputError: if there are none, or they are of another version.
    """
    return Run(Path(path))


class Run:
    """The results of a run: `len(run)` frames, `run[t]` and iterations read them, and nothing is held in memory.

    Attributes:
        path: folder.
        name: of the clip.
        size: (H, W) of its frames in pixels.
        fps: frames per second.
        settings: of the run.
    """

    def __init__(self, path: Path):
        self.path, self._source = path, of_run(path)
        self._lines = path / "frames.jsonl" if path.is_dir() else path
        self.name, self.size, self.fps = self._source.name, self._source.size, self._source.fps
        self.settings = self._source.settings

    @property
    def complete(self) -> bool:
        """Whether the run was brought to its end."""
        record = self._lines.with_name("run.json")
        content = read_json(record) if record.exists() else {}
        return isinstance(content, dict) and bool(content.get("complete"))

    @cached_property
    def tracks(self) -> Tracks:
        """All tracks; the file is read once."""
        stride = self.settings.get("stride", 1)
        return Tracks.of(self, (stride if isinstance(stride, int) else 1) / self.fps)

    def __len__(self) -> int:
        return len(self._places) - 1

    def __iter__(self) -> Iterator[FrameView]:
        return (FrameView.of(result) for _, result in self._source.read())

    @overload
    def __getitem__(self, t: int) -> FrameView: ...
    @overload
    def __getitem__(self, t: slice) -> list[FrameView]: ...
    def __getitem__(self, t: int | slice) -> FrameView | list[FrameView]:
        """The t-th frame, or the frames of a slice; a negative t counts from the end.

        Raises:
            IndexError: if there is none.
            InputError: if its line is damaged, or `t` is neither number nor slice.
        """
        if isinstance(t, slice):
            return [self[n] for n in range(len(self))[t]]
        if isinstance(t, bool) or not hasattr(t, "__index__"):
            raise InputError(f"run[{t!r}]: expected the number of a frame or a slice; tracks are run.tracks[{t!r}]")
        if not -len(self) <= t < len(self):
            raise IndexError(f"no frame {t}: the run has {len(self)} frames, from 0")
        n = t % len(self)
        with self._lines.open("rb") as file:
            file.seek(self._places[n])
            line = file.read(self._places[n + 1] - self._places[n])
        return FrameView.of(read_line(line, self.size, f"{self._lines}, line {n + 2}"))

    @cached_property
    def _places(self) -> array:
        """Where the lines of frames begin, and where the last one ends."""
        places = array("Q")
        with self._lines.open("rb") as file:
            place = 0
            for line in file:
                place += len(line)
                if line.endswith(b"\n"):
                    places.append(place)
        return places

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each instance and frame, without masks. Needs pandas; for long runs take `convert("parquet")`."""
        rows = [row(shot.result, i, key) for shot in self._source.shots() for key, i in shot.instances]
        return library("pandas").DataFrame(rows)

    def convert(self, to: str, overwrite: bool = False) -> list[str]:
        """Write other formats, as `samodal convert` does; gives what is to be told of them."""
        return list(convert(self.path, to, overwrite=overwrite))

    def __repr__(self) -> str:
        state = "" if self.complete else ", not complete"
        return f"Run({self.name!r}, {len(self)} frames of {self.size[1]}x{self.size[0]}{state})"

    def _repr_html_(self) -> str:
        count = len(self)
        chosen = [self[n * (count - 1) // max(STRIP - 1, 1)] for n in range(STRIP)] if count else []
        strip = "".join(f"<img width=240 src='{thumbnail(frame.plot())}'> " for frame in chosen if frame.drawable)
        return f"<b>{escape(repr(self))}</b><br>{strip}{self.tracks._repr_html_()}"
