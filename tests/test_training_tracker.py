"""What a point tracker learns from: points that move with their pictures, windows as in use, literal losses."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.errors import InputError
from samodal.trackers.cotracker import CoTracker3, config
from samodal.trackers.cotracker.model import Estimate
from samodal.training.tracker import draw as drawing
from samodal.training.tracker.draw import Drawer, Step, augment, fetch, prepare
from samodal.training.tracker.features import _corners, matching, with_features
from samodal.training.tracker.following import Follow, _continued, losses, scores
from samodal.training.tracker.point_clips import Clips, load_clips
from samodal.training.tracker.settings import TrackerSettings
from samodal.training.tracker.tracker import Stage, TrackerEngine, learn, train
from tiny_cotracker import TINY, tiny

HEIGHT, WIDTH = TINY.resolution


def dots(clips: int = 2, frames: int = 14) -> Clips:
    """Grey clips with a white dot that walks to the right and one that stands; ids 1 and 2, three times each."""
    pictures = torch.full((clips, frames, 3, HEIGHT, WIDTH), 40, dtype=torch.uint8)
    xy = np.zeros((6, frames, 2), np.float32)
    for t in range(frames):
        xy[:3, t], xy[3:, t] = (8 + 2 * t, 10), (30, 22)
        for x, y in (xy[0, t], xy[3, t]):
            pictures[:, t, :, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 250
    every = np.ones((6, frames), bool)
    ids = np.repeat([1, 2], 3)
    columns = ([xy] * clips, [every] * clips, [every] * clips, [ids] * clips)
    return Clips(TINY.resolution, *columns, frames=pictures)


def a_draw(clips: Clips, windows: int = 2, seed: int = 0):
    drawer = Drawer(clips, TINY, windows, points=4, items=3)
    return drawer(np.arange(len(clips)), np.random.default_rng(seed))


def test_a_draw_asks_for_visible_points_in_the_first_window_and_ends_with_any_shift():
    shifts = set()
    for seed in range(20):
        draw = a_draw(dots(), seed=seed)
        assert draw.windows[0] == 0 and 1 <= draw.windows[1] <= TINY.window // 2
        assert (draw.query < TINY.window).all() and draw.xy.shape[1] == draw.windows[-1] + TINY.window
        assert draw.own.any(axis=1).all() and draw.support.shape == (6, 13, 2)
        shifts.add(draw.windows[1])
    assert shifts == {1, 2, 3, 4}


def test_points_stay_on_their_dots_when_the_picture_is_moved():
    clips = dots(clips=6)
    drawer = Drawer(clips, TINY, 2, points=3, items=2)
    compared = 0
    for seed in range(4):
        step = fetch(drawer(np.arange(6), np.random.default_rng(seed)), clips)
        drawing._move(step, torch.Generator().manual_seed(seed))
        for m in range(len(step.item)):
            for t in range(step.xy.shape[1]):
                for n in np.flatnonzero(step.own[m] & step.visible[m, t]):
                    x, y = step.xy[m, t, n].tolist()
                    if not (2 < x < WIDTH - 3 and 2 < y < HEIGHT - 3):
                        continue
                    assert step.pixels[step.item[m], t, 0, round(y), round(x)] > 180
                    compared += 1
    assert compared > 500


def test_moved_points_are_exact_to_a_fraction_of_a_pixel():
    clips = dots(clips=4)
    clips.frames[:] = (5 * torch.arange(WIDTH)).byte()  # the picture tells where a pixel came from
    step = fetch(a_draw(clips), clips)
    before = step.xy.clone()
    drawing._move(step, torch.Generator().manual_seed(1))
    where = 2 * (step.xy + 0.5) / torch.tensor([WIDTH, HEIGHT]) - 1
    inside = (where.abs() < 0.9).all(-1) & step.own[:, None]
    for m in range(len(step.item)):
        pictures = step.pixels[step.item[m]][:, :1]
        found = torch.nn.functional.grid_sample(pictures, where[m][:, None], align_corners=False)[:, 0, 0]
        assert (found / 5 - before[m, ..., 0])[inside[m]].abs().max() < 0.05


def test_what_is_slid_over_a_clip_hides_the_points_under_it(monkeypatch):
    clips = dots(clips=4)
    monkeypatch.setattr(clips, "frames", clips.frames * 0 + torch.arange(4).view(4, 1, 1, 1, 1).byte() * 60)
    step = fetch(a_draw(clips), clips)
    drawing._cover(step, torch.Generator().manual_seed(2), share=1.0)
    hidden = 0
    for m in range(len(step.item)):
        for t in range(step.xy.shape[1]):
            for n in np.flatnonzero(step.own[m]):
                x, y = (int(v) for v in step.xy[m, t, n])
                covered = step.pixels[step.item[m], t, 0, y, x] != int(step.item[m]) * 60
                assert bool(covered) == (not step.visible[m, t, n])
                hidden += bool(covered)
    assert hidden > 0


def test_a_point_that_is_covered_where_it_is_shown_teaches_nothing(monkeypatch):
    clips = dots()

    def cover(step, generator):
        step.visible = torch.zeros_like(step.visible)

    monkeypatch.setattr(drawing, "_cover", cover)
    assert not prepare(a_draw(clips), clips, torch.Generator().manual_seed(0)).known.any()


def test_a_window_begins_with_what_is_known_and_repeats_the_newest():
    before = Estimate(torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 1, 2), torch.zeros(1, 8, 1), torch.zeros(1, 8, 1))
    assert _continued(before, 3).xy[0, :, 0, 0].tolist() == [3, 4, 5, 6, 7, 7, 7, 7]


def a_step(truth, visible, known=True) -> Step:
    """One point, a window of two frames, in a frame of 40 x 40 pixels."""
    return Step(
        (40, 40), None, None, [0], torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long),
        torch.tensor(truth, dtype=torch.float32).view(1, 2, 1, 2), torch.tensor(visible).view(1, 2, 1),
        torch.full((1, 2, 1), known), torch.zeros(1, 0, 2), torch.ones(1, 1, dtype=torch.bool),
    )  # fmt: skip


def an_estimate(xy, logit: float = 0.0) -> Estimate:
    return Estimate(
        torch.tensor(xy, dtype=torch.float32).view(1, 2, 1, 2),
        torch.full((1, 2, 1), logit),
        torch.full((1, 2, 1), logit),
    )


def test_the_newest_frame_counts_four_times_and_far_errors_count_straight():
    step = a_step([[10, 10], [20, 10]], [True, True])
    found = [[an_estimate([[10, 10], [15, 10]])]]  # in cells of 2 pixels: 10 and 10 px beside it
    stride = 2
    # |(20, 20) - (10, 10)| = 14.14 and |(30, 20) - (20, 10)| = 14.14: Huber with a bend at 6 gives 6 (14.14 - 3).
    assert losses(found, step, stride)["tracks"] == pytest.approx(6 * (200**0.5 - 3), rel=1e-5)
    found = [[an_estimate([[5, 5], [15, 5]])]]  # right in the first frame, 10 px off in the newest
    assert losses(found, step, stride)["tracks"] == pytest.approx(4 / 5 * 6 * (10 - 3), rel=1e-5)


def test_hidden_points_weigh_less_and_those_far_outside_nothing():
    found = [[an_estimate([[5, 5], [15, 5]])]]
    hidden = losses(found, a_step([[10, 10], [20, 10]], [True, False]), 2)["tracks"]
    assert hidden == pytest.approx(0.6 * 4 / (0.6 * 4 + 1) * 6 * (10 - 3), rel=1e-5)
    assert losses(found, a_step([[10, 10], [200, 10]], [True, False]), 2)["tracks"] == 0


def test_scores_look_at_the_newest_frame_after_the_query():
    sums = scores([[an_estimate([[0, 0], [5, 5.3]])]], a_step([[10, 10], [10, 10]], [True, False]), 2)
    # 0.6 pixels beside a hidden point: within 1, 2, 4 and 8, not within 0.5.
    assert sums["hidden"] == pytest.approx(0.8) and sums["hidden_count"] == 1 and sums["visible_count"] == 0
    assert sums["right"] == 1


def test_the_share_of_the_four_cells_around_a_point():
    corners, inside = _corners(torch.tensor([[1.25, 0.5], [-0.1, 0.0]]), 3, 4)
    found = {int(cell[0]): round(float(share[0]), 4) for cell, share in corners}
    assert found == {1: 0.375, 5: 0.375, 2: 0.125, 6: 0.125}
    assert inside.tolist() == [True, False]


def test_matching_features_learn_to_find_points_again():
    clips, network = dots(), tiny().network
    optimizer = torch.optim.Adam(network.fnet.parameters(), 3e-3)
    first = None
    for seed in range(40):
        values = matching(network, prepare(a_draw(clips, windows=1, seed=seed), clips, None))
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
        first = first or values["loss"].item()
    assert values["loss"].item() < 0.7 * first and values["found"] > 0.9


def test_features_made_once_give_the_losses_of_the_pictures():
    clips, network = dots(), tiny().network
    kept = with_features(clips, network, versions=2, seed=0, report=lambda line: None)
    assert len(kept) == 4 and kept.levels[0].shape[:2] == (4, 14)
    draw = a_draw(clips)
    both = [losses(Follow(network)(prepare(draw, one, None)), prepare(draw, one, None), 4) for one in (clips, kept)]
    for name, value in both[0].items():
        assert both[1][name].item() == pytest.approx(value.item(), rel=1e-3)


def test_items_of_several_clips_in_one_batch_are_what_they_are_alone():
    clips, network = dots(), tiny().network
    clips.frames[1] = 255 - clips.frames[1]
    step = prepare(a_draw(clips), clips, None)
    together = Follow(network)(step)[-1][-1]
    for b in (0, 1):
        mine = step.item == b
        names = ("query", "xy", "visible", "known", "support", "own")
        alone = Step(
            step.size, step.pixels[b : b + 1], None, step.windows, torch.zeros(int(mine.sum()), dtype=torch.long),
            **{name: getattr(step, name)[mine] for name in names},
        )  # fmt: skip
        assert torch.allclose(Follow(network)(alone)[-1][-1].xy, together.xy[mine], atol=1e-4)


def write_split(folder, clips: Clips) -> None:
    """Clips as `samodal synth --points` writes them."""
    for n in range(len(clips)):
        images = folder / "images" / "front" / f"tracks_{n:04d}_day"
        images.mkdir(parents=True)
        for t, frame in enumerate(clips.frames[n]):
            Image.fromarray(frame.permute(1, 2, 0).numpy()).save(images / f"front_full_{t:04d}_rgb.jpg", quality=95)
        points = folder / "points" / "front"
        points.mkdir(parents=True, exist_ok=True)
        np.savez(
            points / f"tracks_{n:04d}_day.npz", xy=clips.xy[n], visible=clips.visible[n], ids=clips.ids[n],
            anchors=np.zeros(len(clips.ids[n]), np.int32),
        )  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"xy": np.array([{}])}, {"visible": np.zeros((2, 2))}, {"ids": np.zeros(0, np.int32)}]
)
def test_points_of_others_are_checked(tmp_path, change):
    clips = dots(clips=1)
    write_split(tmp_path, clips)
    (path,) = (tmp_path / "points" / "front").glob("*.npz")
    np.savez(path, **(dict(np.load(path)) | change))
    with pytest.raises(InputError, match="npz: damaged, or not point tracks"):
        load_clips(tmp_path, tiny().network)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="npz: damaged, or not point tracks"):
        load_clips(tmp_path, tiny().network)


def test_points_are_read_in_pixels_of_the_networks_frames(tmp_path):
    clips = dots(clips=1)
    clips.xy[0][0, 0] = np.nan
    write_split(tmp_path, clips)
    read = load_clips(tmp_path, tiny().network)
    assert read.size == TINY.resolution and read.length == 14
    assert not read.known[0][0, 0] and read.known[0].sum() == 6 * 14 - 1
    assert np.allclose(read.xy[0][1:], clips.xy[0][1:]), "frames of the network's own size are not scaled"
    assert abs(read.frames.float() - clips.frames.float()).max() < 40


def test_training_ends_with_a_checkpoint_and_a_card(tmp_path, monkeypatch):
    monkeypatch.setitem(config.SIZES, "tiny", TINY)
    write_split(tmp_path / "tracks", dots(clips=3))
    settings = TrackerSettings(
        data=f"streetsim:{tmp_path}/tracks", out=str(tmp_path / "out"), name="t", size="tiny", held_out=1, batch=2,
        instances=2, points=4, windows=2, steps=3, match_minutes=0.001, versions=1, log_every=1,
        device="cpu", precision="float32",
    )  # fmt: skip
    line = train(settings)
    assert "3 steps" in line
    facts = json.loads((tmp_path / "out" / "t.json").read_text())
    assert facts["spent"]["follow"]["step"] == 3 and facts["held_out"]["visible_count"] > 0
    assert "no released" in (tmp_path / "out" / "t.md").read_text()
    assert CoTracker3.from_checkpoint(tmp_path / "out" / "t.safetensors").config == TINY


def test_clips_of_real_pictures_are_learned_from_beside_the_others_and_named_in_the_card(tmp_path, monkeypatch):
    monkeypatch.setitem(config.SIZES, "tiny", TINY)
    write_split(tmp_path / "tracks", dots(clips=3))
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "a.png")
    car = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 90, 60]}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}], "annotations": [car], "categories": [{"id": 1, "name": "car"}]
    }  # fmt: skip
    pictures, outlines = tmp_path / "pictures.json", tmp_path / "outlines.json"
    pictures.write_text(json.dumps(content))
    outline = {"category_id": 3, "segmentation": [[0, 0, 90, 0, 90, 60, 0, 60]]}
    outlines.write_text(json.dumps({"silhouettes": [outline]}))
    settings = TrackerSettings(
        data=f"streetsim:{tmp_path}/tracks", out=str(tmp_path / "out"), name="t", size="tiny", held_out=1, batch=4,
        instances=2, points=4, windows=2, steps=2, stills=2, pictures=str(pictures), silhouettes=str(outlines),
        device="cpu", precision="float32", workers=1,
    )  # fmt: skip
    drawn = []
    monkeypatch.setattr(
        "samodal.training.tracker.tracker.new_drawer",
        lambda settings, network, clips, windows: (
            drawn.append(len(clips)) or Drawer(clips, network.config, windows, settings.points, settings.instances)
        ),
    )
    train(settings)
    assert drawn == [4, 1], "two of three clips and two of real pictures are learned from, one clip is measured on"
    assert f"2 clips made of real pictures ({pictures})" in (tmp_path / "out" / "t.md").read_text()


def test_an_interrupted_training_goes_on_where_it_stopped(tmp_path, capsys):
    network, clips = tiny().network, dots()
    settings = TrackerSettings(
        out=str(tmp_path), batch=2, instances=2, points=4, device="cpu", precision="float32", save_minutes=0
    )
    seen = []

    def learn(step, generator, done):
        seen.append(round(done, 3))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return losses(Follow(network)(step), step, 4)

    stage = Stage("follow", learn, lambda name: True, 0.0, 4, windows=2)
    with pytest.raises(KeyboardInterrupt):
        TrackerEngine(settings, stage, network, clips).run()
    again = TrackerEngine(settings, stage, network, clips)
    assert again.run().step == 4
    assert seen == [0.0, 0.25, 0.5, 0.5, 0.75] and "going on after step 2" in capsys.readouterr().out
    again.finish()
    assert not list(tmp_path.glob("*.pt"))


def test_matched_features_of_an_interrupted_training_are_taken_up_only_by_the_same_training(tmp_path, monkeypatch):
    network, clips = tiny().network, dots()
    settings = TrackerSettings(
        out=str(tmp_path), batch=2, instances=2, points=4, steps=1, match_minutes=0.001, warmup=1, device="cpu",
        precision="float32",
    )  # fmt: skip
    monkeypatch.setattr("samodal.training.tracker.tracker.losses", lambda *_: 1 / 0)  # following stops at once
    with pytest.raises(ZeroDivisionError):
        learn(settings, network, clips)
    with pytest.raises(InputError, match=r"points\.match\.pt: .* seed was 0 and is 1"):
        learn(replace(settings, seed=1), tiny().network, clips)
    monkeypatch.undo()
    engine, spent = learn(settings, tiny(seed=5).network, clips)
    assert spent["match"].step > 0 and spent["follow"].step == 1
    engine.finish()
    assert not list(tmp_path.glob("*.pt"))


def test_near_the_truth_a_taught_window_begins_with_its_own_points_alone():
    clips, network = dots(), tiny().network
    step = prepare(a_draw(clips), clips, None)
    with torch.no_grad():
        network.updateformer.flow_head.weight.zero_()
    taught = Follow(network)(step, torch.Generator().manual_seed(0), share=1.0)[0][-1]
    off = (taught.xy[:, :, :4] * 4 - step.xy[:, : TINY.window]).abs().amax(-1)
    mine = step.own[:, None].expand(off.shape)
    assert off[mine].max() < 4 * 4 + 1 and off[:, 0][step.own].max() < 2
    alone = Follow(network)(step)[0][-1]
    assert torch.equal(taught.xy[:, :, 4:], alone.xy[:, :, 4:])


def test_instances_that_are_never_seen_are_not_drawn():
    clips = dots()
    for number in range(len(clips)):
        clips.visible[number] = clips.visible[number].copy()
        clips.visible[number][3:] = False
    drawer = Drawer(clips, TINY, 2, points=4, items=2)
    assert {group for clip in (0, 1) for group in drawer._choose(clip, np.random.default_rng(0))} == {(0, 3)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "asd:there"}, "streetsim:ROOT/tracks"),
        ({"data": "streetsim:/nowhere"}, "no such folder"),
        ({"minutes": 1.0}, "either minutes or steps"),
        ({"stills": 3, "silhouettes": "outlines.json"}, "give --pictures"),
        ({"stills": 3, "pictures": "pictures.json"}, "and --silhouettes"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, changes, message):
    settings = TrackerSettings(**({"data": f"streetsim:{tmp_path}", "steps": 2} | changes))
    with pytest.raises(InputError, match=message):
        train(settings)


def test_augmenting_keeps_pictures_in_range():
    clips = dots()
    step = fetch(a_draw(clips), clips)
    augment(step, torch.Generator().manual_seed(0))
    assert 0 <= step.pixels.min() and step.pixels.max() <= 255 and step.pixels.shape[1] == step.xy.shape[1]
