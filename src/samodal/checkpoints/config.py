"""Configs of networks: plain values that travel with the weights, checked when a file brings them."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, Self, Union, get_args, get_origin

from samodal.errors import InputError

LARGEST = 1 << 16
"""No size of any network comes near it; a file that says more would only fill the memory."""
LONGEST = 1000
"""Characters of a text in a config."""


class NetworkConfig:
    """What config dataclasses of networks have in common."""

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any, where: str = "config") -> Self:
        """The inverse of `to_dict`; fields that are absent have their defaults.

        Args:
            values: of the fields, from JSON.
            where: names the file, for messages.

        Raises:
            InputError: for a field that is not known, has another type, or cannot be meant.
        """
        if not isinstance(values, dict):
            raise InputError(f"{where}: expected a config of names and values, found {_shown(values)}")
        hints = typing.get_type_hints(cls)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise InputError(
                f"{where}: the config has {unknown[0]!r}, which this version does not know; update samodal"
            )
        for name, value in values.items():
            if not _fits(value, fields[name]):
                raise InputError(
                    f"{where}: {name} of the config should be {_words(fields[name])}, found {_shown(value)}"
                )
        try:
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        except (ValueError, ArithmeticError) as error:
            raise InputError(f"{where}: the config cannot be meant ({error})") from None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is of a type; a list stands for a tuple."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return any(_fits(value, part) for part in inner)
    if kind is Literal:
        return isinstance(value, str) and value in inner
    if kind is tuple:
        if not isinstance(value, list | tuple) or len(value) > LARGEST:
            return False
        parts = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(parts) == len(value) and all(map(_fits, value, parts))
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if isinstance(value, int | float) and hint in (int, float):
        return (hint is float or isinstance(value, int)) and math.isfinite(value) and 0 <= value <= LARGEST
    return hint is str and isinstance(value, str) and len(value) < LONGEST


def _words(hint: Any) -> str:
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return " or ".join(repr(choice) for choice in inner)
    if kind is tuple:
        return f"a list of {_words(inner[0])}" if inner[-1] is Ellipsis else f"{len(inner)} times {_words(inner[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    range_of = f" from 0 to {LARGEST}" if hint in (int, float) else ""
    return names.get(hint, str(hint)) + range_of


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
