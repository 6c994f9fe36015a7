"""What a completer learns from: canvases of data sets, pasted silhouettes, samples as prediction sees them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.results.frames import FramesWriter
from samodal.segmenters.completion import CompletionConfig, layers, load
from samodal.segmenters.completion.layers import Crop, told
from samodal.segmenters.completion.network import stacked
from samodal.shapes import convex_hull
from samodal.tracks import FrameResult, Instance, State, VisibleInstance
from samodal.training.completion import canvases
from samodal.training.completion.canvases import LAYERS, load_canvases, unpacked
from samodal.training.completion.completion import new_network, train
from samodal.training.completion.draw import NO_DAMAGE, DamageSettings, Drawer, boxes
from samodal.training.completion.objective import earlier_shapes, losses, measure
from samodal.training.completion.paste import Paster, PasteSettings, hull, stands_in_front
from samodal.training.completion.settings import CompletionSettings
from samodal.training.completion.silhouettes import SIZE, load_silhouettes, squared
from toy_data import write_toy

CONFIG = CompletionConfig()


def polygons(path, count: int = 6, **more) -> str:
    """A COCO-form file of triangles and boxes."""
    shapes = [[0, 0, 60 + n, 0, 60 + n, 40, 0, 40] if n % 2 else [0, 50, 30, 0, 60 + n, 50] for n in range(count)]
    entries = [{"image_id": 1, "category_id": 3, "segmentation": [shape]} for shape in shapes]
    path.write_text(json.dumps({"annotations": entries} | more))
    return str(path)


def settings(tmp_path, **changes) -> CompletionSettings:
    plain = {
        "out": str(tmp_path / "out"), "device": "cpu", "steps": 2, "batch": 4, "workers": 1, "log_every": 1,
        "precision": "float32", "width": 8,
    }  # fmt: skip
    return CompletionSettings(**plain | changes)


# --- canvases


def test_a_canvas_holds_what_is_visible_what_is_beside_it_and_the_whole(tmp_path):
    size = (60, 100)
    rear, front = np.zeros(size, bool), np.zeros(size, bool)
    rear[10:40, 20:60], front[20:55, 45:80] = True, True
    visible = Mask.of(rear & ~front)
    row = canvases.canvas(visible, Mask.of(rear), [Mask.of(front)])
    bits = np.frombuffer(canvases.zlib.decompress(row["bits"]), np.uint8).reshape(canvases.SIZE, canvases.SIZE)
    layers = dict(zip(LAYERS, unpacked(torch.from_numpy(bits.copy())[None])[0], strict=True))
    assert row["occlusion"] == pytest.approx(1 - visible.area / rear.sum())
    assert not (layers["visible"] & ~layers["amodal"]).any() and not (layers["visible"] & layers["front"]).any()
    # Each pixel of the frame is some pixels of the canvas.
    scale = canvases.SIZE / max(24, canvases.REACH * 40)
    for name, area in (("visible", visible.area), ("amodal", rear.sum()), ("front", front.sum())):
        assert layers[name].sum() == pytest.approx(area * scale**2, rel=0.06), name
    assert layers["outside"].any() and not layers["behind"].any()


def test_canvases_come_back_from_their_file_and_other_settings_are_refused(tmp_path):
    data, path = write_toy(tmp_path / "data", 2, 2, seed=1), tmp_path / "cache.pt"
    made = load_canvases(data, CONFIG, path=path, workers=1, report=lambda _: None)
    again = load_canvases(data, CONFIG, path=path, workers=1)
    assert torch.equal(made.bits, again.bits) and torch.equal(made.kind, again.kind) and len(made) >= 6
    assert set(made.kind.tolist()) <= {CONFIG.class_number("car"), CONFIG.class_number("person")}
    with pytest.raises(InputError, match="cache.pt: prepared with other settings: min_visible was 16 and is 20"):
        load_canvases(data, CONFIG, path=path, min_visible=20)
    whole = torch.load(path, weights_only=True)
    rows = whole["rows"]
    bomb = torch.frombuffer(bytearray(canvases.zlib.compress(bytes(10**8))), dtype=torch.uint8)
    for change in (
        {"packed": rows["packed"] ^ 85},
        {"packed": bomb[: len(rows["packed"])]},
        {"lengths": rows["lengths"] + 1},
        {"partner": rows["partner"] + 10**6},
        {"kind": None},
        {"visible_box": rows["visible_box"][1:]},
    ):
        torch.save(whole | {"rows": rows | change}, path)
        with pytest.raises(InputError, match=r"cache\.pt: .*delete it"):
            load_canvases(data, CONFIG, path=path)


def test_visible_masks_of_a_run_are_told_where_they_fit_an_instance(tmp_path):
    data, runs = write_toy(tmp_path / "data", 1, 2, seed=1), str(tmp_path / "runs")
    video = open_dataset(data).video("toy_0000")
    truth = [video.frame_truth(t) for t in range(2)]
    missed, coarse = truth[0][0], truth[0][2]
    half = coarse.visible.decode()
    half[: int(coarse.visible.box[1] + coarse.visible.box[3]) // 2 - 2] = False  # more than half of it is left
    shifted = {coarse.id: Mask.of(half), missed.id: None}
    (tmp_path / "runs" / "toy_0000").mkdir(parents=True)
    with FramesWriter(tmp_path / "runs" / "toy_0000" / "frames.jsonl", "toy_0000", video.size, {}) as writer:
        for t, entries in enumerate(truth):
            masks = {e.id: (shifted if t == 0 else {}).get(e.id, Mask.of(e.visible)) for e in entries}
            shown = [VisibleInstance(10 + e.id, e.category, 1.0, masks[e.id]) for e in entries if masks[e.id]]
            writer.write(FrameResult(t, t / 10, tuple(Instance.copied(v, State.VISIBLE) for v in shown)))
    own, told_by_run = (load_canvases(data, CONFIG, workers=1, masks=m, report=lambda _: None) for m in ("", runs))
    assert len(told_by_run) == len(own) - 1  # what the run missed is not learned from
    assert torch.equal(told_by_run.bits[2:], own.bits[3:]) and torch.equal(told_by_run.occlusion, own.occlusion[1:])
    visible = [c.layers(torch.tensor([n]))[0, 0].sum() for c, n in ((told_by_run, 1), (own, 2))]
    assert told_by_run.visible_box[1, 1] != own.visible_box[2, 1] and visible[0] != visible[1]


def test_a_run_of_other_frames_is_refused(tmp_path):
    data = write_toy(tmp_path / "data", 1, 2, seed=1)
    (tmp_path / "runs" / "toy_0000").mkdir(parents=True)
    with FramesWriter(tmp_path / "runs" / "toy_0000" / "frames.jsonl", "toy_0000", (128, 224), {}):
        pass
    with pytest.raises(InputError, match="toy_0000: 0 frames, streetsim:.* has 2"):
        load_canvases(data, CONFIG, workers=1, masks=str(tmp_path / "runs"))


def test_a_partner_is_the_frame_that_shows_most_of_the_same_object_and_more_than_this_one():
    rows = [{"id": key, "occlusion": rate} for key, rate in ((1, 0.6), (1, 0.1), (2, 0.0), (1, 0.3), (2, 0.9))]
    rows = [row | {"bits": b"x", "visible_box": np.zeros(4), "amodal_box": np.zeros(4), "kind": 0} for row in rows]
    assert canvases._joined([rows[:4], rows[4:]], "toy")["partner"].tolist() == [1, -1, -1, 1, -1]


# --- silhouettes


def test_a_silhouette_fills_its_square_by_its_longer_side():
    mask = np.zeros((50, 90), bool)
    mask[10:30, 5:85] = True
    bits, extent = squared(mask)
    assert extent == (1.0, 0.25) and bits.sum() == SIZE * SIZE // 4
    assert bits[SIZE // 2].all() and not bits[0].any()


def test_silhouettes_come_from_polygons_and_from_pictures_of_a_class(tmp_path):
    (tmp_path / "masks").mkdir()
    picture = np.zeros((80, 40), np.uint8)
    picture[5:75, 10:30] = 255
    Image.fromarray(picture).save(tmp_path / "masks" / "a.png")
    named = polygons(tmp_path / "named.json", 2, categories=[{"id": 3, "name": "bus"}])
    bank = load_silhouettes(f"{polygons(tmp_path / 'a.json', 3)},{named},person:{tmp_path / 'masks'}", CONFIG)
    assert bank.kind.tolist() == [CONFIG.class_number(name) for name in ["car"] * 3 + ["bus"] * 2 + ["person"]]
    assert bank.bits[-1].float().mean() == pytest.approx(20 / 70, abs=0.03)


@pytest.mark.parametrize(
    "text, message",
    [("nothing.json", "nothing.json"), ("nowhere", "no such file or folder"),
     ("person:nowhere", "no such file or folder; expected FILE.json, or CLASS:FOLDER")],
)  # fmt: skip
def test_sources_of_silhouettes_that_are_none_are_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load_silhouettes(text, CONFIG)
    (tmp_path / "bad.json").write_text(json.dumps({"annotations": [{"segmentation": [[1, 2, 3]]}]}))
    with pytest.raises(InputError, match="bad.json: entry 0: polygons should be lists of x and y"):
        load_silhouettes("bad.json", CONFIG)
    (tmp_path / "boxes.json").write_text(json.dumps({"annotations": [{"bbox": [1, 2, 3, 4]}]}))
    with pytest.raises(InputError, match="boxes.json: no outline of 24 pixels or more"):
        load_silhouettes("boxes.json", CONFIG)


def test_what_is_pasted_hides_its_share_and_nothing_visible_is_covered(tmp_path):
    bank = load_silhouettes(polygons(tmp_path / "a.json"), CONFIG)
    layers, kind = Paster(bank)(64, torch.Generator().manual_seed(0))
    visible, front, behind, outside, whole = layers.unbind(1)
    assert not (visible & ~whole).any() and not (visible & (front | behind)).any() and not outside.any()
    share = 1 - visible.sum((1, 2)) / whole.sum((1, 2))
    assert (share == 0).float().mean() >= 0.05  # what is alone, and learned to be left as it is
    assert (share > 0.5).float().mean() > 0.2 and share.max() < 0.99
    assert kind.tolist() == [CONFIG.class_number("car")] * 64
    alone = Paster(bank, PasteSettings(alone=1.0, second=0.0))(8, torch.Generator().manual_seed(0))[0]
    assert torch.equal(alone[:, 0], alone[:, 4])


def test_pairs_are_ordered_as_in_use_where_hulls_are_clear(tmp_path):
    size = (canvases.SIZE, canvases.SIZE)
    pairs = {
        "a bite out of the side": ((20, 100, 40, 90), (60, 110, 70, 120), [True, True]),
        "bitten by what stands higher": ((40, 120, 40, 120), (30, 70, 60, 90), [False, True]),
        "far apart, lower": ((20, 60, 20, 60), (100, 140, 100, 140), [True, True]),
    }
    for name, (rear, front, wanted) in pairs.items():
        front_mask, mask = np.zeros(size, bool), np.zeros(size, bool)
        mask[rear[0] : rear[1], rear[2] : rear[3]] = True
        front_mask[front[0] : front[1], front[2] : front[3]] = True
        mask &= ~front_mask
        given = [layers.stands_in_front(Mask.of(front_mask), Mask.of(mask), grounded) for grounded in (True, False)]
        tensors = [torch.from_numpy(m)[None].expand(2, -1, -1) for m in (front_mask, mask)]
        assert given == wanted == stands_in_front(*tensors, torch.tensor([True, False])).tolist(), name


def test_hulls_on_the_grid_are_those_of_the_shapes():
    masks = torch.zeros(2, 40, 40, dtype=torch.bool)
    masks[0, 5:30, 5:10] = masks[0, 25:30, 5:35] = True
    wanted = torch.from_numpy(convex_hull(Mask.of(masks[0].numpy())).decode())
    given = hull(masks)
    assert not (wanted & ~given[0]).any() and given[0].sum() <= 1.06 * wanted.sum() and not given[1].any()


def test_outlines_of_unknown_class_are_also_turned(tmp_path):
    named = polygons(tmp_path / "a.json", 2, categories=[{"id": 3, "name": "spoon"}])
    cars = polygons(tmp_path / "b.json", 2)
    bank = load_silhouettes(f"{named},{cars}", CONFIG, turned=2)
    assert bank.kind.tolist() == [0] * 6 + [CONFIG.class_number("car")] * 2
    assert not torch.equal(bank.bits[0], bank.bits[1])
    assert bank.bits[0].sum() / bank.extent[0].prod() > bank.bits[1].sum() / bank.extent[1].prod()  # no box any more


# --- samples


def test_an_undamaged_sample_is_what_prediction_is_told(tmp_path):
    size = (60, 100)
    rear, front = np.zeros(size, bool), np.zeros(size, bool)
    rear[10:40, 20:60], front[20:55, 45:80] = True, True
    visible, hider = Mask.of(rear & ~front), Mask.of(front)
    row = canvases.canvas(visible, Mask.of(rear), [hider])
    bits = np.frombuffer(canvases.zlib.decompress(row["bits"]), np.uint8).reshape(1, canvases.SIZE, canvases.SIZE)
    layers = unpacked(torch.from_numpy(bits.copy()))
    nothing = (torch.zeros_like(layers[:, 0]), torch.zeros(1, dtype=torch.bool))
    sample = Drawer(CONFIG, NO_DAMAGE)(layers, torch.tensor([3]), nothing, torch.Generator().manual_seed(0))
    crop = Crop.around(visible.box, CONFIG.context, CONFIG.least)
    for name, wanted in told(crop, CONFIG.size, visible, [hider]).items():
        assert np.abs(sample.told[name][0].numpy() - wanted).mean() < 0.02, name
    assert sample.kind.tolist() == [3]


def test_damaged_masks_are_never_empty_and_earlier_shapes_lie_where_the_object_is(tmp_path):
    data = write_toy(tmp_path / "data", 2, 3, seed=2)
    made = load_canvases(data, CONFIG, workers=1, report=lambda _: None)
    generator = torch.Generator().manual_seed(1)
    damage = DamageSettings(no_earlier=0.0, border=0.0)
    index = torch.arange(len(made))
    own = (made.layers(index)[:, 4], torch.ones(len(made), dtype=torch.bool))
    samples = Drawer(CONFIG, damage)(made.layers(index), made.kind, own, generator)
    assert (samples.told["visible"].flatten(1).sum(1) >= 4).all()
    earlier, whole = samples.told["earlier"] > 0.5, samples.amodal > 0.5
    iou = (earlier & whole).sum((1, 2)) / (earlier | whole).sum((1, 2))
    assert iou.median() > 0.75
    shapes, there = earlier_shapes(made, index, told=False)
    assert not there.any() and shapes.shape == (len(made), canvases.SIZE, canvases.SIZE)


def test_a_border_of_the_picture_cuts_what_is_told_and_not_what_is_wanted(tmp_path):
    bank = load_silhouettes(polygons(tmp_path / "a.json"), CONFIG)
    layers, kind = Paster(bank, PasteSettings(alone=1.0, second=0.0))(16, torch.Generator().manual_seed(0))
    damage = DamageSettings(border=1.0, rough=0.0, hole=0.0, grown=0.0, wide=0.0)
    samples = Drawer(CONFIG, damage)(layers, kind, None, torch.Generator().manual_seed(0))
    cut = samples.told["inside"].amin((1, 2)) < 0.5
    assert cut.float().mean() > 0.5
    hidden = (samples.amodal > 0.5) & (samples.told["visible"] < 0.5)
    beyond = samples.told["inside"] < 0.5
    assert (hidden & beyond)[cut].any((1, 2)).float().mean() > 0.8
    assert not ((samples.told["visible"] > 0.5) & beyond).any() and (samples.weight == 1).all()


def test_boxes_of_masks():
    masks = torch.zeros(2, 8, 9, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    assert boxes(masks).tolist() == [[3, 2, 9, 5], [0, 0, 0, 0]]


# --- training


def test_a_completer_learns_what_a_short_training_can_teach(tmp_path, capsys):
    data = write_toy(tmp_path / "data", 12, 4, seed=3)
    chosen = settings(tmp_path, data=data, steps=60, batch=12, held_out=30, lr=4e-3, warmup=5, average=0.9,
                      silhouettes=polygons(tmp_path / "a.json"), log_every=20)  # fmt: skip
    train(chosen)
    held = load_canvases(data, CONFIG, workers=1, report=lambda _: None)
    held = held.part(len(held) - 30, len(held))
    trained, fresh = (
        measure(load(tmp_path / "out" / "completion.safetensors"), held),
        measure(new_network(chosen), held),
    )
    assert trained["iou"] > fresh["iou"] + 0.1 and trained["hidden_iou"] > 0.05
    card = (tmp_path / "out" / "completion.md").read_text()
    assert "silhouettes of" in card and "hidden_iou" in card
    facts = json.loads((tmp_path / "out" / "completion.json").read_text())
    assert facts["counts"]["silhouettes"] == 6 and facts["steps"] == 60


def test_silhouettes_alone_are_enough_and_weights_can_be_trained_on(tmp_path):
    shapes = polygons(tmp_path / "a.json")
    train(settings(tmp_path, silhouettes=shapes))
    first = tmp_path / "out" / "completion.safetensors"
    train(settings(tmp_path, silhouettes=shapes, init=str(first), name="second", average=0.0, damage=False))
    assert load(tmp_path / "out" / "second.safetensors").config == load(first).config


def test_one_command_fine_tunes_on_a_few_frames_and_lowers_the_loss_on_others(tmp_path):
    first, tuned = "streetsim-complete", tmp_path / "tuned.safetensors"
    data = write_toy(tmp_path / "data", 12, 1, seed=3)
    flags = f"--init {first} --data {data} --held_out 9 --steps 12 --batch 8 --out {tmp_path} --name tuned"
    assert main(["train", "completion", *flags.split(), "--device", "cpu", "--workers", "1"]) == 0
    held = load_canvases(data, CONFIG, workers=1, report=lambda _: None)
    held = held.part(len(held) - 9, len(held))
    assert held_out_loss(load(tuned), held) < held_out_loss(load(first), held) - 0.05
    metrics = json.loads(tuned.with_suffix(".json").read_text())["metrics"]
    assert metrics["alone"]["hidden_iou"] > metrics["before, alone"]["hidden_iou"]
    before, after = load(first).state_dict(), load(tuned).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "running" in name)


def held_out_loss(network, held) -> float:
    index = torch.arange(len(held))
    earlier, generator = earlier_shapes(held, index, told=False), torch.Generator().manual_seed(0)
    samples = Drawer(network.config, NO_DAMAGE)(held.layers(index), held.kind, earlier, generator)
    with torch.no_grad():
        return float(losses(network(stacked(samples.told, network.config.layers), samples.kind), samples)["loss"])


@pytest.mark.parametrize("init, wanted", [("", (512, 2e-3, "bf16")), ("streetsim-complete", (16, 3e-4, "bf16"))])
def test_what_is_not_given_fits_the_start_and_the_device(init, wanted):
    chosen = CompletionSettings(init=init).complete("cuda")
    assert (chosen.batch, chosen.lr, chosen.precision) == wanted
    assert CompletionSettings(init=init).complete("cpu").precision == "float32"
    given = CompletionSettings(init=init, batch=7, lr=1e-5, warmup=0, average=0.0, precision="bf16").complete("cpu")
    assert (given.batch, given.lr, given.warmup, given.average, given.precision) == (7, 1e-5, 0, 0.0, "bf16")


def test_the_average_of_a_short_training_forgets_where_it_began(tmp_path):
    chosen = settings(tmp_path, silhouettes=polygons(tmp_path / "a.json"), steps=8, average=0.998, lr=1e-2, warmup=0)
    train(chosen)
    kept, fresh = load(tmp_path / "out" / "completion.safetensors"), new_network(chosen)
    moved = (kept.stem.weight - fresh.stem.weight).abs().mean()
    assert moved > 1e-3  # 0.998 of eight steps alone would leave it within a fiftieth of the way


@pytest.mark.parametrize(
    "flags, message",
    [([], "no data; give --data"),
     (["--silhouettes", "a.json", "--layers", "visible,depth"], "unknown layer 'depth'"),
     (["--silhouettes", "a.json", "--norm", "layer"], "norm 'layer': expected batch or group"),
     (["--silhouettes", "a.json", "--init", "streetsim-small"], "expected weights of `samodal train completion`")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_one_sentence(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    polygons(tmp_path / "a.json")
    assert main(["train", "completion", "--steps", "1", "--device", "cpu", *flags]) == 2
    assert message in capsys.readouterr().err
