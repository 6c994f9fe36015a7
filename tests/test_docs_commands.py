"""Commands of README and docs: each is one that samodal takes, and those of the pages for users run on miniatures."""

import importlib
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from made_up import passing_square
from samodal.cli.app import COMMANDS, main
from samodal.drawing.video import VideoWriter
from samodal.masks import Mask
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from toy_pages import DOCS, PAGES, README, commands, lines_of, programs, run_all, spans

LARGER = 3
HERE = {
    "--minutes 3": "--steps 2 --batch 2 --device cpu",
    "--config kins-paper": "--config kins-paper --init sam.safetensors --size tiny --epochs 0 --steps 2 --device cpu "
    "--precision float32 --workers 1 --out runs/sam",
    "--vis videomt": "--vis file:mots.txt",
}
"""What would be fetched or take minutes beside the lengths of all pages, and what the test makes of it."""


NOT_RUN = {
    "make demo": "a new environment, then `samodal demo`, which test_shipped.py runs",
    "make test": "all tests",
    "python3 -m venv env": "make wheel does it with scripts/environment.py",
    "pip install -e .": "make install does it without dependencies",
    "pip install torch": "make wheel does it, from wherever pip takes torch",
    "pip install samodal-": "make wheel does it",
    "docker ": "no daemon; test_release.py holds the Dockerfile against it",
    "export OMP_NUM_THREADS=1": "no command",
    "samodal warmup": "no NVIDIA GPU; test_sam_compiled.py runs what it does",
    "samodal bench --disk": "no NVIDIA GPU; test_bench.py runs it on a small network",
    "samodal bench --visible": "no NVIDIA GPU; test_bench.py makes such a row",
}
"""Lines of the pages that start something and that no test runs, by their beginning, and why."""
STARTS = r"(samodal|make|pip|docker|python3?|export|git|sh|bash|curl|wget) "


def run_by_tests() -> dict[str, list[str]]:
    """By page, what tests match the commands with that they run, as their sources have it."""
    found: dict[str, list[str]] = {"newcomer.md": [""]}  # scripts/newcomer.py makes that page, and make check runs it
    for path in Path(__file__).parent.glob("test_docs*.py"):
        text = path.read_text(encoding="utf-8")
        for page, wanted in re.findall(r'run_all\((?:README|DOCS / "([\w.-]+)"), r?"([^"]*)"', text):
            found.setdefault(page or README.name, []).append(wanted)
    # tests/test_docs_real_video.py runs what stands in blocks without a language.
    found["real-video.md"].append("run drive.mp4|kins|asd:|evaluate")
    return found


def test_every_line_that_starts_something_runs_in_a_test_or_has_a_reason_not_to():
    runs, reasons = run_by_tests(), set()
    for page in PAGES:
        for line in lines_of(page):
            if not re.match(STARTS, f"{line} ") or line in programs(page):
                continue
            reason = next((start for start in NOT_RUN if line.startswith(start)), None)
            command = re.search(r"samodal .*", line)
            assert reason or any(re.search(wanted, command[0]) for wanted in runs.get(page.name, [])), (page, line)
            reasons.add(reason)
    assert reasons - {None} == set(NOT_RUN)


def test_every_program_that_a_page_starts_runs_in_a_test():
    """Of benchmarks test_docs_experiments.py, of scripts test_docs_developers.py."""
    shown = {(page.name, line.split()[1]) for page in PAGES for line in programs(page)}
    pages = {page for page, path in shown if path.startswith("benchmarks/")}
    assert pages == {"results.md", "scale.md"} and shown - {(page, path) for page, path in shown if page in pages} == {
        ("savos.md", "scripts/loss_curve.py")
    }


@pytest.fixture
def taken(monkeypatch):
    """Makes commands do nothing but remember what settings they were given."""
    seen = []

    def stand_in(name: str) -> SimpleNamespace:
        module = importlib.import_module(name)
        return SimpleNamespace(**vars(module) | {"main": seen.append})

    monkeypatch.setattr("samodal.cli.app.import_module", stand_in)
    return seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_samodal_takes(page, taken, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    for command in (*commands(page), *spans(page)):
        words = shlex.split(
            command.replace("$k", "13")
            .replace("$SLURM_ARRAY_TASK_ID", "3")
            .replace("[", "(")
            .replace(" FLAGS", "")
            .split("|")[0]
        )[1:]
        if (
            len(words) == 1
            or "RECIPE" in words
            or " ".join(words[:2]) in ("train NAME", "weights list", "completion bash")
        ):
            assert words[0].startswith("-") or words[0] == "train" or any(n.split()[0] == words[0] for n in COMMANDS), (
                command
            )
            continue
        try:
            code = main(words)
        except SystemExit as stop:  # of lists, and of a command without what it needs
            code = stop.code
        told = capsys.readouterr().err
        assert code == 0 or "is required" in told or "the following arguments" in told, f"{command}\n{told}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the pages speak of: a clip, labels with images, results, outlines, a small SAM."""
    root = tmp_path_factory.mktemp("pages")
    lines, large = [], [n * LARGER for n in (60, 120)]
    (root / "images").mkdir()
    (root / "masks").mkdir()
    with VideoWriter(root / "drive.mp4", tuple(large), 10.0) as video:
        for seen in passing_square(12, step=6)[1]:
            image = seen.frame.image.repeat(LARGER, 0).repeat(LARGER, 1)
            Image.fromarray(image).save(root / "images" / f"{seen.frame.name}.png")
            video.write(image, seen.frame.time)
            for visible in seen.visible:
                mask = Mask.of(visible.mask.decode().repeat(LARGER, 0).repeat(LARGER, 1))
                lines.append(f"{seen.frame.t} 1007 1 {large[0]} {large[1]} {mask.rle.counts}\n")
    (root / "mots.txt").write_text("".join(lines))
    person = np.zeros((80, 40), np.uint8)
    person[5:75, 10:30] = 255
    Image.fromarray(person).save(root / "masks" / "a.png")
    outlines = [{"category_id": 3, "segmentation": [[0, 0, 90, 0, 90, 40, 0, 40]]}]
    (root / "outlines.json").write_text(json.dumps({"annotations": outlines}))
    AmodalSam.initialise(AmodalSamConfig.named("tiny"), seed=0).save(root / "sam.safetensors")
    return root


def test_the_commands_of_the_pages_for_users_run_in_their_order(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run_all(DOCS / "start.md", r"doctor|run drive.mp4$|convert", capsys, HERE) == 4
    assert (place / "runs/drive/report.html").exists() and (place / "runs/drive/exports/cvat.xml").exists()
    other = ["run", "drive.mp4", "--vis", "file:mots.txt", "--method", "hold-last", "--out", "runs/other"]
    assert main([*other, "--save", "cvat"]) == 0
    assert run_all(DOCS / "report.md", "", capsys, HERE) == 3
    (place / "annotations.xml").write_bytes((place / "runs/other/exports/cvat.xml").read_bytes())
    assert run_all(DOCS / "files.md", "--from cvat", capsys, HERE) == 1
    assert (place / "labels.json").exists() and "compare" in "".join(path.name for path in (place / "runs").iterdir())


def test_the_commands_about_own_labels_run_in_their_order(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    pytest.importorskip("accelerate")
    labels = [
        "run",
        "images",
        "--vis",
        "file:mots.txt",
        "--method",
        "hold-last",
        "--no-overlay",
        "--out",
        "runs/labels",
    ]
    assert main([*labels, "--save", "coco:labels.json"]) == 0
    (place / "val.json").write_bytes((place / "labels.json").read_bytes())
    assert run_all(DOCS / "data.md", "coco:labels|--segmenter", capsys, HERE) == 8
    assert run_all(DOCS / "without-labels.md", "completion", capsys, HERE) == 2
    assert (place / "runs/mine/mine.safetensors").exists() and (place / "runs/mine/mine.md").exists()


def test_the_commands_of_the_readme_run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    results = ["run", "images", "--vis", "file:mots.txt", "--method", "hull", "--no-overlay", "--out", "runs/results"]
    assert main(results) == 0
    (place / "results.json").write_bytes((place / "runs/results/tracks.json").read_bytes())
    assert run_all(README, "run drive.mp4", capsys, HERE) == 2
