"""What a training step is fed: the cache, batches, augmentation and prompts."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_erosion

from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.images import FrameTransform
from samodal.rle import Rle
from samodal.training.augment import AugmentSettings, Views, draw_views, grid, inside, warp_frames, warp_masks
from samodal.training.sam.batch import InstanceTable, Order, draw_batch
from samodal.training.sam.cache import build, centre_point, first_frames, open_cache, pack, small_mask, unpack
from samodal.training.sam.prompts import (
    MIXES,
    PromptKind,
    StepPlan,
    deepest,
    draw_prompts,
    eroded,
    jitter_boxes,
    mask_boxes,
    pick,
    plan_step,
    surroundings,
)
from toy_data import COLOURS, write_toy

TRANSFORM = FrameTransform((64, 112), 16, "patch")


def quiet(text: str) -> None:
    pass


def random_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "train", sequences=3, frames=4, seed=0)


@pytest.fixture(scope="module")
def cache(data):
    return build(data, TRANSFORM, min_visible=4, centres=True, workers=1, report=quiet)


def test_packed_masks_come_back_bit_by_bit():
    masks = np.random.default_rng(0).random((3, 5, 16)) < 0.5
    assert torch.equal(unpack(torch.from_numpy(pack(masks))), torch.from_numpy(masks))


def test_the_cache_holds_every_instance_with_visible_pixels(data, cache):
    dataset = open_dataset(data)
    frames = [dataset.video(name).frame_truth(t) for name in dataset.sequences for t in range(4)]
    seen = [(f, one) for f, instances in enumerate(frames) for one in instances if one.visible is not None]
    assert cache.counts["frames"] == len(cache.frames) == 12
    assert len(cache) + cache.counts["too_small"] == len(seen)
    assert cache.counts["hidden"] == sum(one.visible is None for instances in frames for one in instances)
    if not cache.counts["too_small"]:
        assert cache.frame.tolist() == [f for f, _ in seen]
        expected = [1 - one.visible.area / one.amodal.area for _, one in seen]
        np.testing.assert_allclose(cache.occlusion, expected, atol=1e-6)


def test_cached_masks_lie_on_the_cached_pictures(cache):
    """Every shape has its own colour; centre points lie on visible pixels."""
    frames = cache.frames[cache.frame].permute(0, 2, 3, 1).float()
    visible = unpack(cache.visible)
    assert not (visible & ~unpack(cache.amodal)).any()
    for frame, mask, (x, y) in zip(frames, visible, cache.centre.round().long().tolist(), strict=True):
        assert mask[y, x]
        assert min((frame[mask].mean(0) - torch.tensor(c)).abs().max() for c in COLOURS) < 40


@pytest.mark.parametrize("size", [(128, 224), (97, 211), (540, 960), (40, 50)])
def test_a_mask_is_resized_in_its_box_as_the_whole_picture_would_be(size):
    rng = np.random.default_rng(sum(size))
    for _ in range(6):
        mask = np.zeros(size, bool)
        y, x = rng.integers(0, size[0] - 9), rng.integers(0, size[1] - 9)
        mask[y : y + rng.integers(1, size[0] // 2), x : x + rng.integers(1, size[1] // 2)] = True
        mask &= rng.random(size) < 0.95
        height, width = TRANSFORM.resized(size)
        whole = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
        found = small_mask(Rle.encode(mask), TRANSFORM)
        assert found.shape == (64, 112) and not found[height:].any() and not found[:, width:].any()
        # A value of exactly one half may fall to either side.
        assert (found[:height, :width] != (np.asarray(whole) >= 128)).mean() <= 0.001


def test_too_small_instances_are_left_out_and_counted(data, cache):
    smallest = int(unpack(cache.visible).flatten(1).sum(1).min())
    stricter = build(data, TRANSFORM, min_visible=smallest + 1, workers=1, report=quiet)
    assert len(stricter) < len(cache)
    assert len(stricter) + stricter.counts["too_small"] == len(cache) + cache.counts["too_small"]


def test_two_processes_prepare_the_same_cache_as_one(data, cache):
    two = build(data, TRANSFORM, min_visible=4, centres=True, workers=2, report=quiet)
    assert torch.equal(two.frames, cache.frames) and torch.equal(two.amodal, cache.amodal)
    assert torch.equal(two.frame, cache.frame)


def test_a_cache_is_loaded_from_its_file_and_refused_for_other_settings(data, cache, tmp_path):
    path = tmp_path / "train.pt"
    first = open_cache(data, TRANSFORM, path=path, min_visible=4, workers=1, report=quiet)
    again = open_cache(data, TRANSFORM, path=path, min_visible=4, report=pytest.fail)
    assert torch.equal(first.visible, again.visible) and first.counts == again.counts
    with pytest.raises(InputError, match=r"train\.pt: prepared with other settings: min_visible was 4 and is 9"):
        open_cache(data, TRANSFORM, path=path, min_visible=9)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: [held],
        lambda held: held | {"cache": None},
        lambda held: {"cache": held["cache"]},
        lambda held: changed(held, frames=None),
        lambda held: changed(held, frames=held["cache"]["frames"].float()),
        lambda held: changed(held, visible=held["cache"]["visible"][1:]),
        lambda held: changed(held, centre=torch.zeros(len(held["cache"]["centre"]), 3)),
        lambda held: changed(held, frame=held["cache"]["frame"] - 1),
        lambda held: changed(held, frame=held["cache"]["frame"] + 10**6),
        lambda held: changed(held, frame=held["cache"]["frame"].flip(0)),
        lambda held: changed(held, counts={"frames": "many"}),
    ],
)
def test_a_cache_of_others_is_checked_before_it_is_learned_from(data, tmp_path, change):
    path = tmp_path / "train.pt"
    open_cache(data, TRANSFORM, path=path, min_visible=4, workers=1, report=quiet)
    torch.save(change(torch.load(path, weights_only=True)), path)
    with pytest.raises(InputError, match=r"train\.pt: .*(delete it)"):
        open_cache(data, TRANSFORM, path=path, min_visible=4)


def changed(held: dict, **columns) -> dict:
    return held | {"cache": held["cache"] | columns}


def test_the_first_frames_of_a_cache_have_centres_on_visible_pixels(cache):
    part = first_frames(cache, 5)
    assert len(part.frames) == 5 and int(part.frame.max()) == 4
    for mask, (x, y) in zip(unpack(part.visible), part.centre.long().tolist(), strict=True):
        assert mask[y, x]


def test_the_centre_point_is_the_pixel_farthest_from_the_border():
    mask = np.zeros((9, 12), bool)
    mask[2:7, 3:8] = True
    assert centre_point(mask).tolist() == [5, 4]


def test_a_pass_takes_every_frame_once_and_batches_hold_one_size(cache):
    cache.input_size[:5] = torch.tensor([48, 112])
    try:
        order = Order(cache, 2, instances=3, seed=1)
        batches = [order(step) for step in range(order.steps_per_epoch)]
        assert len(batches) == 5 and len(set(np.concatenate(batches).tolist())) == 10
        assert all(len({tuple(cache.input_size[f].tolist()) for f in batch}) == 1 for batch in batches)
        assert order.input_size(0) == tuple(cache.input_size[int(order(0)[0])].tolist())
        later = Order(cache, 2, instances=3, seed=1)
        assert np.array_equal(later(7), Order(cache, 2, instances=3, seed=1)(7))
    finally:
        cache.input_size[:] = torch.tensor([64, 112])


def test_with_one_instance_each_a_pass_takes_every_instance_once(cache):
    order = Order(cache, 1, instances=1, seed=0)
    assert sorted(int(order(s)[0]) for s in range(order.steps_per_epoch)) == list(range(len(cache)))


def test_every_instance_of_a_frame_is_drawn_before_any_a_second_time(cache):
    table = InstanceTable(cache, occluded_weight=0.0)
    frames = torch.arange(12)
    chosen = table.draw(frames, 5, random_generator())
    assert torch.equal(cache.frame[chosen], frames[:, None].expand(-1, 5))
    for frame, row in zip(frames.tolist(), chosen.tolist(), strict=True):
        assert set(row[:3]) == set(torch.nonzero(cache.frame == frame).flatten().tolist())


def test_occluded_instances_are_drawn_oftener_by_their_weight(cache):
    cache = first_frames(cache, 1)
    cache.occlusion = torch.tensor([0.0, 0.0, 1.0])
    table = InstanceTable(cache, occluded_weight=2.0)
    drawn = table.draw(torch.zeros(6000, dtype=torch.long), 1, random_generator()).flatten()
    assert (drawn == 2).float().mean().item() == pytest.approx(3 / 5, abs=0.03)


def batch_of(cache, augment, out=(64, 112), cut=False, min_visible=4):
    frames = torch.arange(6)
    chosen = InstanceTable(cache, 0.0).draw(frames, 3, random_generator())
    return draw_batch(
        cache,
        frames,
        chosen,
        TRANSFORM,
        random_generator(),
        augment=augment,
        out=out,
        cut=cut,
        min_visible=min_visible,
    )


def test_an_unmoved_batch_is_what_running_would_see(data, cache):
    batch = batch_of(cache, None)
    dataset = open_dataset(data)
    expected = TRANSFORM.pixels(dataset.video(dataset.sequences[0]).frame(2).image)
    torch.testing.assert_close(batch.pixels[2], expected)


def test_padding_is_zero_after_normalising_as_in_running(tmp_path):
    data = write_toy(tmp_path / "wide", sequences=1, frames=1, seed=2, size=(80, 224))
    square = FrameTransform((64, 112), 16, "full")
    cache = build(data, square, min_visible=1, workers=1, report=quiet)
    frames, chosen = torch.tensor([0]), torch.tensor([[0, 1]])
    batch = draw_batch(
        cache,
        frames,
        chosen,
        square,
        random_generator(),
        augment=None,
        out=(64, 112),
        cut=False,
        min_visible=1,
    )
    torch.testing.assert_close(batch.pixels[0], square.pixels(open_dataset(data).video("toy_0000").frame(0).image))
    assert (batch.pixels[0, :, 40:] == 0).all()
    moved = draw_batch(
        cache, frames, chosen, square, random_generator(), augment=AugmentSettings(zoom=(0.5, 0.5), zoomed=1.0),
        out=(64, 112), cut=False, min_visible=1,
    )  # fmt: skip
    assert (moved.pixels[0] == 0).all(0).sum() > 64 * 112 / 2


@pytest.mark.parametrize(("out", "cut"), [((64, 112), False), ((32, 112), True)])
def test_augmentation_moves_pictures_and_masks_alike(cache, out, cut):
    """Inside every moved mask the picture still has the colour of one shape."""
    still = {"brightness": 0, "contrast": 0, "saturation": 0, "tint": 0, "noise": 0, "blurred": 0}
    batch = batch_of(cache, AugmentSettings(zoomed=1.0, **still), out, cut)
    assert batch.pixels.shape[-2:] == batch.visible.shape[-2:] == out
    std, mean = torch.tensor(TRANSFORM.std), torch.tensor(TRANSFORM.mean)
    for mask, frame in zip(batch.visible, batch.pixels[batch.index].permute(0, 2, 3, 1), strict=True):
        inner = torch.from_numpy(binary_erosion(mask.numpy()))
        colour = (frame[inner if inner.any() else mask] * std + mean).mean(0)
        assert min((colour - torch.tensor(c)).abs().max() for c in COLOURS) < 40


def test_a_view_moves_a_pixel_where_its_formula_says():
    frame = torch.zeros(1, 1, 16, 16)
    frame[0, 0, 6, 4] = 1
    content = torch.tensor([[16, 16]])
    views = Views(torch.tensor([2.0]), torch.tensor([[2.0, 3.0]]), torch.tensor([False]))
    where = grid(views, content, (16, 16), (16, 16))
    moved = warp_masks(frame > 0, where)
    # (4.5 - 2) * 2 - .5 = 4.5 and (6.5 - 3) * 2 - .5 = 6.5: four pixels around it.
    assert torch.nonzero(moved[0, 0]).tolist() == [[6, 4], [6, 5], [7, 4], [7, 5]]
    mirrored = Views(torch.ones(1), torch.zeros(1, 2), torch.tensor([True]))
    where = grid(mirrored, torch.tensor([[16, 12]]), (16, 16), (16, 16))
    assert torch.nonzero(warp_masks(frame > 0, where)[0, 0]).tolist() == [[6, 12 - 1 - 4]]
    assert inside(where, torch.tensor([[16, 12]]), (16, 16))[0, 0].sum() == 16 * 12
    assert warp_frames(frame, where).shape == (1, 1, 16, 16)


def test_views_stay_inside_the_content_where_they_fit():
    content = torch.tensor([[60, 110]]).expand(200, 2)
    views = draw_views(content, (32, 64), AugmentSettings(zoom=(1.0, 2.0), zoomed=1.0), random_generator())
    end = views.corner + torch.tensor([64.0, 32.0]) / views.zoom[:, None]
    assert (views.corner >= 0).all() and (end <= torch.tensor([110.0, 60.0]) + 1e-3).all()


def test_instances_that_a_move_cut_away_are_replaced(cache):
    batch = batch_of(cache, AugmentSettings(zoom=(3.0, 3.0), zoomed=1.0), min_visible=12)
    assert (batch.visible.flatten(1).sum(1) >= 12).all()
    assert len(batch.visible) == 18


MASKS = torch.zeros(3, 32, 48, dtype=torch.bool)
MASKS[0, 4:28, 6:40] = True
MASKS[0, 12:20, 20:24] = False
MASKS[1, 30:32, 0:3] = True
MASKS[2, 7, 9] = True


def on_mask(masks, xy):
    x, y = xy.long().unbind(-1)
    return masks[torch.arange(len(masks))[:, None], y, x]


@pytest.mark.parametrize("name", MIXES)
def test_points_lie_on_visible_pixels_and_negative_ones_off_them(name):
    for step in range(60):
        plan = plan_step(name, step, seed=3)
        prompts = draw_prompts(MASKS, plan, random_generator(step))
        if plan.points:
            assert prompts.points.shape == (3, plan.points, 2)
            assert torch.equal(on_mask(MASKS, prompts.points), prompts.labels == 1)
            assert (prompts.labels[:, 0] == 1).all()
        assert (prompts.boxes is not None) == plan.kind.box
        assert (prompts.masks is not None) == plan.kind.mask


def test_negative_points_are_drawn_near_the_instance():
    plan = StepPlan(PromptKind(1.0, negative=1.0), 8, False, False)
    prompts = draw_prompts(MASKS, plan, random_generator())
    assert (prompts.labels[:, 1:] == 0).all()
    assert on_mask(surroundings(MASKS), prompts.points[:, 1:]).all()


def test_every_pixel_of_a_mask_is_picked_equally_often():
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 0, 0] = masks[0, 1, 2] = masks[0, 3, 3] = True
    xy = pick(masks, 9000, random_generator())[0].long()
    counts = torch.bincount(xy[:, 1] * 4 + xy[:, 0], minlength=16).view(4, 4)
    assert (counts[~masks[0]] == 0).all()
    assert counts[masks[0]].min() > 2800


def test_an_empty_mask_gives_the_corner_and_no_error():
    assert pick(torch.zeros(2, 4, 4, dtype=torch.bool), 2, random_generator()).abs().sum() == 0
    assert mask_boxes(torch.zeros(2, 4, 4, dtype=torch.bool)).abs().sum() == 0


def test_centre_points_lie_deeper_than_the_border_and_small_masks_stay_whole():
    deep = deepest(MASKS)
    depth = torch.from_numpy(binary_erosion(MASKS[0].numpy(), iterations=3))
    assert deep[0].any() and not (deep[0] & ~depth).any()
    assert torch.equal(deep[2], MASKS[2])
    rim = eroded(MASKS)
    assert rim[0].sum() < MASKS[0].sum() and not (rim & ~MASKS).any() and torch.equal(rim[2], MASKS[2])


def test_boxes_enclose_their_masks_and_jitter_stays_in_the_frame():
    assert mask_boxes(MASKS).tolist() == [[6, 4, 40, 28], [0, 30, 3, 32], [9, 7, 10, 8]]
    boxes = jitter_boxes(mask_boxes(MASKS).repeat(200, 1), (32, 48), random_generator())
    assert (boxes >= 0).all() and (boxes[:, 2] <= 48).all() and (boxes[:, 3] <= 32).all()
    large = boxes[0::3] - torch.tensor([6.0, 4.0, 40.0, 28.0])
    assert 1 < large.std() < 6 and large.abs().max() <= 20


def test_a_mask_prompt_resembles_its_mask_but_not_exactly():
    visible = MASKS[:1].repeat(50, 1, 1)
    plan = StepPlan(PromptKind(1.0, mask=True), 0, False, False)
    logits = draw_prompts(visible, plan, random_generator()).masks
    assert logits.shape == (50, 1, 8, 12)
    truth = MASKS[0, 2::4, 2::4]
    agreement = ((logits[:, 0] > 0) == truth).float().mean((1, 2))
    assert agreement.min() > 0.6 and agreement.std() > 0.01


def test_a_plan_depends_on_seed_and_step_alone():
    plans = [plan_step("visible", s, 5, multimask=0.5, band_share=0.3) for s in range(300)]
    assert plans == [plan_step("visible", s, 5, multimask=0.5, band_share=0.3) for s in range(300)]
    assert {p.kind for p in plans} == set(MIXES["visible"]) and {p.points for p in plans} == set(range(9))
    assert all(p.points == 1 and not p.kind.box and not p.kind.mask for p in plans if p.multimask)
    assert 0.2 < np.mean([p.band for p in plans]) < 0.4
    with pytest.raises(InputError, match="visible"):
        plan_step("visable", 0, 0)


def test_a_number_of_points_holds_for_every_prompt_that_has_points():
    plans = [plan_step("amodal", s, 5, points=4, multimask=1.0) for s in range(200)]
    assert {p.points for p in plans if p.kind.points[1]} == {4} and not any(p.multimask for p in plans)
    assert {p.points for p in plans if not p.kind.points[1]} == {0}
    assert [p.kind for p in plans] == [plan_step("amodal", s, 5).kind for s in range(200)]
    assert {plan_step("random_point", s, 5, points=3).points for s in range(9)} == {3}
