"""Networks as ONNX files, and ONNX Runtime in place of torch: the same answers."""

import sys
from copy import deepcopy

import pytest
import torch
from torch import nn

from samodal.checkpoints.exported import laid_out, on_onnx
from samodal.cli.app import main
from samodal.frontends import cutter, detector
from samodal.segmenters import completion

SMALL = {"size": 32, "width": 8}
NETWORKS = {
    "detector": detector.Detector.initialise(detector.DetectorConfig(), 0),
    "cutter": cutter.Cutter.initialise(cutter.CutterConfig(**SMALL), 0),
    "completer": completion.Completer.initialise(completion.CompletionConfig(**SMALL), 0),
    "group norms": completion.Completer.initialise(completion.CompletionConfig(**SMALL, norm="group"), 0),
}
for number, module in enumerate(module for network in NETWORKS.values() for module in network.modules()):
    if isinstance(module, nn.BatchNorm2d):  # that has seen something
        drawn = torch.rand(3, module.num_features, generator=torch.Generator().manual_seed(number))
        module.running_mean, module.running_var, module.weight.data = drawn[0] - 0.5, drawn[1] + 0.5, drawn[2] + 0.5


def inputs_of(name: str, count: int) -> tuple[torch.Tensor, ...]:
    """Random inputs of a network; the pictures of a detector are of another size than its example."""
    generator = torch.Generator().manual_seed(count)
    if name == "detector":
        return (torch.randn(count, 3, 96, 128, generator=generator),)
    config = NETWORKS[name].config
    layers = torch.rand(count, len(config.layers), config.size, config.size, generator=generator)
    return layers, torch.arange(count) % 3


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_gives_what_torch_gives_for_other_sizes_than_the_example(name, count, capfd):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    plain = NETWORKS[name].eval()
    other = on_onnx(deepcopy(plain), *plain.exported)
    inputs = inputs_of(name, count)
    with torch.no_grad():
        pairs = list(zip(plain(*inputs), other(*inputs), strict=True))
    for wanted, found in pairs:
        assert (wanted is None) == (found is None)
        if wanted is not None:
            assert wanted.shape == found.shape and torch.allclose(wanted, found, rtol=1e-4, atol=1e-3)
    assert "Expected shape" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["cutter", "completer", "detector"])
def test_inputs_lie_in_memory_as_their_network_takes_them(name):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    plain = NETWORKS[name].eval()
    other, (inputs, *_) = on_onnx(deepcopy(plain), *plain.exported), inputs_of(name, 2)
    for network, order in ((plain, torch.channels_last), (other, torch.contiguous_format)):
        given = laid_out(inputs, network)
        assert given.is_contiguous(memory_format=order) and torch.equal(given, inputs)


def test_export_writes_a_file_for_each_network(tmp_path, capsys):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    assert main(["export", "onnx", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "completer.onnx",
        "cutter.onnx",
        "detector.onnx",
    ]


def test_without_onnx_runtime_a_run_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    network = deepcopy(NETWORKS["cutter"])
    with pytest.raises(
        Exception, match=r"--backend onnx needs onnxruntime; install it with: pip install 'samodal\[onnx\]'"
    ):
        on_onnx(network, *network.exported)
