"""VidEoMT as front end: identities, what is reported and when, and nothing that depends on the future."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.build import make_front_end
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.frontends.checkpoint import parse
from samodal.frontends.videomt import save
from samodal.frontends.videomt.front_end import Limits, Videomt, VideomtSession
from samodal.frontends.videomt.identities import Identities
from samodal.results.frames import read_frames
from samodal.settings import RunSettings
from samodal.video import ArrayVideo
from tiny_videomt import TINY, Scripted, frames, tiny

BOX, OTHER = (0, 0, 4, 4), (8, 2, 12, 8)
CLASSES = {"person": [0], "car": [1]}
EVERYTHING = Limits(score=0.0, area=1, share=0.0, frames=1)


def session(script: list[dict], **limits) -> VideomtSession:
    return VideomtSession(Scripted(script), CLASSES, Limits(**{"area": 1, "frames": 1} | limits), "clip")


def told(vis: VideomtSession, count: int, size: tuple[int, int] = (32, 64)) -> list[list[tuple[int, str]]]:
    """(id, class) of each frame."""
    return [[(i.id, i.category) for i in vis.step(frame, t)] for t, frame in enumerate(frames(count, size))]


def test_the_query_is_the_identity_also_after_a_gap_and_when_things_change_places():
    script = [
        {2: ("car", 0.9, BOX), 3: ("person", 0.9, OTHER)},
        {2: ("car", 0.9, OTHER), 3: ("person", 0.9, BOX)},
        {3: ("person", 0.9, BOX)},
        {2: ("car", 0.9, BOX)},
    ]
    assert told(session(script), 4) == [
        [(1, "car"), (2, "person")], [(1, "car"), (2, "person")], [(2, "person")], [(1, "car")],
    ]  # fmt: skip


def test_masks_have_the_frames_size_and_the_score_is_class_times_mask():
    (instance,) = session([{0: ("car", 0.8, (0, 0, 4, 8))}]).step(frames(1, (64, 128))[0], 0)
    assert instance.mask.size == (64, 128)
    expected = np.zeros((64, 128), bool)
    expected[:, :32] = True
    assert np.array_equal(instance.mask, expected)
    assert 0.7 < instance.score < 0.8


def test_a_pixel_belongs_to_one_instance_and_a_second_query_on_the_same_thing_is_dropped():
    script = [{0: ("car", 0.9, (0, 0, 8, 8)), 1: ("car", 0.6, (1, 0, 8, 8)), 2: ("person", 0.95, (2, 2, 4, 6))}]
    seen = session(script).step(frames(1)[0], 0)
    assert [instance.category for instance in seen] == ["car", "person"]
    assert sum(instance.mask.decode().astype(int) for instance in seen).max() == 1


def test_what_is_unlikely_or_small_is_left_out():
    assert told(session([{0: ("car", 0.4, BOX)}]), 1) == [[]]
    assert told(session([{0: ("car", 0.4, BOX)}], score=0.3), 1) == [[(1, "car")]]
    assert told(session([{0: ("car", 0.9, BOX)}], area=10_000), 1) == [[]]


def test_a_thing_is_first_reported_when_it_was_seen_in_enough_frames_in_a_row():
    here = {0: ("car", 0.9, BOX)}
    script = [here, {}, here, here, {}, here]
    assert told(session(script, frames=2), 6) == [[], [], [], [(1, "car")], [], [(1, "car")]]


def test_what_a_single_picture_shows_is_reported_at_once():
    for count, least in ((1, 1), (2, 2)):
        video = ArrayVideo("picture", np.zeros((count, 32, 64, 3), np.uint8))
        assert Videomt().open(video).limits.frames == least


def test_a_doubt_between_car_and_truck_changes_neither_id_nor_class():
    identities = Identities(("car", "truck", "person"), frames=1)
    rows = [[0.6, 0.3, 0.0], [0.2, 0.7, 0.0], [0.4, 0.4, 0.1]]
    assert [identities.step([0], np.array([row])) for row in rows] == [{0: (1, "car")}] * 3
    assert identities.scores(np.array([[0.4, 0.4, 0.1]])) == pytest.approx(0.8)


def test_a_query_that_sees_another_kind_of_thing_for_long_enough_sees_another_thing():
    car, person = np.array([[0.9, 0.0]]), np.array([[0.0, 0.9]])
    identities = Identities(("car", "person"), frames=2)
    rows = [car, car, person, car, person, person, person]
    found = [identities.step([0], row).get(0) for row in rows]
    assert found == [None, (1, "car"), None, (1, "car"), None, (2, "person"), (2, "person")]


def whole_clip(network, clip: np.ndarray) -> list[torch.Tensor]:
    """Mask logits of every frame, by hand."""
    queries, masks = None, []
    with torch.inference_mode():
        for frame in clip:
            (predicted,), queries = network.step(network.tokens(TINY.transform.pixels(frame)[None]), queries)
            masks.append(predicted.masks[0])
    return masks


def test_streaming_reports_what_the_whole_clip_by_hand_gives():
    network, clip = tiny(seed=3), frames(4)
    vis = VideomtSession(network, CLASSES, EVERYTHING, "clip")
    for t, (frame, masks) in enumerate(zip(clip, whole_clip(network, clip), strict=True)):
        inside = {i.id: i.mask.decode() for i in vis.step(frame, t)}
        cover = torch.nn.functional.interpolate(masks[None], (32, 64), mode="bilinear")[0].amax(0) > 0
        assert np.array_equal(np.any(list(inside.values()), axis=0), cover.numpy())


def test_results_up_to_a_frame_do_not_depend_on_later_ones_and_reset_forgets():
    network, clip = tiny(seed=3), frames(5)
    vis = VideomtSession(network, CLASSES, EVERYTHING, "clip")
    long = [vis.step(frame, t) for t, frame in enumerate(clip)]
    vis.reset()
    other_end = np.concatenate([clip[:3], frames(2, seed=9)])
    short = [vis.step(frame, t) for t, frame in enumerate(other_end)]
    for a, b in zip(long[:3], short[:3], strict=True):
        assert [(i.id, i.category, i.score) for i in a] == [(i.id, i.category, i.score) for i in b]
        assert all(np.array_equal(i.mask, j.mask) for i, j in zip(a, b, strict=True))


def test_a_frame_too_large_for_memory_says_what_to_do(monkeypatch):
    vis = session([{0: ("car", 0.9, BOX)}])

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(vis.network, "tokens", full)
    with pytest.raises(InputError, match=r"clip: frame 0 of 64x32 .*does not fit into the memory of cpu; make the"):
        vis.step(frames(1)[0], 0)

    def broken(*_):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(vis.network, "tokens", broken)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        vis.step(frames(1)[0], 0)


def test_the_argument_names_a_checkpoint_and_limits():
    assert parse("org/model,score=0.3,area=9", "videomt", Limits()) == ("org/model", Limits(score=0.3, area=9))
    assert parse("score=0.3,area=9", "videomt", Limits(), embedded="mine") == ("mine", Limits(score=0.3, area=9))
    assert Videomt(",score=0.3").limits.score == 0.3 and Videomt().checkpoint == "streetsim-videomt"
    with pytest.raises(InputError, match="needs a checkpoint: a folder"):
        parse(None, "mask2former", Limits(), "a folder")
    for argument, message in [
        ("a,scor=1", "did you mean 'score'"), ("a,area=big", "area must be a number"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            Videomt(argument)


def test_it_is_made_by_name_from_a_checkpoint_of_ours(tmp_path):
    save(tiny(), tmp_path / "vis.safetensors")
    video = SimpleNamespace(source="clip.mp4", truth=None, length=None)
    settings = RunSettings(vis=f"videomt:{tmp_path}/vis.safetensors,score=0,frames=1,area=1", device="cpu")
    front_end = make_front_end(settings)
    assert isinstance(front_end, Videomt) and front_end.classes == {"person": [0], "car": [1]}
    assert all(instance.mask for instance in front_end.open(video).step(frames(1)[0], 0))


def test_a_checkpoint_that_knows_no_road_user_is_refused(tmp_path):
    save(tiny(TINY.replace(classes=("cat", "dog"))), tmp_path / "pets.safetensors")
    with pytest.raises(InputError, match="no class that is a road user: it has cat, dog"):
        Videomt(f"{tmp_path}/pets.safetensors")


def test_a_folder_of_pictures_is_run_from_pixels_alone(tmp_path):
    save(tiny(seed=3), tmp_path / "vis.safetensors")
    (tmp_path / "drive").mkdir()
    for t, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(tmp_path / "drive" / f"{t:06d}.png")
    vis = f"videomt:{tmp_path}/vis.safetensors,score=0,area=1,share=0,frames=1"
    out = ["--out", str(tmp_path / "out"), "--method", "copy-visible", "--no-overlay", "--device", "cpu"]
    assert main(["run", str(tmp_path / "drive"), "--vis", vis, *out]) == 0
    results = read_frames(tmp_path / "out" / "frames.jsonl").results
    assert len(results) == 3 and all(result.instances for result in results)
