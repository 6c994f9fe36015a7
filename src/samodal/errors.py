"""The one error that a user may cause and mend, and did-you-mean for names."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what, where, what was expected, what was found, and the way out;
    the command line prints it without a traceback and exits with code 2.
    """


class Incomplete(InputError):
    """A part of the work failed and the rest is done. The message names each part that failed, a line each.

    The command line exits with code 3.
    """


def missing_extra(what: str, extra: str) -> InputError:
    """The error for an optional dependency that is not installed; `extra` is its name in pyproject.toml."""
    return InputError(f"{what} needs an optional part of samodal; install it with: pip install 'samodal[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the nearest known one, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ";") + f" known: {', '.join(known)}"
