"""The completer for all instances of a frame at once against the plain one, which is the slow judge. Without a GPU."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import samodal
from samodal.checkpoints.fused import without_norms
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.parts import Prompt
from samodal.segmenters.completion import Completer, CompletionConfig, CompletionSegmenter, load, load_segmenter
from samodal.segmenters.completion import batched as module
from samodal.segmenters.completion.batched import BatchedSegmenter
from samodal.segmenters.completion.layers import Crop, resampled, spread, stands_in_front, told
from samodal.segmenters.completion.packed import EARLIER, Packed, brought, rows, slices, uploaded
from samodal.segmenters.completion.planes import completions, covered, levels, places, reported, spread_over, told_of
from samodal.segmenters.completion.segmenter import THRESHOLDS, _nested, only_behind, without_rims

CLIP = Path(samodal.__file__).parent / "clip"
CPU = torch.device("cpu")
SIZE = (90, 160)


def scene(seed: int, count: int = 8) -> tuple[list[Mask], list[Mask]]:
    """Visible masks and whole ones of ellipses, some of which reach over the border of the frame."""
    rng, taken, seen, whole = np.random.default_rng(seed), np.zeros(SIZE, bool), [], []
    while len(seen) < count:
        place, radii = rng.integers(0, SIZE[::-1]).tolist(), rng.integers(3, 30, 2).tolist()
        drawn = cv2.ellipse(np.zeros(SIZE, np.uint8), place, radii, float(rng.integers(180)), 0, 360, 1, -1) > 0
        if (drawn & ~taken).sum() > 20:
            seen.append(Mask.of(drawn & ~taken))
            whole.append(Mask.of(drawn))
        taken |= drawn
    return seen, whole


def prompts_of(seed: int) -> list[Prompt]:
    """A prompt of each kind of road users and of others, every second one with an earlier shape."""
    seen, whole = scene(seed)
    kinds, others = ("car", "person", None, "pole"), [seen[:n] + seen[n + 1 :] for n in range(len(seen))]
    return [
        Prompt(mask=mask, neighbours=others[n], category=kinds[n % 4], earlier=whole[n] if n % 2 else None)
        for n, mask in enumerate(seen)
    ]


@pytest.fixture(scope="module")
def drive() -> list[list[Prompt]]:
    """A prompt for every visible instance of some frames of the embedded clips; and drawn scenes."""
    found = [prompts_of(seed) for seed in range(3)]
    for video in open_dataset(f"streetsim:{CLIP}"):
        for t in range(4, len(video), 8):
            seen = [(Mask.of(i.visible), i.category) for i in video.frame_truth(t) if i.visible is not None]
            masks = [mask for mask, _ in seen]
            found.append([Prompt(mask=mask, neighbours=masks[:n] + masks[n + 1 :], category=kind)
                          for n, (mask, kind) in enumerate(seen)])  # fmt: skip
    return found


@pytest.fixture(scope="module")
def network() -> Completer:
    return load("streetsim-complete").of_whole_masks().eval()


@pytest.fixture(scope="module")
def plain(network) -> CompletionSegmenter:
    segmenter = CompletionSegmenter(copy.deepcopy(network))
    segmenter.details = True
    return segmenter


def fast(network: Completer, **options) -> BatchedSegmenter:
    segmenter = BatchedSegmenter(copy.deepcopy(network), "cpu", **options)
    segmenter.details = True
    return segmenter


def said(segmenter: CompletionSegmenter, prompts: list[Prompt]):
    features = segmenter.encode([np.zeros((*prompts[0].mask.size, 3), np.uint8)])
    return segmenter.decode(features, prompts, [0] * len(prompts))


def assert_alike(found, wanted):
    """Masks differ only where a probability is within a thousandth of a threshold, or of the step of 1/255 in which it
    is told; all else is the same."""
    assert found.iou == pytest.approx(wanted.iou, abs=1e-4)
    for n, masks in enumerate(wanted.hypotheses):
        told_of_it = wanted.confidence[n]
        values = told_of_it.values / 255
        assert (found.confidence[n].x, found.confidence[n].y) == (told_of_it.x, told_of_it.y)
        assert np.abs(found.confidence[n].values.astype(int) - told_of_it.values).max() <= 1
        for limit, one, other in zip(THRESHOLDS, masks, found.hypotheses[n], strict=True):
            different = [_drawn(mask, told_of_it, values.shape) for mask in (one, other)]
            assert np.abs(values[different[0] != different[1]] - limit).max(initial=0) < 0.001 + 0.5 / 255
    assert [mask.size for mask in found.amodal] == [mask.size for mask in wanted.amodal]


def _drawn(mask: Mask, window, shape: tuple[int, int]) -> np.ndarray:
    """The bits of a mask in the window of a confidence."""
    drawn, (x0, y0, x1, y1) = np.zeros(shape, bool), mask.box
    drawn[y0 - window.y : y1 - window.y, x0 - window.x : x1 - window.x] = mask.inside
    return drawn


# --- what the CPU decides


def test_arrays_come_to_a_device_as_they_are():
    arrays = [np.arange(3), np.float32([[1, 2], [3, 4]]), np.arange(12).reshape(3, 4).T[::-1]]
    for array, tensor in zip(arrays, uploaded(arrays, CPU), strict=True):
        assert np.array_equal(tensor.numpy(), array) and tensor.numpy().dtype == array.dtype
        assert np.array_equal(brought(tensor), array)


def test_rows_of_boxes_are_read_one_after_another():
    picture = np.arange(60).reshape(6, 10)
    boxes = [(2, 1, 5, 3), (9, 0, 10, 6), (0, 5, 10, 6)]
    wanted = np.concatenate([picture[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in boxes])
    shape = np.array([(y1 - y0, x1 - x0) for x0, y0, x1, y1 in boxes])
    begin = np.array([10 * y0 + x0 for x0, y0, _, _ in boxes])
    found = places(*map(torch.from_numpy, rows(begin, np.array([10, 10, 10]), shape)), len(wanted))
    assert found.tolist() == wanted.tolist()


def test_parts_hold_no_more_than_was_asked_but_for_single_ones():
    shapes = np.array([(10, 10), (2, 8), (3, 3), (3, 3), (1, 1)])
    assert list(slices(shapes, 48)) == [slice(0, 1), slice(1, 3), slice(3, 5)]
    assert list(slices(shapes, 10**6)) == [slice(0, 5)]
    assert list(slices(shapes[:0], 48)) == []


@pytest.mark.parametrize("grounded", [True, False])
def test_who_stands_in_front_is_decided_by_boxes_where_they_are_enough(grounded):
    for seed in range(3):
        seen, _ = scene(seed)
        packed = Packed([Prompt(mask=mask) for mask in seen])
        others, own = (grid.ravel() for grid in np.divmod(np.arange(len(seen) ** 2), len(seen)))
        found = packed._in_front(others, own, np.full(len(own), grounded))
        wanted = [stands_in_front(seen[a], seen[b], grounded) for a, b in zip(others, own, strict=True)]
        assert found.tolist() == wanted and set(wanted) == {True, False}


def test_each_mask_is_held_once():
    seen, whole = scene(0, 3)
    prompts = [Prompt(mask=m, neighbours=[o for o in seen if o is not m], earlier=whole[0]) for m in seen]
    packed = Packed(prompts)
    assert packed.masks == [*seen, whole[0]]
    bits = packed.bits(CPU).numpy()
    for mask, begin in zip(packed.masks, packed.begin, strict=True):
        assert np.array_equal(bits[begin : begin + mask.inside.size].view(bool), mask.inside.ravel())


# --- what is told of crops


@pytest.mark.parametrize("side", [17.3, 64.0, 190.7])
def test_masks_are_resampled_as_one_by_one(side):
    seen, _ = scene(1)
    packed, size = Packed([Prompt(mask=mask) for mask in seen]), 32
    crops = np.array([(mask.centre[0] - side / 2, mask.centre[1] - side / 2, side) for mask in seen])
    pairs = packed.pairs(np.arange(len(seen)), crops, size, np.ones(len(seen), bool))
    parts = torch.from_numpy(np.stack([pairs.begin, pairs.stride, *pairs.shape.T]))
    first = torch.from_numpy((crops[pairs.crop, :2] - pairs.window[:, :2]).T[::-1].astype(np.float32))
    step = torch.full((len(seen),), side / size)
    found = covered(packed.bits(CPU), parts, first, step, size, tuple(pairs.shape.max(0)))
    for values, mask, crop in zip(found, seen, crops, strict=True):
        assert values.numpy() == pytest.approx(resampled(mask, Crop(*crop), size), abs=1e-4)


@pytest.mark.parametrize("most", [2**25, 500])
def test_crops_are_told_what_single_ones_are(network, most, monkeypatch):
    monkeypatch.setattr(module, "MOST", most)
    segmenter = fast(network)
    for seed in range(3):
        prompts = prompts_of(seed)
        moved = prompts[0].mask.moved(np.array([400, 0]))  # an earlier shape that lies beside the crop
        prompts[0] = Prompt(mask=prompts[0].mask, neighbours=prompts[0].neighbours, category="car", earlier=moved)
        crops, kinds = segmenter._crops(prompts), [segmenter.config.class_number(p.category) for p in prompts]
        packed, around = Packed(prompts), np.array(crops)
        pairs = packed.pairs(np.arange(len(prompts)), around, 128, np.array(kinds) > 0)
        sums = segmenter._sums(pairs, around, packed.bits(CPU), len(prompts))
        ends = np.array([[(0, 0), SIZE[::-1]]] * len(prompts)).transpose(1, 2, 0)[:, ::-1]
        corners = around[:, :2].T[::-1]
        edges = torch.from_numpy(((ends - corners) * (128 / around[:, 2])).astype(np.float32))
        found = told_of(sums, edges)
        for n, (prompt, crop) in enumerate(zip(prompts, crops, strict=True)):
            wanted = told(crop, 128, prompt.mask, prompt.neighbours, prompt.earlier, kinds[n] > 0)
            for name, layer in wanted.items():
                assert np.abs(found[name][n].numpy() - layer).max() < 1e-4, name
        assert found["earlier"].amax((1, 2)).gt(0.5).any() and found["front"].any() and found["behind"].any()
        assert not sums[0, EARLIER].any()


# --- what is made of answers


def test_rims_and_what_nothing_explains_go_as_one_by_one():
    rng, size = np.random.default_rng(0), 40
    blurred = [cv2.GaussianBlur(rng.random((size, size), np.float32), (0, 0), 2) for _ in range(12)]
    probability = np.stack([(values - values.min()) / np.ptp(values) for values in blurred])
    layers = {name: rng.random((12, size, size), np.float32) for name in ("visible", "front", "behind", "inside")}
    kinds = np.arange(12) % 3
    wanted = []
    for n, values in enumerate(probability):
        crop = {name: layer[n] for name, layer in layers.items()}
        kept = without_rims(values, crop["visible"] >= 0.5, crop["front"] + crop["behind"] >= 0.5)
        wanted.append(kept if kinds[n] else only_behind(kept, crop))
    tensors = {name: torch.from_numpy(layer) for name, layer in layers.items()}
    found = completions(torch.from_numpy(probability), tensors, torch.from_numpy(kinds))
    assert np.array_equal(found.numpy(), np.stack(wanted)) and (found.numpy() != probability).any()


def test_answers_are_spread_over_the_frame_as_one_by_one():
    crops = [Crop(-10.4, 3.3, 57.2), Crop(8.0, 2.0, 32.0), Crop(1.7, -20.1, 11.3)]
    values = np.random.default_rng(0).random((3, 32, 32), np.float32)
    wanted = [spread(one, crop) for one, crop in zip(values, crops, strict=True)]
    step = np.float32([32 / crop.side for crop in crops])
    first = np.float32([(y - c.y, x - c.x) for (x, y, _), c in zip(wanted, crops, strict=True)]).T * step
    extents = torch.tensor([len(one) for _, _, one in wanted])
    found = spread_over(*map(torch.from_numpy, (values, first, step)), extents, 70)
    for one, (_, _, single) in zip(found.numpy(), wanted, strict=True):
        extent = len(single)
        assert one[:extent, :extent] == pytest.approx(single, abs=1e-4)
        assert not one[extent:].any() and not one[:, extent:].any()


@pytest.mark.parametrize("peak", [0.95, 0.7, 0.5, 0.3])
def test_levels_and_boxes_are_those_of_nested_masks(peak):
    values = np.random.default_rng(0).random((2, 30, 30), np.float32) * np.float32(peak)
    values[:, 25:] = values[:, :, 25:] = 0
    visible = Mask(SIZE, 12, 10, np.ones((9, 8), bool))
    rows_, columns = np.mgrid[7:16, 8:16]  # in values that begin at column 4 and row 3
    inside = torch.from_numpy(np.concatenate([n * 900 + rows_.ravel() * 30 + columns.ravel() for n in (0, 1)]))
    level = levels(torch.from_numpy(values), inside, torch.ones(144, dtype=torch.uint8))
    report = reported(level, torch.tensor([0.25, 0.5])).numpy()
    assert report[:, -1].copy().view(np.float32).tolist() == [0.25, 0.5]
    for n, one in enumerate(values):
        wanted = _nested(visible, 4, 3, one)
        for k, mask in enumerate(wanted):
            assert Mask(SIZE, 4, 3, level[n].numpy() > 2 - k) == mask
            x0, y0, x1, y1 = mask.box
            start, stop = report[n, :-1].reshape(2, 3, 2)[:, k]
            assert [*start, *stop] == [y0 - 3, x0 - 4, y1 - 3, x1 - 4]


# --- the segmenter


def test_masks_are_those_of_the_plain_one(network, plain, drive):
    segmenter = fast(network)
    for prompts in drive:
        assert_alike(said(segmenter, prompts), said(plain, prompts))


def test_larger_crops_are_looked_at_together(network, plain, monkeypatch):
    visible = [Mask(SIZE, x, 20, np.ones((4, 30), bool)) for x in (2, 50, 100)]
    hider = Mask(SIZE, 0, 24, np.ones((60, 150), bool))
    prompts = [Prompt(mask=mask, neighbours=[hider], category="bus") for mask in visible]
    looked, segmenter = [], fast(network)
    look = segmenter._look
    monkeypatch.setattr(segmenter, "_look", lambda *given: looked.append(len(given[-1])) or look(*given))
    monkeypatch.setattr("samodal.segmenters.completion.segmenter.RIM", 0.24)
    assert_alike(said(segmenter, prompts), said(plain, prompts))
    assert looked[0] == 3 and 2 <= looked[1] <= 3 and len(looked) <= 4


def test_unsure_answers_are_those_of_the_plain_one(network, plain, drive, monkeypatch):
    for place in ("segmenter", "batched"):
        monkeypatch.setattr(f"samodal.segmenters.completion.{place}.SURE", 0.9)
    segmenter, told = fast(network), []
    for prompts in drive:
        assert_alike(said(segmenter, prompts), said(plain, prompts))
        told += [answer.sure for answer in segmenter._answers(prompts)]
        assert told[-len(prompts) :] == [answer.sure for answer in plain._answers(prompts)]
    assert {True, False} == set(told)


@pytest.mark.parametrize("options", [{"chunk": 3}, {"recorded": True}, {"chunk": 5, "recorded": True}], ids=str)
def test_how_many_go_at_once_changes_nothing(network, plain, drive, options):
    segmenter = fast(network, **options)
    for prompts in drive[:3]:
        assert_alike(said(segmenter, prompts), said(plain, prompts))
    assert said(segmenter, prompts[:1]).amodal == said(plain, prompts[:1]).amodal
    assert segmenter.decode(segmenter.encode([np.zeros((*SIZE, 3), np.uint8)]), [], []).amodal == []


def test_little_memory_changes_nothing(network, plain, drive, monkeypatch):
    monkeypatch.setattr(module, "MOST", 5000)
    assert_alike(said(fast(network), drive[0]), said(plain, drive[0]))


def test_crops_are_filled_up_to_a_power_of_two_where_graphs_are_recorded(network):
    recorded = fast(network, recorded=True)
    assert [recorded._filled(count) for count in (1, 2, 3, 10, 32, 64)] == [1, 2, 4, 16, 32, 64]
    assert fast(network)._filled(10) == 10


def test_without_details_no_probability_is_given(network):
    segmenter = BatchedSegmenter(copy.deepcopy(network), "cpu")
    assert said(segmenter, prompts_of(0)).confidence is None


def test_in_float16_masks_are_all_but_the_same(network, plain, drive):
    half = fast(network, precision=torch.float16, recorded=True)
    pairs = [(said(plain, prompts), said(half, prompts)) for prompts in drive]
    shared = [a.iou(b) for one, other in pairs for a, b in zip(one.amodal, other.amodal, strict=True)]
    assert np.mean(np.array(shared) >= 0.99) >= 0.99
    assert max(abs(a - b) for one, other in pairs for a, b in zip(one.iou, other.iou, strict=True)) < 0.01


def test_a_network_that_needs_larger_numbers_than_float16_has_is_refused():
    large = Completer.initialise(CompletionConfig(width=8, attention=1), 0)
    torch.nn.init.constant_(large.stem.weight, 1e5)
    with pytest.raises(InputError, match="beyond torch.float16; use --backend torch"):
        said(fast(large, precision=torch.float16), prompts_of(0))


def test_a_network_without_norms_answers_as_before(network):
    small = CompletionConfig(size=32, width=8, attention=1)
    with_norms = Completer.initialise(small, 0)
    for layer in with_norms.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    with_norms.eval()
    bare = without_norms(copy.deepcopy(with_norms))
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in bare.modules())
    layers, kinds = torch.rand(2, 5, 32, 32), torch.tensor([0, 3])
    with torch.inference_mode():
        for found, wanted in zip(bare(layers, kinds), with_norms(layers, kinds), strict=True):
            assert torch.allclose(found, wanted, atol=1e-4)


def test_it_is_chosen_on_an_nvidia_gpu(monkeypatch):
    made = []
    monkeypatch.setattr(
        "samodal.segmenters.completion.choose.BatchedSegmenter",
        lambda network, device, **options: made.append((device, options)),
    )
    load_segmenter(device="cuda:1")
    load_segmenter(device="cuda", backend="compiled")
    assert made == [("cuda:1", {"recorded": True}), ("cuda", {"precision": torch.float16, "recorded": True})]
    assert type(load_segmenter()) is CompletionSegmenter
    with pytest.raises(InputError, match="--backend compiled needs an NVIDIA GPU, and the device is cpu"):
        load_segmenter(device="cpu", backend="compiled")
