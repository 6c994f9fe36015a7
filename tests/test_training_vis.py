"""What VidEoMT learns from: masks that move with their pictures, queries kept from the first appearance on, losses that
a perfect prediction makes least, and a clip that is overfit.
"""

import itertools
import json

import numpy as np
import pytest
import torch

from samodal.cli.app import main
from samodal.errors import InputError
from samodal.frontends.videomt import Predicted, load, save
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import SIZES
from samodal.training.vis.clips import Clips, label_of, load_clips
from samodal.training.vis.queries import NEVER, Objective, costs, follow, losses, match, patch_loss
from samodal.training.vis.settings import VisSettings
from samodal.training.vis.start import adapted, start, untrained
from samodal.training.vis.steps import Step, _instances, choose, prepare
from samodal.training.vis.tally import measure
from samodal.training.vis.vis import VisEngine, train
from tiny_videomt import TINY, tiny
from toy_data import write_toy

HEIGHT, WIDTH = TINY.size


def squares(clips: int = 2, frames: int = 6) -> Clips:
    """Grey clips in which a white square (1, a car) walks to the right and a dark one (2, a person) to the left.

    The dark one is hidden in frame 2.
    """
    pictures = torch.full((clips, frames, 3, HEIGHT, WIDTH), 90, dtype=torch.uint8)
    owners = torch.zeros(clips, frames, HEIGHT, WIDTH, dtype=torch.uint8)
    for t in range(frames):
        boxes = [(1, 240, 4 + 4 * t, 4)] + [(2, 10, 48 - 4 * t, 18)] * (t != 2)
        for place, grey, x, y in boxes:
            pictures[:, t, :, y : y + 10, x : x + 10] = grey
            owners[:, t, y : y + 10, x : x + 10] = place
    return Clips(
        pictures.flatten(0, 1), owners.flatten(0, 1), torch.tensor([[-1, 1, 0]] * clips),
        torch.tensor([[HEIGHT, WIDTH]] * clips), frames * np.arange(clips), np.full(clips, frames), TINY.classes,
    )  # fmt: skip


def a_step(chosen: list[list[int]], generator: torch.Generator | None = None) -> Step:
    return prepare(squares(), np.array(chosen), TINY.mask_size, generator)


def settings(tmp_path, **changes) -> VisSettings:
    plain = {
        "out": str(tmp_path), "device": "cpu", "precision": "float32", "steps": 4, "batch": 4, "workers": 1,
        "log_every": 2, "classes": "person,car",
    }  # fmt: skip
    return VisSettings(**plain | changes)


def test_a_data_set_becomes_frames_and_whose_each_pixel_is(tmp_path):
    data = write_toy(tmp_path / "toy", sequences=2, frames=2, seed=0)
    clips = load_clips(data, TINY, workers=1, report=lambda _: None)
    assert clips.frames.shape == (4, 3, 32, 64) and clips.first.tolist() == [0, 2] and clips.length.tolist() == [2, 2]
    assert clips.content.tolist() == [[32, 56]] * 2
    assert clips.labels.tolist() == [[-1, 1, 0, 1]] * 2  # the toy's first and third shape are cars
    red = (clips.frames[0, 0] > 180) & (clips.frames[0, 1] < 90)
    mine = clips.owners[0] == 1
    assert (red & mine).sum() > 0.8 * (red | mine).sum()
    assert (clips.owners[..., 56:] == 0).all()


def test_instances_of_other_classes_are_scenery_and_none_at_all_is_an_error(tmp_path):
    data = write_toy(tmp_path / "toy", sequences=1, frames=1, seed=0)
    only = load_clips(data, TINY.replace(classes=("person",)), workers=1, report=lambda _: None)
    assert only.labels.tolist() == [[-1, 0]] and only.owners.max() == 1
    with pytest.raises(InputError, match="no visible bus in 1 sequences"):
        load_clips(data, TINY.replace(classes=("bus",)), workers=1, report=lambda _: None)


@pytest.mark.parametrize(
    ("category", "classes", "label"),
    [
        ("car", ("person", "car"), 1),
        ("pedestrian", ("person", "car"), 0),
        ("van", ("person", "car"), 1),
        ("van", ("person", "car", "van"), 2),
        ("tram", ("person", "car"), None),
        ("misc", ("person", "car"), None),
    ],
)
def test_a_class_is_learned_by_its_name_or_by_the_road_user_it_means(category, classes, label):
    assert label_of(category, classes) == label


def test_data_sets_are_read_one_after_another(tmp_path):
    data = [write_toy(tmp_path / name, sequences=1, frames=t, seed=t) for name, t in (("a", 1), ("b", 2))]
    clips = load_clips(",".join(data), TINY, workers=1, report=lambda _: None)
    assert clips.length.tolist() == [1, 2] and clips.first.tolist() == [0, 1]
    second = clips.part(1, 2)
    alone = load_clips(data[1], TINY, workers=1, report=lambda _: None)
    assert torch.equal(second.frames, alone.frames) and torch.equal(second.owners, alone.owners)


def test_frames_of_a_draw_come_from_one_clip_at_one_stride():
    clips, strides, backwards = squares(), set(), set()
    for seed in range(40):
        rows = choose(clips, 3, 3, stride=4, rng=np.random.default_rng(seed))
        assert rows.shape == (3, 3) and (rows // 6 == rows[:, :1] // 6).all()
        steps = np.diff(rows, axis=1)
        assert (steps == steps[:, :1]).all()
        strides |= set(np.abs(steps).flatten().tolist())
        backwards |= set((steps < 0).flatten().tolist())
    assert strides == {1, 2} and backwards == {True, False}  # 3 frames at stride 3 need 7
    assert choose(clips, 2, 9, stride=4, rng=np.random.default_rng(0)).shape == (2, 6)


def test_masks_are_the_share_of_each_cell_that_is_visible():
    step = a_step([[0, 1, 2]])
    assert step.pixels.shape == (1, 3, 3, 32, 64) and step.labels.tolist() == [[1, 0]]
    assert step.present.tolist() == [[[True, True], [True, True], [True, False]]]
    owners = squares().owners[0].numpy()
    for m, place in enumerate((1, 2)):
        expected = (owners == place).reshape(16, 2, 32, 2).mean((1, 3))
        np.testing.assert_allclose(step.masks[0, 0, m].numpy(), expected, atol=1e-3)


def test_an_instance_of_a_few_pixels_is_neither_asked_for_nor_wrong():
    owners = torch.zeros(1, 2, HEIGHT, WIDTH, dtype=torch.uint8)
    owners[0, :, :8, :8] = 2
    owners[0, 0, 20:28, 20:28], owners[0, 1, 20:22, 20:23] = 1, 1
    owners[0, :, 30, 30] = 3  # never large enough
    masks, present, tiny_, labels = _instances(owners, torch.tensor([[-1, 1, 0, 1]]), TINY.mask_size)
    assert labels.tolist() == [[1, 0]] and masks.shape == (1, 2, 2, 16, 32)
    assert present.tolist() == [[[True, True], [False, True]]]
    assert tiny_.tolist() == [[[False, False], [True, False]]]


def test_a_frame_without_instances_has_an_empty_place():
    owners = torch.zeros(1, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    masks, present, _, labels = _instances(owners, torch.tensor([[-1, 1]]), TINY.mask_size)
    assert masks.shape[2] == 1 and not present.any() and not masks.any() and labels.tolist() == [[-1]]


def test_augmented_masks_stay_on_their_squares():
    compared = 0
    for seed in range(6):
        step = a_step([[0, 3, 5], [7, 8, 9]], torch.Generator().manual_seed(seed))
        bright = torch.nn.functional.avg_pool2d(step.pixels.mean(2), 2)
        for b, t, m in step.present.nonzero().tolist():
            inside = step.masks[b, t, m] > 0.99
            rest = step.masks[b, t].amax(0) < 0.01
            if inside.sum() < 6 or rest.sum() < 60:
                continue
            sign = 1 if step.labels[b, m] == 1 else -1
            shown = bright[b, t][rest & (bright[b, t] > -1.7)]  # without what is padding
            assert sign * (bright[b, t][inside].mean() - shown.mean()) > 0.15
            compared += 1
    assert compared > 40


def test_an_instance_keeps_the_query_of_its_first_appearance_also_while_hidden():
    cost = np.full((1, 3, 3, 2), NEVER)
    cost[0, 0, :, 0] = [5, 1, 3]  # instance 0 appears in frame 0: query 1
    cost[0, 1, :, 1] = [4, 0, 2]  # instance 1 in frame 1, when query 1 is held by 0, which is hidden: query 2
    cost[0, 2] = [[0, 9], [9, 9], [9, 0]]  # what would be cheaper later does not matter
    assert match(cost).tolist() == [[1, 2]]


def test_instances_of_a_frame_are_matched_at_the_least_cost_of_all_ways():
    rng = np.random.default_rng(0)
    for _ in range(10):
        cost = rng.random((1, 1, 5, 3))
        ways = itertools.permutations(range(5), 3)
        best = min(ways, key=lambda way: sum(cost[0, 0, q, m] for m, q in enumerate(way)))
        assert match(cost).tolist() == [list(best)]


def test_instances_without_a_free_query_and_those_never_asked_for_have_none():
    cost = np.zeros((1, 2, 2, 4))
    cost[0, :, :, 3] = NEVER
    given = match(cost)[0]
    assert sorted(given.tolist()) == [-1, -1, 0, 1] and given[3] == -1


def perfect(step: Step, given: torch.Tensor, sure: float = 12.0) -> list[Predicted]:
    """What a network would say that has learned everything, at twice the size of its masks."""
    clips, length = step.present.shape[:2]
    frames = []
    for t in range(length):
        classes = torch.zeros(clips, TINY.queries, 3)
        classes[..., 2] = sure
        masks = torch.full((clips, TINY.queries, *step.masks.shape[-2:]), -sure)
        for b, m in step.present[:, t].nonzero().tolist():
            query = given[b, m]
            classes[b, query, 2], classes[b, query, step.labels[b, m]] = 0, sure
            masks[b, query] = (2 * step.masks[b, t, m].float() - 1) * sure
        frames.append(Predicted(classes, masks))
    return frames


def test_a_perfect_prediction_has_the_least_loss():
    step, given = a_step([[0, 1, 2], [6, 7, 8]]), torch.tensor([[2, 0], [1, 3]])
    best = losses(perfect(step, given), step, given)
    assert all(float(value) < 0.01 for value in best.values())
    swapped = losses(perfect(step, given.flip(1)), step, given)
    assert all(float(swapped[name]) > 10 * float(best[name]) for name in best)
    unsure = losses(perfect(step, given, sure=1.0), step, given)
    assert all(float(unsure[name]) > float(best[name]) for name in best)


def test_the_cheapest_query_is_the_one_that_predicts_the_instance():
    step, given = a_step([[0, 1, 2], [6, 7, 8]]), torch.tensor([[2, 0], [1, 3]])
    small = [Predicted(one.classes, torch.nn.functional.avg_pool2d(one.masks, 2)) for one in perfect(step, given)]
    cost = costs(small, step)
    assert cost.shape == (2, 3, 4, 2) and (cost[:, 2, :, 1] == NEVER).all()
    assert match(cost.numpy()).tolist() == given.tolist()


def test_a_query_that_holds_a_tiny_instance_is_not_told_that_it_sees_nothing():
    step, given = a_step([[0, 1, 2]]), torch.tensor([[2, 0]])
    predicted = perfect(step, given)
    predicted[2].classes[0, 0] = torch.tensor([12.0, 0, 0])  # sees the person that is hidden in frame 2
    wrong = losses(predicted, step, given)["class"]
    step.tiny[0, 2, 1] = True
    assert losses(predicted, step, given)["class"] < 0.01 < wrong


def test_patches_are_taught_the_share_of_each_class():
    step = a_step([[0]])
    shares = torch.nn.functional.adaptive_avg_pool2d(step.masks[0].float(), TINY.grid).flatten(2)[0]  # car, person
    best = torch.stack([shares[1], shares[0], 1 - shares.sum(0)], -1)[None]
    least = patch_loss((best + 1e-9).log(), step, TINY.grid)
    assert least < patch_loss((best + 0.05).log(), step, TINY.grid)
    assert least < patch_loss((best[..., [1, 0, 2]] + 1e-9).log(), step, TINY.grid)


def test_every_parameter_learns_but_what_only_a_second_frame_uses():
    network = tiny().train()
    objective = Objective(network)
    objective(a_step([[0]]))["loss"].backward()
    still = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    # A query's update waits for a second frame, and a tiny network has no registers.
    assert still == {"query_updater.weight", "query_updater.bias", "embeddings.register_tokens"}
    objective.zero_grad()
    objective(a_step([[0, 1]]))["loss"].backward()
    assert network.query_updater.weight.grad.any()


def test_a_step_in_bf16_loses_as_much_as_one_in_float32():
    objective, step = Objective(tiny().train()), a_step([[0, 1, 2], [6, 7, 8]])
    exact = objective(step)
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(step)
    half["loss"].backward()
    for name, value in exact.items():
        assert half[name].dtype == torch.float32 and half[name].item() == pytest.approx(value.item(), rel=0.02)


def test_training_follows_a_clip_as_running_does():
    network, pixels = tiny(seed=2), a_step([[0, 1, 2]]).pixels
    with torch.no_grad():
        (block,), _ = follow(network, pixels)
        queries = None
        for t in range(3):
            (alone,), queries = network.step(network.tokens(pixels[:, t]), queries)
            torch.testing.assert_close(block[t].masks, alone.masks, atol=1e-4, rtol=1e-4)


def test_a_clip_of_two_squares_is_overfit_and_each_keeps_its_query(tmp_path):
    clips, network = squares(clips=1), untrained(TINY, seed=0)
    given = settings(tmp_path, steps=240, batch=6, images=0.4, augment=False, lr=2e-3, warmup=20, log_every=1000)
    before = measure(network, clips)
    VisEngine(given, network, clips).run()
    after = measure(network, clips)
    assert before["ap50"] < 0.5
    assert after["ap50"] > 0.95 and after["iou"] > 0.8 and after["same_query"] == 1.0 and after["instances"] == 11


def test_a_training_leaves_a_checkpoint_a_card_and_no_state(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=3, frames=4, seed=0)
    arguments = (
        f"--data {data} --out {tmp_path} --size mini --input 32x64 --classes person,car --steps 3 --batch 4 "
        "--held_out 1 --images 0.5 --device cpu --precision float32 --workers 1 --log_every 1"
    )
    assert main(["train", "vis", *arguments.split()]) == 0
    assert "vis.safetensors after 3 steps" in capsys.readouterr().out
    network = load(tmp_path / "vis.safetensors")
    assert network.config.classes == ("person", "car") and network.config.size == (32, 64)
    assert not (tmp_path / "vis.state.pt").exists()
    facts = json.loads((tmp_path / "vis.json").read_text())
    assert facts["clips"] == 2 and facts["steps"] == 3 and set(facts["held_out"]) == {
        "ap50", "iou", "same_query", "instances",
    }  # fmt: skip
    assert "A VidEoMT of" in (tmp_path / "vis.md").read_text()
    assert len((tmp_path / "vis.log.jsonl").read_text().splitlines()) == 3


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    def engine(folder, **changes) -> VisEngine:
        folder.mkdir(exist_ok=True)
        return VisEngine(settings(folder, images=0.5, **changes), untrained(TINY, 0), squares())

    whole = engine(tmp_path / "whole", steps=4)
    whole.run()
    broken = engine(tmp_path / "broken", steps=4, save_minutes=0.0)
    stepping = broken.step

    def stop_after_two(chosen, done):
        if broken.progress.step == 2:
            raise KeyboardInterrupt
        return stepping(chosen, done)

    broken.step = stop_after_two
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    assert load(tmp_path / "broken" / "vis.safetensors").config == TINY  # as it was when it was saved last
    again = engine(tmp_path / "broken", steps=4)
    assert again.run().step == 4
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_a_checkpoint_of_other_classes_and_another_input_is_a_start(tmp_path):
    network = tiny(TINY.replace(classes=("cat", "car")))
    save(network, tmp_path / "start.safetensors")
    new = start(settings(tmp_path, init=f"{tmp_path}/start.safetensors", input="64x96"))
    assert new.config == TINY.replace(classes=("person", "car"), size=(64, 96))
    assert torch.equal(new.layers[0].mlp.fc1.weight, network.layers[0].mlp.fc1.weight)
    assert torch.equal(new.class_predictor.weight[1:], network.class_predictor.weight[1:])
    assert not torch.equal(new.class_predictor.weight[0], network.class_predictor.weight[0])
    assert new.embeddings.position_embeddings.weight.shape == (24, 32)
    same = tiny()
    assert adapted(same, TINY, 0) is same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ""}, "no data; give --data streetsim:ROOT/tracks"),
        ({"steps": 0}, "either minutes or steps"),
        ({"precision": "fp8"}, "choose bf16 or float32"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"size": "huge"}, "unknown size of VidEoMT 'huge'; known: mini, small"),
        ({"input": "100"}, "expected HEIGHTxWIDTH"),
        ({"input": "100x100"}, "multiples of the patch, 16 pixels"),
        ({"init": "missing.safetensors"}, "no such VidEoMT"),
        ({"data": "nothing:here"}, "unknown kind"),
        ({"held_out": 1}, "1 clips, 1 of them held out, leave none"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_the_way_out(changes, message, tmp_path):
    data = write_toy(tmp_path / "toy", sequences=1, frames=1, seed=0)
    with pytest.raises(InputError, match=message):
        train(settings(tmp_path, **{"data": data, "held_out": 0} | changes))


def test_the_encoder_of_an_amodal_sam_is_a_start_whose_layers_do_the_same(tmp_path):
    """A layer that sees the whole grid and knows no relative places is the same function in both."""
    sam = AmodalSam.initialise(SIZES["tiny"], seed=0)
    sam.save(tmp_path / "sam.safetensors")
    network = start(settings(tmp_path, init=f"{tmp_path}/sam.safetensors"))
    assert network.config.size == (128, 224) and network.config.layers == 3
    theirs, pixels = sam.vision_encoder, torch.randn(1, 3, 128, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs.layers[1].attn.rel_pos_h.zero_()
        theirs.layers[1].attn.rel_pos_w.zero_()
        patches = theirs.patch_embed.projection(pixels).permute(0, 2, 3, 1) + theirs.pos_embed
        ours = network.embeddings(pixels)[:, network.embeddings.prefix :]
        assert torch.allclose(ours, patches.flatten(1, 2), atol=1e-5)
        same = theirs.layers[1](patches)
        same = same[0] if isinstance(same, tuple) else same
        assert torch.allclose(network.layers[1](ours), same.flatten(1, 2), atol=1e-4)
