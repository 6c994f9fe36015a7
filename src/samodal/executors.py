"""Where work is done: in this process, in processes side by side, or one day on a cluster.

An executor takes a function and its jobs, and gives each job's outcome as it comes. A job that fails comes to a
`Failure`, a value like any other, so that it costs nothing but itself. A cluster would be one more class with this one
method: functions and jobs can be pickled, and a job depends on nothing but its argument and files.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol, TypeVar

from samodal.errors import InputError, printable
from samodal.interruption import Worker, ending_processes
from samodal.progress import frames_bar
from samodal.threads import limit_threads

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a job came to nothing.

    Attributes:
        reason: one line.
        trace: the traceback; empty for what a user can mend (`InputError`).
    """

    reason: str
    trace: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The failure that an exception means."""
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        if isinstance(error, InputError):
            return cls(reason)
        lines = "".join(traceback.format_exception(error)).split("\n")
        return cls(reason, "\n".join(map(printable, lines)))

    @property
    def error(self) -> Exception:
        """The same as an exception, for a caller that cannot go on."""
        return RuntimeError(f"{self.reason}\n{self.trace}") if self.trace else InputError(self.reason)


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
            yield job, _attempt(work, job)


class Processes:
    """Jobs side by side, each process with its share of the cores and, where there are several, of the GPUs.

    Processes are started afresh, not forked: the parent may hold a GPU or threads, which a forked child would break on.
    One that dies, as for want of memory, costs the job that it was at; another takes its place.

    Args:
        workers: processes at most.
        threads: of each process, for OpenCV and torch; None leaves them as they are.
    """

    def __init__(self, workers: int, threads: int | None = None):
        self.workers, self.threads = workers, threads

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        waiting = iter(jobs)
        # A pool of one process each: where a process dies, the library gives up all jobs of its pool.
        pools = [self._pool(turn) for turn in range(min(self.workers, len(jobs)))]
        running: dict[Future, tuple[int, Job]] = {}

        def begin(turn: int) -> None:
            for job in waiting:
                running[pools[turn].submit(_attempt, work, job)] = turn, job
                return

        try:
            with ending_processes():
                for turn in range(len(pools)):
                    begin(turn)
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        turn, job = running.pop(future)
                        try:
                            outcome = future.result()
                        except BrokenProcessPool:
                            outcome = Failure("its process died, perhaps for want of memory")
                            pools[turn].shutdown()
                            pools[turn] = self._pool(turn)
                        except Exception as error:  # a job or a result that cannot be sent
                            outcome = Failure.of(error)
                        begin(turn)
                        yield job, outcome
        finally:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)

    def _pool(self, turn: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=(turn, self.threads))


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


def _begin(turn: int, threads: int | None) -> None:
    Worker.begin()
    settle(turn, threads)


def settle(turn: int, threads: int | None) -> None:
    """Make this process the one whose turn it is: so many threads, and the GPU that "cuda" means to it."""
    if threads is None:
        return
    import torch

    limit_threads(threads)
    if torch.cuda.device_count() > 1:
        torch.cuda.set_device(turn % torch.cuda.device_count())


def _attempt(work: Callable[[Job], Result], job: Job) -> Result | Failure:
    # In the process that works: not every exception can be sent to another.
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
