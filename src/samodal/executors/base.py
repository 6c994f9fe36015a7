"""What an executor is, a failure as a value, and what can be laid around any executor: retries, a bar, an order."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from samodal.errors import DiskFull, InputError, printable
from samodal.interruption import Worker
from samodal.progress import frames_bar

Job = TypeVar("Job")
Result = TypeVar("Result")

LOST = "its process died, perhaps for want of memory"
MEMORY = ("out of memory", "cannot allocate memory", "can't allocate memory", "insufficient memory")
"""What messages of libraries say when memory is short."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Failure:
    """Why a job came to nothing.

    Attributes:
        reason: one line.
        trace: the traceback; empty for what a user can mend (`InputError`).
        passing: whether the reason may be gone at the next try: a lost worker, or want of memory.
        full: whether the disk is full, so that no other job can be finished either.
    """

    reason: str
    trace: str = ""
    passing: bool = False
    full: bool = False

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The failure that an exception means."""
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        full = isinstance(error, DiskFull) or getattr(error, "errno", None) in FULL
        passing = isinstance(error, MemoryError) or any(text in reason.lower() for text in MEMORY)
        if isinstance(error, InputError):
            return cls(reason, passing=passing, full=full)
        lines = "".join(traceback.format_exception(error)).split("\n")
        return cls(reason, "\n".join(map(printable, lines)), passing, full)

    @classmethod
    def lost(cls) -> Failure:
        """The failure of a job whose worker is gone."""
        return cls(LOST, passing=True)

    @property
    def error(self) -> Exception:
        """The same as an exception, for a caller that cannot go on."""
        if self.trace:
            return RuntimeError(f"{self.reason}\n{self.trace}")
        return DiskFull(self.reason) if self.full else InputError(self.reason)


class Executor(Protocol):
    """Does jobs, wherever that is."""

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        """Each job with what work(job) gave, or its failure, as they come; the order is not that of the jobs.

        What is not begun is left out where the caller stops early.
        """
        ...


class InProcess:
    """One job after the other, in this process."""

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        for job in jobs:
            yield job, attempt(work, job)


@dataclass(frozen=True)
class Retrying:
    """An executor that tries again, after all other jobs, what failed for a reason that may pass."""

    executor: Executor
    times: int = 2

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        waiting = list(jobs)
        for tries_left in range(self.times, -1, -1):
            again = []
            with closing(self.executor.run(work, waiting)) as outcomes:
                for job, outcome in outcomes:
                    if tries_left and isinstance(outcome, Failure) and outcome.passing:
                        again.append(job)
                    else:
                        yield job, outcome
            if not (waiting := again):
                return


@dataclass(frozen=True)
class WithBar:
    """An executor of which the terminal shows how many jobs are done; `title` says of what."""

    executor: Executor
    title: str

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        if not jobs:
            return
        with frames_bar(self.title, len(jobs), self.title) as advance:
            for done in self.executor.run(work, jobs):
                yield done
                advance(1)


def results(executor: Executor, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
    """What each job came to, as they come, for work that is of use as a whole only: the first failure is raised."""
    for _, outcome in executor.run(work, jobs):
        if isinstance(outcome, Failure):
            raise outcome.error
        yield outcome


def in_order(executor: Executor, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
    """The same in the order of the jobs; what is done early waits in memory."""
    early: dict[int, Result] = {}
    given = 0
    for number, result in results(executor, _Numbered(work), list(enumerate(jobs))):
        early[number] = result
        while given in early:
            yield early.pop(given)
            given += 1


@dataclass(frozen=True)
class _Numbered:
    """Work on numbered jobs, which gives their numbers back."""

    work: Callable

    def __call__(self, job: tuple[int, Job]) -> tuple[int, Result]:
        return job[0], self.work(job[1])


def attempt(work: Callable[[Job], Result], job: Job) -> Result | Failure:
    """What work(job) gives, or its failure; for the process that works: not every exception can be sent to another."""
    Worker.busy = True
    try:
        return work(job)
    except SystemExit as error:  # of a part that takes the process for its own
        return Failure(f"it wanted to end the program: {error}", "".join(traceback.format_exception(error)))
    except Exception as error:
        return Failure.of(error)
    except KeyboardInterrupt as stop:
        Worker.leave(stop)
        raise
    finally:
        Worker.busy = False
