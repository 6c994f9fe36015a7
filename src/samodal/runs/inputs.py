"""What a result is made from: settings, and the files of data and weights by their sizes, times and content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from samodal.build import make_rules
from samodal.checkpoints.files import shipped_path
from samodal.making import split
from samodal.parts import Video
from samodal.registry import FRONT_ENDS, METHODS, SEGMENTERS, TRACKERS
from samodal.remote import is_remote, known_by, local_path
from samodal.settings import RunSettings
from samodal.version import __version__

WHOLE = 16 << 20
"""Bytes up to which a file is known by all of its content; a larger one by its size and `PIECES` equal pieces."""
PIECES = 16


def describe(settings: RunSettings, video: Video) -> dict[str, Any]:
    """What made a result, as JSON: settings, rules, version and source."""
    used = asdict(settings) | {"rules": asdict(make_rules(settings)), "out": None, "clips": None}
    used |= dict.fromkeys(("workers", "engine", "address", "shard"))  # where it is done changes nothing
    used |= {name: getattr(settings, name) or None for name in ("reassociate", "graph", "details", "strict", "offline")}
    used |= {
        "overwrite": None,
        "save": None,
        "report": None,
        "show": None,
        "backend": None if settings.backend == "torch" else settings.backend,
        "stride": None if settings.stride == 1 else settings.stride,
    }
    used = {name: value for name, value in used.items() if value is not None}
    return json.loads(
        json.dumps(used | {"samodal": __version__, "source": video.source, "fps": video.fps}, default=str)
    )


def inputs_of(settings: RunSettings, video: Video) -> dict[str, list[Path]]:
    """The files that decide a result, by what they are."""
    files = {"pictures": _pictures(video), "labels": files_in(getattr(video, "label_places", ()))}
    named = [(settings.vis, FRONT_ENDS), (settings.tracker, TRACKERS), (settings.method, METHODS)]
    if settings.method == "samodal":
        named += [(settings.segmenter, SEGMENTERS)]
        files["weights"] = files_of(settings.weights)
    for text, table in named:
        if argument := split(text or "", table)[1]:
            files[text] = files_of(argument)
    return {name: found for name, found in files.items() if found}


def _pictures(video: Video) -> list[Path | str]:
    listed = getattr(video, "paths", None) or getattr(video, "files", None)
    if listed is not None:
        return list(listed)
    inner = getattr(video, "video", None)  # of an excerpt
    if inner is not None:
        return _pictures(inner)
    return [video.source] if is_remote(video.source) else files_in([local_path(video.source)])


def files_of(argument: str | None) -> list[Path]:
    """The files, shipped or not, that the argument of a part names: WEIGHTS or WEIGHTS,OTHER or WEIGHTS,NAME=VALUE."""
    pieces = (argument or "").split(",")
    shipped = [path for piece in pieces if (path := shipped_path(piece))]
    return shipped + files_in(Path(piece) for piece in pieces if piece)


def files_in(places: Iterable[Path]) -> list[Path]:
    """Of files and folders those that are there; of a folder the files right in it."""
    files: list[Path] = []
    for place in places:
        if place.is_file():
            files.append(place)
        elif place.is_dir():
            files += sorted(path for path in place.iterdir() if path.is_file())
    return files


def stamp(files: Sequence[Path | str]) -> dict[str, Any]:
    """What files are known by: their number and size, their names and times, and their content."""
    return _seen(files) | {"digest": _content(files)}


def same(before: Any, files: Sequence[Path | str]) -> bool:
    """Whether the files are those of an earlier stamp; only where a time has changed, their content is read."""
    if not isinstance(before, dict):
        return False
    now = _seen(files)
    if any(before.get(name) != now[name] for name in ("files", "bytes")):
        return False
    return before.get("times") == now["times"] or before.get("digest") == _content(files)


def _seen(files: Sequence[Path | str]) -> dict[str, Any]:
    """What the file system knows of files; a file that is missing counts, too."""
    digest, size = hashlib.blake2b(digest_size=8), 0
    for file in files:
        if isinstance(file, str):  # in object storage, which tells whether it has changed
            known = known_by(file)
            size += known[0]
            digest.update(f"{file} {known}\n".encode(errors="surrogateescape"))
            continue
        try:
            known = os.stat(file)
            size += known.st_size
            digest.update(f"{file.name} {known.st_size} {known.st_mtime_ns}\n".encode(errors="surrogateescape"))
        except OSError:
            digest.update(f"{file.name} missing\n".encode(errors="surrogateescape"))
    return {"files": len(files), "bytes": size, "times": digest.hexdigest()}


def _content(files: Sequence[Path | str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        if isinstance(file, str):
            digest.update(f"{file}\0{known_by(file)}".encode(errors="surrogateescape"))
            continue
        try:
            known = os.stat(file)
            content = _content_of(file, known.st_size, known.st_mtime_ns)
        except OSError:
            content = b"missing"
        digest.update(file.name.encode(errors="surrogateescape") + b"\0" + content)
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _content_of(file: Path, size: int, changed: int) -> bytes:
    """The digest of a file; the labels of a data set are often one file for all its clips."""
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        for piece in range(PIECES if size > WHOLE else 1):
            content.seek(max(0, size - WHOLE // PIECES) * piece // (PIECES - 1))
            digest.update(content.read(WHOLE // PIECES if size > WHOLE else WHOLE))
    return digest.digest()
