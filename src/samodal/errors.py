"""The one error that a user may cause and mend, and did-you-mean for names."""

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LONGEST = 5000
"""Characters of a message."""
_JOINERS = "\u200c\u200d"
"""Invisible, and needed to spell words of some scripts."""
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxtuple, _REPR.maxdict, _REPR.maxlong = 2, 6, 6, 4, 20


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what, where, what was expected, what was found, and the way out;
    the command line prints it without a traceback and exits with code 2. Names from files stand in it `printable`.
    """

    def __init__(self, message: str):
        text = re.sub(r"\s*[\r\n]\s*", " ", message[:LONGEST].strip())
        super().__init__(printable(text + ("…" if len(message) > LONGEST else "")))


class DiskFull(InputError):
    """No space is left: nothing more can be written there, whatever it is."""


class Incomplete(InputError):
    """A part of the work failed and the rest is done. The message names each part that failed, a line each.

    The command line exits with code 3.
    """

    def __init__(self, message: str, parts: Iterable[str] = ()):
        super().__init__(message)
        self.args = (*self.args, tuple(map(printable, parts)))

    def __str__(self) -> str:
        message, parts = self.args
        return "\n  ".join([message, *parts])


def page(name: str) -> str:
    """A page of the documentation as a message names it: in a checkout docs/NAME, else where the wheel put it."""
    installed = Path(__file__).parent / "docs" / name
    return str(installed) if installed.is_file() else f"docs/{name}"


def printable(text: Any) -> str:
    """A text from a file on one line of a terminal: what controls the terminal or the direction becomes an escape."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs" else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def shown(value: Any) -> str:
    """A value from a file as a message shows it: on one line, of 60 characters at most."""
    try:
        text = printable(_REPR.repr(value))
    except (ValueError, RecursionError):  # a number of thousands of digits
        return type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}…"


def missing_extra(what: str, extra: str) -> InputError:
    """The error for an optional dependency that is not installed; `extra` is its name in pyproject.toml."""
    return InputError(f"{what} needs an optional part of samodal; install it with: pip install 'samodal[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the nearest known one, and all of them."""
    known = sorted(known)
    begun = [one for one in known if one.startswith(f"{name} ")]  # of a command of two words the first
    close = begun or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ";") + f" known: {', '.join(known)}"
