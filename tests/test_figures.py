"""The paper's figures: scenes are found by rule in literal truth, and the pictures say what was found and what not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made_up import SIZE, image_of, passing_square, post, square
from samodal.data.asd import InstanceTruth, write_frame
from samodal.drawing import strips
from samodal.drawing.overlay import Drawer
from samodal.drawing.strips import FOCUS, LARGEST, Panel, Strip, crop_of, draw_strip, save_figure
from samodal.errors import InputError
from samodal.experiments import scenes
from samodal.experiments.figures import OURS, THEIRS, make_figures
from samodal.results.frames import FramesWriter
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, Track


def seen(mask):
    return Rle.encode(mask) if mask is not None and mask.any() else None


def track(key, amodal, visible, category="car", states=()):
    """A track of (H, W) bool masks, None where absent."""
    return Track(key, category, None, tuple(map(seen, visible)), tuple(map(seen, amodal)), states)


def clip(*tracks, name="a"):
    length = len(tracks[0].amodal)
    return Clip(name, SIZE, tuple(f"{t:06d}" for t in range(length)), tracks)


def standing(key, shares, category="car"):
    """A square of 16 columns that stands still; `shares` of it are hidden from the left, None where it is absent."""
    whole = square(10 + 20 * key)
    amodal = [None if share is None else whole for share in shares]
    visible = [None if share is None else whole & ~post(10 + 20 * key, round(16 * share)) for share in shares]
    return track(key, amodal, visible, category)


def test_the_longest_full_occlusion_after_which_an_instance_returns_is_found_with_the_frames_around_it():
    truth = clip(
        standing(1, [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]),
        standing(2, [0, 0.5, 1, 1, 1, 1, 0.75, 0.25, 0, 0]),
        standing(3, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        standing(4, [0, 1, 1, 1, 1, 1, 1, 1, None, 0]),
    )
    (scene,) = scenes.pick(scenes.full_occlusions(truth), "hidden_frames", 1, set())
    assert (scene.id, scene.first, scene.last, scene.numbers) == (2, 2, 5, {"hidden_frames": 4})
    assert scene.frames == (0, 2, 3, 5, 7)


def test_an_instance_that_was_never_clear_or_is_too_small_makes_no_scene(monkeypatch):
    assert not list(scenes.full_occlusions(clip(standing(1, [0.5, 1, 1, 0]))))
    far = [0] + [0.5] * scenes.WINDOW + [1, 0]
    assert not list(scenes.full_occlusions(clip(standing(1, far))))
    assert list(scenes.full_occlusions(clip(standing(1, far[:1] + far[2:]))))
    monkeypatch.setattr(scenes, "LEAST_AREA", 257 / (SIZE[0] * SIZE[1]))
    assert not list(scenes.full_occlusions(clip(standing(1, [0, 1, 0]))))


def test_a_partial_occlusion_is_shown_where_most_is_hidden_and_ends_where_all_is():
    truth = clip(standing(1, [0, 0.5, 0.75, 0.625, 0.25, 0]), standing(2, [0, 0.5, 1, 0.75, 0, 0]))
    (scene,) = scenes.partial_occlusions(truth)
    assert (scene.id, scene.first, scene.last, scene.frames) == (1, 1, 3, (0, 2, 4))
    assert scene.numbers == {"hidden_share": 1.875, "hidden_area": 1.875 * 256, "largest_share": 0.75}


def test_ties_keep_one_order_and_a_clip_or_instance_is_chosen_once():
    one = [*scenes.full_occlusions(clip(standing(1, [0, 1, 0, 0]), standing(2, [0, 0, 1, 0]), name="b"))]
    two = [*scenes.full_occlusions(clip(standing(3, [0, 0, 1, 0]), standing(1, [0, 1, 0, 0], "person"), name="a"))]
    for order in (one + two, two[::-1] + one[::-1]):
        chosen = scenes.pick(order, "hidden_frames", 5, set())
        assert [scene.instance for scene in chosen] == [("a", 1), ("b", 1)]
    chosen = scenes.pick(one + two, "hidden_frames", 5, {("a", 1), ("b", 1)})
    assert [scene.instance for scene in chosen] == [("a", 3), ("b", 2)]
    assert scenes.pick(one + two, "hidden_frames", 1, set(), prefer="person")[0].instance == ("a", 1)


def test_all_but_a_sliver_hidden_does_not_read_as_all():
    assert [scenes.percent(share) for share in (0.124, 0.994, 0.999, 1.0)] == ["12%", "99%", ">99%", "100%"]


def rle(*rows):
    return Rle.encode(np.array([[mark == "x" for mark in row] for row in rows]))


def test_only_what_is_hidden_between_pieces_left_and_right_counts_as_split():
    whole = rle("xxxxxxxx", "xxxxxxxx")
    assert scenes.hidden_between(rle("xx....xx", "xx....xx"), whole) == 0.5
    assert scenes.hidden_between(rle("xx......", "xx......"), whole) == 0
    assert scenes.hidden_between(rle("xxxxxxxx", "xx....xx"), whole) == 0  # joined above
    assert scenes.hidden_between(rle("xx......", "......xx"), whole) == 0  # not side by side
    feet = rle("........", "........", "........", "xx....xx")
    assert scenes.hidden_between(feet, rle("xxxxxxxx", "xxxxxxxx", "xxxxxxxx", "xx....xx")) == 0


def split_truth():
    whole = square(30)
    return track(7, [whole], [whole & ~post(36, 4)])


def test_a_split_is_ranked_by_what_is_hidden_and_missed():
    true = split_truth()
    whole, halves = true.amodal[0].decode(), true.visible[0].decode()
    left = track(7, [halves], [halves], states=(State.VISIBLE,))
    (scene,) = scenes.split(clip(true), {7: left})
    assert scene.numbers == {"missed_share": 0.25, "between_share": 0.25} and scene.failed == 0
    assert not list(scenes.split(clip(true), {7: track(7, [whole], [halves], states=(State.VISIBLE,))}))
    assert not list(scenes.split(clip(true), {7: replace(left, states=(State.KEPT,))}))
    assert not list(scenes.split(clip(true), {}))


def confused(point):
    """A car half behind a bus, and a prediction, prompted at `point`, that is the bus."""
    car, bus = square(20), square(28, side=32)
    truth = clip(track(1, [car], [car & ~bus]), track(2, [bus], [bus], "bus"))
    mask = Rle.encode(bus & ~car | square(20, side=2))
    found = Track(1, "car", 0.5, truth.tracks[0].visible, (mask,), (State.VISIBLE,))
    one = Instance(1, "car", 0.5, State.VISIBLE, found.visible[0], mask, np.array([point], np.float32))
    return truth, {1: found}, [FrameResult(0, 0.0, (one,))]


def test_a_prompt_beside_the_occluder_is_told_from_one_that_is_not():
    (scene,) = scenes.beside(*confused((25, 30)))
    assert (scene.id, scene.other, scene.numbers["distance"]) == (1, (2, "bus"), 3)
    assert scene.numbers["mistaken_share"] > scene.numbers["own_share"]
    assert not list(scenes.beside(*confused((21, 30))))


@pytest.mark.parametrize(("point", "colour", "kinds"), [((21, 30), 100, 1), ((21, 30), 220, 0), ((25, 30), 100, 0)])
def test_a_texture_failure_has_a_near_colour_and_no_prompt_beside_it(point, colour, kinds):
    truth, found, results = confused(point)
    image = np.full((*SIZE, 3), 90, np.uint8)
    image[truth.tracks[1].visible[0].decode()] = colour
    failures = list(scenes.spilled(truth, found, results, lambda t: image))
    assert len(failures) == kinds
    assert all(scene.other == (2, "bus") and scene.numbers["spilled_share"] > 0.9 for scene in failures)


def test_a_crop_holds_all_masks_and_stays_in_the_image():
    masks = [Rle.encode(square(100, 0)), Rle.encode(square(80, 30))]
    x0, y0, x1, y1 = crop_of(masks, SIZE, tallest=1.0)
    assert (0 <= x0 <= 80, 116 <= x1 <= SIZE[1], y0 == 0, 46 <= y1 <= SIZE[0]) == (True,) * 4
    assert x1 - x0 >= y1 - y0


def test_the_focus_has_one_colour_in_every_frame_and_row():
    mask = Rle.encode(square(40))
    one = Instance(3, "car", 0.5, State.HIDDEN, None, mask)
    panels = [Panel(one, []), Panel(replace(one, id=4), [])]
    drawn = draw_strip(Strip("", [np.zeros((*SIZE, 3), np.uint8)] * 2, ["", ""], {"a": panels, "b": panels}), 400)
    yellow = (abs(drawn.astype(int) - FOCUS) < 30).all(axis=-1)
    counts = [yellow[:, :200].sum(), yellow[:, 200:].sum()]
    assert min(counts) > 100 and max(counts) < 1.1 * min(counts)


def test_a_figure_too_large_for_its_limit_is_made_narrower(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    mask = Rle.encode(square(40))
    one = Instance(3, "car", 0.5, State.VISIBLE, mask, mask)
    strip = Strip("noise", [noise] * 3, ["", "", ""], {"a": [Panel(one, [])] * 3})
    save_figure([strip], tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").stat().st_size
    monkeypatch.setattr(strips, "LARGEST", whole // 2)
    save_figure([strip], tmp_path / "b.jpg")
    assert Image.open(tmp_path / "b.jpg").width < Image.open(tmp_path / "a.jpg").width
    assert (tmp_path / "b.jpg").stat().st_size <= whole // 2


def test_a_drawer_without_labels_paints_in_the_colour_that_it_is_given():
    grey, whole = np.full((*SIZE, 3), 128, np.uint8), square(40)
    one = Instance(3, "car", 0.5, State.HIDDEN, None, Rle.encode(whole))
    drawn = Drawer(color=lambda _: FOCUS, labels=False).draw(grey, FrameResult(0, 0.0, (one,)))
    assert abs(drawn[22:34, 40].astype(int) - FOCUS).max() < 30  # its left edge
    assert (drawn[:15] == 128).all()


def write_clip(root, name="toy", width=24):
    """The passing square behind a post, as a data set; gives its truth as masks."""
    truth, _ = passing_square()
    front = post(width=width)
    folder = root / "images" / "front" / name
    folder.mkdir(parents=True)
    for t, car in enumerate(truth):
        Image.fromarray(image_of(t, car, front)).save(folder / f"front_full_{t:04d}_rgb.jpg")
        bus = Rle.encode(front)
        instances = [InstanceTruth(7, "car", Rle.encode(car), seen(car & ~front)), InstanceTruth(8, "bus", bus, bus)]
        write_frame(root / "amodal_instance_seg" / "front" / name, t, instances, SIZE)
    return truth


def write_run(folder, truth, name="toy", key=7, frames=None, width=24):
    """Results that know the truth; the car is named `key`."""
    with FramesWriter(folder / name / "frames.jsonl", name, SIZE) as writer:
        for t, car in enumerate(truth[:frames]):
            visible = seen(car & ~post(width=width))
            state = State.HIDDEN if visible is None else State.VISIBLE
            x, y = car.nonzero()[1].mean(), car.nonzero()[0].mean()
            points = np.array([[x, y]], np.float32)
            followed = points if visible is None else None
            one = Instance(key, "car", 0.9, state, visible, Rle.encode(car), points, followed)
            bus = Rle.encode(post(width=width))
            writer.write(FrameResult(t, t / 10, (one, Instance(99, "bus", 0.9, State.VISIBLE, bus, bus))))


def test_figures_are_written_with_captions_and_say_what_is_missing(tmp_path):
    truth = write_clip(tmp_path / "data")
    write_run(tmp_path / "ours", truth, key=70)  # another name than in the truth: paired by visible masks
    out = tmp_path / "out"
    out.mkdir()
    (out / "figure6.jpg").write_bytes(b"of an earlier call")
    content = make_figures(f"streetsim:{tmp_path / 'data'}", ["toy"], {OURS: tmp_path / "ours"}, out)
    assert content == json.loads((out / "figures.json").read_text())
    assert sorted(p.name for p in out.iterdir()) == ["figure5.jpg", "figures.json", "figures.md"]
    (scene,) = content["figures"]["figure5"]["scenes"]
    assert (scene["id"], scene["first"], scene["last"]) == (7, 10, 12)
    assert [frame["frame"] for frame in scene["frames"]] == [7, 10, 11, 12, 15]
    assert {frame["methods"][OURS]["iou"] for frame in scene["frames"]} == {1.0}
    assert [frame["methods"][OURS]["state"] for frame in scene["frames"]].count("hidden") == 3
    assert (out / "figure5.jpg").stat().st_size < LARGEST
    figures, text = content["figures"], (out / "figures.md").read_text()
    assert "no results of SAVOS" in figures["figure6"]["missing"] and figures["figure6"]["missing"] in text
    assert "0 of 3" in figures["figure4"]["missing"]
    assert figures["figure8"]["missing"].count("no scene") == 3
    assert figures["figure5"]["rule"] in text and "figure6.jpg" not in text


def test_two_methods_are_compared_where_both_have_the_instance(tmp_path):
    truth = write_clip(tmp_path / "data", width=12)
    for name in (OURS, THEIRS):
        write_run(tmp_path / name, truth, width=12)
    runs = {name: tmp_path / name for name in (OURS, THEIRS)}
    content = make_figures(f"streetsim:{tmp_path / 'data'}", ["toy"], runs, tmp_path / "out")
    (scene,) = content["figures"]["figure6"]["scenes"]
    assert list(scene["frames"][0]["methods"]) == [THEIRS, OURS]
    assert scene["numbers"]["largest_share"] == 0.75
    assert (tmp_path / "out" / "figure6.jpg").exists()


def test_runs_that_do_not_fit_are_told(tmp_path):
    data, truth = f"streetsim:{tmp_path / 'data'}", write_clip(tmp_path / "data")
    with pytest.raises(InputError, match="need the results of S-AModal; found SAVOS"):
        make_figures(data, ["toy"], {THEIRS: tmp_path}, tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        make_figures(data, ["toy"], {OURS: tmp_path / "none"}, tmp_path / "out")
    write_run(tmp_path / "short", truth, frames=5)
    with pytest.raises(InputError, match="5 frames, but the clip has 20"):
        make_figures(data, ["toy"], {OURS: tmp_path / "short"}, tmp_path / "out")
