"""Threads are few and wait passively, and those beside the main one change neither order nor results."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.frontends.per_frame import AssociatedSession
from samodal.method.association import Association, Detection
from samodal.threads import Aside, Behind, ahead, grouped, side_by_side

REPORT = """
import json, os, sys
from samodal.cli import main
main(sys.argv[1:])
import cv2, torch
threads = torch.get_num_threads(), cv2.getNumThreads()
print(json.dumps([*threads, os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]]))
"""


def reported(*arguments: str, **variables: str) -> str:
    """After a command: [torch's threads, OpenCV's, OMP_NUM_THREADS, OpenMP's policy of waiting]."""
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENCV_FOR_THREADS_NUM")
    environment = {name: value for name, value in os.environ.items() if name not in names} | variables
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_the_command_line_waits_passively_and_takes_the_threads_it_is_given():
    assert reported("weights", "--threads", "1") == '[1, 1, "1", "PASSIVE"]'


def test_what_the_user_set_in_the_environment_stays():
    assert reported("--version", OMP_NUM_THREADS="7", OMP_WAIT_POLICY="ACTIVE").endswith('"7", "ACTIVE"]')


def test_importing_the_package_changes_no_variable():
    code = "import os; before = dict(os.environ); import samodal, samodal.threads; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)


def test_items_come_in_order_after_the_work_that_another_thread_did_on_them():
    worked = {}

    def work(item: int) -> None:
        worked[item] = threading.current_thread()

    for n, item in enumerate(ahead(range(7), 2, work)):
        assert item == n and worked[n] is not threading.current_thread()
    assert list(worked) == list(range(7))


def test_what_reading_ahead_raises_comes_after_the_items_before_it():
    def items():
        yield from (1, 2)
        raise InputError("frame 2 is damaged")

    seen = []
    with pytest.raises(InputError, match="frame 2 is damaged"):
        for item in ahead(items(), 5):
            seen.append(item)
    assert seen == [1, 2]


def test_nothing_is_read_more_than_some_items_ahead_and_its_thread_ends_with_the_reader():
    read = []
    reader = ahead((read.append(n) or n for n in range(100)), 2)
    assert next(reader) == 0
    reader.close()
    assert len(read) <= 5  # given, waiting (2), being put, and one taken while closing
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_calls_behind_are_made_in_order_and_an_error_reaches_the_caller():
    done = []
    behind = Behind(done.append)
    for n in range(9):
        behind(n)
    behind.close()
    assert done == list(range(9))
    failing = Behind(lambda: 1 / 0)
    failing()
    with pytest.raises(ZeroDivisionError):
        failing.close()


def test_a_session_that_looked_ahead_reports_the_same_and_looks_once():
    frames = [np.full((20, 30, 3), t, np.uint8) for t in range(3)]
    looked = []

    def detect(frame: np.ndarray) -> list[Detection]:
        looked.append(int(frame[0, 0, 0]))
        mask = np.zeros((20, 30), bool)
        mask[5:15, 5 + 2 * looked[-1] : 15 + 2 * looked[-1]] = True
        return [Detection("car", 0.9, mask)]

    plain, early = (AssociatedSession(detect, Association()) for _ in range(2))
    for t, frame in enumerate(frames):
        for look in early.looks:
            look(frame, t)
    found = [[(i.id, i.mask.counts) for i in early.step(frame, t)] for t, frame in enumerate(frames)]
    assert looked == [0, 1, 2]
    assert found == [[(i.id, i.mask.counts) for i in plain.step(frame, t)] for t, frame in enumerate(frames)]


def test_groups_are_worked_on_before_their_first_item_is_given():
    done = []
    given = grouped(range(5), 2, done.append)
    assert next(given) == 0
    assert done == [[0, 1]]
    assert list(given) == [1, 2, 3, 4]
    assert done == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("workers", [1, 3])
def test_work_side_by_side_keeps_its_order_and_raises_in_its_place(workers):
    def work(n):
        time.sleep(0.01 * (3 - n % 3))
        if n == 5:
            raise ValueError("five")
        return 10 * n

    made = side_by_side(work, range(8), workers)
    assert [next(made) for _ in range(5)] == [0, 10, 20, 30, 40]
    with pytest.raises(ValueError, match="five"):
        next(made)
    assert list(side_by_side(work, range(4), workers)) == [0, 10, 20, 30]


def test_what_comes_before_a_broken_item_is_worked_on_and_given():
    def items():
        yield from range(5)
        raise ValueError("broken")

    worked, given = [], []
    with pytest.raises(ValueError, match="broken"):
        for item in grouped(items(), 3, worked.append):
            given.append(item)
    assert given == [0, 1, 2, 3, 4] and worked == [[0, 1, 2], [3, 4]]


def test_side_by_side_asks_for_no_more_than_it_works_on():
    asked = []
    made = side_by_side(lambda n: n, (asked.append(n) or n for n in range(100)), 3)
    next(made)
    assert len(asked) <= 4
    made.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here")
def test_a_forked_process_has_threads_of_its_own():
    aside = Aside("aside", 1)
    assert aside(len, "abc").result(30) == 3
    child = multiprocessing.get_context("fork").Process(target=lambda: aside(len, "abc").result(30))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_work_goes_on_in_other_threads_after_the_main_one_has_ended():
    code = """
import threading
from samodal.threads import Aside
aside = Aside("aside")
def late():
    threading.main_thread().join()
    print(aside(len, "abc").result())
threading.Thread(target=late).start()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "3\n", done.stderr
