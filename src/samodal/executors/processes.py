"""Jobs in processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from samodal.executors.base import Failure, Job, Result, attempt
from samodal.interruption import Worker, ending_processes
from samodal.threads import limit_threads


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
                running[pools[turn].submit(attempt, work, job)] = turn, job
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
                            outcome = Failure.lost()
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
