"""What a user names as videos: files, folders, patterns and lists, each expanded to single videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from samodal.errors import InputError, missing_extra, shown
from samodal.files import mistaken, read_text
from samodal.pictures import PICTURES, RARE_PICTURES
from samodal.remote import STREAMS, filesystem, is_remote, local_path, told
from samodal.runs.folder import RECORD

VIDEOS = (
    ".3gp .264 .265 .asf .avi .flv .h264 .h265 .hevc .ivf .m2ts .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts .mxf "
    ".ogv .ts .vob .webm .wmv .y4m"
).split()
"""Suffixes of files in a folder that are taken for videos. A file that is named itself may have any."""
LISTS = (".txt", ".parquet")
COLUMNS = ("video", "path", "source", "file", "uri", "url")
"""Columns of a Parquet list that hold the videos; else its only column of texts."""
MARKS = "*?["


def is_single(source: str) -> bool:
    """Whether a text names one video, whatever that holds; else it stands for any number of them."""
    if is_remote(source):
        return not any(mark in source for mark in MARKS) and _suffix(source) in VIDEOS
    path = local_path(source)
    if not os.path.lexists(path):
        return not any(mark in source for mark in MARKS) or source.startswith((*STREAMS, "camera:"))
    if path.is_dir():
        return _has_pictures(path) or next(_videos_below(path, None), None) is None
    return path.suffix.lower() not in LISTS


def expanded(given: Sequence[str], out: str | Path | None = None) -> list[str]:
    """The single videos that texts stand for, each once and in one order, however they are given.

    Args:
        given: files, folders, patterns, lists, URLs.
        out: folder of results, in which no videos are looked for.

    Raises:
        InputError: for a list that cannot be read or names no video that is there, and where nothing is left.
    """
    found: dict[str, str] = {}
    for source in given:
        for video in map(_plain, _expanded(source, out)):
            key = place_of(video)
            found[key] = min(video, found.get(key, video))  # of two ways to name one video always the same
    if not found:
        raise InputError(f"{', '.join(given[:3])}: no video there; give video files, or folders or lists of them")
    return [found[key] for key in sorted(found)]


def _plain(video: str) -> str:
    """A path without detours, so that ./drive.mp4 is drive.mp4; URLs as they are."""
    return video if "://" in video or video.startswith("camera:") else os.path.normpath(video)


def place_of(source: str) -> str:
    """What tells a video from all others: its absolute path, or its URL."""
    if is_remote(source) or source.startswith((*STREAMS, "camera:")):
        return source
    return os.path.abspath(local_path(source))


def _expanded(source: str, out: str | Path | None) -> Iterable[str]:
    if is_remote(source):
        return [source] if is_single(source) else _remote(source)
    path = local_path(source)
    if is_single(source):
        return [source]
    if path.is_dir():
        return map(str, _videos_below(path, out))
    if os.path.lexists(path):
        return [video for entry in _listed(path) for video in _of_entry(entry, out)]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise InputError(f"{source}: no file or folder fits this pattern")
    likely = [match for match in matches if os.path.isdir(match) or _suffix(match) in VIDEOS]
    return [video for match in likely or matches for video in _of_entry(match, out)]


def _of_entry(entry: str, out: str | Path | None) -> Iterable[str]:
    """What an entry of a list or pattern stands for: a folder may hold many, a list within a list is none."""
    path = local_path(entry)
    if is_remote(entry) or not path.is_dir() or is_single(entry):
        return [entry]
    return map(str, _videos_below(path, out))


def _listed(path: Path) -> list[str]:
    """The entries of a list: as they are from the current folder, or from that of the list."""
    entries = _of_parquet(path) if path.suffix.lower() == ".parquet" else _of_text(path)
    if not entries:
        raise InputError(f"{path}: an empty list; it names no video")
    placed = [_placed(entry, path.parent) for entry in entries]
    if all(entry is None for entry in placed):
        what = "no list of videos" if path.suffix.lower() == ".parquet" else "no video or folder of pictures, but text"
        raise InputError(f"{path}: {what}: none of its {len(entries)} entries is there, as {shown(entries[0])}")
    return [entry if place is None else place for entry, place in zip(entries, placed, strict=True)]


def _placed(entry: str, folder: Path) -> str | None:
    """Where an entry of a list is; None where there is nothing."""
    if is_remote(entry) or entry.startswith((*STREAMS, "camera:")):
        return entry
    try:
        return next((str(place) for place in (local_path(entry), folder / local_path(entry)) if place.exists()), None)
    except (OSError, ValueError):  # a name too long, or with a null in it
        return None


def _of_text(path: Path) -> list[str]:
    try:
        text = read_text(path)
    except InputError:
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" in content or mistaken(path, packed=True):
            raise
        text = os.fsdecode(content)  # names on disk need not be UTF-8
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and (not line.startswith("#") or os.path.exists(line))]


def _of_parquet(path: Path) -> list[str]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra(f"{path}: a Parquet list", "tables") from None
    try:
        schema = pyarrow.parquet.read_schema(path)
        texts = [name for name in schema.names if _is_text(schema.field(name).type)]
        column = next((name for name in COLUMNS if name in texts), texts[0] if len(texts) == 1 else None)
        if column is None:
            raise InputError(
                f"{path}: no column of videos; name one of its columns {COLUMNS[0]}, it has {', '.join(schema.names)}"
            )
        values = pyarrow.parquet.read_table(path, columns=[column])[column].to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: no Parquet file that can be read ({error})") from None
    return [value for value in values if value]


def _is_text(kind) -> bool:
    import pyarrow

    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _has_pictures(folder: Path) -> bool:
    return any(_suffix(entry.name) in PICTURES + RARE_PICTURES for entry in _entries(folder))


def _videos_below(folder: Path, out: str | Path | None) -> Iterator[Path]:
    """The video files in a folder and below it; results of runs, as overlay.mp4, are none."""
    entries = _entries(folder)
    for entry in entries:
        if not entry.is_dir() and _suffix(entry.name) in VIDEOS:  # a link to nowhere, too: running it says so
            yield Path(folder, entry.name)
    for entry in entries:
        below = Path(folder, entry.name)
        results = entry.is_dir() and ((below / RECORD).exists() or _same(below, out))
        if entry.is_dir(follow_symlinks=False) and not results:
            yield from _videos_below(below, out)


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _same(folder: Path, out: str | Path | None) -> bool:
    return isinstance(out, Path) and os.path.abspath(folder) == os.path.abspath(out)


def _remote(url: str) -> list[str]:
    """The videos that a URL of a folder, or with a pattern, stands for."""
    system, path = filesystem(url)
    with told(url):
        found = system.glob(path) if any(mark in path for mark in MARKS) else system.find(path)
    videos = [system.unstrip_protocol(file) for file in found if _suffix(file) in VIDEOS]
    if not videos:
        raise InputError(f"{url}: no video there; videos are told by their suffixes: {' '.join(VIDEOS)}")
    return videos


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
