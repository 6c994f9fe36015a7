"""Where work is done: in this process, in processes side by side, or on a Ray cluster.

An executor takes a function and its jobs, and gives each job's outcome as it comes. A job that fails comes to a
`Failure`, a value like any other, so that it costs nothing but itself. Functions and jobs can be pickled, and a job
depends on nothing but its argument and files: where it is done changes nothing in what it gives.
"""

from samodal.executors.base import Executor, Failure, InProcess, Retrying, WithBar, in_order, results
from samodal.executors.choose import ENGINES, executor_for
from samodal.executors.on_ray import OnRay
from samodal.executors.processes import Processes

__all__ = [
    "ENGINES",
    "Executor",
    "Failure",
    "InProcess",
    "OnRay",
    "Processes",
    "Retrying",
    "WithBar",
    "executor_for",
    "in_order",
    "results",
]
