"""Pickles of plain data, read without running anything from them.

A pickle is a program: it may name any function of the machine and have it called. Here only names of containers and
numbers are known; numpy's own are stood in for by inert ones, so that a crafted pickle reaches no constructor of numpy
either. Everything else is refused by its name. Source of the format: the `pickle` and `pickletools` modules of Python.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError, printable

_NUMBERS = "biuf"  # kinds of dtype that are read: truth values, whole and floating numbers
_CONTAINERS = {kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, int, float, bool, str)}
_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip
_DEEPEST = 100
"""Containers inside containers; Python ends with a segmentation fault where a key is nested 100,000 deep."""
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")
_GET = ("GET", "BINGET", "LONG_BINGET")
_WHOLE = ("INT", "LONG", "LONG1", "LONG4")
_ADD = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
"""Steps that add to a container, which are many for a large one."""


def read_pickle(path: Path) -> Any:
    """The content of a pickle file: dicts, lists, tuples, sets, text, bytes and numbers; arrays as flat lists.

    Raises:
        InputError: if it is missing, cut off, no pickle, or names anything but plain data (says what).
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        _look_through(content)
        return _Plain(content, path).load()
    except InputError:
        raise
    except _DAMAGE as error:
        reason = str(error)[:100] or type(error).__name__
        raise InputError(f"{path}: damaged pickle ({reason}); was it cut off while it was copied?") from None


def _look_through(content: bytes) -> None:
    """Follow the stack of a pickle without making anything: 9 bytes can ask for gigabytes, or for endless nesting.

    Raises:
        ValueError: for what no writer of pickles does, and whatever `pickletools` raises for damage.
    """
    # A mark is None, everything else (depth of its nesting, number of objects in it).
    stack: list[tuple[int, int] | None] = []
    memo: dict[int, tuple[int, int] | None] = {}
    left = _DEEPEST * len(content)  # objects inside objects inside …, each counted at every level
    for count, (code, argument, _) in enumerate(pickletools.genops(content)):
        if code.name in _PUT or code.name == "MEMOIZE":
            key = len(memo) if code.name == "MEMOIZE" else argument
            if key > count:  # the unpickler takes memory for all numbers up to it
                raise ValueError(f"object number {key} after {count} steps")
            memo[key] = stack[-1]
            continue
        if code.name in _GET:
            stack.append(memo[argument])
            continue
        if code.name in _WHOLE and argument.bit_length() > 64:
            raise ValueError(f"a number of {argument.bit_length()} bits")
        taken = [entry for entry in (stack.pop() for _ in range(_taken(code, stack))) if entry is not None]
        depth, size = max((depth for depth, _ in taken), default=0), sum(size for _, size in taken)
        left -= size - (taken[-1][1] if code.name in _ADD else 0)
        if depth > _DEEPEST or left < 0:
            raise ValueError(f"nested more than {_DEEPEST} deep, or into itself")
        made = None if pickletools.markobject in code.stack_after else (depth + bool(taken), size + 1)
        stack += [made] * len(code.stack_after)


def _taken(code: pickletools.OpcodeInfo, stack: list[tuple[int, int] | None]) -> int:
    """How many entries a step takes off the stack."""
    if pickletools.markobject not in code.stack_before:
        return len(code.stack_before)
    above = next((n for n, entry in enumerate(reversed(stack)) if entry is None), None)
    if above is None:
        raise ValueError("an end without a beginning")
    return above + 1 + code.stack_before.index(pickletools.markobject)


class _Plain(pickle.Unpickler):
    """Python 2's text is taken for latin-1, in which numpy wrote the bytes of its arrays."""

    def __init__(self, content: bytes, path: Path):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path, self._known = path, _names(path, len(content))

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            what = printable(f"{module}.{name}"[:80])
            raise InputError(
                f"{self._path}: refused, as it names {what}: it may hold plain data alone (dicts, lists, numbers, "
                "numpy arrays of numbers), and anything else could run code"
            )
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise InputError(f"{self._path}: refused, as it speaks of objects outside itself ({str(pid)[:40]!r})")


def _names(path: Path, size: int) -> dict[tuple[str, str], Any]:
    """What a pickle may name; made anew for each file, as a pickle can set attributes of what it is given.

    Args:
        size: of the file in bytes, and so of all arrays together: one text that many arrays name is refused.
    """
    left = size

    class Kind:
        """Stands in for numpy.dtype."""

        def __init__(self, code: Any = "", *_: Any):
            self.code, self.order = str(code), "<"

        def __setstate__(self, state: tuple) -> None:
            self.order = ">" if state[1] == ">" else "<"

        def numbers(self, raw: bytes | str) -> list:
            if len(self.code) < 2 or self.code[0] not in _NUMBERS:
                raise InputError(f"{path}: refused, a numpy array of kind {self.code[:20]!r}; numbers alone are read")
            nonlocal left
            raw = raw.encode("latin1") if isinstance(raw, str) else raw
            left -= len(raw)
            if left < 0:
                raise InputError(f"{path}: refused, its arrays hold more bytes than the file ({size})")
            return np.frombuffer(raw, np.dtype(self.order + self.code)).tolist()

    class Array(list):
        """Stands in for numpy.ndarray: its numbers in a row."""

        def __init__(self, *_: Any):
            super().__init__()

        def __setstate__(self, state: tuple) -> None:
            self[:] = state[2].numbers(state[4])

    def scalar(kind: Kind, raw: bytes | str) -> int | float | bool:
        return kind.numbers(raw)[0]

    def encode(text: str, code: str = "latin1") -> bytes:
        return text.encode("latin1" if code != "utf-8" else code)

    def array(*_: Any) -> Array:
        return Array()

    def from_buffer(raw: bytes, kind: Kind, *_: Any) -> Array:
        numbers = Array()
        numbers[:] = kind.numbers(raw)
        return numbers

    known: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): Kind,
        ("numpy", "ndarray"): Array,
        ("_codecs", "encode"): encode,  # how protocols up to 2 write bytes
        ("collections", "OrderedDict"): OrderedDict,
    }
    for place in ("numpy.core.multiarray", "numpy._core.multiarray"):
        known |= {(place, "_reconstruct"): array, (place, "scalar"): scalar}
    for place in ("numpy.core.numeric", "numpy._core.numeric"):
        known[place, "_frombuffer"] = from_buffer  # protocol 5
    for place in ("builtins", "__builtin__"):
        known |= {(place, name): kind for name, kind in _CONTAINERS.items()}
    return known
