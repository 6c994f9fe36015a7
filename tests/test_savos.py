import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from made_up import passing_square, square
from samodal.baselines.savos import Savos, SavosConfig, load, save
from samodal.baselines.savos.crops import crop, enlarged_box
from samodal.baselines.savos.flow import observe_flow
from samodal.baselines.savos.inputs import ends, runs
from samodal.baselines.savos.losses import consistency_loss, reconstruction_loss
from samodal.baselines.savos.method import SavosMethod
from samodal.baselines.savos.model import Directed, Predicted
from samodal.baselines.savos.warp import base_flow, merge, paste, warp
from samodal.build import make_method
from samodal.errors import InputError
from samodal.parts import Frame, Observed
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.tracks import VisibleInstance
from samodal.video import open_video

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
    return [part[None] for part in (maps[0], visible, maps[1], maps[2], rows[:, [2, 0, 3, 1]])]


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
    with pytest.raises(InputError, match="no such SAVOS.*streetsim-savos"):
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
    with pytest.raises(InputError, match=r"another size: .* is \(4, 6, 4, 4\), not \(32, 6, 4, 4\)"):
        load(tmp_path / "small.pth")


def test_flow_of_a_moving_picture_goes_both_ways():
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (80, 140, 3), np.uint8), (0, 0), 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    images = [wide[:, 10 - 3 * t : 110 - 3 * t] for t in range(3)]  # 3 pixels to the right a frame
    forward, reverse = observe_flow(images)
    assert forward.shape == reverse.shape == (3, 80, 100, 2)
    assert np.median(forward[0], (0, 1)) == pytest.approx([3, 0], abs=0.3)
    assert np.median(reverse[2], (0, 1)) == pytest.approx([-3, 0], abs=0.3)
    assert np.array_equal(forward[2], forward[1]) and np.array_equal(reverse[0], reverse[1])
    assert not np.any(observe_flow(images[:1]))


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (8, 60), (60, 8), (12, 200)])
def test_small_frames_have_flow_too(size):
    images = [np.full((*size, 3), 40 * t, np.uint8) for t in range(2)]
    forward, reverse = observe_flow(images)
    assert forward.shape == reverse.shape == (2, *size, 2) and np.isfinite(forward).all()


def test_flow_that_is_remembered_is_not_observed_again(monkeypatch):
    import cv2

    from samodal.baselines.savos import flow

    made = []
    real = cv2.DISOpticalFlow_create
    monkeypatch.setattr(cv2, "DISOpticalFlow_create", lambda preset: made.append(preset) or real(preset))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 60, 3), np.uint8) for _ in range(4)]
    memory = flow.FlowMemory(remember=True)
    first, again = memory.observe(images), memory.observe(images)
    assert len(made) == 6 and all(map(np.array_equal, first, again))
    assert all(map(np.array_equal, first, flow.observe_flow(images))) and len(made) == 12
    memory.observe(images[1:])
    assert len(made) == 12
    monkeypatch.setattr(flow, "LIMIT", 2 * first[0][0].nbytes)
    few = flow.FlowMemory(remember=True)
    assert all(map(np.array_equal, first, few.observe(images))) and len(few._known) == 2


def test_a_box_grows_about_its_middle_and_stays_in_the_image():
    mask = np.zeros((50, 100), bool)
    mask[2:22, 40:60] = True
    assert enlarged_box(mask, 1.5) == (35, 0, 65, 27)


def test_crops_share_the_scale_of_the_largest_mask():
    boxes = torch.tensor([[[0, 0, 64, 32], [0, 0, 32, 16]]])
    patches = crop(torch.ones(1, 2, 1, 80, 160), boxes, torch.tensor([[100, 25]]))
    assert patches.shape == (1, 2, 1, 64, 128)
    assert patches[0, 0].min() == 1
    assert patches[0, 1, 0, :32, :64].min() == 1 and patches[0, 1].sum() == 32 * 64


def resized(maps, boxes, areas):
    """The same crops by OpenCV, one frame after another: (T, C, 64, 128) of (T, H, W, C)."""
    x0, y0, x1, y1 = boxes[int(np.argmax(areas))]
    scale_y, scale_x = 64 / (y1 - y0), 128 / (x1 - x0)
    patches = np.zeros((len(maps), 64, 128, maps.shape[-1]), np.float32)
    for patch, frame, (x0, y0, x1, y1) in zip(patches, maps, boxes, strict=True):
        size = max(1, round((x1 - x0) * scale_x)), max(1, round((y1 - y0) * scale_y))
        scaled = cv2.resize(frame[y0:y1, x0:x1], size, interpolation=cv2.INTER_LINEAR)[:64, :128]
        patch[: scaled.shape[0], : scaled.shape[1]] = scaled
    return patches.transpose(0, 3, 1, 2)


def test_crops_are_those_of_opencv():
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 5, (2, 6, 90, 170, 3)).astype(np.float32)
    starts = rng.integers(0, (60, 30), (2, 6, 2))
    boxes = np.concatenate([starts, starts + rng.integers(2, (110, 60), (2, 6, 2))], -1)
    boxes[1, 0] = (0, 0, 170, 90)
    boxes[1, 1] = (169, 89, 170, 90)
    areas = rng.integers(1, 999, (2, 6))
    found = crop(torch.from_numpy(maps).movedim(-1, 2), torch.from_numpy(boxes), torch.from_numpy(areas))
    for b in range(2):
        np.testing.assert_allclose(found[b].numpy(), resized(maps[b], boxes[b], areas[b]), atol=2e-3)


def test_a_stretch_uses_only_flow_between_its_own_frames():
    forward, reverse = ends(np.array([12.0, 23, 34]), np.array([10.0, 21, 32]))
    assert forward.tolist() == [12, 23, 23] and reverse.tolist() == [21, 21, 32]


def seen(masks_by_id):
    """Observed frames of 60x120 from {id: one mask or None for each frame}."""
    length = len(next(iter(masks_by_id.values())))
    image = np.zeros((60, 120, 3), np.uint8)
    return [
        Observed(
            Frame(t, t / 10, image, str(t)),
            [VisibleInstance(key, "car", 0.5, m[t]) for key, m in masks_by_id.items() if m[t] is not None],
        )
        for t in range(length)
    ]


class Sure(torch.nn.Module):
    """Instead of the network: one fixed probability for each pass, told apart by direction."""

    config = SMALL

    def __init__(self, merged, forward, reverse):
        super().__init__()
        self.values = merged, forward, reverse

    def forward(self, patches, visible, flow, reverse_flow, boxes):
        merged, ahead, behind = (torch.full(visible.shape, v) for v in self.values)
        directions = [Directed(*[None] * 4, torch.stack([m, m], 2), None) for m in (ahead, behind)]
        return Predicted(merged, *directions)


@pytest.fixture
def method(tmp_path):
    save(Savos(SMALL), tmp_path / "small.safetensors")
    return SavosMethod(str(tmp_path / "small.safetensors"), window=4)


def test_every_frame_has_its_result_across_windows(method):
    clip = seen({1: [square(20), square(24), None, square(30), square(30), square(30)], 2: [None] * 5 + [square(60)]})
    results = list(method.run("clip", clip))
    assert [r.t for r in results] == [0, 1, 2, 3, 4, 5]
    assert [[i.id for i in r.instances] for r in results] == [[1], [1], [], [1], [1], [1, 2]]
    assert all((i.visible.decode() <= i.amodal.decode()).all() for r in results for i in r.instances)


def test_runs_end_where_an_instance_is_not_reported():
    found = runs([[1], [1, 2], [2], [1, 2]])
    assert sorted((key, r.start, r.stop) for key, r in found) == [(1, 0, 2), (1, 3, 4), (2, 1, 4)]


def test_a_prediction_counts_only_behind_other_instances(method):
    near, far = square(20), square(30)
    method.network = Sure(1.0, 1.0, 1.0)
    results = list(method.run("clip", seen({1: [near] * 3, 2: [far & ~near] * 3})))
    for result in results:
        assert np.array_equal(result.instances[0].amodal.decode(), near | far)
        assert np.array_equal(result.instances[1].amodal.decode(), near | far)
    alone = list(method.run("clip", seen({1: [near] * 3})))
    assert all(np.array_equal(r.instances[0].amodal.decode(), near) for r in alone)


def test_the_ends_of_a_run_have_one_direction(method):
    near, far = square(20), square(30)
    method.network = Sure(0.0, 1.0, 0.0)
    clip = seen({1: [near] * 3, 2: [far & ~near] * 3})
    assert [r.instances[0].amodal.area > near.sum() for r in method.run("clip", clip)] == [False, False, True]
    method.network = Sure(0.0, 0.0, 1.0)
    assert [r.instances[0].amodal.area > near.sum() for r in method.run("clip", clip)] == [True, False, False]


def test_it_runs_from_the_command_line_names(tmp_path):
    save(Savos(SMALL), tmp_path / "small.safetensors")
    made = make_method(RunSettings(method=f"savos:{tmp_path / 'small.safetensors'}", device="cpu"))
    assert isinstance(made, SavosMethod)
    shipped = make_method(RunSettings(method="savos", device="cpu"))
    assert shipped.network.config.skip == "visible"
    with pytest.raises(InputError, match="hull takes no argument"):
        make_method(RunSettings(method="hull:x", device="cpu"))


def test_a_video_gives_the_files_of_every_method(tmp_path):
    save(Savos(SMALL), tmp_path / "small.safetensors")
    (tmp_path / "frames").mkdir()
    lines = []
    for observation in passing_square(6)[1]:
        Image.fromarray(observation.frame.image).save(tmp_path / "frames" / f"{observation.frame.t:06d}.png")
        lines += [f"{observation.frame.t} 1007 1 60 120 {v.mask.rle.counts}" for v in observation.visible]
    (tmp_path / "mots.txt").write_text("\n".join(lines) + "\n")
    settings = RunSettings(
        video=str(tmp_path / "frames"),
        vis=f"file:{tmp_path / 'mots.txt'}",
        method=f"savos:{tmp_path / 'small.safetensors'}",
        device="cpu",
    )
    summary = run_video(settings, open_video(settings.video), tmp_path / "out")
    assert summary.frames == 6 and summary.amodal == summary.visible == len(lines)
    files = {"frames.jsonl", "tracks.json", "overlay.mp4", "report.html", "run.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == files


def test_the_reconstruction_loss_equals_the_released_one(golden, predicted):
    visible, counted = (torch.from_numpy(golden[name]).float()[None] for name in ("visible_mask", "loss_mask"))
    loss = reconstruction_loss(predicted.probability, visible, counted, torch.ones(1, 6))
    assert loss.item() == pytest.approx(float(golden["reconstruction_loss"]), rel=1e-5)


def test_frames_that_fill_a_batch_and_other_objects_do_not_count():
    probability = torch.full((1, 5, 1, 2), 0.5)
    probability[0, 1] = 0.9
    visible, counted = torch.ones(1, 5, 1, 2), torch.ones(1, 5, 1, 2)
    counted[0, 1, 0, 0] = 0
    valid = torch.tensor([[1, 1, 1, 0, 0]])
    loss = reconstruction_loss(probability, visible, counted, valid)
    assert loss.item() == pytest.approx((np.log(2) + -2 * np.log(0.9)) / 2, rel=1e-5)


def slow_consistency(warped, full, valid):
    """The same, number by number."""
    total = 0.0
    for b in range(len(warped)):
        so_far = 0.0
        for t in range(warped.shape[1] - 1):
            a, c = warped[b, t, 0].flatten().tolist(), full[b, t + 1, 0].flatten().tolist()
            both = sum(x * y for x, y in zip(a, c, strict=True))
            either = sum(x + y - x * y for x, y in zip(a, c, strict=True))
            so_far += (1 - both / either) * float(valid[b, t + 1])
            total += so_far
    return total / len(warped)


def test_the_consistency_loss_equals_a_slow_judge():
    generator = torch.Generator().manual_seed(0)
    warped, full = (torch.rand(2, 4, 2, 3, 5, generator=generator) for _ in range(2))
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = consistency_loss(Directed(None, None, None, full, warped, None), valid)
    assert found.item() == pytest.approx(slow_consistency(warped, full, valid), rel=1e-5)


def test_masks_that_agree_are_consistent():
    mask = torch.zeros(1, 3, 2, 4, 4)
    mask[..., 1:3, 1:3] = 1
    assert consistency_loss(Directed(None, None, None, mask, mask, None), torch.ones(1, 3)).item() == pytest.approx(0)
    apart = mask.roll(2, -1)
    assert consistency_loss(Directed(None, None, None, mask, apart, None), torch.ones(1, 3)).item() == pytest.approx(
        1 + 2
    )


def test_both_losses_teach_every_part():
    network = Savos(SMALL)
    torch.manual_seed(0)
    patches, visible = torch.rand(1, 4, 8, 64, 128), torch.zeros(1, 4, 20, 40)
    visible[:, :, 5:15, 10:30] = 1
    flow = torch.randn(2, 1, 4, 2, 20, 40)
    found = network(patches, visible, *flow, torch.tensor([[[5.0, 2, 35, 18]] * 4]))
    valid = torch.ones(1, 4)
    loss = reconstruction_loss(found.probability, visible, torch.ones_like(visible), valid)
    loss = loss + sum(consistency_loss(direction, valid) for direction in (found.forward, found.reverse))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.st_encoder.encoder[0][0].weight.grad.any()
    assert network.flow_decoder.flow_decoder[6][2].bias.grad.any()
