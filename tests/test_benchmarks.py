"""The benchmarks run; what they measure is told in the documentation, not tested."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from test_cuts import panorama, view
from tiny_cotracker import tiny

pytestmark = pytest.mark.usefixtures("one_thread")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A benchmark's module, ready to be run with some arguments."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def module_with(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return import_module(name)

    return module_with


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read as on Linux")
@pytest.mark.parametrize("tracker", ["lucas_kanade", "cotracker3"])
def test_the_long_stream_has_cars_that_hide_and_are_forgotten(load, tracker, capsys):
    load("long_stream", "--frames", "100", "--tracker", tracker).main()
    *_, line = capsys.readouterr().out.splitlines()
    frames, resident, cars, remembered, hidden, _ = map(float, line.split())
    assert (frames, cars) == (100, 12)
    # Megabytes of a process that has torch loaded, not bytes or pages.
    assert 50 < resident < 20_000
    assert remembered <= 12
    assert hidden > 20


def test_the_cost_of_a_gap_is_reported_for_every_length(load, monkeypatch, capsys):
    module = load("gap_cost", "--repeats", "1")
    monkeypatch.setattr(module, "GAPS", (1, 3))
    monkeypatch.setattr(module, "SIZE", (40, 60))
    monkeypatch.setattr(module, "POINTS", module.POINTS / 20)
    monkeypatch.setattr(module.CoTracker3, "untrained", lambda size: tiny())
    module.main()
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [int(line.split()[0]) for line in lines] == [1, 3]
    assert all(len(line.split()) == 7 for line in lines)


def test_the_tables_of_cuts_count_silent_clips_and_joins(load, tmp_path, capsys):
    for seed, name in ((20, "one"), (21, "other")):
        (tmp_path / name).mkdir()
        for t in range(9):
            Image.fromarray(view(panorama(seed), 10 * t)).save(tmp_path / name / f"{t:06d}.png")
    load("scene_cuts", "--real", f"{tmp_path / 'one'}@10", f"{tmp_path / 'other'}", "--joins", "2").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [["one", "0", "of", "8"], ["other", "0", "of", "8"]]
    assert lines[-1].split() == ["real,", "real", "2", "of", "2", "0"]
