"""What is loaded once is loaded again where the files that were meant have changed."""

import os
import shutil

from samodal.data.open import opened
from samodal.loading import once
from toy_data import write_toy


def counting():
    calls = []

    @once(2)
    def load(name, device="cpu"):
        calls.append(name)
        return len(calls)

    return load


def test_the_same_words_load_once(tmp_path):
    load, path = counting(), tmp_path / "weights.safetensors"
    path.write_bytes(b"old")
    assert [load(name, "cpu") for name in (str(path), str(path), "embedded", "embedded")] == [1, 1, 2, 2]


def test_weights_that_were_trained_again_are_loaded_again(tmp_path):
    load, path = counting(), tmp_path / "weights.safetensors"
    path.write_bytes(b"old")
    assert load(f"completion:{path}") == 1
    path.write_bytes(b"newer")
    assert load(f"completion:{path}") == 2
    os.utime(path, ns=(1, 1))  # as many bytes, written at another time
    assert load(f"completion:{path}") == 3


def test_a_changed_file_in_a_folder_counts_too(tmp_path):
    load = counting()
    (tmp_path / "model.safetensors").write_bytes(b"old")
    assert load(str(tmp_path)) == 1
    (tmp_path / "model.safetensors").write_bytes(b"newer")
    assert load(str(tmp_path)) == 2


def test_a_relative_path_means_what_lies_in_the_folder_of_now(tmp_path, monkeypatch):
    names = []
    for folder, frames in (("one", 4), ("two", 2)):
        write_toy(tmp_path / folder / "toy", 1, frames, seed=0)
        monkeypatch.chdir(tmp_path / folder)
        names.append(opened("streetsim:toy").video("toy_0000").length)
    assert names == [4, 2]


def test_a_data_set_that_has_grown_is_seen_after_forgetting(tmp_path):
    data = write_toy(tmp_path, 1, 2, seed=0)
    assert list(opened(data).sequences) == ["toy_0000"]
    for kind in ("images", "amodal_instance_seg"):
        shutil.copytree(tmp_path / kind / "front" / "toy_0000", tmp_path / kind / "front" / "toy_0001")
    opened.forget()
    assert list(opened(data).sequences) == ["toy_0000", "toy_0001"]
