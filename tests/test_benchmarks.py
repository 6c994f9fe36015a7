"""The benchmarks run; what they measure is told in the documentation, not tested."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from test_cuts import panorama, view
from tiny_cotracker import tiny

pytestmark = pytest.mark.usefixtures("one_thread")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALLEST = {
    "agreement": "--device cpu --frames 0:2",
    "attention": "--device cpu --size tiny",
    "busy": "--rounds 1 --calls 1",
    "fleet_simulation": "--hours 100 --rate 2.1",
    "gap_cost": "--size mini --repeats 1 --gaps 1,2 --height 36",
    "long_run": "--frames 30 --step 10",
    "long_stream": "--frames 100",
    "scene_cuts": "--joins 1",
    "train_sam": "--device cpu --size tiny --steps 3 --frames 1 --instances 2",
    "workers": "--rounds 1 --jobs 1 --frames 2",
}
"""Arguments with which each takes seconds."""


def run_program(line: str, folder: Path) -> str:
    """Run a line `python benchmarks/…` in a folder with the smallest arguments behind its own; gives what it prints."""
    _, path, *words = line.split()
    here = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "PYTHONPATH": str(BENCHMARKS.parent / "src")
    }
    command = [sys.executable, BENCHMARKS.parent / path, *words, *SMALLEST[Path(path).stem].split()]
    done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


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
    module = load("gap_cost", "--repeats", "1", "--gaps", "1,3", "--height", "36")
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


@pytest.mark.heavy
@pytest.mark.parametrize("name", [path.stem for path in sorted(BENCHMARKS.glob("*.py"))])
def test_every_benchmark_runs_from_the_command_line(name, tmp_path):
    assert run_program(f"python benchmarks/{name}.py", tmp_path)
