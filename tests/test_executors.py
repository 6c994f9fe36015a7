"""Executors: each job comes to a result or to a failure, and one that fails or dies costs nothing but itself."""

import os
import pickle
import sys

import pytest
import torch

from samodal import executors
from samodal.errors import InputError
from samodal.executors import Failure, InProcess, Processes, results


def invert(number: int) -> float:
    return 1 / number


def refuse(name: str) -> str:
    if name == "bad.png":
        raise InputError("bad.png: damaged\npicture")
    return name


def die(number: int) -> tuple[int, int]:
    if number == 1:
        os._exit(7)
    return number, os.getpid()


def leave(number: int) -> int:
    if number == 1:
        sys.exit(7)
    return number


def unsendable(_):
    return lambda: None


@pytest.mark.parametrize("executor", [InProcess(), Processes(2)])
def test_a_job_that_fails_is_a_value_and_the_others_go_on(executor):
    found = dict(executor.run(invert, [1, 0, 2]))
    assert (found[1], found[2]) == (1.0, 0.5)
    assert found[0].reason == "division by zero" and "in invert" in found[0].trace


@pytest.mark.parametrize("executor", [InProcess(), Processes(1)])
def test_a_job_that_wants_to_end_the_program_costs_itself_alone(executor):
    found = dict(executor.run(leave, [0, 1, 2]))
    assert (found[0], found[2]) == (0, 2)
    assert found[1].reason == "it wanted to end the program: 7" and "in leave" in found[1].trace


def test_what_a_user_can_mend_is_one_line_without_a_traceback():
    assert dict(InProcess().run(refuse, ["bad.png"])) == {"bad.png": Failure("bad.png: damaged picture")}


def test_a_process_that_dies_costs_its_job_alone():
    found = dict(Processes(2).run(die, [0, 1, 2, 3, 4]))
    assert found[1] == Failure("its process died, perhaps for want of memory")
    assert [found[n][0] for n in (0, 2, 3, 4)] == [0, 2, 3, 4]
    assert os.getpid() not in {pid for _, pid in (found[n] for n in (0, 2, 3, 4))}


def test_a_result_that_cannot_be_sent_is_a_failure():
    ((_, found),) = Processes(1).run(unsendable, [1])
    assert "pickle" in found.reason


def test_the_first_failure_is_raised_where_all_results_are_wanted():
    with pytest.raises(InputError, match="bad.png: damaged picture"):
        list(results(InProcess(), refuse, ["good.png", "bad.png"]))
    with pytest.raises(RuntimeError, match="division by zero"):
        list(results(InProcess(), invert, [0]))


def test_without_jobs_no_process_is_started(monkeypatch):
    monkeypatch.setattr(executors, "ProcessPoolExecutor", None)
    assert list(Processes(2).run(invert, [])) == []


def test_executors_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(Processes(3, 2))).workers == 3


def test_processes_take_the_gpus_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(executors, "limit_threads", lambda count: None)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for turn, cards in enumerate((2, 2, 2, 1, 0)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda cards=cards: cards)
        executors.settle(turn, 1)
    assert taken == [0, 1, 0]


def test_a_process_has_so_many_threads():
    assert dict(Processes(1, threads=1).run(threads_and_process, ["job"]))["job"][0] == 1


def threads_and_process(_) -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()
