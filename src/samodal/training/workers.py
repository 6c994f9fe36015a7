"""Work that others do beside a training: processes that read its data, threads that draw its steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TypeVar

from samodal.executors import Processes, Retrying, in_order

T = TypeVar("T")


def sequences(data: str, first: int | None) -> list[tuple[str, str]]:
    """(data set, name) of the sequences of data sets that commas separate; so many of each, None for all.

    Raises:
        InputError: if a data set cannot be read.
    """
    from samodal.data.open import opened, several

    opened.forget()  # a data set may have grown since
    return [(kind, name) for kind in several(data) for name in opened(kind).sequences[:first]]


def read_all(
    read: Callable[[tuple], T], tasks: list[tuple], data: str, workers: int, report: Callable[[str], None]
) -> list[T]:
    """read(task) of each sequence, in order; `report` gets some ten lines of progress. See `in_processes`."""
    done = []
    for sequence in in_processes(read, tasks, workers):
        done.append(sequence)
        if len(done) % max(1, len(tasks) // 10) == 0:
            report(f"read {len(done)} of {len(tasks)} sequences of {data}")
    return done


def in_processes(work: Callable[[tuple], T], tasks: list[tuple], workers: int, most: int = 1) -> Iterator[T]:
    """work(task) of each, in order.

    Args:
        work: can be pickled.
        workers: processes; 0 takes as many as there are cores. One worker, or one task, needs no further process.
        most: tasks that a process is given at a time.

    Raises:
        InputError, RuntimeError: the first failure of a task.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(tasks) == 1:
        yield from map(work, tasks)
        return
    size = max(1, min(most, len(tasks) // (4 * workers)))
    batches = [tasks[n : n + size] for n in range(0, len(tasks), size)]
    for done in in_order(Retrying(Processes(workers)), partial(_each, work), batches):
        yield from done


def _each(work: Callable[[tuple], T], batch: list[tuple]) -> list[T]:
    return [work(task) for task in batch]


def ahead(make: Callable[[int], T], first: int, threads: int) -> Generator[T, None, None]:
    """make(first), make(first + 1), … without end, made in threads some steps ahead."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(make, first + n) for n in range(threads + 1)]
        for number in count(first + threads + 1):
            yield waiting.pop(0).result()
            waiting.append(pool.submit(make, number))
