"""Processes beside each other share the cores and take the GPUs in turn."""

import multiprocessing
import os

import torch

from samodal import executors as processes


def test_processes_take_the_gpus_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(processes, "limit_threads", lambda count: None)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    started = multiprocessing.get_context("spawn").Value("i", 0)
    for cards in (2, 2, 2, 1, 0):
        monkeypatch.setattr(torch.cuda, "device_count", lambda cards=cards: cards)
        processes._settle(1, started)
    assert taken == [0, 1, 0]


def test_a_pool_has_processes_of_so_many_threads():
    with processes.clip_pool(1, threads=1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
        assert pool.submit(os.getpid).result() != os.getpid()
