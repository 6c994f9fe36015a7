"""Damaged files of every reader: a right result or one sentence, and nothing else."""

import json
import os
import random
import re
import time

import pytest

import fuzz
from fuzz_damage import damaged
from samodal.errors import InputError


@pytest.mark.heavy
def test_two_thousand_damaged_files_are_read_or_refused_with_one_sentence(tmp_path):
    findings, counts = fuzz.fuzz(2000, 17, tmp_path.resolve())
    assert findings == []
    assert counts["read"] > 200 and counts["refused"] > 200 and counts.total() == 2000


def test_equal_numbers_give_equal_damage_and_others_differ(tmp_path):
    content = json.dumps({"a": list(range(50))}).encode()
    made = [damaged(tmp_path / "a.json", content, random.Random(f"0:{number}")) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2] != content


def refuse_nothing_named():
    raise InputError("something is wrong")


def end():
    os.abort()


def write_elsewhere(folder):
    (folder.parent / "elsewhere").write_text("x")


def run_a_program():
    os.system("true")


def wait():
    ends = time.process_time() + 30
    while time.process_time() < ends:
        pass


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda folder: {}[folder], "KeyError"),
        (lambda folder: refuse_nothing_named(), "a message without file"),
        (lambda folder: end(), "the process ended by signal 6"),
        (lambda folder: write_elsewhere(folder), "open of .*elsewhere"),
        (lambda folder: run_a_program(), "os.system"),
        (lambda folder: bytearray(2**40), "MemoryError"),
        (lambda folder: wait(), "more than 1 s"),
    ],
)
def test_what_no_reader_may_do_is_a_finding(tmp_path, monkeypatch, read, what):
    monkeypatch.setattr(fuzz, "CPU", 1)
    path = tmp_path / "a" / "x.txt"
    path.parent.mkdir()
    path.write_text("1 2 3")
    target = fuzz.Target("a reader", (path,), lambda: read(path.parent))
    monkeypatch.setattr(fuzz, "targets", lambda folder: [target])
    findings, counts = fuzz.fuzz(2, 0, path.parent)
    assert [finding.number for finding in findings] == [0, 1] and counts["finding"] == 2
    assert all(re.match(what, finding.what) for finding in findings)
