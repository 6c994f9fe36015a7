"""Trackers from a checkout the user names, tested with stand-ins that have the same names, shapes and calls."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.trackers.cotracker_original import CoTracker1, CoTracker2
from samodal.trackers.rereading import Rereading
from samodal.trackers.tapir import Tapir

# Every point moves by (4, 8) pixels of the resized frame in each frame; `level` is what is said of its visibility.
COTRACKER = """
import torch
torch.manual_seed(0)

class Any(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options, self.level, self.calls = options, torch.nn.Parameter(torch.zeros(())), []

    def tracks(self, video, queries, iters):
        self.calls.append((video, queries, iters))
        frames = torch.arange(video.shape[1]).view(1, -1, 1, 1)
        moved = queries[:, None, :, 1:] + frames * torch.tensor([4.0, 8.0])
        return moved, self.level.expand(moved.shape[:3])

class CoTracker(Any):
    def forward(self, rgbs, queries, iters=4, feat_init=None, is_train=False):
        tracks, visibility = self.tracks(rgbs, queries, iters)
        return tracks, None, visibility, None

class CoTracker2(Any):
    def forward(self, video, queries, iters=4, is_train=False, is_online=False):
        return *self.tracks(video, queries, iters), None
"""
TAPIR = """
import torch

class TAPIR(torch.nn.Module):
    def __init__(self, pyramid_level=0):
        super().__init__()
        self.pyramid_level, self.level, self.calls = pyramid_level, torch.nn.Parameter(torch.zeros(())), []

    def forward(self, video, query_points):
        self.calls.append((video, query_points))
        torch.randperm(3)
        start = query_points[:, :, None, [2, 1]]
        tracks = start + torch.arange(video.shape[1]).view(1, 1, -1, 1) * torch.tensor([4.0, 8.0])
        logits = self.level.expand(tracks.shape[:3])
        return {"tracks": tracks, "occlusion": -logits, "expected_dist": -logits}
"""
SIZE = (96, 128)  # a quarter of CoTracker's frames
POINTS = np.array([[10, 20], [30.5, 40]], np.float32)
KINDS = {"cotracker1": CoTracker1, "cotracker2": CoTracker2, "tapir": Tapir}


def checkout(folder: Path, name: str, level: float = 0.95, code: str | None = None) -> str:
    """CHECKOUT,CHECKPOINT of a stand-in."""
    module = "tapnet/torch/tapir_model.py" if name == "tapir" else "cotracker/models/core/cotracker/cotracker.py"
    path = folder / "checkout" / module
    path.parent.mkdir(parents=True)
    path.write_text(code or (TAPIR if name == "tapir" else COTRACKER))
    torch.save({"level": torch.tensor(level)}, folder / "weights.pth")
    return f"{folder / 'checkout'},{folder / 'weights.pth'}"


def video(frames: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)


def run(tracker: Rereading, frames: np.ndarray, points: np.ndarray = POINTS, first: int = 0):
    """Positions in the last of some frames, for points of frame `first` that are added one frame later."""
    for t, frame in enumerate(frames):
        tracker.observe(frame, t)
        if t == first + 1:
            tracker.add("a", points, first)
    return tracker.positions()["a"]


@pytest.mark.parametrize("name", KINDS)
def test_a_point_added_now_is_where_it_was_added(tmp_path, name):
    tracker = KINDS[name](checkout(tmp_path, name))
    tracker.observe(video(1)[0], 0)
    tracker.add("a", POINTS, 0)
    xy, visible, confidence = tracker.positions()["a"]
    assert (xy.tolist(), visible.tolist(), confidence.tolist()) == (POINTS.tolist(), [True] * 2, [1.0] * 2)
    assert tracker.network.calls == []
    tracker.drop("a")
    tracker.drop("never there")
    assert tracker.positions() == {}


@pytest.mark.parametrize(
    ("name", "scale"), [("cotracker1", (4, 4)), ("cotracker2", (511 / 127, 383 / 95)), ("tapir", (2, 256 / 96))]
)
def test_positions_are_pixels_of_the_frame(tmp_path, name, scale):
    tracker = KINDS[name](checkout(tmp_path, name))
    xy, _, _ = run(tracker, video(5), first=1)
    assert xy.dtype == np.float32
    assert xy == pytest.approx(POINTS + 3 * np.array([4, 8]) / scale, abs=1e-3)


def test_cotracker1_is_asked_as_the_released_code_asks(tmp_path):
    tracker = CoTracker1(checkout(tmp_path, "cotracker1"))
    frames = video(3)
    run(tracker, frames)
    assert tracker.network.options == {
        "S": 8, "stride": 4, "add_space_attn": True, "space_depth": 6, "time_depth": 6,
    }  # fmt: skip
    ((clip, queries, iters),) = tracker.network.calls
    assert queries[0].tolist() == [
        [0, 40, 80], [0, 122, 160], [0, 8, 8], [0, 504, 8], [0, 8, 376], [0, 504, 376],
    ]  # fmt: skip
    assert (iters, clip.shape) == (6, (1, 8, 3, 384, 512))
    assert all(torch.equal(clip[0, t], clip[0, 2]) for t in range(3, 8))
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (384, 512), mode="bilinear"
    )
    assert torch.equal(clip[0, :3], enlarged)


def test_support_points_of_cotracker1_come_again_in_every_twelfth_frame(tmp_path):
    tracker = CoTracker1(checkout(tmp_path, "cotracker1"))
    run(tracker, video(14))
    (_, queries, _) = tracker.network.calls[0]
    assert queries[0, :, 0].tolist() == [0] * 6 + [12] * 4


def test_cotracker2_is_asked_as_its_predictor_asks(tmp_path):
    tracker = CoTracker2(checkout(tmp_path, "cotracker2"))
    run(tracker, video(2))
    assert tracker.network.options == {"stride": 4, "window_len": 8}
    ((clip, queries, iters),) = tracker.network.calls
    assert (iters, clip.shape, queries.shape) == (6, (1, 8, 3, 384, 512), (1, 2 + 36, 3))
    assert queries[0, [2, -1]].tolist() == [[0, 8, 8], [0, 504, 376]]


def test_tapir_is_asked_for_rows_before_columns_from_the_corner_of_the_frame(tmp_path):
    tracker = Tapir(checkout(tmp_path, "tapir"))
    frames = np.zeros((2, 128, 256, 3), np.uint8)
    frames[1] = 255
    run(tracker, frames, np.array([[9.5, 30.0]]))
    assert tracker.network.pyramid_level == 1
    ((clip, queries),) = tracker.network.calls
    assert queries.tolist() == [[[0, 61, 10]]]
    assert clip.shape == (1, 2, 256, 256, 3)
    assert (clip[0, 0] == -1).all()
    assert (clip[0, 1] == 1).all()


@pytest.mark.parametrize(
    ("name", "level", "visible", "confidence"),
    [
        ("cotracker1", 0.71, True, 0.71),
        ("cotracker1", 0.69, False, 0.69),
        ("cotracker2", 0.91, True, 0.91),
        ("cotracker2", 0.89, False, 0.89),
        ("tapir", 1.0, True, 0.731059),  # 0.73 of being visible times 0.73 of being near: 0.53
        ("tapir", 0.8, False, 0.689974),  # 0.69 * 0.69 = 0.476
    ],
)
def test_visibility_has_the_released_threshold(tmp_path, name, level, visible, confidence):
    _, shown, sure = run(KINDS[name](checkout(tmp_path, name, level)), video(2))
    assert shown.tolist() == [visible] * 2
    assert sure == pytest.approx([confidence] * 2, abs=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_no_more_frames_are_read_than_the_bound_and_the_frame_of_the_points_always(tmp_path, name):
    tracker = KINDS[name](checkout(tmp_path, name), frames=3)
    frames = video(9)
    run(tracker, frames, first=1)
    clip = tracker.network.calls[-1][0][0]
    expected = [tracker.prepare(frames[t]) for t in (1, 7, 8)]
    seen = clip[:3].numpy() if name != "tapir" else ((clip.numpy() + 1) / 2 * 255).round().astype(np.uint8)
    assert len(clip) == (3 if name == "tapir" else 8)
    assert all(np.array_equal(part, other) for part, other in zip(seen, expected, strict=True))


def test_keys_are_read_alone_and_once_a_frame(tmp_path):
    tracker = CoTracker1(checkout(tmp_path, "cotracker1"))
    for t, frame in enumerate(video(4)):
        tracker.observe(frame, t)
        if t == 1:
            tracker.add("a", POINTS, 0)
            tracker.add("b", POINTS[:1] + 5, 1)
        tracker.positions()
        tracker.positions()
    assert [queries.shape[1] - 4 for _, queries, _ in tracker.network.calls] == [2, 2, 1, 2, 1]


def test_more_points_than_fit_are_followed_in_blocks(tmp_path):
    tracker = CoTracker1(checkout(tmp_path, "cotracker1"))
    points = np.random.default_rng(0).uniform(0, 90, (600, 2)).astype(np.float32)
    xy, visible, _ = run(tracker, video(2), points)
    assert [queries.shape[1] - 4 for _, queries, _ in tracker.network.calls] == [256, 256, 88]
    assert xy == pytest.approx(points + [1, 2], abs=1e-3)
    assert visible.shape == (600,)


def test_a_group_without_points_is_fine(tmp_path):
    xy, visible, confidence = run(Tapir(checkout(tmp_path, "tapir")), video(3), np.zeros((0, 2)))
    assert (xy.shape, visible.shape, confidence.shape) == ((0, 2), (0,), (0,))


@pytest.mark.parametrize("name", KINDS)
def test_a_run_can_go_on_elsewhere(tmp_path, name):
    given, frames = checkout(tmp_path, name), video(6)
    whole, first, second = (KINDS[name](given, frames=4) for _ in range(3))
    expected = run(whole, frames)
    run(first, frames[:3])
    second.load_state(first.state())
    for t in (3, 4, 5):
        second.observe(frames[t], t)
    found = second.positions()["a"]
    assert all(np.array_equal(part, other) for part, other in zip(found, expected, strict=True))
    second.reset()
    assert second.positions() == {}


def test_a_frame_that_is_no_longer_kept_or_of_another_size_is_refused(tmp_path):
    tracker = CoTracker1(checkout(tmp_path, "cotracker1"), frames=2)
    for t, frame in enumerate(video(4)):
        tracker.observe(frame, t)
    with pytest.raises(InputError, match=r"keeps the frames \[2, 3\].*frame 0"):
        tracker.add("a", POINTS, 0)
    with pytest.raises(InputError, match=r"\(48, 64\).*\(96, 128\)"):
        tracker.observe(video(1, (48, 64))[0], 4)


@pytest.mark.parametrize("name", KINDS)
def test_the_random_numbers_of_others_are_left_alone(tmp_path, name):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    run(KINDS[name](checkout(tmp_path, name)), video(3))
    assert torch.equal(torch.rand(1), expected)


def test_two_checkouts_of_one_package_do_not_mix_and_leave_no_trace(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cotracker", random)  # as if another version were installed and in use
    path, modules = list(sys.path), set(sys.modules)
    old = COTRACKER.replace("class CoTracker2", "class Unused")
    first = CoTracker1(checkout(tmp_path / "v1", "cotracker1", code=old))
    second = CoTracker2(checkout(tmp_path / "v2", "cotracker2"))
    assert [type(tracker.network).__name__ for tracker in (first, second)] == ["CoTracker", "CoTracker2"]
    assert sys.path == path
    assert {name for name in set(sys.modules) - modules if name.startswith("cotracker")} == set()
    assert sys.modules["cotracker"] is random


@pytest.mark.parametrize("name", KINDS)
def test_what_is_missing_is_said_with_the_licence_and_how_to_get_it(tmp_path, name):
    given = checkout(tmp_path, name)
    folder, weights = given.split(",")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.pth").write_bytes(b"no weights")
    torch.save({"other": torch.zeros(1)}, tmp_path / "others.pth")
    wrong = {
        None: "CHECKOUT,CHECKPOINT, got None",
        folder: "CHECKOUT,CHECKPOINT, got",
        f"{tmp_path}/nowhere,{weights}": "nowhere: no such folder",
        f"{tmp_path}/empty,{weights}": r"empty is not its checkout, .*\.py is missing",
        f"{folder},{tmp_path}/none.pth": r"none\.pth: no such checkpoint",
        f"{folder},{tmp_path}/others.pth": r"others\.pth: not the weights of",
    }
    for argument, message in wrong.items():
        with pytest.raises(InputError, match=message) as error:
            KINDS[name](argument)
        text = str(error.value)
        assert "git clone https://github.com/" in text
        assert ("Apache-2.0" if name == "tapir" else "CC-BY-NC 4.0") in text
        assert "\n" not in text
    with pytest.raises(InputError, match=r"other\.pth: refused"):
        KINDS[name](f"{folder},{tmp_path}/other.pth")


def test_a_checkout_of_another_version_or_with_missing_packages_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no attribute 'CoTracker'.*-b v1\.0"):
        CoTracker1(checkout(tmp_path / "new", "cotracker1", code="class CoTracker2: pass"))
    with pytest.raises(InputError, match=r"No module named 'nothing_like_this'.*pip install einops timm"):
        CoTracker1(checkout(tmp_path / "bare", "cotracker1", code="import nothing_like_this"))
