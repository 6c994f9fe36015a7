"""Jobs on a Ray cluster, or on a Ray that is started on this machine for them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from samodal.errors import InputError, missing_extra
from samodal.executors.base import Failure, Job, Result, attempt
from samodal.threads import begin_process, cores, limit_threads

STORE_BYTES = 100 << 20
"""Memory of Ray's own store where we start Ray: jobs and outcomes are a few hundred bytes, results go to files."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Of a Ray that we start: it reports to nobody, leaves the GPUs as they are to jobs that ask for none, and starts no
processes that no job is waiting for."""


class OnRay:
    """Jobs by actors of Ray: each is a process with one core or one GPU, and keeps its model from job to job.

    An actor that is lost, with its node or for want of memory, costs the job that it was at; another takes its place.
    The machines of a cluster need samodal installed and the same paths, as on a shared file system.

    Args:
        workers: actors at most; None: one for each GPU, or core, of the cluster.
        threads: of each actor, for OpenCV and torch; None leaves them as they are.
        address: of a running cluster, or "auto"; None: that of the variable RAY_ADDRESS, or a Ray of our own, here.
        gpus: whether each actor takes a GPU; None: if the cluster has any.

    Raises:
        InputError: on running, where Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int | None = None,
        address: str | None = None,
        gpus: bool | None = False,
    ):
        self.workers, self.threads, self.address, self.gpus = workers, threads, address, gpus

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | Failure]]:
        if not jobs:
            return
        ray = self._connected()
        waiting = iter(jobs)
        actors = [self._actor(ray) for _ in range(min(len(jobs), self.workers or self._room(ray)))]
        running: dict[Any, tuple[int, Job]] = {}

        def begin(turn: int) -> None:
            for job in waiting:
                running[actors[turn].attempt.remote(work, job)] = turn, job
                return

        try:
            for turn in range(len(actors)):
                begin(turn)
            while running:
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    turn, job = running.pop(reference)
                    outcome = _outcome(ray, reference)
                    if outcome == Failure.lost():
                        actors[turn] = self._actor(ray)
                    begin(turn)
                    yield job, outcome
        finally:
            for actor in actors:
                with suppress(Exception):  # it may be gone already
                    ray.kill(actor)

    def _connected(self) -> Any:
        try:
            import ray
        except ImportError:
            raise missing_extra("--engine ray", "ray") from None
        if ray.is_initialized():
            return ray
        address = self.address or os.environ.get("RAY_ADDRESS")
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        # Only of a Ray of our own can it be said how large it is.
        own = {"num_cpus": max(cores(), self.workers or 1), "object_store_memory": STORE_BYTES} if not address else {}
        dashboard = None if address else False
        for tries_left in range(2, -1, -1):
            try:
                with _signals_kept():
                    ray.init(address=address or "local", include_dashboard=dashboard, logging_level="ERROR", **own)
                return ray
            except Exception as error:  # Ray has no kind of its own for this
                ray.shutdown()
                # On a busy machine the half minute that Ray waits for its own processes is too short now and then.
                if address or not tries_left:
                    where = f"at {address}" if address else "on this machine"
                    raise InputError(
                        f"--engine ray: no cluster answers {where} ({str(error).strip().splitlines()[0]}); "
                        "`ray status` tells whether one runs"
                    ) from None

    def _room(self, ray: Any) -> int:
        """Actors that the cluster has room for now."""
        return max(1, int(ray.cluster_resources().get("GPU" if self._on_gpus(ray) else "CPU", 0)))

    def _on_gpus(self, ray: Any) -> bool:
        return ray.cluster_resources().get("GPU", 0) > 0 if self.gpus is None else self.gpus

    def _actor(self, ray: Any) -> Any:
        needs = {"num_cpus": 1, "num_gpus": int(self._on_gpus(ray)), "max_restarts": 0}
        return ray.remote(_Actor).options(**needs).remote(self.threads, os.getcwd(), sys.path)


class _Actor:
    """A worker: it works where the caller works, and finds the modules that the caller finds."""

    def __init__(self, threads: int | None, folder: str, modules: list[str]):
        with suppress(OSError):  # another machine may not have it; paths that need it then say so
            os.chdir(folder)
        sys.path += [path for path in modules if path not in sys.path]
        begin_process()
        if threads is not None:
            limit_threads(threads)

    def attempt(self, work: Callable[[Job], Result], job: Job) -> Result | Failure:
        return attempt(work, job)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Let the handler of SIGTERM stay: Ray puts its own in its place, and what is finished could not be told."""
    main, before = threading.current_thread() is threading.main_thread(), signal.getsignal(signal.SIGTERM)
    yield
    if main and before is not None:
        signal.signal(signal.SIGTERM, before)


def _outcome(ray: Any, reference: Any) -> Any:
    """What an actor gave; a failure where it is gone, or its answer cannot be sent."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return Failure.of(error.cause if isinstance(error.cause, Exception) else error)
    except ray.exceptions.RayError:
        return Failure.lost()
    except Exception as error:  # a job or a result that cannot be sent
        return Failure.of(error)
