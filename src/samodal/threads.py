"""Threads: few, and asleep while they wait; and threads that work ahead of the main one.

OpenMP's threads wait for each other in a busy loop by default. Where other programs want the cores as well, the thread
that is waited for does not get one, and two threads are ten times slower than one.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
MOST = 4
"""Threads of a command at most where none are asked for: our networks are small, and more of them only wait."""
MOST_READERS = 6
PASSIVE = {
    "OMP_WAIT_POLICY": "PASSIVE",  # GNU's OpenMP, with which torch comes on Linux
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",  # LLVM's and Intel's, on macOS and Windows
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's products are small here; its idle threads look for work in a busy loop
    "TOKENIZERS_PARALLELISM": "false",
}
KEPT_BYTES = 256 << 20
"""Freed memory that the C library keeps for the next frame, instead of giving it back and asking for it again."""


def begin_process(beside: int = 1) -> None:
    """Let threads of this process, and of its children, be few and wait passively; what the user has set stays.

    Call it before NumPy and torch are imported: their libraries read these variables as they are loaded.

    Args:
        beside: parts of the work that go on at the same time and share the cores.
    """
    few = str(max(1, min(MOST, cores() // beside)))
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))  # not lost with the next start
    for name, value in (PASSIVE | {"OMP_NUM_THREADS": few, "OPENCV_FOR_THREADS_NUM": few}).items():
        os.environ.setdefault(name, value)
    if sys.platform == "linux":
        # A frame's activations of some 10 MB each come from fresh pages otherwise, which cost a fifth of the time.
        with suppress(OSError, AttributeError):
            adjust = ctypes.CDLL(None).mallopt
            adjust(-3, KEPT_BYTES)  # M_MMAP_THRESHOLD
            adjust(-1, KEPT_BYTES)  # M_TRIM_THRESHOLD


def cache_folder() -> Path:
    """Where what takes long to make is kept, as the XDG specification of base directories has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "samodal"


def cores() -> int:
    """Cores that this process may use: of its affinity, and of its control group's share of time."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))  # "max" is no number
    return max(1, count)


def use_threads(count: int) -> None:
    """Let torch and OpenCV take so many threads in this process and its children, loaded or not."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENCV_FOR_THREADS_NUM"] = str(count)
    if "torch" in sys.modules or "cv2" in sys.modules:  # they have read the variables already
        limit_threads(count)


def limit_threads(count: int) -> None:
    """Take no more than so many cores in this process."""
    import cv2
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one core, and on as many as before after that.

    Sums in another order differ in their last digits: results must not depend on how many cores there are.
    """
    import cv2
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads()
    limit_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


class _Belt(Generic[Item]):
    """Things from one thread to another, in order, so many at most; `queue.Queue` does this in Python, and slower."""

    def __init__(self, depth: int):
        self._things: SimpleQueue[Item] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)

    def put(self, thing: Item) -> None:
        self._room.get()
        self._things.put(thing)

    def get(self, timeout: float | None = None) -> Item:
        thing = self._things.get(timeout=timeout)
        self._room.put(None)
        return thing


def ahead(items: Iterable[Item], depth: int, work: Callable[[Item], Any] | None = None) -> Iterator[Item]:
    """The same items in order, made and worked on by another thread while the caller is busy with earlier ones.

    Args:
        items: any iterable; what it raises is raised here, after the items before it.
        depth: how many items may wait at most.
        work: is done on each item before it is given; what it raises is raised in place of the item.
    """
    waiting: _Belt[tuple[Item | None, BaseException | None] | None] = _Belt(depth)
    stopped = Event()

    def make() -> None:
        end, iterator = None, iter(items)
        try:
            for item in iterator:
                if stopped.is_set():
                    return
                if work is not None:
                    work(item)
                waiting.put((item, None))
        except BaseException as error:  # it is raised where the items are used
            end = None, error
        finally:
            if isinstance(iterator, Generator):  # ends the thread that works ahead of this one
                iterator.close()
        waiting.put(end)

    thread = Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while (made := waiting.get()) is not None:
            item, error = made
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            with suppress(Empty):
                waiting.get(timeout=0.05)


def grouped(items: Iterable[Item], count: int, work: Callable[[list[Item]], Any]) -> Iterator[Item]:
    """The same items in order; work is done on `count` of them at a time, before the first of these is given.

    Where an item cannot be had, those before it are given first.
    """
    iterator, error = iter(items), None
    while error is None:
        group: list[Item] = []
        try:
            group.extend(islice(iterator, count))
        except BaseException as raised:
            error = raised
        if group:
            work(group)
            yield from group
        elif error is None:
            return
    raise error


def side_by_side(work: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """What `work` makes of each item, in order, by so many threads; with one, only when it is asked for."""
    if workers < 2:
        yield from map(work, items)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(workers, "side by side") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def readers() -> int:
    """Threads that read pictures for one video: one where cores are few, or where other workers have the others."""
    return 1 if parent_process() is not None else max(1, min(MOST_READERS, cores() // 2 - 1))


class Aside:
    """Threads that last as long as the process, for work beside that of the caller.

    A process that was forked gets threads of its own: those of its parent do not live in it, and nothing would be done.

    Args:
        name: of the threads.
        most: threads at most; None: as many as `ThreadPoolExecutor` takes.
    """

    def __init__(self, name: str, most: int | None = None):
        self._name, self._most = name, most
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._threads = ThreadPoolExecutor(self._most, self._name)

    def __call__(self, work: Callable[..., Made], *arguments: Any) -> Future[Made]:
        """Begin with the work."""
        try:
            return self._threads.submit(work, *arguments)
        except RuntimeError:  # the main thread has ended, after which Python begins nothing; the caller's goes on
            done: Future[Made] = Future()
            done.set_result(work(*arguments))
            return done


class Behind:
    """Calls of one function in order, by another thread, while the caller goes on.

    Args:
        work: what is called.
        depth: calls that may wait at most; then `__call__` waits.
    """

    def __init__(self, work: Callable[..., Any], depth: int = 4):
        self._work, self._error = work, None
        self._waiting: _Belt[tuple | None] = _Belt(depth)
        self._thread = Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def __call__(self, *arguments: Any) -> None:
        """Call the function with these, some time; raises what an earlier call raised."""
        self._raise()
        self._waiting.put(arguments)

    def close(self) -> None:
        """Wait until all calls are done; raises what one of them raised."""
        self._waiting.put(None)
        self._thread.join()
        self._raise()

    def _run(self) -> None:
        while (arguments := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._work(*arguments)
                except BaseException as error:
                    self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
