"""The one error that a user may cause and mend."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what, where, what was expected, what was found, and the way out;
    the command line prints it without a traceback and exits with code 2.
    """


def missing_extra(what: str, extra: str) -> InputError:
    """The error for an optional dependency that is not installed; `extra` is its name in pyproject.toml."""
    return InputError(f"{what} needs an optional part of samodal; install it with: pip install 'samodal[{extra}]'")
