"""Loading once per process what lies on disk, and again where it has changed since."""

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Stamp = tuple[str, int, int]
"""Absolute path, time of the last change in nanoseconds, size in bytes."""


def once(most: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep what a function gave for its last arguments, for as long as the files that these name stay as they are.

    In a notebook weights are trained again to the same path, and the working directory changes: what was loaded then is
    not what the same words mean now. Of a folder only its direct entries are looked at.

    Args:
        most: results that are kept.
    """

    def decorate(load: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(most)
        def kept(stamps: tuple, *arguments: Any) -> T:
            return load(*arguments)

        @wraps(load)
        def found(*arguments: Any) -> T:
            return kept(tuple(map(stamps_of, arguments)), *arguments)

        found.forget = kept.cache_clear
        return found

    return decorate


def stamps_of(argument: Any) -> tuple[Stamp, ...]:
    """The files that a setting names, such as "name", "weights.safetensors" or "NAME:FILE,FOLDER", as they are now."""
    pieces = dict.fromkeys([argument, *re.split("[:,]", argument)]) if isinstance(argument, str) else ()
    return tuple(stamp for piece in pieces if piece for stamp in _stamps(Path(piece)))


def _stamps(path: Path) -> list[Stamp]:
    try:
        there = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        states = [(place, place.stat()) for place in there]
    except OSError:  # a name, not a path
        return []
    return [(str(place.absolute()), state.st_mtime_ns, state.st_size) for place, state in states]
