"""Paths of pictures as labelling tools write them."""

import os
import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

_FAR = re.compile(r"[A-Za-z][\w+.-]*:|/|\\\\")  # C:\, https://, s3://, /home, \\server
_SERVED = re.compile(r"[?&]d=([^&]+)")  # Label Studio's local files: /data/local-files/?d=images/1.png


class ImageFolder:
    """Finds the pictures of a data set in a folder.

    Args:
        folder: of images.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: Any) -> Any:
        """The path in the folder that a file means by a name.

        Backslashes separate folders as slashes do. Of a name that leads elsewhere, as to C:\\, to ../../upload or to
        a server, the longest end that is in the folder is taken, or the one picture anywhere below that has its last
        part; where there is none, all of it that stays inside.

        Args:
            name: as in the file; what is no text is given back.
        """
        if not isinstance(name, str) or "\0" in name or len(name) > 4096 or self._has(name):
            return name
        served = _SERVED.search(name)
        plain = (unquote(served[1]) if served else name).replace("\\", "/")
        if not _FAR.match(name) and not served and ".." not in PurePosixPath(plain).parts:
            return plain
        if "://" in plain:
            plain = plain.partition("?")[0]
        parts = [part for part in re.sub(r"^[A-Za-z][\w+.-]*:", "", plain).split("/") if part not in ("", ".")]
        if ".." in parts:
            parts = parts[len(parts) - parts[::-1].index("..") :]
        for text in ("/".join(parts), unquote("/".join(parts))):
            ends = [text.split("/", first)[-1] for first in range(text.count("/") + 1)]
            if path := next(filter(self._has, ends), None) or self.only(text):
                return path
        return "/".join(parts) or name

    def only(self, name: str) -> str | None:
        """The path of the one file anywhere below that has the last part of a name; None of none or several."""
        paths = self._below.get(PurePosixPath(name).name, ())
        return paths[0] if len(paths) == 1 else None

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        """Paths of all files below by their last part."""
        paths: dict[str, list[str]] = {}
        for place, _, names in os.walk(self.folder):
            for name in names:
                paths.setdefault(name, []).append(Path(place, name).relative_to(self.folder).as_posix())
        return paths

    def _has(self, name: str) -> bool:
        path = PurePosixPath(name)
        try:
            return ".." not in path.parts and not path.is_absolute() and (self.folder / name).is_file()
        except (OSError, ValueError):  # too long, or not a name at all
            return False
