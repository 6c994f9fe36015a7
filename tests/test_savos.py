import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.savos import Savos, SavosConfig, load, save
from samodal.savos.warp import base_flow, merge, paste, warp

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from fill import fill, load_keys  # noqa: E402

SMALL = SavosConfig(widths=(4,) * 6, flow_widths=(4,) * 6, hidden=8)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN / "savos_expected.npz"))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A torch file with the names and shapes of the released checkpoint, as several GPUs leave it."""
    path = tmp_path_factory.mktemp("savos") / "best.pth"
    weights = {f"module.{name}": torch.from_numpy(value) for name, value in fill(load_keys("savos")).items()}
    torch.save({"state_dict": weights}, path)
    return path


def inputs(golden):
    """The arguments of `Savos.forward`, one object."""
    rows = torch.from_numpy(golden["box_rows_columns"])
    maps = [torch.from_numpy(golden[name]).permute(0, 3, 1, 2) for name in ("patches", "flow", "reverse_flow")]
    visible = torch.from_numpy(golden["visible_mask"]).float()
    return [one[None] for one in (maps[0], visible, maps[1], maps[2], rows[:, [2, 0, 3, 1]])]


@pytest.fixture(scope="module")
def predicted(golden, released):
    with torch.inference_mode():
        return load(released)(*inputs(golden))


def assert_near(found, wanted):
    """Equal to a thousandth of the largest value."""
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def test_names_and_shapes_are_those_of_the_released_checkpoint():
    assert {name: list(value.shape) for name, value in Savos().state_dict().items()} == load_keys("savos")


@pytest.mark.parametrize("name", ["embedding", "mask_patch", "flow_patch"])
def test_the_forward_pass_equals_the_released_one(golden, predicted, name):
    assert_near(getattr(predicted.forward, name)[0], golden[name])


def test_both_directions_together_equal_the_released_ones(golden, predicted):
    assert_near(predicted.probability[0], golden["amodal_probability"])


def test_the_skip_that_was_meant_gives_another_mask(golden, released, predicted):
    with torch.inference_mode():
        other = load(released, skip="visible")(*inputs(golden))
    torch.testing.assert_close(other.forward.flow_patch, predicted.forward.flow_patch)
    assert (other.forward.mask_patch - predicted.forward.mask_patch)[:, :, 0].abs().max() > 0.05


def test_a_patch_is_stretched_over_its_box():
    found = paste(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]), (3, 4))
    torch.testing.assert_close(found[0, 0], torch.tensor([[0.0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]))


def test_warping_moves_with_the_flow_and_half_a_pixel_more():
    spot = torch.zeros(1, 1, 1, 8)
    spot[..., 2] = 1
    flow = torch.zeros(1, 2, 1, 8)
    flow[:, 0] = 2.5
    flow[:, 1] = -0.5
    torch.testing.assert_close(warp(spot, flow)[0, 0, 0], torch.tensor([0.0, 0, 0, 0, 0, 1, 0, 0]))


def test_the_flow_outside_an_object_is_its_mean():
    flow = torch.tensor([[[[1.0, 3.0, 9.0]], [[0.0, -2.0, 9.0]]]])
    visible = torch.tensor([[[1.0, 1.0, 0.0]]])
    found = base_flow(flow, visible)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[1.0, 3, 2], [0, -2, -1]]))
    assert base_flow(flow, torch.zeros(1, 1, 3)).abs().max() == 0


def test_merging_takes_what_ends_in_the_same_frame():
    forward, reverse = torch.zeros(1, 4, 2, 1, 1), torch.zeros(1, 4, 2, 1, 1)
    forward[0, :, 0, 0, 0] = torch.tensor([1.0, 2, 3, 4])  # of frames 1, 2, 3, 4
    reverse[0, :, 0, 0, 0] = torch.tensor([30.0, 20, 10, 0])  # from frames 3, 2, 1, 0: of frames 2, 1, 0, -1
    reverse[0, 1, 1] = 100.0  # sure of frame 1
    torch.testing.assert_close(merge(forward, reverse)[0, :2, 0, 0], torch.tensor([20.0, 16.0]))


def test_weights_come_back_with_their_config(tmp_path):
    network = Savos(SavosConfig(**SMALL.to_dict() | {"skip": "visible"}))
    save(network, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert again.config == network.config
    assert all(torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items())


def test_other_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        load(tmp_path / "nothing.pth")
    state = Savos().state_dict() | {"backbone.weight": torch.zeros(2)}
    del state["mask_decoder.last_vm_map.1.bias"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth.*1 parameters are missing, as mask_decoder\.last.*backbone\.weight"):
        load(tmp_path / "a.pth")
    with pytest.raises(InputError, match="skip 'mask'"):
        SavosConfig(skip="mask")


def test_parameters_of_another_shape_are_named(tmp_path):
    state = Savos(SMALL).state_dict()
    torch.save(state, tmp_path / "small.pth")
    with pytest.raises(InputError, match=r"should be \(32, 6, 4, 4\) and is \(4, 6, 4, 4\)"):
        load(tmp_path / "small.pth")
