"""Fused networks against plain ones, and convolutions of rearranged pixels against the rearranging itself."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from samodal.checkpoints.fused import Fused, fused
from samodal.frontends import cutter, detector
from samodal.segmenters import completion
from samodal.segmenters.completion.crop_network import Unshuffled

DETECTOR = detector.Detector.initialise(detector.DetectorConfig(width=0.125), 0)
SMALL = {"size": 32, "width": 8}
NETWORKS = {
    "detector": DETECTOR,
    "cutter": cutter.Cutter.initialise(cutter.CutterConfig(**SMALL), 0),
    "completer": completion.Completer.initialise(completion.CompletionConfig(**SMALL), 0),
    "group norms": completion.Completer.initialise(completion.CompletionConfig(**SMALL, norm="group"), 0),
}


def evaluated(name: str) -> nn.Module:
    """A network whose batch norms have seen something."""
    network, generator = deepcopy(NETWORKS[name]), torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, least in ((module.running_var, 0.5), (module.running_mean, -0.5), (module.weight.data, 0.5)):
                values.copy_(torch.rand(values.shape, generator=generator) + least)
    return network.eval().to(memory_format=torch.channels_last)


def inputs_of(name: str, count: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    if name == "detector":
        return (torch.randn(1, 3, 32 * count, 96, generator=generator).to(memory_format=torch.channels_last),)
    config = NETWORKS[name].config
    layers = torch.rand(count, len(config.layers), config.size, config.size, generator=generator)
    return layers.to(memory_format=torch.channels_last), torch.arange(count) % 3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fused_network_answers_as_the_plain_one_for_every_size(name):
    plain, other = evaluated(name), fused(evaluated(name))
    with torch.inference_mode():
        for count in (2, 1, 5):  # weights are packed for the first
            inputs = inputs_of(name, count)
            for wanted, found in zip(plain(*inputs), other(*inputs), strict=True):
                assert torch.allclose(wanted, found, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_but_group_norms_is_left_beside_the_convolutions(name):
    kinds = {type(module) for module in fused(evaluated(name)).modules()}
    assert Fused in kinds and not kinds & {nn.Conv2d, nn.BatchNorm2d, nn.SiLU, Unshuffled}


def test_a_network_that_is_not_on_the_cpu_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()).to("meta")
    assert isinstance(fused(network)[0], nn.Conv2d)


def test_without_the_operators_a_network_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert isinstance(fused(nn.Sequential(nn.Conv2d(3, 4, 1)))[0], nn.Conv2d)


def test_an_activation_that_is_reckoned_otherwise_is_not_joined():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU(approximate="tanh")).eval()
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = layers(x)
        found = fused(nn.Sequential(layers))(x)
    assert torch.allclose(wanted, found, atol=1e-6)


@pytest.mark.parametrize(("factor", "size"), [(4, 1), (2, 3)])
def test_a_convolution_of_unshuffled_pixels_is_one_with_steps(factor, size):
    conv = Unshuffled(5, 6, factor, size)
    x = torch.randn(2, 5, 16, 24, generator=torch.Generator().manual_seed(0))
    wanted = F.conv2d(F.pixel_unshuffle(x, factor), conv.weight, conv.bias, padding=size // 2)
    assert torch.allclose(conv(x), wanted, atol=1e-5) and torch.allclose(conv.plain()(x), wanted, atol=1e-5)


def test_the_first_convolution_of_a_detector_is_over_four_pictures_of_half_the_size():
    conv = DETECTOR.backbone.backbone.stem.conv.conv
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    quarters = torch.cat([x[..., 0::2, 0::2], x[..., 1::2, 0::2], x[..., 0::2, 1::2], x[..., 1::2, 1::2]], 1)
    wanted = F.conv2d(quarters, conv.weight, conv.bias, padding=1)
    assert torch.allclose(conv(x), wanted, atol=1e-5) and torch.allclose(conv.plain()(x), wanted, atol=1e-5)
