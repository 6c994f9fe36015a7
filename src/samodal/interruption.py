"""Signals that end the program: each becomes a KeyboardInterrupt, so that what is finished is brought to an end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children, parent_process
from multiprocessing.connection import wait

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Beside SIGINT, which Python itself turns into a KeyboardInterrupt."""
GRACE_S = 60.0
"""Seconds in which a worker brings its job to an end after its parent has ended."""


COMPLETE = "complete"
"""Argument of an interruption after which nothing is left to do, as of a run from a camera."""


class Stopped(KeyboardInterrupt):
    """The program was told to end by another signal than SIGINT.

    Attributes:
        number: of the signal.
    """

    @property
    def number(self) -> int:
        return self.args[0]


def exit_code(stop: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as shells have it."""
    return 128 + getattr(stop, "number", signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the signals of `ENDING` raise `Stopped` in the block; one that is ignored, as under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def at_a_good_time() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Put off what ends the program until it suits; a second signal does not wait.

    Gives a function to be called now and then: where a signal came, it calls what it is given, and then raises what the
    signal stands for.
    """
    came: list[int] = []
    numbers = (signal.SIGINT, *ENDING) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}

    def note(number: int, frame) -> None:
        if came:
            before[number](number, frame)
        came.append(number)

    def look(keep: Callable[[], object]) -> None:
        if came:
            keep()
            before[came[0]](came[0], None)

    for number in before:
        signal.signal(number, note)
    try:
        yield look
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _) -> None:
    raise Stopped(number)


@contextmanager
def ending_processes() -> Iterator[None]:
    """End the processes that were begun in the block when an exception leaves it; each may bring its job to an end."""
    before = active_children()
    try:
        yield
    except BaseException:
        begun = [process for process in active_children() if process not in before]
        for process in begun:
            process.terminate()
        for process in begun:
            process.join(GRACE_S)
            process.kill()
        raise


class Worker:
    """This process as a worker of another: it ends with its parent, and when its parent says so by SIGTERM.

    A job at work is interrupted like the program itself, so that it can keep what is finished.
    """

    begun = busy = False

    @classmethod
    def begin(cls) -> None:
        """Take on the part of a worker."""
        cls.begun = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent gets it, too, and passes it on
        for number in ENDING:
            signal.signal(number, cls._stop)
        threading.Thread(target=cls._watch, daemon=True).start()

    @classmethod
    def _stop(cls, number: int, _) -> None:
        if not cls.busy:
            os._exit(128 + number)
        raise Stopped(number)

    @classmethod
    def leave(cls, stop: KeyboardInterrupt) -> None:
        """End this process after a job that was interrupted, if it is a worker: else it would wait for the next job."""
        if cls.begun:
            os._exit(exit_code(stop))

    @classmethod
    def _watch(cls) -> None:
        if (parent := parent_process()) is not None:
            wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while cls.busy and time.monotonic() < until:
            time.sleep(0.05)
        os._exit(1)
