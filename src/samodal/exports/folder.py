"""Exports that are folders: each says in about.json what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samodal.exports.source import Source
from samodal.files import write_json
from samodal.outputs import writing_folder
from samodal.version import __version__

ABOUT = "about.json"


@contextmanager
def export_folder(path: Path, source: Source, form: str) -> Iterator[Path]:
    """A folder to write in, which takes the place of an older export when the block ends well.

    Its about.json has the frames' size, and for each number of a track its id and class.
    """
    with writing_folder(path, ABOUT) as folder:
        tracks = {track.number: {"id": track.key, "class": track.category} for track in source.contents.tracks.values()}
        about = {"samodal": __version__, "format": form, "clip": source.name, "size": list(source.size)}
        write_json(folder / ABOUT, about | {"fps": source.fps, "tracks": tracks}, indent=1)
        yield folder
