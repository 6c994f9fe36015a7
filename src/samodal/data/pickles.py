"""Pickles of plain data, read without running anything from them.

A pickle is a program: it may name any function of the machine and have it called. Here only names of containers and
numbers are known; numpy's own are stood in for by inert ones, so that a crafted pickle reaches no constructor of numpy
either. Everything else is refused by its name. Source of the format: the `pickle` and `pickletools` modules of Python.
"""

import pickle
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


def read_pickle(path: Path) -> Any:
    """The content of a pickle file: dicts, lists, tuples, sets, text, bytes and numbers; arrays as flat lists.

    Raises:
        InputError: if it is missing, cut off, no pickle, or names anything but plain data (says what).
    """
    try:
        with Path(path).open("rb") as file:
            return _Plain(file, path).load()
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except _DAMAGE as error:
        raise InputError(f"{path}: damaged pickle ({error}); was it cut off while it was copied?") from None


class _Plain(pickle.Unpickler):
    """Python 2's text is taken for latin-1, in which numpy wrote the bytes of its arrays."""

    def __init__(self, file, path: Path):
        super().__init__(file, encoding="latin1")
        self._path, self._known = path, _names(path)

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


def _names(path: Path) -> dict[tuple[str, str], Any]:
    """What a pickle may name; made anew for each file, as a pickle can set attributes of what it is given."""

    class Kind:
        """Stands in for numpy.dtype."""

        def __init__(self, code: Any = "", *_: Any):
            self.code, self.order = str(code), "<"

        def __setstate__(self, state: tuple) -> None:
            self.order = ">" if state[1] == ">" else "<"

        def numbers(self, raw: bytes | str) -> list:
            if len(self.code) < 2 or self.code[0] not in _NUMBERS:
                raise InputError(f"{path}: refused, a numpy array of kind {self.code[:20]!r}; numbers alone are read")
            raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
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
