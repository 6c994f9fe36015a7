"""The detector: boxes of frames, duplicates, calibrated scores, released weights."""

import numpy as np
import pytest
import torch

from samodal.checkpoints.exported import laid_out, on_onnx
from samodal.checkpoints.fused import fused
from samodal.errors import InputError
from samodal.frontends.cutter import Box
from samodal.frontends.detector import Detector, DetectorConfig, boxes_in, load, released, save
from samodal.frontends.detector.boxes import calibrated, lowest, prepared, without_duplicates
from samodal.frontends.detector.config import KNOTS
from samodal.frontends.detector.model import FEW_LENGTHS, REACH, _window, cells
from samodal.images import normalise

TINY = DetectorConfig(width=0.125, depth=0.33, classes=("person", "car"))


def network(config=TINY):
    return Detector.initialise(config, 0).eval()


def test_cells_are_those_of_three_grids_fine_to_coarse_row_by_row():
    places, strides = cells(64, 32)
    assert len(places) == 8 * 4 + 4 * 2 + 2 * 1
    assert places[:5].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [0, 1]]
    assert strides[[0, 32, 40], 0].tolist() == [8, 16, 32]


def test_a_large_frame_is_made_smaller_and_filled_up_to_whole_cells():
    pixels, scale = prepared(np.zeros((1080, 1920, 3), np.uint8), (540, 960))
    assert pixels.shape == (1, 3, 544, 960)
    assert scale == (0.5, 0.5)
    frame = np.random.default_rng(0).integers(0, 255, (40, 70, 3)).astype(np.uint8)
    one, other = (prepared(frame, (30, 60), planar)[0] for planar in (False, True))
    assert torch.equal(one, other) and other.is_contiguous() and not one.is_contiguous()
    pixels, scale = prepared(np.zeros((40, 70, 3), np.uint8), (540, 960))
    assert pixels.shape == (1, 3, 64, 96) and scale == (1, 1)


def test_of_two_boxes_of_one_kind_that_overlap_the_better_stays():
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 0, 40, 10]], np.float32)
    kept = without_duplicates(corners, np.array([0.5, 0.9, 0.4, 0.3]), [1, 1, 0, 1])
    assert sorted(kept.tolist()) == [1, 2, 3]
    assert without_duplicates(np.zeros((0, 4), np.float32), np.zeros(0), []).tolist() == []


def test_a_curve_gives_the_probability_of_a_score_by_straight_lines():
    straight = np.linspace(0, 1, KNOTS).tolist()
    low = [0.5 * value for value in straight]
    config = TINY.replace(curves=tuple(straight + low))
    scores = torch.tensor([[0.25, 0.25], [1.0, 1.0], [0.0, 0.0]])
    assert calibrated(scores, config).numpy() == pytest.approx(np.array([[0.25, 0.125], [1, 0.5], [0, 0]]))
    assert calibrated(scores, TINY) is scores
    with pytest.raises(ValueError, match="11 values"):
        TINY.replace(curves=(0.1, 0.2))


def test_cells_that_are_left_out_before_calibration_are_those_that_reach_nothing():
    rng = np.random.default_rng(0)
    for least in (0.0, 0.2, 0.5, 0.9, 1.0):
        curves = np.sort(rng.random((2, KNOTS)), axis=1)
        config = TINY.replace(curves=tuple(curves.ravel().tolist()))
        scores = torch.from_numpy(rng.random((400, 2), np.float32))
        reach = (calibrated(scores, config).amax(1) >= least).numpy()
        assert (scores.amax(1).numpy()[reach] >= lowest(config, least)).all()
    assert lowest(TINY, 0.3) == 0.3
    assert lowest(TINY.replace(curves=(0.0,) * 2 * KNOTS), 0.3) == 1.0


@pytest.mark.parametrize("backend", ["plain", "fused", "onnx"])
def test_likely_cells_have_the_values_that_they_have_among_all(backend):
    detector = network()
    for weights in (*detector.head.cls_convs.parameters(), *detector.head.stems.parameters()):
        weights.data *= 4  # cells two apart tell
    pixels = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        everything = detector(pixels)
    if backend == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
        for method in detector.sparse:
            on_onnx(detector, *method)
    elif backend == "fused":
        detector = fused(detector.to(memory_format=torch.channels_last))
    objectness = everything.objectness[0].sigmoid()
    ordered = objectness.sort(descending=True).values.tolist()
    # The one best cell, few, those of one grid at the borders too, all of them, and none.
    for least in (ordered[0] - 1e-6, ordered[5] - 1e-6, ordered[150] - 1e-6, 0.0, ordered[0] + 1e-3):
        with torch.inference_mode():
            found = detector.likely(laid_out(pixels, detector), least)
        kept = objectness >= least
        assert found.objectness.shape[1] == kept.sum()
        for all_of_them, some in zip(everything, found, strict=True):
            assert torch.allclose(all_of_them[:, kept], some, rtol=1e-4, atol=1e-4)


def test_windows_hold_what_is_asked_for_and_have_few_sizes():
    rng, sides = np.random.default_rng(0), set()
    for _ in range(200):
        places = torch.from_numpy(rng.integers(0, (17, 30), (rng.integers(1, 4), 2)))
        top, left, bottom, right = _window(places, torch.Size((17, 30)))
        assert 0 <= top < bottom <= 17 and 0 <= left < right <= 30
        for y, x in places.tolist():
            assert top <= max(y - REACH, 0) and min(y + REACH + 1, 17) <= bottom
            assert left <= max(x - REACH, 0) and min(x + REACH + 1, 30) <= right
        sides |= {bottom - top, right - left}
    assert sides <= {FEW_LENGTHS, 2 * FEW_LENGTHS, 17, 3 * FEW_LENGTHS, 30}


def test_boxes_lie_in_the_frame_and_what_is_not_reported_is_left_out():
    frame = np.random.default_rng(0).integers(0, 255, (90, 130, 3)).astype(np.uint8)
    found = boxes_in(network(), frame, 0.0)
    assert found and all(isinstance(box, Box) for box in found)
    for box in found:
        x0, y0, x1, y1 = box.corners
        assert 0 <= x0 < x1 <= 130 and 0 <= y0 < y1 <= 90
    assert {box.category for box in found} <= {"person", "car"}
    silent = Detector(TINY.replace(unreported=("person", "car")))
    silent.load_state_dict(network().state_dict())
    assert boxes_in(silent.eval(), frame, 0.0) == []


def test_scores_fall_and_reach_what_was_asked_for():
    frame = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    everything = boxes_in(network(), frame, 0.0)
    scores = [box.score for box in everything]
    assert scores == sorted(scores, reverse=True)
    middle = scores[len(scores) // 2]
    assert [box.score for box in boxes_in(network(), frame, middle)] == [score for score in scores if score >= middle]


def test_weights_come_back_from_a_file(tmp_path):
    save(network(), tmp_path / "d.safetensors")
    back = load(tmp_path / "d.safetensors")
    assert back.config == TINY
    x = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(back(x).boxes, network()(x).boxes)


def of_coco():
    """A network of COCO's 80 classes, and its weights as the released code stores them, with batch norms."""
    whole = network(TINY.replace(classes=tuple(map(str, range(80)))))
    state, rng = {}, torch.Generator().manual_seed(3)
    for name, value in whole.state_dict().items():
        if name.endswith(".conv.weight"):
            parts = {part: torch.rand(len(value), generator=rng) + 0.5 for part in ("weight", "running_var")}
            factor = parts["weight"] / (parts["running_var"] + 1e-3).sqrt()
            bias = whole.state_dict()[name[:-6] + "bias"]
            state[name] = value / factor[:, None, None, None]
            state |= {f"{name[:-11]}bn.{part}": values for part, values in parts.items()}
            state[f"{name[:-11]}bn.bias"] = bias + 2.0 * factor
            state[f"{name[:-11]}bn.running_mean"] = torch.full_like(bias, 2.0)
        elif not name.endswith(".conv.bias"):
            state[name] = value
    return whole, state


def test_a_released_torch_file_gives_a_network_with_its_classes(tmp_path):
    whole, state = of_coco()
    torch.save({"model": state}, tmp_path / "yolox.pth")
    found = released.read(tmp_path / "yolox.pth", TINY.replace(classes=("person", "car", "rider"))).eval()
    for name, value in whole.state_dict().items():
        if ".stem.conv." in name:
            continue
        mine = found.state_dict()[name]
        assert torch.allclose(mine, value[[0, 2, 0]] if "cls_preds" in name else value, atol=1e-4)
    # It was taught with blue, green and red from 0 to 255, ours gets normalised red, green and blue.
    rgb = 255 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine, theirs = found.backbone.backbone.stem(normalise(rgb)), whole.backbone.backbone.stem(rgb.flip(1))
    assert torch.allclose(mine[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=1e-2)


def ncnn(folder, whole, cut=0):
    """The weights as ncnn stores them: in the order in which the network runs, 16 bit, biases in 32."""
    order = []
    for module in whole.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, *_: order.append(module))
    with torch.no_grad():
        whole(torch.zeros(1, 3, 64, 64))
    content = b""
    for module in order:
        weight = module.weight.detach().numpy().astype(np.float16).tobytes()
        content += (0x01306B47).to_bytes(4, "little") + weight + b"\0" * (-len(weight) % 4)
        content += module.bias.detach().numpy().astype(np.float32).tobytes()
    (folder / "y.param").write_text("")
    (folder / "y.bin").write_bytes(content[: len(content) - cut])
    return folder / "y.param"


def test_ncnns_file_gives_the_same_network(tmp_path):
    whole, _ = of_coco()
    found = released.read(ncnn(tmp_path, whole), TINY.replace(classes=("person", "car", "rider")))
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(found.eval()(x).classes, whole(x).classes[..., [0, 2, 0]], atol=0.05)


@pytest.mark.parametrize("cut, reason", [(40, "was cut off"), (0, "nothing among COCO's classes is like 'tree'")])
def test_what_is_no_start_is_named(tmp_path, cut, reason):
    whole, _ = of_coco()
    with pytest.raises(InputError, match=reason):
        released.read(ncnn(tmp_path, whole, cut), TINY.replace(classes=("tree",)))


def test_a_missing_bin_is_named(tmp_path):
    (tmp_path / "y.param").write_text("")
    with pytest.raises(InputError, match="put the .bin beside it"):
        released.read(tmp_path / "y.param", TINY)
