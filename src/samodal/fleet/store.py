"""The folder of many results, on this machine or in object storage."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.files import inside, parse_json, safe_name
from samodal.outputs import locked, make_folder, writing
from samodal.remote import filesystem, is_remote, told
from samodal.runs.folder import RECORD

LIST = "videos.json"
"""In the folder: every video that was ever asked for, {name of its folder: its absolute path or URL}."""


AT_ONCE = 16
"""Results that are asked after at the same time; what is far away is waited for."""
FAILED = "failed.txt"
"""In the folder of a video that failed: the reason, and below it where."""
PARTS = "segments"
"""Folder of the segments of a long video in its own; it goes when they are joined."""


class Store:
    """A folder that many results are written to.

    Args:
        out: a path, or a URL of object storage.
    """

    def __init__(self, out: str | Path):
        self.remote = is_remote(out)
        self.out = str(out).rstrip("/") if self.remote else Path(out)
        self._system, self._root = filesystem(str(self.out)) if self.remote else (None, "")

    def folder(self, name: str) -> str | Path:
        """That of a result; an empty name is the folder itself."""
        if not name:
            return self.out
        return f"{self.out}/{safe_name(name, 'output')}" if self.remote else inside(Path(self.out), name)

    def read(self, name: str) -> bytes | None:
        """The content of a file in the folder; None where it is not there."""
        if not self.remote:
            try:
                return Path(self.out, name).read_bytes()
            except OSError:
                return None
        try:
            with told(f"{self.out}/{name}"):
                return self._system.cat_file(posixpath.join(self._root, name))
        except InputError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file in the folder, in one step.

        Raises:
            InputError: if it cannot be written.
        """
        if not self.remote:
            with writing(Path(self.out, name)) as partial:
                partial.write_bytes(content)
            return
        with told(f"{self.out}/{name}"):
            self._system.pipe_file(posixpath.join(self._root, name), content)

    def remove(self, name: str) -> None:
        """Remove a file in the folder, if it is there."""
        if not self.remote:
            Path(self.out, name).unlink(missing_ok=True)
        elif self.read(name) is not None:
            with told(f"{self.out}/{name}"):
                self._system.rm_file(posixpath.join(self._root, name))

    def names(self) -> list[str]:
        """Of the folders in the folder."""
        if not self.remote:
            try:
                with os.scandir(self.out) as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            except OSError:
                return []
        with told(str(self.out)):
            if not self._system.exists(self._root):
                return []
            entries = self._system.ls(self._root, detail=True)
        return sorted(posixpath.basename(e["name"].rstrip("/")) for e in entries if e["type"] == "directory")

    def record(self, name: str) -> dict[str, Any] | None:
        """What run.json of a result says; None where it is not there or cannot be read."""
        try:
            record = parse_json(self.read(posixpath.join(name, RECORD)) or b"", name)
        except (InputError, UnicodeDecodeError):
            return None
        return record if isinstance(record, dict) and isinstance(record.get("settings"), dict) else None

    def put(self, folder: Path, name: str) -> None:
        """Bring a finished result to its place in object storage; run.json comes last, and says that it is whole."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / RECORD]
        self.remove(posixpath.join(name, RECORD))
        for path in [*files, folder / RECORD]:
            place = posixpath.join(self._root, name, path.relative_to(folder).as_posix())
            with told(f"{self.out}/{name}/{path.name}"):
                self._system.makedirs(posixpath.dirname(place), exist_ok=True)
                self._system.put_file(str(path), place)

    def videos(self) -> dict[str, str]:
        """What `LIST` says."""
        try:
            known = parse_json(self.read(LIST) or b"{}", LIST)
        except (InputError, UnicodeDecodeError):
            return {}
        return {k: v for k, v in known.items() if isinstance(v, str)} if isinstance(known, dict) else {}

    def add_videos(self, choose: Callable[[Mapping[str, str]], dict[str, str]]) -> dict[str, str]:
        """What choose(known) gives, {name: place}, added to `LIST`; one process at a time."""
        if self.remote:
            return self._add(choose)
        make_folder(Path(self.out))
        with locked(Path(self.out, ".videos.lock"), str(self.out), patience=60.0):
            return self._add(choose)

    def _add(self, choose: Callable[[Mapping[str, str]], dict[str, str]]) -> dict[str, str]:
        known = self.videos()
        chosen = choose(known)
        if chosen.items() - known.items():
            self.write(LIST, json.dumps(known | chosen, indent=0).encode())
        return chosen
