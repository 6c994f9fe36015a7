"""Commands of the pages with the paper's tables and with results run on miniatures: one clip stands for all."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.training import recipes
from test_benchmarks import run_program
from test_docs_developers import place, write_drive, write_street  # noqa: F401
from test_experiments_real import root as real  # noqa: F401
from test_experiments_seen import make_root
from tiny_cotracker import tiny
from toy_data import write_toy
from toy_pages import DOCS, programs, run_all, spans

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("one_thread")]
SMALL = {
    r"(--data|--truth) \w+:(ROOT|runs/gpu/data|data)/\w+": r"\1 streetsim:data/test",
    r"--root (FOLDER|\.\./shared/real)": "--root real",
    r"--root \.\./shared": "--root materials",
    r"--root data": "--root materials",
    r"--weights.cotracker3=\S+": "--weights.cotracker3=points.safetensors",
    r"detector:runs/yolox-nano.safetensors,": "",
    r"--train \S+": "--train streetsim:toy --train_steps 2",
    r"--seeds 1": "",
    r"--out runs/\S+": "",
    r"(experiments [\w.]+(?:,\w+)*)(?= |$)": r"\1 --seeds 1 --device cpu --out runs/exp",
    r"experiments list.*": "experiments list",
    r"^(samodal experiments (?!list|.*--(?:data|root)).*)$": r"\1 --data streetsim:data/test",
}
"""All experiments share clips and a folder, so that a run that several tables want is made once."""


@pytest.fixture
def materials(place, real):  # noqa: F811
    """Clips, real material and weights, where the pages have theirs."""
    write_street(place / "data/test")
    write_toy(place / "toy", sequences=3, frames=6, seed=0)
    make_root(place / "materials")
    tiny().save(place / "points.safetensors")
    AmodalSam.initialise(AmodalSamConfig.named("tiny"), seed=0).save(place / "sam.safetensors")
    ours = {"preset": "default", "segmenter": "completion:streetsim-complete"}
    (place / "ablations.yaml").write_text(json.dumps({"base": "real", "title": "T", "rows": {"ours": ours}}))
    (place / "imperfect.yaml").write_text(
        json.dumps({"base": "table1", "title": "T", "rows": {"hull": {"method": "hull"}}, "relations": []})
    )
    return place


def whole(page: Path) -> list[str]:
    """The commands within sentences that name data, so that they can be run as they stand, each once."""
    return list(dict.fromkeys(span for span in spans(page) if "--data" in span or "--root" in span))


def test_the_papers_tables_are_made_as_their_page_says(materials, capsys, monkeypatch):
    pytest.importorskip("accelerate")
    light = {"frames": 1, "instances": 1, "precision": "float32"}
    full = recipes.load_recipe
    monkeypatch.setattr(recipes, "load_recipe", lambda recipe, **values: full(recipe, **(values | light)))
    assert run_all(DOCS / "reproduce.md", "", capsys, SMALL) == 7
    made = {path.stem for path in (materials / "runs/exp").glob("*.md")}
    assert made == {"table1", "table2", "table3", "real"}


def test_the_commands_of_the_page_with_results_run(materials, capsys):
    pytest.importorskip("accelerate")
    pytest.importorskip("panda3d")
    write_drive(materials)
    for part in ("train", "val12", "val"):
        write_toy(materials / "data" / part, sequences=2, frames=2, seed=1)
    photos = materials / "realtrain/people_cut/masks"
    photos.mkdir(parents=True)
    person = np.zeros((80, 40), np.uint8)
    person[5:75, 10:30] = 255
    Image.fromarray(person).save(photos / "a.png")
    (materials / "realtrain/coco").mkdir()
    outlines = [{"category_id": 3, "segmentation": [[0, 0, 90, 0, 90, 40, 0, 40]]}]
    (materials / "realtrain/coco/silhouettes.json").write_text(json.dumps({"silhouettes": outlines}))
    few = (
        {
            "synth --out data": "synth --out rendered --count 1 --height 36 --width 64",
            r"bench( --json \S+)?": r"bench\1 --frames 4 --visible 1 --hidden 0 --rounds 2 --height 90 --width 160",
            "data/test/images/front/test_0050_day": "drive",
            "--frames 60": "--frames 4",
            "train completion": "train completion --device cpu --batch 4 --out runs/complete",
            "FLAGS": "",
            "--config streetsim-amodal": "--config streetsim-amodal --size tiny --precision float32 --workers 1 "
            "--device cpu --epochs 0 --frames 1 --out runs/sam --adapters keep",
            r"--init runs/gpu/\S+": "--init sam.safetensors",
            "--data streetsim:runs/gpu/data/train": "--data streetsim:toy",
            "--val streetsim:runs/gpu/data/val": "--val streetsim:toy",
            "(streetsim:data/(val|val12|train))": r"STREETS\2",
        }
        | SMALL
        | {"STREETS": "streetsim:data/"}
    )
    ran = run_all(DOCS / "results.md", "synth(?!.*tracks)|bench(?! --[dv]|/)|completion|--config|runs/val", capsys, few)
    assert ran == 11
    assert run_all(DOCS / "results.md", "experiments", capsys, SMALL) == 8


def test_the_commands_below_the_tables_of_the_page_with_results_run(materials, capsys):
    assert run_all(DOCS / "results.md", "imperfect|hidden|seen|gaps", capsys, SMALL, whole) == 4


def test_the_benchmarks_that_pages_show_run(place):  # noqa: F811
    lines = [line for name in ("results", "scale") for line in programs(DOCS / f"{name}.md")]
    assert len([run_program(line, place) for line in lines]) == 7
