"""The help of a command on one screen: what it does, and a line for each setting."""

from __future__ import annotations

import re
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Sequence

from samodal.registry import hanging

WIDTH, HEIGHT = 100, 39
"""Of a screen in characters, with a line for what is typed next."""
ALL = "--help-all"
_INDENT = 26
_OWN = ("help", "config", "print_config", "trust_config")
"""Settings of every command, which come last."""


def screen(prog: str, description: str, actions: Iterable[Action], lists: Sequence[str]) -> str:
    """The help of a command, in `HEIGHT` lines of `WIDTH` characters at most.

    Settings are explained whole where that fits, else by their first sentence, else the last ones are named alone.

    Args:
        actions: of its parser.
        lists: flags whose parts `--FLAG list` explains.
    """
    listed = [action for action in actions if action.help != SUPPRESS]
    given = [action for action in listed if not action.option_strings]
    flags = sorted((a for a in listed if a.option_strings), key=lambda action: action.dest in _OWN)
    names = " ".join(action.dest.upper() if action.nargs != "?" else f"[{action.dest.upper()}]" for action in given)
    head = [*textwrap.wrap(f"usage: {' '.join(f'{prog} {names} [SETTINGS]'.split())}", WIDTH), "", description, ""]
    tail = ["", *textwrap.wrap(_more(lists), WIDTH)]
    entries = [(_name(action), _text(action)) for action in [*given, *flags]]
    whole = [line for name, text in entries for line in hanging(f"  {name:<{_INDENT - 3}} ", text, WIDTH)]
    room = HEIGHT - len(head) - len(tail)
    if len(whole) <= room:
        return "\n".join([*head, *whole, *tail])
    lines = [_line(name, text) for name, text in entries]
    for shown in range(len(entries), 0, -1):
        rest = ", ".join(name for name, _ in entries[shown:])
        more = ["", *textwrap.wrap(f"Also: {rest}.", WIDTH, break_on_hyphens=False)] if rest else []
        if shown + len(more) <= room:
            break
    return "\n".join([*head, *lines[:shown], *more, *tail])


def _more(lists: Sequence[str]) -> str:
    names = ", ".join(f"--{name} list" for name in lists)
    parts = f" {names}: what there is, and what it needs." if lists else ""
    return f"{ALL} explains every setting whole.{parts}"


def _name(action: Action) -> str:
    if not action.option_strings:
        return action.dest.upper()
    longest = max(action.option_strings, key=len)
    if longest.startswith("--no-") and len(action.option_strings) > 1:
        return f"--[no-]{longest.removeprefix('--no-')}"
    return longest.rstrip("_")


def _text(action: Action) -> str:
    text = "Show this help." if action.dest == "help" else " ".join((action.help or "").split())
    return _sentence(text) if action.dest in _OWN else text


def _sentence(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=[^.\s]{3}[.]) (?=[A-Z])", text)[0]


def _line(name: str, text: str) -> str:
    start = f"  {name:<{_INDENT - 3}} "
    return start + textwrap.shorten(_sentence(text), WIDTH - len(start), placeholder=" …")
