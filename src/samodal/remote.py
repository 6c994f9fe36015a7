"""Object storage by fsspec: files that a URL names, as s3://bucket/drive.mp4, gs://… or memory://…"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlparse

from samodal.errors import InputError, missing_extra, nearest

STREAMS = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "http://", "https://", "udp://", "tcp://", "rtp://", "srt://")
"""URLs that FFmpeg reads itself, as they come."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*::)*([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def is_remote(place: str | Path) -> bool:
    """Whether a text names a place that fsspec reaches: a URL, of neither a stream nor a local file."""
    text = str(place)
    return isinstance(place, str) and bool(_URL.match(text)) and not text.startswith((*STREAMS, "file://"))


def local_path(place: str | Path) -> Path:
    """A local place as a path; of file:// URLs what they name."""
    text = str(place)
    return Path(os.fsdecode(unquote_to_bytes(urlparse(text).path)) if text.startswith("file://") else place)


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the place on it.

    Raises:
        InputError: for a kind of URL that is not known, or needs a package that is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise missing_extra(url, "cloud") from None
    with told(url):
        return url_to_fs(url)


@contextmanager
def told(url: str) -> Iterator[None]:
    """Say of what goes wrong with a URL what it is, as an InputError."""
    try:
        yield
    except InputError:
        raise
    except ImportError:  # fsspec has no package for this kind of storage
        raise missing_extra(url, "cloud") from None
    except FileNotFoundError:
        raise InputError(f"{url}: no such file") from None
    except Exception as error:  # each kind of storage has errors of its own
        if "Protocol not known" in str(error):
            from fsspec import available_protocols

            kind = url.partition("://")[0]
            raise InputError(f"{url}: unknown kind of storage{nearest(kind, available_protocols())}") from None
        raise InputError(f"{url}: cannot be reached ({type(error).__name__}: {error})") from error


def opened(url: str) -> BinaryIO:
    """A file, open for reading; only what is read of it is fetched, in blocks.

    Raises:
        InputError: if it is not there, or cannot be reached.
    """
    system, path = filesystem(url)
    with told(url):
        return system.open(path, "rb")


def known_by(url: str) -> tuple[int, str]:
    """Bytes of a file, and a text that changes when the file does; (0, "missing") where it is not there."""
    try:
        system, path = filesystem(url)
        with told(url):
            info = system.info(path)
    except InputError:
        return 0, "missing"
    told_of = next((info[name] for name in ("ETag", "etag", "md5Hash", "md5", "mtime", "created") if name in info), "")
    return int(info.get("size") or 0), str(told_of)
