"""Every command of docs/real-video.md runs, in its order, on miniatures of the data sets with small random weights."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.cli.app import main
from samodal.drawing.video import VideoWriter
from samodal.results.frames import read_frames
from test_frontends_segmenters import mask2former, rf_detr
from test_videomt import theirs as videomt
from tiny_sam import transformers_sam
from toy_data import write_toy
from toy_kins import write_kins

PAGE = Path(__file__).parents[1] / "docs" / "real-video.md"

NAMES = {
    "tue-mps/videomt-dinov2-small-ytvis2019": "hub/videomt",
    "facebook/mask2former-swin-tiny-coco-instance": "hub/mask2former",
    "Roboflow/rf-detr-seg-medium": "hub/rf_detr",
    "facebook/sam-vit-base": "hub/sam",
}
"""Hub names, and the folders with small random weights that stand in for them."""
LENGTHS = {
    "--minutes 240": "--steps 2",
    "--epochs 1": "--epochs 0 --steps 2",
    "--batch 16": "--batch 4",
    "--held_out 200": "--held_out 1",
    "--held_out 10": "--held_out 1",
}
"""Lengths and sizes, and what the test makes of them."""
HERE = {
    "train": "--device cpu --precision float32 --workers 1",
    "run": "--device cpu",
    "evaluate": "",
}
"""What a machine without a GPU needs besides."""


def commands() -> list[str]:
    """The lines of fenced blocks without a language, each with those that it goes on in."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [block.replace("\\\n", " ").splitlines() for language, block in blocks if not language]
    return [line for block in lines for line in block]


def arguments(command: str) -> list[str]:
    """What is given to `main`, after the substitutions above."""
    for table in (NAMES, LENGTHS):
        for printed, meant in table.items():
            command = command.replace(printed, meant)
    words = shlex.split(command)
    assert words[0] == "samodal"
    return [*words[1:], *HERE[words[1]].split()]


def write_clip(path: Path) -> None:
    """Six frames in which a box drives over a street."""
    writer = VideoWriter(path, (96, 160), 10)
    for t in range(6):
        image = np.full((96, 160, 3), 110, np.uint8)
        image[40:70, 20 + 8 * t : 60 + 8 * t] = (200, 40, 40)
        writer.write(image, t / 10)
    writer.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory, one_thread):
    """A folder as the page expects it, data sets and clip in it, and the stand-ins for hub names."""
    root = tmp_path_factory.mktemp("real")
    write_kins(root / "data/kins", images=4, seed=0)
    for seed, split in enumerate(("train", "val")):
        write_toy(root / f"data/asd/{split}", sequences=2, frames=3, seed=seed)
    write_clip(root / "drive.mp4")
    torch.manual_seed(0)
    for name, make in (("videomt", videomt), ("mask2former", mask2former), ("sam", transformers_sam)):
        make().save_pretrained(root / "hub" / name)
    return root


def test_the_page_has_commands_and_each_substitution_is_needed():
    text = "\n".join(commands())
    assert len(commands()) >= 10
    assert [one for one in (*NAMES, *LENGTHS) if one not in text] == []
    assert all(command.startswith("samodal ") for command in commands())


def test_all_commands_of_the_page_run_in_their_order(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    # Nothing may be fetched: a name that is not substituted fails.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("accelerate")
    for command in commands():
        if "rf_detr" in command:
            continue
        assert main(arguments(command)) == 0, f"{command}\n{capsys.readouterr().err}"
    assert (place / "runs/drive/overlay.mp4").stat().st_size > 0
    for name in ("drive", "drive-trained", "drive-videomt", "drive-mask2former"):
        assert len(read_frames(place / "runs" / name / "frames.jsonl").results) == 6
    assert "AP50" in capsys.readouterr().out


def test_the_command_with_rf_detr_runs(place, monkeypatch, capsys):
    (command,) = [one for one in commands() if "rf_detr" in one]
    monkeypatch.chdir(place)
    rf_detr().save_pretrained(place / "hub/rf_detr")
    weights = place / "runs/sam/amodal-sam-vit-b-kins.safetensors"
    if not weights.exists():  # where this test runs alone
        from samodal.segmenters.sam import AmodalSam

        weights.parent.mkdir(parents=True)
        AmodalSam.from_checkpoint(place / "hub/sam").save(weights)
    assert main(arguments(command)) == 0, capsys.readouterr().err
    assert len(read_frames(place / "runs/drive-rf-detr/frames.jsonl").results) == 6


def test_layouts_and_outputs_that_the_page_names_are_those_of_the_miniatures(place):
    text = PAGE.read_text(encoding="utf-8")
    for path in (
        "data/kins/training/image_2/000000.png",
        "data/kins/testing/image_2/000000.png",
        "data/kins/update_train_2020.json",
        "data/kins/update_test_2020.json",
    ):
        assert path in text and (place / path).is_file()
    assert "data/asd/train/images/front/<sequence>/front_full_0000_rgb.jpg" in text
    assert list((place / "data/asd/train/images/front").glob("*/front_full_0000_rgb.jpg"))
