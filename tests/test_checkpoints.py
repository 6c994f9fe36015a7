"""Weight files of every network: what is written comes back, and what is damaged, odd or harmful is one sentence."""

import argparse
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from samodal.baselines.savos import Savos, SavosConfig
from samodal.baselines.savos import load as load_savos
from samodal.baselines.savos import save as save_savos
from samodal.errors import InputError
from samodal.frontends.centers import Centers, CentersConfig
from samodal.frontends.centers import load as load_centers
from samodal.frontends.centers import save as save_centers
from samodal.frontends.videomt import load as load_videomt
from samodal.frontends.videomt import save as save_videomt
from samodal.segmenters.sam import AmodalSam, AmodalSamConfig
from samodal.trackers.cotracker import CoTracker3
from tiny_cotracker import tiny as tiny_cotracker
from tiny_videomt import tiny as tiny_videomt

CASES = Path(__file__).parents[2] / "shared" / "cases"
SAM = AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0)
SAVOS = Savos(SavosConfig(widths=(4,) * 6, flow_widths=(4,) * 6, hidden=4))
CENTERS = Centers.initialise(CentersConfig(embedding=64, width=32), 0)
NETWORKS = {
    "samodal": (AmodalSam.from_checkpoint, SAM.save),
    "savos": (load_savos, lambda path: save_savos(SAVOS, path)),
    "centers": (load_centers, lambda path: save_centers(CENTERS, path)),
    "videomt": (load_videomt, lambda path: save_videomt(tiny_videomt(), path)),
    "cotracker": (CoTracker3.from_checkpoint, lambda path: tiny_cotracker().save(path)),
}


def refusal(load, path: Path) -> str:
    """The message of a refusal: one sentence that names the file."""
    with pytest.raises(InputError) as refused:
        load(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    return str(refused.value)


def written(key: str, path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """What a small network of a kind writes about itself, and its tensors."""
    NETWORKS[key][1](path)
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[key]), load_file(path)


@pytest.mark.parametrize("key", NETWORKS)
def test_a_file_holds_a_checksum_of_every_tensor_and_a_changed_one_is_named(key, tmp_path):
    header, tensors = written(key, tmp_path / "a.safetensors")
    assert set(header["checksums"]) == set(tensors)
    name = sorted(tensors)[3]
    tensors[name] = tensors[name] + 1
    save_file(tensors, tmp_path / "b.safetensors", metadata={key: json.dumps(header)})
    assert f"{name} has changed since it was written" in refusal(NETWORKS[key][0], tmp_path / "b.safetensors")


@pytest.mark.parametrize("key", NETWORKS)
def test_an_older_file_without_checksums_is_taken_as_it_is(key, tmp_path):
    header, tensors = written(key, tmp_path / "a.safetensors")
    old = {"config": header["config"]} if key == "samodal" else header["config"]
    save_file(tensors, tmp_path / "old.safetensors", metadata={"format": "pt", key: json.dumps(old)})
    loaded = NETWORKS[key][0](tmp_path / "old.safetensors")
    network = getattr(loaded, "network", loaded)
    assert not network.training and all(torch.equal(network.state_dict()[n], value) for n, value in tensors.items())


@pytest.mark.parametrize("key", NETWORKS)
@pytest.mark.parametrize(
    "text", ["", "hello", "null", "[]", "{}", '{"config":', '{"config": 3}', "[" * 100_000, "9" * 5000]
)
def test_metadata_that_is_no_config_is_refused(key, text, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={key: text})
    refusal(NETWORKS[key][0], tmp_path / "a.safetensors")


@pytest.mark.parametrize("key", NETWORKS)
@pytest.mark.parametrize("junk", [None, "x", -1, [10**12], float("nan")])
def test_a_config_with_a_value_that_cannot_be_meant_is_refused(key, junk, tmp_path):
    header, tensors = written(key, tmp_path / "a.safetensors")
    refused = 0
    for name in header["config"]:
        changed = header | {"config": header["config"] | {name: junk}}
        save_file(tensors, tmp_path / "b.safetensors", metadata={key: json.dumps(changed)})
        try:
            NETWORKS[key][0](tmp_path / "b.safetensors")
        except InputError as error:
            assert "b.safetensors" in str(error)
            refused += 1
    assert refused >= len(header["config"]) - 2


def test_sizes_that_the_file_does_not_have_take_no_memory(tmp_path, monkeypatch):
    places = []
    built = Savos.__init__
    monkeypatch.setattr(
        Savos, "__init__", lambda self, config: (places.append(torch.get_default_device().type), built(self, config))[1]
    )
    header, tensors = written("savos", tmp_path / "a.safetensors")
    header["config"]["hidden"] = 16000
    save_file(tensors, tmp_path / "b.safetensors", metadata={"savos": json.dumps(header)})
    assert "not (16000, 4)" in refusal(load_savos, tmp_path / "b.safetensors")
    assert places == ["meta"]
    header["config"]["hidden"] = "16000"
    save_file(tensors, tmp_path / "b.safetensors", metadata={"savos": json.dumps(header)})
    assert "hidden of the config should be a whole number" in refusal(load_savos, tmp_path / "b.safetensors")


def test_layers_without_end_are_not_built(tmp_path):
    header, tensors = written("samodal", tmp_path / "a.safetensors")
    header["config"]["layers"] = 60_000
    save_file(tensors, tmp_path / "b.safetensors", metadata={"samodal": json.dumps(header)})
    assert "many more parameters than it has" in refusal(AmodalSam.from_checkpoint, tmp_path / "b.safetensors")


STATE = SAM.state_dict()


@pytest.mark.parametrize(
    "content",
    [
        {"model_state_dict": STATE, "epoch": 3, "loss": 0.5},
        {"model": STATE, "best_loss": np.float64(0.25), "seen": np.int64(3), "curve": np.zeros(3)},
        {"state_dict": {f"model.{name}": value for name, value in STATE.items()}, "hyper_parameters": {"lr": 0.1}},
        {"model_state": {f"sam.{name}": value for name, value in STATE.items()}, "optimizer_state": {"state": {}}},
        {"model": {"depth": 3}, "model_state_dict": {"module": STATE}},
        {"net": STATE, "args": argparse.Namespace(lr=1, out=Path("runs"))},
        {f"_orig_mod.module.{name}": torch.nn.Parameter(value) for name, value in STATE.items()},
    ],
    ids=["model_state_dict", "numpy", "lightning", "micro-sam", "nested", "arguments", "compiled"],
)
def test_wrappers_of_training_programs_are_opened(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    # Adapters in others' files are those of the released code.
    loaded = AmodalSam.from_checkpoint(tmp_path / "a.pth").state_dict()
    assert set(loaded) == set(STATE) and all(torch.equal(loaded[name], value) for name, value in STATE.items())


@pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
def test_the_wrapped_checkpoints_that_users_met_load():
    for name in ("model_state_dict.pth", "numpy_loss.pth"):
        assert AmodalSam.from_checkpoint(CASES / "21-wrapped-checkpoints" / name).config.hidden


class Calls:
    """Is pickled as a call."""

    def __init__(self, function, *values):
        self.call = function, values

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [None, 0, 2, 4, 5])
@pytest.mark.parametrize("wrap", [lambda code: code, lambda code: {"model": STATE, "note": code}])
@pytest.mark.parametrize(
    "function, value", [(exec, "raise SystemExit"), (os.system, "true"), (open, "ran"), (getattr, "")]
)
def test_code_in_a_checkpoint_is_refused_by_name_and_never_runs(function, value, wrap, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = wrap(Calls(function, value, "w"))
    if protocol is None:
        torch.save(content, tmp_path / "a.pth")
    else:
        (tmp_path / "a.pth").write_bytes(pickle.dumps(content, protocol=protocol))
    assert "holds code beside weights" in refusal(AmodalSam.from_checkpoint, tmp_path / "a.pth") or protocol in (4, 5)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content, found",
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08rest", "an archive"),
        (b"hello world", "not a readable torch file|refused"),
        (b"\x80\x02" + b"(" * 9999 + b".", "not a readable torch file|refused"),
        (bytes(5000), "not a readable torch file|refused"),
    ],
)
def test_a_pth_that_is_something_else_is_named(content, found, tmp_path):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.pth: .*({found})"):
        AmodalSam.from_checkpoint(tmp_path / "a.pth")
    refusal(lambda path: load_savos(path), tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_bytes(content)
    assert "not a readable safetensors file" in refusal(load_centers, tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "content, found",
    [
        (None, "found NoneType"),
        ([STATE], "found list"),
        ({}, "found an empty dict"),
        ({"epoch": 3, "weights_of_mine": 4}, "dict of epoch, weights_of_mine"),
        ({1: torch.zeros(2)}, "a name that is int"),
        ({None: torch.zeros(2)}, "a name that is NoneType"),
        (STATE | {"epoch": 3}, "int under 'epoch'"),
        ({"a\nb": torch.zeros(1)}, "expected parameter names"),
        ({name: value.to(torch.int8) for name, value in STATE.items()}, "torch.int8"),
        (STATE | {"mask_decoder.iou_token.weight": torch.zeros(1, 64).to_sparse()}, "torch.sparse_coo"),
        ({name: torch.zeros(1).expand(10**12) for name in STATE}, "looks like a SAM|another size"),
        ({name: value.to("meta") for name, value in STATE.items()}, "not as plain real numbers"),
    ],
)
def test_a_torch_file_with_other_content_is_named(content, found, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=rf"a\.pth: .*({found})"):
        AmodalSam.from_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_cut_anywhere_or_with_flipped_bytes_is_refused_or_loads(zipped, tmp_path):
    torch.save(STATE, tmp_path / "whole.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "whole.pth").read_bytes()
    damaged = [whole[:cut] for cut in (1, 4, 10, 100, 1000, len(whole) // 2, len(whole) - 1)]
    rng = np.random.default_rng(0)
    for _ in range(20):
        changed = np.frombuffer(whole, np.uint8).copy()
        changed[rng.integers(0, 20_000, 20)] = rng.integers(0, 256, 20)
        damaged.append(changed.tobytes())
    refused = 0
    for content in damaged:
        (tmp_path / "a.pth").write_bytes(content)
        try:
            AmodalSam.from_checkpoint(tmp_path / "a.pth")
        except InputError as error:
            assert "a.pth" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused >= 20


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    SAM.save(tmp_path / "a.safetensors")
    monkeypatch.setattr(
        "samodal.checkpoints.networks.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(InputError, match=r"a\.safetensors: cannot be written"):
        SAM.save(tmp_path / "a.safetensors")
    monkeypatch.undo()
    assert torch.equal(
        AmodalSam.from_checkpoint(tmp_path / "a.safetensors").state_dict()["mask_decoder.iou_token.weight"],
        STATE["mask_decoder.iou_token.weight"],
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", NETWORKS)
def test_weights_that_are_no_numbers_are_refused_by_name(key, value, tmp_path):
    header, tensors = written(key, tmp_path / "a.safetensors")
    name = sorted(tensors)[0]
    tensors[name].view(-1)[-1] = value
    del header["checksums"]
    save_file(tensors, tmp_path / "b.safetensors", metadata={key: json.dumps(header)})
    assert f"{name} has values that are no numbers" in refusal(NETWORKS[key][0], tmp_path / "b.safetensors")


def test_matrices_in_8_bit_come_back_within_a_254th_of_their_rows_largest_value(tmp_path):
    from samodal.checkpoints import networks
    from samodal.frontends.cutter import CutterConfig, weights

    rows = torch.tensor([[1.0, -0.5, 0.26], [100.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    state = {"matrix": rows, "vector": torch.tensor([0.5, 2.0]), "empty": torch.zeros(4, 0)}
    networks.save(tmp_path / "w.safetensors", weights.KIND, CutterConfig(), state, eight=True)
    back = networks.read(tmp_path / "w.safetensors", weights.KIND).tensors
    assert set(back) == set(state) and torch.equal(back["vector"], state["vector"])
    assert ((back["matrix"] - rows).abs() <= rows.abs().amax(1, keepdim=True) / 254 + 1e-7).all()
