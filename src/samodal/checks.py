"""Values of settings checked against their types and ranges, alike for flags, YAML and Python."""

from __future__ import annotations

import math
import numbers
import types
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from samodal.errors import InputError, nearest, shown

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Between:
    """A range of numbers, both ends included; None: open."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low:.10g}"
        return f"in [{self.low:.10g}, {self.high:.10g}]"


@dataclass(frozen=True)
class Array:
    """Arrays of numpy of a type, as in `Annotated[np.ndarray, Array("float32", (None, 2))]`.

    Attributes:
        dtype: name of the type.
        shape: length along each axis; None: any.
    """

    dtype: str
    shape: tuple[int | None, ...]

    def __contains__(self, array: Any) -> bool:
        lengths = zip(array.shape, self.shape, strict=False)
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(length in (found, None) for found, length in lengths)
        )


def check_entries(plain: Any, schema: dict[str, Any], where: str) -> None:
    """Check that a dictionary from outside has the entries of a schema, each of its type, and no other.

    Args:
        schema: the type of each entry, as `fits` knows it.
        where: it stands, for the message.

    Raises:
        InputError: names the entry and what was found.
    """
    if not isinstance(plain, dict) or set(plain) != set(schema):
        raise InputError(f"{where}: expected {', '.join(schema)}, found {shown(plain)}")
    for name, kind in schema.items():
        if not fits(plain[name], kind):
            raise InputError(f"{where}: {name} cannot be {shown(plain[name])}")


def check_fields(settings: Any, what: str) -> None:
    """Check every field of a dataclass against its annotation.

    Known are int, float, bool, str, Literal, None, tuples and unions of them, and numbers Annotated with a `Between`.
    An int counts as a float; a bool is no number.

    Args:
        settings: a dataclass instance.
        what: it is, for the message.

    Raises:
        InputError: names the field, what was expected and what was given.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        value = getattr(settings, field.name)
        if not fits(value, hints[field.name]):
            expected = in_words(hints[field.name])
            names = [name for name in _choices(hints[field.name]) if isinstance(value, str)]
            hint = nearest(value, names) if names else ""
            raise InputError(f"{what}: {field.name} must be {expected}, got {value!r}{hint}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; a list stands for a tuple, as in JSON and YAML."""
    if type(value) is hint:  # of most values in files; a result is read in four fifths of the time
        return hint is not float or math.isfinite(value)
    origin = get_origin(hint)
    if origin is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list | tuple):
            return False
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        return len(kinds) == len(value) and all(map(fits, value, kinds))
    if origin is Annotated:
        kind, *ranges = get_args(hint)
        return fits(value, kind) and (value is None or all(value in between for between in ranges))
    if origin in (Union, types.UnionType):
        return any(fits(value, kind) for kind in get_args(hint))
    if origin is Literal:
        return any(value is choice or (isinstance(value, str) and value == choice) for choice in get_args(hint))
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and _finite(value)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return isinstance(value, hint)


def in_words(hint: Any) -> str:
    """A type in words."""
    origin = get_origin(hint)
    if origin is tuple:
        kinds = get_args(hint)
        kind = in_words(kinds[0])
        return f"a list of {kind}" if kinds[-1] is Ellipsis else f"{len(kinds)} times {kind}"
    if origin is Annotated:
        kind, *ranges = get_args(hint)
        return " ".join([in_words(kind), *map(str, ranges)])
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(kind) for kind in get_args(hint))
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    words = {type(None): "null (off)", float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    return (words | {list: "a list", dict: "an object"})[hint]


def finite(values: Any, shape: tuple[int, ...], name: str, where: str) -> np.ndarray:
    """The values as float32 of a shape, -1 in it for any number.

    Raises:
        InputError: for another shape, or a value that is not finite; says where, and of what name.
    """
    import numpy as np  # most who check settings have no arrays

    array = np.asarray(values, np.float32)
    if array.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = f"({', '.join('K' if n == -1 else str(n) for n in shape)})"
        raise InputError(f"{where}: expected {name} of shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{where}: expected finite {name}, got {array.tolist()}")
    return array


def _finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more digits than any float
        return False


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    return [name for inner in get_args(hint) for name in _choices(inner)] if get_origin(hint) is not None else []
