"""Configs of networks: plain values that travel with the weights, checked when a file brings them."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Self

from samodal.checks import fits, in_words
from samodal.errors import InputError, shown

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
            raise InputError(f"{where}: expected a config of names and values, found {shown(values)}")
        hints = typing.get_type_hints(cls)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise InputError(
                f"{where}: the config has {unknown[0]!r}, which this version does not know; update samodal"
            )
        for name, value in values.items():
            if not (fits(value, fields[name]) and _sane(value)):
                raise InputError(
                    f"{where}: {name} of the config should be {in_words(fields[name])} (numbers from 0 to {LARGEST}), "
                    f"found {shown(value)}"
                )
        try:
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        except (ValueError, ArithmeticError) as error:
            raise InputError(f"{where}: the config cannot be meant ({error})") from None


def _sane(value: Any) -> bool:
    """Whether numbers and texts are of a size that a network can have."""
    if isinstance(value, list | tuple):
        return len(value) <= LARGEST and all(map(_sane, value))
    if isinstance(value, str):
        return len(value) < LONGEST
    return value is None or 0 <= value <= LARGEST
