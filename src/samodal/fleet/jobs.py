"""The jobs of a run of many videos: names of their results, segments of long ones, and the share of a shard."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from samodal.errors import InputError
from samodal.files import safe_name
from samodal.fleet.inputs import place_of
from samodal.remote import is_remote, local_path

RESERVED = ("videos.json", "summary.parquet", "instances.parquet", "failures.csv", "summary.html", "exports")
"""Names in the folder of many results that are no videos."""


@dataclass(frozen=True, order=True)
class Job:
    """A video, or a part of it, that a worker runs.

    Attributes:
        name: of its folder in that of the run; empty for the folder itself.
        source: of the video; the name of a clip with --data.
        part: A:B, the frames of a segment; empty for all.
    """

    name: str
    source: str
    part: str = ""

    def __str__(self) -> str:
        label = self.name or self.source
        return f"{label}, frames {self.part}" if self.part else label


def named(sources: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """{name of its folder: source} of videos; a name once given stays.

    A video is called by the stem of its file. Where several have one stem, or another has the name already, the name of
    its folder stands before it; where that is not enough, a digest of the whole path follows it.

    Args:
        sources: single videos.
        known: {name: place} of earlier runs into the folder.
    """
    names = {place: name for name, place in known.items()}
    new = [source for source in sources if place_of(source) not in names]
    stems = {source: _stem(source) for source in new}
    longer = {source: _with_folder(source, stem) for source, stem in stems.items()}
    # Some file systems take two names that differ in case for one.
    shared = Counter(name.casefold() for source in new for name in {stems[source], longer[source]})
    taken = {name.casefold() for name in (*known, *RESERVED)}
    for source in new:
        free = (n for n in (stems[source], longer[source]) if shared[n.casefold()] == 1 and n.casefold() not in taken)
        names[place_of(source)] = next(free, f"{stems[source]}-{digest(place_of(source), 8)}")
    return {names[place_of(source)]: source for source in sources}


def digest(text: str, length: int = 32) -> str:
    """So many hexadecimal digits that stand for a text."""
    return hashlib.blake2b(text.encode(errors="surrogateescape")).hexdigest()[:length]


def _stem(source: str) -> str:
    path = PurePosixPath(source) if is_remote(source) else local_path(source)
    stem = path.name if not is_remote(source) and local_path(source).is_dir() else path.stem
    try:
        return safe_name(stem if not stem.startswith(".") else "", source)
    except InputError:
        plain = re.sub(r"[^\w.-]+", "-", stem, flags=re.ASCII).strip(".-")[:80]
        return f"{plain or 'video'}-{digest(place_of(source), 8)}"


def _with_folder(source: str, stem: str) -> str:
    folder = (PurePosixPath(source) if is_remote(source) else Path(place_of(source))).parent.name
    try:
        return safe_name(f"{folder}-{stem}", source) if folder and not folder.startswith(".") else stem
    except InputError:
        return stem


def share_of(jobs: Sequence[Job], share: int, of: int) -> list[Job]:
    """The jobs of one of so many equal shares, in their order; which these are does not depend on the order.

    Args:
        share: from 0.
    """
    ranked = sorted(jobs, key=lambda job: digest(f"{place_of(job.source)}\0{job.part}"))
    mine = set(ranked[share::of])
    return [job for job in jobs if job in mine]
