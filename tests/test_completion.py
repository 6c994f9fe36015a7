"""The completer: crops and what is told of them, the segmenter, and what the shipped weights do."""

import tracemalloc

import cv2
import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.making import make
from samodal.masks import Mask
from samodal.parts import Prompt
from samodal.registry import SEGMENTERS
from samodal.segmenters.completion import Completer, CompletionConfig, CompletionSegmenter, load, load_segmenter, save
from samodal.segmenters.completion.layers import (
    LARGE,
    Crop,
    Sampler,
    agrees,
    filters,
    inside,
    resampled,
    spread,
    told,
    weighted,
)
from samodal.segmenters.completion.network import Completed, stacked
from samodal.segmenters.completion.segmenter import THRESHOLDS, _nested, only_behind, without_rims

SIZE = (60, 100)


def box(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture(scope="module")
def shipped() -> CompletionSegmenter:
    return load_segmenter()


def completed(segmenter: CompletionSegmenter, prompts: list[Prompt], size: tuple[int, int] = SIZE):
    features = segmenter.encode([np.zeros((*size, 3), np.uint8)])
    return segmenter.decode(features, prompts, [0] * len(prompts))


class Strip(torch.nn.Module):
    """Answers with the middle fifth of each crop: from its upper to its lower side, or what lies within it.

    Args:
        iou: logit of the IoU that it expects.
    """

    def __init__(self, within: bool, iou: float = 9.0):
        super().__init__()
        self.config, self.within, self.iou, self.calls = CompletionConfig(), within, iou, 0
        self.place = torch.nn.Parameter(torch.zeros(1))  # says where the network is

    def forward(self, layers: torch.Tensor, kinds: torch.Tensor) -> Completed:
        self.calls += 1
        logits = torch.full((len(layers), 128, 128), -9.0)
        logits[:, 30 if self.within else 0 : 98 if self.within else 128, 51:77] = 9.0
        return Completed(logits, None, torch.full((len(layers),), self.iou))


# --- crops


def test_a_crop_is_a_square_around_the_middle_of_a_box_and_never_smaller_than_least():
    assert Crop.around((10, 20, 50, 40), 2.5, 24) == (-20, -20, 100)
    assert Crop.around((10, 20, 12, 22), 2.5, 24) == (-1, 9, 24)


@pytest.mark.parametrize("step", [0.3, 1.0, 1.17, 2.6, 5.1])
def test_every_new_pixel_is_a_mean_of_old_ones(step):
    weights = filters(np.float32(20.3), np.float32(step), np.arange(12)[:, None], np.arange(200))
    assert weights.sum(1) == pytest.approx(1, abs=1e-5) and (weights >= 0).all()


def test_a_crop_of_the_frames_own_size_holds_the_mask_as_it_is():
    mask = Mask.of(box(30, 20, 40, 44))
    crop = resampled(mask, Crop(20, 10, 48), 48)
    assert np.array_equal(crop >= 0.5, mask.decode()[10:58, 20:68])


@pytest.mark.parametrize("place", [(60, 12), (0, 12), (32, 50), (32, 0), (70, 60)], ids=str)
def test_a_mask_beside_the_crop_covers_nothing_of_it(place):
    """As an earlier shape may lie that was moved away from what is visible now."""
    x, y = place
    whole = np.zeros((80, 100), bool)
    whole[y : y + 12, x : x + 14] = True
    crop = Crop(30.0, 20.0, 16.0)
    assert not Sampler(crop, 16, (0, 0, 100, 80)).covered(Mask.of(whole)).any()


def test_what_is_resampled_is_what_a_slow_judge_counts():
    rng = np.random.default_rng(0)
    mask = rng.random(SIZE) < 0.5
    crop = Crop(8, 4, 32)
    # Two by two pixels become one: a triangle of half-width two over the pixels' middles.
    slow = np.zeros((16, 16))
    for i in range(16):
        for j in range(16):
            y, x = crop.y + 2 * i + 0.5, crop.x + 2 * j + 0.5
            rows, columns = np.arange(SIZE[0]), np.arange(SIZE[1])
            down, across = (np.maximum(0, 1 - abs(v - n) / 2) for v, n in ((y, rows), (x, columns)))
            slow[i, j] = (down / down.sum()) @ mask @ (across / across.sum())
    assert resampled(Mask.of(mask), crop, 16) == pytest.approx(slow, abs=1e-5)
    part = Sampler(crop, 16, (-5, 10, 30, 70)).covered(Mask.of(mask & box(0, 12, 30, 60)))
    assert part == pytest.approx(resampled(Mask.of(mask & box(0, 12, 30, 60)), crop, 16), abs=1e-5)


@pytest.mark.parametrize("place", [(70, 0, 90, 50), (0, 50, 100, 60), (0, 0, 3, 3)])
def test_what_lies_beyond_a_crop_does_not_show_in_it(place):
    assert not resampled(Mask.of(box(*place)), Crop(8, 4, 32), 16).any()


def test_a_mask_goes_into_a_crop_and_comes_back_where_it_was():
    mask = Mask.of(box(-0 + 3, 7, 31, 44))
    for crop in (Crop(-10.5, 2.2, 51.3), Crop(1, 3, 48), Crop(-40, -30, 130)):
        x, y, values = spread(resampled(mask, crop, 128), crop)
        back = Mask(SIZE, x, y, values > 0.5).clipped()
        assert back.iou(mask) > 0.93


def test_pixels_outside_the_frame_are_told():
    part = inside(Crop(-8, 0, 16), 4, (60, 100))
    assert part.tolist() == [[0, 0, 1, 1]] * 4


def test_neighbours_that_reach_lower_are_told_as_in_front_and_own_pixels_are_nobody_elses():
    visible, lower, higher, far = (Mask.of(m) for m in (box(40, 20, 60, 40), box(55, 25, 70, 50), box(30, 10, 45, 30),
                                                        box(0, 0, 2, 2)))  # fmt: skip
    crop = Crop(25, 5, 50)
    layers = told(crop, 50, visible, [lower, higher, far])
    assert set(layers) == {"visible", "front", "behind", "inside", "earlier"}
    assert np.array_equal(layers["front"] > 0.5, (lower.decode() & ~visible.decode())[5:55, 25:75])
    assert np.array_equal(layers["behind"] > 0.5, (higher.decode() & ~visible.decode())[5:55, 25:75])
    assert not layers["earlier"].any()


def test_an_earlier_shape_that_the_frame_contradicts_is_not_told():
    visible, hider = Mask.of(box(40, 20, 50, 40)), Mask.of(box(50, 15, 70, 45))
    crop = Crop.around(visible.box, 2.5, 24)
    behind_it = Mask.of(box(40, 20, 60, 40))  # goes on behind the hider
    in_the_open = Mask.of(box(30, 20, 50, 40))  # would be seen
    elsewhere = Mask.of(box(55, 20, 65, 40))  # not where it is visible
    for shape, wanted in ((behind_it, True), (in_the_open, False), (elsewhere, False)):
        assert told(crop, 64, visible, [hider], shape)["earlier"].any() == wanted
    nothing = np.zeros((4, 4), np.float32)
    assert agrees(nothing, nothing, nothing, nothing, nothing)


def test_derived_layers_follow_from_front_and_behind():
    layers = {name: torch.zeros(1, 8, 8) for name in ("visible", "front", "behind", "inside", "earlier")}
    layers["visible"][0, :, :4] = 1
    layers["front"][0, :2, 4:], layers["behind"][0, 6:, 4:] = 1, 1
    neighbours, contact = stacked(layers, ("neighbours", "contact"))[0]
    assert torch.equal(neighbours, layers["front"][0] + layers["behind"][0])
    assert contact[0, 4] == 1 and contact[0, 7] == 0 and contact[4, 0] == 0


# --- the network and its files


def test_a_network_comes_back_from_its_file_as_it_was(tmp_path):
    network = Completer.initialise(CompletionConfig(width=8, attention=1), 3).eval()
    save(network, tmp_path / "c.safetensors")
    again = load(tmp_path / "c.safetensors")
    layers, kinds = torch.rand(2, 5, 128, 128), torch.tensor([0, 3])
    with torch.no_grad():
        for before, after in zip(network(layers, kinds), again(layers, kinds), strict=True):
            assert torch.allclose(before, after, atol=1e-5)
    assert again.config == network.config


@pytest.mark.parametrize("hidden_head", [True, False])
def test_a_network_of_whole_masks_answers_as_the_one_that_learned(hidden_head):
    config = CompletionConfig(size=32, width=8, attention=1, hidden_head=hidden_head)
    network = Completer.initialise(config, 3).eval()
    whole = network.of_whole_masks()
    layers, kinds = torch.rand(2, 5, 32, 32), torch.tensor([0, 3])
    with torch.no_grad():
        wanted, found = network(layers, kinds), whole(layers, kinds)
    assert found.hidden is None and not whole.training
    assert torch.allclose(found.amodal, wanted.amodal, atol=1e-6) and torch.allclose(found.iou, wanted.iou, atol=1e-6)


def test_weights_of_an_amodal_sam_are_refused_with_the_way_out():
    with pytest.raises(InputError, match="expected weights of `samodal train completion`.*--preset points"):
        load("streetsim-small")


@pytest.mark.parametrize(
    "changes, text",
    [({"size": 100}, "no multiple of 16"), ({"context": 0.9}, "context 0.9 is less than 1"),
     ({"layers": ("visible", "depth")}, "unknown layer 'depth'"),
     ({"norm": "layer"}, "expected batch or group")],
)  # fmt: skip
def test_configs_that_cannot_be_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        CompletionConfig(**changes)


# --- the segmenter


def test_it_is_the_segmenter_of_the_preset_default():
    from samodal.build import with_segmenter
    from samodal.settings import RunSettings

    assert with_segmenter(RunSettings()).segmenter == "completion"
    assert with_segmenter(RunSettings()).weights == SEGMENTERS["completion"].embedded == "streetsim-complete"
    for preset in ("paper", "released", "points"):
        chosen = with_segmenter(RunSettings(preset=preset))
        assert (chosen.segmenter, chosen.weights) == ("sam", "streetsim-small")
    own = with_segmenter(RunSettings(segmenter="completion:mine.safetensors"))
    assert (own.segmenter, own.weights) == ("completion:mine.safetensors", None)
    assert isinstance(make(SEGMENTERS, "completion", "segmenter", {}), CompletionSegmenter)


def test_a_prompt_without_a_mask_is_refused_with_the_way_out(shipped):
    with pytest.raises(InputError, match="needs the visible mask.*mask\\+neighbours"):
        completed(shipped, [Prompt(points=[[3, 4]])])


def car(x: int, y: int, size: tuple[int, int]) -> np.ndarray:
    """A car seen from its side, 80 pixels long, from its left end and its roof."""
    import cv2

    outline = [(0, 18), (12, 16), (24, 2), (52, 0), (66, 15), (79, 20), (79, 32), (0, 32)]
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.array(outline, np.int32) + (x, y)], 1)
    for wheel in (16, 62):
        cv2.circle(mask, (x + wheel, y + 32), 7, 1, -1)
    return mask > 0


def test_what_a_car_in_front_hides_is_completed_and_what_nothing_hides_stays(shipped):
    size = (200, 320)
    rear, front = car(100, 80, size), car(140, 92, size)
    hidden = completed(shipped, [Prompt(mask=rear & ~front, neighbours=[front], category="car")], size)
    alone = completed(shipped, [Prompt(mask=rear, neighbours=[], category="car")], size)
    (mask,), (whole,) = hidden.amodal, alone.amodal
    seen = Mask.of(rear & ~front)
    assert mask.iou(Mask.of(rear)) > seen.iou(Mask.of(rear)) + 0.1
    assert whole.area <= 1.05 * rear.sum() and not whole.minus(Mask.of(rear)).area > 0.05 * rear.sum()
    assert alone.iou[0] > hidden.iou[0]


def test_masks_are_nested_hold_what_is_visible_and_may_reach_over_the_border(shipped):
    size = (200, 320)
    visible = box(0, 80, 30, 130, size)
    decoded = completed(shipped, [Prompt(mask=visible, category="car")], size)
    small, given, large = decoded.hypotheses[0]
    assert not small.minus(given).area and not given.minus(large).area
    assert not Mask.of(visible).minus(small).area
    assert decoded.beyond[0] is given and decoded.amodal[0] == given.clipped()
    assert (decoded.spread >= 0).all() and decoded.spread.shape == (1, 4)
    assert decoded.confidence is None


def test_probabilities_are_given_on_request():
    segmenter = load_segmenter()
    segmenter.details = True
    decoded = completed(segmenter, [Prompt(mask=box(40, 20, 60, 40), category="car")])
    probability = decoded.confidence[0].whole(SIZE)
    assert probability[30, 50] > 0.9 and probability[2, 2] < 0.1


def test_probabilities_that_nobody_wants_take_no_memory(shipped):
    size, prompt = (1000, 1000), Prompt(mask=box(200, 200, 700, 700, (1000, 1000)))

    def peak(count: int) -> int:
        tracemalloc.start()
        completed(shipped, [prompt] * count, size)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)
    # The probabilities of one crop are 1250x1250 numbers of 4 bytes.
    assert (peak(8) - peak(2)) / 6 < 1250 * 1250 * 2


def test_an_answer_at_the_rim_is_looked_at_in_larger_crops_until_it_ends_within_one():
    head = [Prompt(mask=box(150, 190, 170, 210, (400, 320)), category="person")]
    short, tall = CompletionSegmenter(Strip(within=True)), CompletionSegmenter(Strip(within=False))
    assert completed(short, head, (400, 320)).amodal[0].box[1::2] == (187, 213)  # of a crop of 50 pixels
    assert short.network.calls == 1
    (y0, y1) = completed(tall, head, (400, 320)).amodal[0].box[1::2]
    assert tall.network.calls == 4 and y1 - y0 == pytest.approx(50 * 1.6**3, abs=2)


@pytest.mark.parametrize(("same", "as_this"), [("pedestrian", "person"), ("Van", "car"), ("cyclist", "rider")])
def test_another_name_of_a_road_user_gives_the_same_mask(shipped, same, as_this):
    torso = box(58, 27, 103, 88, (220, 160))
    torso[27:50, 58:70] = torso[27:50, 90:103] = False  # head and shoulders
    masks = [completed(shipped, [Prompt(mask=torso, category=name)], (220, 160)).amodal[0]
             for name in (same, as_this, "statue")]  # fmt: skip
    assert masks[0] == masks[1] and masks[0] != masks[2]


def test_odd_prompts_give_masks(shipped):
    pixel, frame, unknown = box(99, 59, 100, 60), np.ones(SIZE, bool), box(10, 10, 30, 30)
    overlapping = box(5, 5, 40, 40)
    prompts = [
        Prompt(mask=pixel, category="car"), Prompt(mask=frame, neighbours=[unknown]),
        Prompt(mask=unknown, neighbours=[overlapping, frame], category="zebra"),
    ]  # fmt: skip
    decoded = completed(shipped, prompts)
    for prompt, mask, iou in zip(prompts, decoded.amodal, decoded.iou, strict=True):
        assert not prompt.mask.minus(mask).area and 0 <= iou <= 1
        x0, y0, x1, y1 = mask.box
        assert x0 >= 0 and y0 >= 0 and x1 <= SIZE[1] and y1 <= SIZE[0]


def test_many_instances_go_in_chunks_and_give_what_each_gives_alone(shipped):
    masks = [box(4 * n % 90, 3 * n % 50, 4 * n % 90 + 8, 3 * n % 50 + 8) for n in range(70)]
    prompts = [Prompt(mask=mask, neighbours=masks[:n] + masks[n + 1 :]) for n, mask in enumerate(masks)]
    together = completed(shipped, prompts).amodal
    assert len(together) == 70
    for n in (0, 33, 69):
        (alone,) = completed(shipped, [prompts[n]]).amodal
        assert alone.iou(together[n]) > 0.98
    assert completed(shipped, []).amodal == []


def test_a_rim_in_the_open_goes_and_what_is_covered_or_thick_stays():
    size = 32
    visible, covered, probability = (np.zeros((size, size), np.float32) for _ in range(3))
    visible[8:24, 8:24] = 1
    probability[7:25, 7:25] = 0.9  # a rim of a pixel
    probability[8:24, 24:30] = 0.9  # six pixels wide
    covered[8:24, 6:8] = 1  # beside it the rim may be hidden
    kept = without_rims(probability, visible >= 0.5, covered >= 0.5)
    given = THRESHOLDS[1]
    assert (kept[8:24, 24:30] > given).all() and (kept[8:24, 7] > given).all()
    assert not (kept[7, 8:23] > given).any() and not (kept[24, 8:23] > given).any()
    assert (kept[8:24, 8:24] > given).all()


def test_where_little_is_to_be_expected_geometry_answers():
    network = Completer.initialise(CompletionConfig(width=8, attention=1), 0)
    with torch.no_grad():
        network.iou[-1].weight.zero_()
        network.iou[-1].bias.fill_(-3.0)
    ring = box(20, 10, 60, 50) & ~box(30, 20, 60, 50)  # an L
    front = box(30, 20, 80, 59)
    decoded = completed(CompletionSegmenter(network), [Prompt(mask=ring, neighbours=[front])])
    from samodal.shapes import hull_front

    assert decoded.amodal[0] == hull_front(Mask.of(ring), [Mask.of(front)])
    assert decoded.hypotheses[0][0] == Mask.of(ring) and decoded.iou[0] < 0.1


@pytest.mark.parametrize(
    ("height", "hidden", "reached"),
    [(20, False, (190, 210)), (20, True, (98, 302)), (4, False, (90, 294))],
    ids=["in the open", "behind another", "a sliver"],
)
def test_an_answer_doubted_at_first_grows_only_where_something_may_hide_it(height, hidden, reached):
    strip = CompletionSegmenter(Strip(within=False, iou=0.5))  # from the upper to the lower side of the crop
    size = (400, 320)
    neighbours = [box(120, 0, 200, 400, size)] if hidden else []
    seen = Prompt(mask=box(150, 190, 170, 190 + height, size), neighbours=neighbours, category="car")
    assert completed(strip, [seen], size).amodal[0].box[1::2] == reached


def test_rims_are_those_that_a_slow_judge_finds():
    rng = np.random.default_rng(0)
    probability = cv2.GaussianBlur(rng.random((40, 40), np.float32), (0, 0), 2)
    probability = (probability - probability.min()) / np.ptp(probability)
    visible, covered = (rng.random((40, 40)) < 0.3 for _ in range(2))
    square, wanted = np.ones((3, 3), np.uint8), probability.copy()
    for limit in THRESHOLDS:
        grown = (wanted > limit) & ~visible
        thick = cv2.dilate(cv2.morphologyEx(grown.astype(np.uint8), cv2.MORPH_OPEN, square), square)
        thin = grown & ~covered & (thick == 0)
        wanted[thin] = np.minimum(wanted[thin], np.float32(limit))
    assert np.array_equal(without_rims(probability, visible, covered), wanted)
    assert (wanted != probability).any()


@pytest.mark.parametrize("peak", [0.95, 0.7, 0.5, 0.3])
def test_hypotheses_are_what_is_visible_and_what_is_above_each_threshold(peak):
    values = np.random.default_rng(0).random((20, 30), np.float32) * peak
    visible = Mask.of(box(12, 10, 20, 19))
    wanted = [Mask(SIZE, 4, 3, values > limit).union(visible) for limit in THRESHOLDS]
    assert list(_nested(visible, 4, 3, values)) == wanted


def test_of_unknown_things_only_what_someone_in_front_or_the_border_covers_is_completed():
    sure = np.full((4, 4), 0.9, np.float32)
    columns = {"visible": [1, 0, 0, 0], "front": [0, 1, 0, 0], "behind": [0, 0, 1, 0], "inside": [1, 1, 1, 1]}
    crop = {name: np.tile(np.float32(row), (4, 1)) for name, row in columns.items()}
    assert (only_behind(sure, crop) > 0.6).tolist() == [[True, True, False, False]] * 4
    crop["inside"] = np.tile(np.float32([1, 1, 1, 0]), (4, 1))
    assert (only_behind(sure, crop) > 0.6).tolist() == [[True, True, False, True]] * 4


@pytest.mark.parametrize(
    ("first", "step", "new", "old"), [(-30.2, 4.7, 128, 640), (0.3, 0.2, 700, 112), (900.0, 3.0, 300, 128)]
)
def test_a_large_product_by_blocks_is_the_plain_one(first, step, new, old):
    pixels = np.arange(old, dtype=np.float32)
    weights = filters(np.float32(first), np.float32(step), np.arange(new, dtype=np.float32)[:, None], pixels)
    values = np.random.default_rng(0).random((old, 77), np.float32)
    assert weights.size * 77 >= LARGE
    assert weighted(weights, values, first, step) == pytest.approx(weights @ values, abs=1e-5)
    columns = weighted(weights, np.ascontiguousarray(values.T), first, step, across=True)
    assert columns == pytest.approx((weights @ values).T, abs=1e-5)
