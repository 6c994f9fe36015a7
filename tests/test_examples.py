"""The examples and the notebook run offline, on short videos."""

import json
import runpy
import sys
from importlib.resources import files
from itertools import islice
from pathlib import Path

import pytest

import samodal
from samodal.drawing.video import VideoWriter

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Path:
    """The first ten frames of the embedded motorway."""
    path = tmp_path_factory.mktemp("short") / "drive.mp4"
    video = samodal.open_video(files("samodal") / "clip_road" / "motorway.mp4")
    with VideoWriter(path, video.size, video.fps) as writer:
        for frame in islice(video, 10):
            writer.write(frame.image, frame.time)
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs an example with arguments, in an empty folder; gives its names."""
    monkeypatch.chdir(tmp_path)

    def run_example(name: str, *arguments: str, as_main: bool = True) -> dict:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__" if as_main else "example")

    return run_example


def test_hidden_moments_draws_the_frame_in_which_most_is_hidden(run, short, capsys):
    names = run("hidden_moments.py", str(short), "most.png")
    assert Path("most.png").stat().st_size > 0 and f"most.png: frame {names['worst'].t}" in capsys.readouterr().out


def test_the_own_front_end_finds_what_moves_again_after_a_post(run, capsys):
    run("own_front_end.py")
    assert "2: seen in 46 frames, hidden in 3\n" in capsys.readouterr().out


def test_the_own_tracker_follows_points_and_goes_on_from_its_state(run, capsys):
    names = run("own_tracker.py", as_main=False)
    names["main"](frames=8)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["flow", "lucas_kanade"]


def test_the_camera_tells_when_things_disappear(run, short, capsys):
    run("camera.py", str(short))
    assert capsys.readouterr().out.splitlines()[-1].startswith("10 frames, ")


def test_every_example_has_a_test_and_is_named_in_the_docs():
    tests, page = Path(__file__).read_text(encoding="utf-8"), EXAMPLES.parent / "docs" / "examples.md"
    for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")):
        assert f'"{path.name}"' in tests and path.name in page.read_text(encoding="utf-8"), path


def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="pip install 'samodal[tables]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]).replace("0:25", "0:6").replace("run[12]", "run[5]"), names)
    assert names["table"]["frame"].nunique() == 6 and Path("runs/tour/exports/cvat.xml").exists()
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 [")
