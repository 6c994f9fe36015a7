"""What SAVOS learns from: windows with what inference would see, losses on what is known, a clip that is learned."""

import itertools
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from samodal.baselines.savos import Savos, SavosConfig, load, save
from samodal.baselines.savos.config import SIZES
from samodal.baselines.savos.flow import observe_flow
from samodal.baselines.savos.inputs import ends, prepare
from samodal.baselines.savos.losses import patch_loss
from samodal.baselines.savos.model import Directed, Predicted
from samodal.cli.app import main
from samodal.data.asd import AsdVideo
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.rle import Rle
from samodal.training.savos.flow_clips import OUTSIDE, Clip, Wanted, load_clips, stretches
from samodal.training.savos.held_out import measure
from samodal.training.savos.savos import Objective, SavosEngine, start, train
from samodal.training.savos.settings import SavosSettings
from samodal.training.savos.windows import POOLED, Part, draw, windows
from samodal.training.schedule import halved_twice
from toy_data import write_toy

TINY = SavosConfig(widths=(4,) * 6, flow_widths=(4,) * 6, hidden=8, skip="visible")


def passing(length: int = 12, size: tuple[int, int] = (40, 64), seed: int = 0) -> Clip:
    """A textured square (1) walks to the right behind a post (2); its whole mask is known."""
    rng = np.random.default_rng(seed)
    background, texture = rng.integers(40, 90, (*size, 3)), rng.integers(150, 250, (14, 14, 3))
    frames = np.repeat(background[None], length, 0).astype(np.uint8)
    owners = np.zeros((length, *size), np.uint8)
    amodal = {}
    for t in range(length):
        x = 4 + 3 * t
        frames[t, 12:26, x : x + 14] = texture
        owners[t, 12:26, x : x + 14] = 1
        amodal[1, t] = Rle.encode(owners[t] == 1)
        frames[t, 4:34, 28:36] = (20, 160, 20)
        owners[t, 4:34, 28:36] = 2
        amodal[2, t] = Rle.encode(owners[t] == 2)
    flows = (flow.astype(np.float16) for flow in observe_flow(list(frames)))
    return Clip(frames, owners, *flows, stretches(owners, Wanted(least_length=5)), amodal)


def settings(tmp_path, **changes) -> SavosSettings:
    plain = {
        "out": str(tmp_path), "device": "cpu", "steps": 4, "batch": 2, "length": 5, "workers": 1, "log_every": 2,
        "min_length": 5, "skip": "visible",
    }  # fmt: skip
    return SavosSettings(**plain | changes)


def tiny(seed: int = 0) -> Savos:
    torch.manual_seed(seed)
    return Savos(TINY)


def quiet(_: str) -> None:
    pass


def test_a_data_set_becomes_frames_owners_flow_and_stretches(tmp_path):
    data = write_toy(tmp_path / "toy", sequences=2, frames=5, seed=0)
    clips = load_clips(data, Wanted(least_length=2), held_out=1, workers=1, report=quiet)
    video = next(iter(open_dataset(data)))
    assert clips[0].frames.shape == (5, 128, 224, 3) and np.array_equal(clips[0].frames[3], video.frame(3).image)
    for t in range(5):
        for one in video.frame_visible(t):
            assert np.array_equal(clips[0].owners[t] == one.id, one.visible.decode())
    forward, reverse = observe_flow(list(clips[0].frames))
    for found, wanted in ((clips[0].forward, forward), (clips[0].reverse, reverse)):
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)
    assert not clips[0].amodal  # it is trained on
    (true,) = (one for one in open_dataset(data).video("toy_0001").frame_truth(2) if one.id == 1)
    assert clips[1].amodal[1, 2].counts == true.amodal.counts


def test_amodal_masks_of_what_is_trained_on_are_not_read(tmp_path, monkeypatch):
    data = write_toy(tmp_path / "toy", sequences=2, frames=3, seed=0)

    def never(self, t):
        assert self.name == "toy_0001", "amodal truth of training data was read"
        return []

    monkeypatch.setattr(AsdVideo, "frame_truth", never)
    assert len(load_clips(data, Wanted(), held_out=1, workers=1, report=quiet)) == 2


def test_stretches_end_where_nothing_is_visible_and_specks_and_glimpses_are_left_out():
    owners = np.zeros((8, 10, 20), np.uint8)
    for t in (0, 1, 2, 4, 5):
        owners[t, 2:5, 4 : 8 + t] = 7
    owners[:, 9, 9] = 3  # a speck
    found = stretches(owners, Wanted(enlarge=2, least_area=6, least_length=3))
    (one,) = found
    assert (one.place, one.start, len(one)) == (7, 0, 3) and one.areas.tolist() == [12, 15, 18]
    assert one.boxes.tolist() == [[2, 0, 10, 6], [2, 0, 12, 6], [1, 0, 13, 6]]
    assert len(stretches(owners, Wanted(least_area=6, least_length=2))) == 2


def judge(part: Part) -> tuple:
    """`prepare` on whole frames, as if nothing were cut out."""
    clip, own = part.clip, part.stretch
    t = slice(own.start + part.first, own.start + part.first + part.length)
    flows = ends(clip.forward[t], clip.reverse[t])
    inside = slice(part.first, part.first + part.length)
    arrays = (clip.frames[t], clip.owners[t] == own.place, *flows, own.boxes[inside], own.areas[inside])
    return prepare(*(torch.from_numpy(np.ascontiguousarray(one))[None] for one in arrays))


@pytest.mark.parametrize("first", [0, 4])
def test_a_window_holds_what_the_whole_frames_hold(first):
    clip = passing(size=(60, 150))  # wide enough that something is cut away
    part = Part(clip, clip.stretches[0], first, 6)
    made, whole = windows([part], 6), judge(part)
    given = made.inputs()
    assert made.owners.shape[2] == 60 and made.owners.shape[3] < 150
    torch.testing.assert_close(given.patches, whole.patches, atol=2e-3, rtol=1e-3)
    x, y = (whole.boxes[0, 0] - given.boxes[0, 0])[:2].tolist()
    height, width = made.owners.shape[2:]
    for name in ("visible", "flow", "reverse_flow"):
        assert torch.equal(
            getattr(given, name), getattr(whole, name)[..., y : y + height, x : x + width].to(torch.float32)
        )
    assert given.visible.sum() == whole.visible.sum()
    assert (given.boxes + torch.tensor([x, y, x, y]) == whole.boxes).all() and made.valid.all()


def test_what_inference_gives_the_network_is_what_training_gives_it(tmp_path):
    from samodal.baselines.savos.method import SavosMethod
    from samodal.parts import Frame, Observed
    from samodal.tracks import VisibleInstance

    clip = passing()
    save(tiny(), tmp_path / "tiny.safetensors")
    method, given = SavosMethod(str(tmp_path / "tiny.safetensors")), []
    method.network.register_forward_pre_hook(lambda _, arguments: given.append(arguments))
    observed = [
        Observed(
            Frame(t, t / 10, clip.frames[t], str(t)),
            [VisibleInstance(p, "car", 1.0, owner == p) for p in (1, 2) if (owner == p).any()],
        )
        for t, owner in enumerate(clip.owners)
    ]
    list(method.run("clip", observed))
    for arguments, stretch in zip(given, sorted(clip.stretches, key=lambda s: s.place), strict=True):
        trained = windows([Part(clip, stretch, 0, len(stretch))], len(stretch)).inputs()
        torch.testing.assert_close(arguments[0][:, :, :4], trained.patches[:, :, :4], atol=1e-4, rtol=0)
        torch.testing.assert_close(arguments[0], trained.patches, atol=2e-2, rtol=1e-2)  # flows of 16 bits
        assert arguments[1].sum() == trained.visible.sum()


def test_a_short_track_is_filled_with_its_last_frame_standing_still():
    clip = passing()
    part = Part(clip, clip.stretches[0], 3, 5)
    made, short = windows([part], 8), windows([part], 5)
    assert made.valid.tolist() == [[True] * 5 + [False] * 3]
    for name in ("images", "owners", "boxes", "areas"):
        filled, own = getattr(made, name), getattr(short, name)
        assert torch.equal(filled[:, :5], own) and all(torch.equal(filled[:, t], own[:, 4]) for t in (5, 6, 7))
    assert torch.equal(made.forward[:, :5], short.forward) and short.forward.any() and not made.forward[:, 5:].any()
    assert not made.reverse[:, 5:].any()


def test_frames_of_different_sizes_share_a_step_and_nothing_is_known_outside_the_smaller_one():
    small, large = passing(size=(40, 64)), passing(size=(100, 200))
    post = next(one for one in large.stretches if one.place == 2)
    parts = [Part(small, small.stretches[0], 0, 5), Part(large, post, 0, 5)]
    made = windows(parts, 5)
    height, width = made.owners.shape[2:]
    assert height > 40 and width > 64
    assert (made.owners[0, :, 40:] == OUTSIDE).all() and (made.owners[0, :, :, 64:] == OUTSIDE).all()
    assert not made.counted[0, :, 40:].any() and made.counted[1].sum() > made.counted[0].sum()
    assert (made.owners[1] != OUTSIDE).all()
    torch.testing.assert_close(made.inputs().patches[:1], judge(parts[0]).patches, atol=2e-3, rtol=1e-3)


def test_only_pixels_of_others_are_not_counted():
    clip = passing()
    made = windows([Part(clip, clip.stretches[0], 0, 5)], 5)
    assert torch.equal(~made.counted, made.owners == 2) and (made.owners == 2).any()
    assert torch.equal(made.visible, made.owners == 1)


def test_windows_are_a_function_of_seed_and_step_and_those_of_a_step_are_alike_in_size():
    clips = [passing(size=(40, 64)), passing(size=(80, 160)), passing(length=20, size=(120, 260))]
    tracks = [(clip, one) for clip in clips for one in clip.stretches]
    steps = [draw(tracks, 3, 6, seed=1, step=n) for n in range(2 * POOLED)]
    again = [draw(tracks, 3, 6, seed=1, step=n) for n in range(2 * POOLED)]
    assert steps == again and steps != [draw(tracks, 3, 6, seed=2, step=n) for n in range(2 * POOLED)]
    for one in itertools.chain(*steps):
        assert 0 <= one.first <= len(one.stretch) - one.length and one.length == min(6, len(one.stretch))
    sizes = [sorted(one.sides[0] * one.sides[1] for one in step) for step in steps[:POOLED]]
    ordered = sorted(sizes)
    assert all(a[-1] <= b[0] for a, b in itertools.pairwise(ordered)) and sizes != ordered
    assert len({id(one.stretch) for one in itertools.chain(*steps)}) == len(tracks)


def test_the_patch_loss_counts_colours_where_both_masks_are():
    images = torch.zeros(1, 3, 3, 4, 6)
    images[:, 1], images[:, 2, 0] = 0.5, 1.0  # grey, then red
    visible = torch.ones(1, 3, 4, 6)
    visible[:, 1, :, 3:] = 0
    still = Directed(*[None] * 4, None, torch.zeros(1, 3, 2, 4, 6))
    # From 0 to 1: all of the 12 pixels by .5. From 1 to 2 by .5 in three colours, and those that the warp left: its
    # half pixel makes the mask's edge a half.
    assert patch_loss(still, images, visible, torch.tensor([[1, 1, 0]])).item() == pytest.approx(6)
    assert patch_loss(still, images, visible, torch.tensor([[1, 0, 1]])).item() == pytest.approx(0.5 * (12 + 2))
    moving = Directed(*[None] * 4, None, torch.full((1, 3, 2, 4, 6), 2.0, requires_grad=True))
    pictures = torch.rand(1, 3, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    patch_loss(moving, pictures, visible, torch.ones(1, 3)).backward()
    assert moving.motion.grad.any()


def test_the_objective_is_the_sum_of_its_losses():
    clip = passing()
    made = windows([Part(clip, one, 0, 5) for one in clip.stretches], 6)
    plain, weighed = Objective(tiny())(made), Objective(tiny(), 0.1)(made)
    assert set(plain) == {"reconstruction", "consistency", "loss"}
    assert plain["loss"].item() == pytest.approx(plain["reconstruction"].item() + plain["consistency"].item())
    assert weighed["loss"].item() == pytest.approx(plain["loss"].item() + 0.1 * weighed["patch"].item())
    assert weighed["patch"].item() > 0


def test_the_learning_rate_is_halved_where_the_paper_halves_it():
    assert [halved_twice(epoch / 50) for epoch in (0, 19, 20, 39, 40, 50)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_the_loss_falls_on_a_clip(tmp_path):
    given = settings(tmp_path, steps=80, lr=1e-2, log_every=10, batch=2)
    SavosEngine(given, tiny(), [passing()]).run()
    lines = [json.loads(line) for line in (tmp_path / "savos.log.jsonl").read_text().splitlines()]
    assert lines[-1]["reconstruction"] < 0.5 * lines[0]["reconstruction"]
    assert lines[-1]["consistency"] < 0.8 * lines[0]["consistency"]


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    def engine(folder) -> SavosEngine:
        folder.mkdir(exist_ok=True)
        return SavosEngine(settings(folder, steps=4, save_minutes=0.0), tiny(), [passing()])

    whole = engine(tmp_path / "whole")
    whole.run()
    broken = engine(tmp_path / "broken")
    stepping = broken.step

    def stop_after_two(seen, done):
        if broken.progress.step == 2:
            raise KeyboardInterrupt
        return stepping(seen, done)

    broken.step = stop_after_two
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    assert load(tmp_path / "broken" / "savos.draft.safetensors").config == TINY
    again = engine(tmp_path / "broken")
    assert again.run().step == 4
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    again.finish()
    assert {p.name for p in (tmp_path / "broken").iterdir()} == {"savos.safetensors", "savos.log.jsonl"}


def test_the_checkpoint_with_the_highest_visible_iou_is_kept(tmp_path):
    network, ious, seen = tiny(), iter([0.5, 0.9, 0.3]), []

    def check() -> dict:
        seen.append(network.flow_decoder.flow_decoder[0][0].bias.detach().clone())
        return {"visible_iou": next(ious)}

    engine = SavosEngine(settings(tmp_path, steps=6, validations=3), network, [passing()], check)
    progress = engine.run()
    assert [line["step"] for line in progress.history] == [2, 4, 6] and progress.best == 0.9
    kept = load(engine.checkpoint).flow_decoder.flow_decoder[0][0].bias
    torch.testing.assert_close(kept, seen[1], atol=1e-3, rtol=1e-3)


class Everywhere(torch.nn.Module):
    """Instead of the network: one probability everywhere."""

    config = TINY

    def __init__(self, value: float):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, patches, visible, flow, reverse_flow, boxes):
        one = self.value.expand(visible.shape)
        full = torch.stack([one, one], 2)
        return Predicted(one, *[Directed(None, None, None, full, full, None)] * 2)


def test_measuring_agrees_with_a_slow_judge():
    clip = passing()
    found = measure(Everywhere(1.0), [clip], 12)
    region = 40 * 64  # all of it: the margins are wider
    visible, amodal, copied, hidden = [], [], [], []
    for stretch in clip.stretches:
        for t in range(stretch.start, stretch.start + len(stretch)):
            own, others = clip.owners[t] == stretch.place, (clip.owners[t] > 0) & (clip.owners[t] != stretch.place)
            truth = clip.amodal[stretch.place, t].decode()
            visible.append(own.sum() / (region - others.sum()))
            whole = own | others
            amodal.append((whole & truth).sum() / (whole | truth).sum())
            copied.append(own.sum() / truth.sum())
            if (truth & ~own).any():
                hidden.append((others & truth).sum() / (others | (truth & ~own)).sum())
    assert found["visible_iou"] == pytest.approx(np.mean(visible))
    assert found["amodal_iou"] == pytest.approx(np.mean(amodal))
    assert found["amodal_iou_copied"] == pytest.approx(np.mean(copied))
    assert found["hidden_iou"] == pytest.approx(np.mean(hidden))
    assert (found["frames"], found["hidden_frames"]) == (len(visible), len(hidden)) and hidden
    nothing = measure(Everywhere(0.0), [clip], 5)
    assert nothing["hidden_iou"] == 0 and nothing["amodal_iou"] == pytest.approx(found["amodal_iou_copied"])


def test_without_truth_only_visible_masks_are_measured():
    clip = passing()
    clip.amodal.clear()
    found = measure(tiny(), [clip], 5)
    assert found["visible_iou"] is not None and found["amodal_iou"] is found["hidden_iou"] is None
    assert found["hidden_frames"] == 0


def test_a_training_leaves_a_checkpoint_a_card_and_no_state(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=3, frames=4, seed=0, size=(48, 80))
    arguments = (
        f"--data {data} --out {tmp_path} --steps 2 --batch 1 --length 3 --held_out 1 --min_length 3 --min_area 20 "
        "--device cpu --workers 1 --log_every 1 --validations 1 --patch_weight 0.1"
    )
    assert main(["train", "savos", *arguments.split()]) == 0
    assert "savos.safetensors after 2 steps" in capsys.readouterr().out
    network = load(tmp_path / "savos.safetensors")
    assert network.config.skip == "visible" and network.config.hidden == SIZES["small"].hidden
    left = {path.name for path in tmp_path.glob("savos.*")}
    assert left == {f"savos.{ending}" for ending in ("safetensors", "json", "md", "log.jsonl")}
    facts = json.loads((tmp_path / "savos.json").read_text())
    assert facts["clips"] == 2 and facts["steps"] == 2 and facts["held_out"]["amodal_iou_copied"] > 0
    assert len(facts["history"]) == 1
    assert "A SAVOS of 2,3" in (tmp_path / "savos.md").read_text()
    losses = json.loads((tmp_path / "savos.log.jsonl").read_text().splitlines()[0])
    assert {"step", "lr", "reconstruction", "consistency", "patch", "loss"} <= losses.keys()


def test_our_small_size_fits_into_five_megabytes(tmp_path):
    save(Savos(SIZES["small"]), tmp_path / "small.safetensors", half=True)
    assert (tmp_path / "small.safetensors").stat().st_size < 5e6


def test_a_training_starts_from_random_weights_by_the_seed_or_from_a_checkpoint(tmp_path):
    first, same, other = (start(settings(tmp_path, seed=seed)) for seed in (1, 1, 2))
    bias = "mask_decoder.last_vm_map.1.bias"
    assert torch.equal(first.state_dict()[bias], same.state_dict()[bias])
    assert not torch.equal(first.state_dict()[bias], other.state_dict()[bias])
    save(Savos(SavosConfig(**TINY.to_dict() | {"skip": "flow"})), tmp_path / "a.safetensors")
    assert start(settings(tmp_path, init=str(tmp_path / "a.safetensors"), skip="")).config.skip == "flow"
    assert start(settings(tmp_path, init=str(tmp_path / "a.safetensors"))).config.skip == "visible"
    assert start(settings(tmp_path, size="released", skip="flow")).config == SavosConfig()


def test_a_log_becomes_a_curve(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    from loss_curve import curve

    lines = [{"step": 10 * n, "reconstruction": 8.0 / n, "consistency": 2.0} for n in (1, 2, 4)]
    drawn = ElementTree.fromstring(curve([*lines, {"step": 40, "measured": True}], ["reconstruction", "consistency"]))
    falling, flat = (
        [tuple(map(float, point.split(","))) for point in one.get("points").split()]
        for one in drawn.iter("{http://www.w3.org/2000/svg}polyline")
    )
    assert len(falling) == len(flat) == 3 and len({y for _, y in flat}) == 1
    ys = [y for _, y in falling]
    assert ys[0] == flat[0][1] and ys[1] - ys[0] == pytest.approx(2 * (ys[2] - ys[1]), abs=0.2)  # y grows downwards
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "reconstruction: 8 to 2" in texts and "40" in texts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ""}, "no data; give --data streetsim:ROOT/tracks"),
        ({"steps": 0}, "either minutes or steps"),
        ({"minutes": 1.0}, "either minutes or steps"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"length": 2}, "length must be at least 3"),
        ({"held_out": -1}, "held_out must be at least 0"),
        ({"size": "huge"}, "unknown size of SAVOS 'huge'; known: released, small"),
        ({"skip": "mask"}, "skip 'mask' is unknown"),
        ({"init": "missing.safetensors"}, "no such SAVOS"),
        ({"data": "nothing:here"}, "unknown kind"),
        ({"held_out": 1}, "1 clips, 1 of them held out, leave none"),
        ({}, "no instance is visible in 5 frames in a row with 64 pixels, in 1 clips"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_the_way_out(changes, message, tmp_path):
    data = write_toy(tmp_path / "toy", sequences=1, frames=1, seed=0)
    with pytest.raises(InputError, match=message):
        train(settings(tmp_path, **{"data": data, "held_out": 0} | changes))
