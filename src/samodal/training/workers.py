"""Work that others do beside a training: threads that draw its steps."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], first: int, threads: int) -> Generator[T, None, None]:
    """make(first), make(first + 1), … without end, made in threads some steps ahead."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(make, first + n) for n in range(threads + 1)]
        for number in count(first + threads + 1):
            yield waiting.pop(0).result()
            waiting.append(pool.submit(make, number))
