"""The executor that settings name."""

from __future__ import annotations

from typing import Literal

from samodal.errors import InputError
from samodal.executors.base import Executor, InProcess
from samodal.executors.on_ray import OnRay
from samodal.executors.processes import Processes

ENGINES = Literal["processes", "ray"]


def executor_for(
    engine: ENGINES, workers: int | None, jobs: int, *, threads: int | None = None, address: str | None = None,
    gpus: bool | None = False,
) -> Executor:  # fmt: skip
    """The executor of an engine.

    Args:
        engine: "processes", this one where one is enough; or "ray".
        workers: at most; None is one for processes, and for Ray what the cluster has room for.
        jobs: how many there are.
        threads: of each worker that is not this process.
        address: of a Ray cluster.
        gpus: whether each actor of Ray takes a GPU of its own; None: if the cluster has any.

    Raises:
        InputError: for an address without Ray, or workers that cannot be.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be a whole number at least 1, got {workers}")
    if address is not None and engine != "ray":
        raise InputError(f"--address {address} is that of a Ray cluster; give --engine ray with it")
    if engine == "ray":
        return OnRay(workers, threads, address, gpus)
    return InProcess() if (workers or 1) <= 1 or jobs <= 1 else Processes(workers or 1, threads)
