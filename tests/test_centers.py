"""Centres and masks on a frozen embedding: what is wanted, what is drawn, what is reported, and that it learns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.cli.app import main
from samodal.errors import InputError
from samodal.frontends.centers import Centers, CentersConfig, Predicted, load, save
from samodal.frontends.centers.detector import Detector
from samodal.frontends.centers.front_end import CentersFrontEnd, peaks
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import SIZES
from samodal.training.centers.targets import heat_loss, targets
from samodal.video import ArrayVideo
from toy_data import write_toy

CLASSES = ("person", "car")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    sam = AmodalSam.initialise(SIZES["tiny"], seed=0)
    path = tmp_path_factory.mktemp("sam") / "tiny.safetensors"
    sam.save(path)
    return path


def config(encoder) -> CentersConfig:
    return CentersConfig(str(encoder), SIZES["tiny"].out_channels, CLASSES, width=32, mask_channels=4)


@pytest.fixture
def checkpoint(encoder, tmp_path):
    path = tmp_path / "c.safetensors"
    save(Centers.initialise(config(encoder), 0), path)
    return path


def owners(*boxes):
    """(1, 64, 96) with the n-th box (x0, y0, x1, y1) of instance n + 1."""
    held = torch.zeros(1, 64, 96, dtype=torch.uint8)
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        held[0, y0:y1, x0:x1] = n + 1
    return held


def test_the_centre_of_a_mask_is_the_cell_of_its_middle_with_a_hill_around():
    wanted = targets(owners((16, 8, 48, 24)), torch.tensor([[-1, 1]]), classes=2)
    assert (wanted.frames, wanted.rows, wanted.columns, wanted.labels) == (0, 1, 3, 1)
    assert wanted.heat[0, 1, 1, 3] == 1 and (wanted.heat == 1).sum() == 1
    assert 0 < wanted.heat[0, 1, 1, 4] < 1 and wanted.heat[0, 0].sum() == 0
    assert wanted.masks.shape == (1, 16, 24)
    assert torch.equal(wanted.masks[0] == 1, owners((16, 8, 48, 24))[0, ::4, ::4] == 1)


def test_a_mask_in_two_parts_has_its_centre_between_them():
    held = owners((0, 0, 16, 16))
    held[0, :16, 48:64] = 1
    wanted = targets(held, torch.tensor([[-1, 0]]), classes=2)
    assert (wanted.rows, wanted.columns) == (0, 3)


def test_what_is_tiny_or_of_no_class_is_not_asked_for_and_the_tiny_not_wrong():
    wanted = targets(owners((0, 0, 3, 3), (40, 40, 60, 60)), torch.tensor([[-1, 0, -1]]), classes=2)
    assert len(wanted.frames) == 0 and wanted.heat.sum() == 0
    assert wanted.weight[0, 0, 0, 0] == 0 and (wanted.weight == 0).sum() == 1


def test_the_heat_loss_is_least_for_what_is_wanted():
    wanted = targets(owners((16, 8, 48, 24)), torch.tensor([[-1, 1]]), classes=2)
    right = torch.where(wanted.heat == 1, 9.0, -9.0)
    wrong = right.roll(2, dims=-1)
    assert heat_loss(right, wanted.heat, wanted.weight) < 0.01 < heat_loss(wrong, wanted.heat, wanted.weight)


def test_a_drawn_mask_is_that_of_a_slow_judge():
    """Three layers on features and places, pixel by pixel."""
    network = Centers.initialise(CentersConfig(width=32, mask_channels=2), 0)
    generator = torch.Generator().manual_seed(0)
    predicted = Predicted(
        torch.zeros(2, 7, 2, 3),
        torch.randn(2, network.config.kernel, 2, 3, generator=generator),
        torch.randn(2, 2, 4, 6, generator=generator),
    )
    frames, rows, columns = torch.tensor([1, 0]), torch.tensor([0, 1]), torch.tensor([2, 1])
    drawn = network.draw(predicted, frames, rows, columns)
    assert drawn.shape == (2, 4, 6)
    for n in range(2):
        kernel = predicted.kernels[frames[n], :, rows[n], columns[n]].tolist()
        for y in range(4):
            for x in range(6):
                # Middles of a cell of 4 pixels and of one of 8, in units of 64 pixels.
                place = [(4 * x + 2 - 8 * columns[n] - 4) / 64, (4 * y + 2 - 8 * rows[n] - 4) / 64]
                value = [*predicted.features[frames[n], :, y, x].tolist(), *map(float, place)]
                left = list(kernel)
                for outputs in (2, 2, 1):
                    weights = [[left.pop(0) for _ in value] for _ in range(outputs)]
                    value = [sum(w * v for w, v in zip(row, value, strict=True)) for row in weights]
                    value = [v + left.pop(0) for v in value]
                    value = value if outputs == 1 else [max(0.0, v) for v in value]
                assert not left
                assert drawn[n, y, x].item() == pytest.approx(value[0], abs=1e-4)


def test_peaks_are_cells_that_no_neighbour_surpasses():
    heat = torch.full((1, 2, 4, 6), -9.0)
    heat[0, 1, 1, 1], heat[0, 1, 1, 2], heat[0, 0, 3, 5] = 3.0, 2.0, 1.0
    scores, classes, rows, columns = peaks(Predicted(heat, heat, heat), least=0.3, most=10)
    assert classes.tolist() == [1, 0] and rows.tolist() == [1, 3] and columns.tolist() == [1, 5]
    assert scores.tolist() == pytest.approx([0.9526, 0.7311], abs=1e-4)
    assert len(peaks(Predicted(heat, heat, heat), least=0.3, most=1)[0]) == 1
    assert len(peaks(Predicted(heat, heat, heat), least=0.99, most=10)[0]) == 0


def test_weights_are_read_back_as_they_were_written(checkpoint, encoder):
    network, again = Centers.initialise(config(encoder), 0), load(checkpoint)
    assert again.config == network.config
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_what_cannot_be_loaded_is_told(tmp_path, encoder):
    with pytest.raises(InputError, match="no such file; give a .safetensors of `samodal train centers`"):
        load("nothing")
    with pytest.raises(InputError, match="expected weights of `samodal train centers`, found"):
        load(encoder)
    wrong = CentersConfig(str(encoder), 1 + SIZES["tiny"].out_channels, CLASSES, width=32)
    save(Centers.initialise(wrong, 0), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="give the SAM that it was trained with"):
        Detector.load(str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="unknown limit 'scor'.*score"):
        CentersFrontEnd(f"{tmp_path / 'w.safetensors'},scor=1")


def test_detections_have_the_frame_s_size_no_pixel_in_common_and_do_not_depend_on_later_frames(checkpoint):
    frames = np.random.default_rng(0).integers(0, 256, (3, 70, 110, 3), dtype=np.uint8)
    front = CentersFrontEnd(f"{checkpoint},keep=0,score=0,area=1")
    found = front.detect(frames[0])
    assert found and all(detection.mask.size == (70, 110) for detection in found)
    assert np.sum([detection.mask.decode() for detection in found], axis=0).max() == 1
    video = ArrayVideo("noise", frames)
    first, second = front.open(video), front.open(video)
    told = [first.step(frame, t) for t, frame in enumerate(frames)]
    again = [second.step(frame, t) for t, frame in enumerate(frames[:2])]
    for ours, other in zip(told[:2], again, strict=True):
        assert [a.id for a in ours] == [b.id for b in other]
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(ours, other, strict=True))


@pytest.mark.parametrize("augment, below", [("--no-augment", 0.7), ("--augment", 0.85)])
def test_training_from_the_command_line_learns_and_writes_a_card(tmp_path, encoder, augment, below):
    data = write_toy(tmp_path / "toy", sequences=3, frames=4, seed=0)
    arguments = ["train", "centers", "--data", data, "--encoder", str(encoder), "--held_out", "1", "--every", "1"]
    arguments += ["--batch", "4", "--steps", "40", "--log_every", "10", "--workers", "1", "--warmup", "5"]
    assert main([*arguments, augment, "--out", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / "centers.json").read_text(encoding="utf-8"))
    assert facts["log"][-1]["loss"] < below * facts["log"][0]["loss"]
    assert facts["frames"] == 8 and facts["metrics"]["held_out_loss"] > 0
    assert "40 steps in" in (tmp_path / "centers.md").read_text(encoding="utf-8")
    assert load(tmp_path / "centers.safetensors").config.classes[0] == "person"


def test_a_summary_of_trainings_leaves_out_heads_whose_measurements_are_others(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    from summarise_training import main as summarise

    heads = {"metrics": {"held_out_loss": 0.5}, "steps": 1, "minutes": 0.1}
    (tmp_path / "centers.json").write_text(json.dumps(heads), encoding="utf-8")
    summarise(tmp_path)
    assert "| training |" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [([], "no data"), (["--data", "{toy}"], "either minutes or steps"),
     (["--data", "{toy}", "--steps", "1", "--held_out", "9"], "leave none to train on")],
)  # fmt: skip
def test_settings_that_cannot_be_meant(tmp_path, encoder, capsys, arguments, message):
    toy = write_toy(tmp_path / "toy", sequences=1, frames=1, seed=0)
    given = [a.format(toy=toy) for a in arguments] + ["--encoder", str(encoder), "--workers", "1"]
    assert main(["train", "centers", *given]) == 2
    assert message in capsys.readouterr().err
