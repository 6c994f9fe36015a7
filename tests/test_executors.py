"""Executors: each job comes to a result or to a failure, and one that fails or dies costs nothing but itself."""

import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

from samodal.errors import InputError
from samodal.executors import Failure, InProcess, Processes, Retrying, executor_for, in_order, processes, results
from samodal.outputs import cannot_write


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
    assert found[1] == Failure("its process died, perhaps for want of memory", passing=True)
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
    monkeypatch.setattr(processes, "ProcessPoolExecutor", None)
    assert list(Processes(2).run(invert, [])) == []


def test_executors_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(Processes(3, 2))).workers == 3


def test_processes_take_the_gpus_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(processes, "limit_threads", lambda count: None)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for turn, cards in enumerate((2, 2, 2, 1, 0)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda cards=cards: cards)
        processes.settle(turn, 1)
    assert taken == [0, 1, 0]


def test_a_process_has_so_many_threads():
    assert dict(Processes(1, threads=1).run(threads_and_process, ["job"]))["job"][0] == 1


def threads_and_process(_) -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()


def short_of_memory_once(path: str) -> str:
    """Fails for want of memory where its file is not there yet."""
    if not os.path.exists(path):
        open(path, "w").close()
        raise MemoryError("no room")
    return "done"


def die_at_first(path: str) -> str:
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(9)
    return "done"


@pytest.mark.parametrize("executor", [InProcess(), Processes(2)])
def test_what_may_pass_is_tried_again_and_what_cannot_is_not(executor, tmp_path):
    counted = str(tmp_path / "first")
    assert dict(Retrying(executor).run(short_of_memory_once, [counted])) == {counted: "done"}
    found = dict(Retrying(executor).run(invert, [0, 1]))
    assert found[0].reason == "division by zero" and found[1] == 1.0


def test_the_job_of_a_killed_process_is_done_by_another(tmp_path):
    jobs = [str(tmp_path / name) for name in "abc"]
    assert dict(Retrying(Processes(2)).run(die_at_first, jobs)) == dict.fromkeys(jobs, "done")


def test_a_job_that_kills_each_process_is_given_up_after_three_tries():
    found = dict(Retrying(Processes(1)).run(die, [1, 2]))
    assert found[1].reason.startswith("its process died") and found[2][0] == 2


def test_results_come_in_the_order_of_the_jobs_where_that_is_wanted():
    assert list(in_order(Processes(2), invert, [4, 2, 1, 2])) == [0.25, 0.5, 1.0, 0.5]


def test_a_full_disk_is_told_from_other_failures():
    full = Failure.of(OSError(28, "No space left on device"))
    assert full.full and not Failure.of(OSError(13, "Permission denied")).full
    assert Failure.of(cannot_write(Path("a"), OSError(28, "No space left"))).full


def test_an_engine_and_its_address_are_checked():
    assert isinstance(executor_for("processes", None, 5), InProcess)
    assert executor_for("processes", 3, 5, threads=1).workers == 3
    assert executor_for("ray", None, 5, address="auto").address == "auto"
    with pytest.raises(InputError, match="--address a:1 is that of a Ray cluster; give --engine ray"):
        executor_for("processes", 2, 5, address="a:1")
    with pytest.raises(InputError, match="workers must be a whole number at least 1, got 0"):
        executor_for("processes", 0, 5)


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--engine ray needs an optional part.*samodal\[ray\]"):
        list(executor_for("ray", 2, 2).run(invert, [1, 2]))


def on_ray(job: str):
    if job == "threads":
        return torch.get_num_threads()
    return die_at_first(job) if os.path.isabs(job) else refuse(job)


@pytest.mark.heavy
def test_on_ray_jobs_come_to_the_same_and_a_killed_actor_costs_nothing(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'samodal[ray]')")
    executor = Retrying(executor_for("ray", 2, 3, threads=1))
    jobs = [str(tmp_path / name) for name in "ab"]
    found = dict(executor.run(on_ray, [*jobs, "bad.png", "threads"]))
    assert found == dict.fromkeys(jobs, "done") | {"bad.png": Failure("bad.png: damaged picture"), "threads": 1}
