"""StreetSim on disk: AmodalSynthDrive's layout, resumable, equal for any number of processes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from samodal.cli import app
from samodal.cli.synth import SynthSettings, main
from samodal.data.asd import read_frame
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.sim import write
from samodal.sim.write import write_split

SIZE = (108, 192)


def _files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("streetsim")
    assert write_split(root, "train", count=2, size=SIZE) == ["train_0000_day", "train_0001_dusk"]
    return root


def test_the_layout_is_amodal_synth_drives(written):
    folder = written / "train"
    for t in range(4):
        image = folder / "images" / "front" / "train_0000_day" / f"front_full_{t:04d}_rgb.jpg"
        masks = folder / "amodal_instance_seg" / "front" / "train_0000_day"
        assert Image.open(image).size == (SIZE[1], SIZE[0])
        assert (masks / f"front_full_{t:04d}_aminseg.png").exists()
        assert (masks / f"front_full_{t:04d}_aminseg.json").exists()


def test_what_is_read_back_is_what_was_rendered(written):
    from samodal.sim.render import frames

    masks = written / "train" / "amodal_instance_seg" / "front" / "train_0001_dusk"
    for frame in frames("train_0001_dusk", SIZE):
        found = {instance.id: instance for instance in read_frame(masks, frame.t)}
        assert set(found) == {instance.id for instance in frame.instances}
        for instance in frame.instances:
            assert found[instance.id].category == instance.category
            assert np.array_equal(found[instance.id].amodal.decode(), instance.amodal.decode())
            assert (found[instance.id].visible is None) == (instance.visible is None)


def test_processes_write_the_same_bytes_and_a_second_call_keeps_what_is_there(written, tmp_path):
    write_split(tmp_path, "train", count=2, size=SIZE, workers=2)
    assert _files(tmp_path) == _files(written)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    calls = []
    write_split(tmp_path, "train", count=2, size=SIZE, progress=lambda *now: calls.append(now))
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert calls == [(8, 8)]


def write_until(name, folder, monkeypatch):
    """Write a sequence up to the first call of a function of `write`."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(write, name, stop)
        write_split(folder, "train", count=1, size=SIZE)


def test_a_sequence_that_was_cut_off_is_written_again(tmp_path, monkeypatch):
    write_until("write_frame", tmp_path, monkeypatch)
    write_split(tmp_path, "train", count=1, size=SIZE)
    assert len(list(tmp_path.rglob("*_rgb.jpg"))) == 4


def test_the_command_says_what_it_wrote(tmp_path, capsys):
    main(SynthSettings(out=tmp_path, split="train", count=1, workers=1, height=SIZE[0], width=SIZE[1]))
    assert "1 sequences" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [dict(split="trian"), dict(first=-1), dict(count=0), dict(workers=0), dict(height=8), dict(first=9999)],
)
def test_settings_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises(InputError):
        main(SynthSettings(**(dict(out=tmp_path, split="train", count=1, workers=1) | wrong)))


def test_a_sequence_without_its_camera_file_is_told_by_readers(written, tmp_path, capsys):
    shutil.copytree(written / "train", tmp_path / "train")
    (tmp_path / "train" / "camera" / "front" / "train_0001_dusk.json").unlink()
    data = f"streetsim:{tmp_path / 'train'}"
    assert app.main(["data", "check", data]) == 1
    assert "train_0001_dusk is not finished" in capsys.readouterr().out
    command = ["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(tmp_path / "out")]
    assert app.main(command) == 3
    assert "train_0001_dusk is not finished" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "out" / "train_0000_day" / "tracks.json").exists()


def test_an_interrupted_first_sequence_is_told_by_readers(tmp_path, monkeypatch):
    write_until("_write_whole", tmp_path, monkeypatch)
    with pytest.raises(InputError, match="is not finished"):
        open_dataset(f"streetsim:{tmp_path / 'train'}").video("train_0000_day")


def test_another_size_is_refused_and_nothing_is_written(written, tmp_path):
    shutil.copytree(written / "train", tmp_path / "train")
    before = _files(tmp_path)
    with pytest.raises(InputError, match=r"train_0000_day is there with 108x192 pixels .*, not 64x96"):
        write_split(tmp_path, "train", count=2, size=(64, 96))
    assert _files(tmp_path) == before


def test_side_files_are_added_to_a_finished_sequence_that_is_not_touched(written, tmp_path, monkeypatch):
    shutil.copytree(written / "train", tmp_path / "train")
    (tmp_path / "train" / "images" / "front" / "train_0000_day" / "front_full_0000_rgb.jpg").write_bytes(b"mine")
    before = _files(tmp_path)
    write_split(tmp_path, "train", count=1, size=SIZE, flow=True)
    after = _files(tmp_path)
    assert {path: after[path] for path in before} == before
    assert sum("_flow.png" in path.name for path in after) == 3
