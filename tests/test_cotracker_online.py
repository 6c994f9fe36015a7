"""CoTracker3 frame by frame: which results it gives, on what they depend, and what they cost."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.trackers.cotracker import CoTracker3, CoTrackerOnline, online
from samodal.trackers.cotracker.online import support_points
from tiny_cotracker import TINY, noise, tiny

POINT = np.array([[38.0, 28.0]], np.float32)
PAIR = np.array([[10.0, 12.0], [15.5, 14.25]], np.float32)
VIDEO = noise(24)


pytestmark = pytest.mark.usefixtures("one_thread")


def tracker(**options) -> CoTrackerOnline:
    return CoTrackerOnline(tiny(), **options)


def run(tracked: CoTrackerOnline, added: dict, frames: np.ndarray = VIDEO, first: int = 0, ask: bool = True) -> list:
    """Positions in each frame; `added` {t: {key: xy}} are added in frame t as points of frame t."""
    results = []
    for t, frame in enumerate(frames[first:], first):
        tracked.observe(frame, t)
        for key, xy in added.get(t, {}).items():
            tracked.add(key, xy, t)
        if ask or t == len(frames) - 1:
            results.append(tracked.positions())
    return results


def equal(ours, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, other, strict=True))


def test_a_point_added_now_is_where_it_was_added():
    xy, visible, confidence = run(tracker(), {0: {"a": POINT}}, VIDEO[:1])[0]["a"]
    assert np.array_equal(xy, POINT)
    assert visible.tolist() == [True] and confidence.tolist() == [1.0]


def test_dropped_and_unknown_keys_are_gone():
    tracked = tracker()
    run(tracked, {0: {"a": POINT}}, VIDEO[:3])
    tracked.drop("a")
    tracked.drop("never there")
    assert tracked.positions() == {}


def test_there_is_a_new_result_in_every_frame():
    results = run(tracker(), {1: {"a": PAIR}})
    assert "a" not in results[0]
    positions = [result["a"][0] for result in results[1:]]
    assert all(xy.shape == (2, 2) and xy.dtype == np.float32 and np.isfinite(xy).all() for xy in positions)
    assert all(not np.array_equal(ours, other) for ours, other in zip(positions, positions[1:], strict=False))
    _, visible, confidence = results[-1]["a"]
    assert visible.dtype == bool and confidence.dtype == np.float32
    assert ((confidence > 0) & (confidence < 1)).all()


def test_windows_by_half_their_length_are_those_of_the_whole_video():
    # The slow judge: the same points, support included, on all of the video up to that frame.
    model = tiny()
    tracked = CoTrackerOnline(model, every=4)
    together = np.concatenate([PAIR, support_points(PAIR, VIDEO.shape[1:3], *tracked.support)])
    queries = np.concatenate([np.full((len(together), 1), 6), together], axis=1)
    for t, frame in enumerate(VIDEO[:20]):
        tracked.observe(frame, t)
        if t == 7:
            tracked.add("a", PAIR, 6)
        if t in (7, 11, 15, 19):
            whole = model.follow(VIDEO[: t + 1], queries)
            xy, visible, confidence = tracked.positions()["a"]
            np.testing.assert_allclose(xy, whole.xy[t, :2], rtol=0, atol=1e-3)
            np.testing.assert_allclose(confidence, whole.confidence[t, :2], rtol=0, atol=1e-4)
            assert np.array_equal(visible, whole.visible[t, :2])
    assert np.abs(xy - PAIR).max() > 0.1


def test_other_keys_and_their_order_do_not_matter():
    several = np.random.default_rng(0).uniform(2, 38, (5, 2)).astype(np.float32)
    alone = run(tracker(), {3: {"a": PAIR}})
    first = run(tracker(), {2: {"b": several}, 3: {"a": PAIR}, 9: {"c": POINT}})
    last = run(tracker(), {3: {"c": POINT, "b": several, "a": PAIR}})
    in_passes = run(tracker(items=1), {3: {"c": POINT, "b": several, "a": PAIR}})
    assert np.abs(alone[-1]["a"][0] - PAIR).max() > 0.1
    for found in (first, last, in_passes):
        for ours, other in zip(alone[3:], found[3:], strict=True):
            np.testing.assert_allclose(ours["a"][0], other["a"][0], rtol=0, atol=1e-3)
            np.testing.assert_allclose(ours["a"][2], other["a"][2], rtol=0, atol=1e-4)


def test_results_do_not_depend_on_what_comes_later_or_on_being_asked():
    added = {2: {"a": PAIR}}
    whole, short = run(tracker(), added), run(tracker(), added, VIDEO[:12])
    assert all(equal(ours["a"], other["a"]) for ours, other in zip(whole[2:12], short[2:], strict=True))
    assert equal(run(tracker(), added, ask=False)[-1]["a"], whole[-1]["a"])


def test_added_again_is_as_added_once():
    once = run(tracker(), {5: {"a": PAIR}})
    again = run(tracker(), {1: {"a": POINT}, 5: {"a": PAIR}})
    assert equal(once[-1]["a"], again[-1]["a"])


def test_a_run_can_go_on_elsewhere():
    added = {2: {"a": PAIR}, 8: {"b": POINT}, 14: {"c": POINT}}
    whole = run(tracker(), added)
    begun, other = tracker(), tracker()
    run(begun, added, VIDEO[:13])
    other.load_state(pickle.loads(pickle.dumps(begun.state())))
    rest = run(other, added, first=13)
    for ours, two in zip(whole[13:], rest, strict=True):
        assert ours.keys() == two.keys()
        assert all(equal(ours[key], two[key]) for key in ours)


def test_reset_forgets_everything():
    tracked = tracker()
    run(tracked, {0: {"a": PAIR}}, VIDEO[:9])
    tracked.reset()
    assert tracked.positions() == {}
    again = run(tracked, {1: {"b": PAIR}}, VIDEO[:9])
    assert equal(again[-1]["b"], run(tracker(), {1: {"b": PAIR}}, VIDEO[:9])[-1]["b"])


def counted(tracked: CoTrackerOnline, monkeypatch) -> dict[str, list[int]]:
    """What the network is asked to do from now on: features of frames, windows of batch items."""
    calls = {"frames": [], "items": []}
    pyramid, refine = tracked.network.pyramid, tracked.network.refine

    def seen(pixels):
        calls["frames"].append(len(pixels))
        return pyramid(pixels)

    def refined(levels, support, start, *rest):
        calls["items"].append(start.xy.shape[:2])
        return refine(levels, support, start, *rest)

    monkeypatch.setattr(tracked.network, "pyramid", seen)
    monkeypatch.setattr(tracked.network, "refine", refined)
    return calls


def test_a_frame_costs_the_same_however_long_the_gap(monkeypatch):
    tracked = tracker()
    calls = counted(tracked, monkeypatch)
    run(tracked, {9: {"a": PAIR, "b": POINT}})
    assert calls["frames"] == [1] * 21  # frames 0 to 2 had left the window before there was anything to follow
    assert calls["items"] == [(2, TINY.window)] * 14


def test_nothing_is_computed_while_nothing_is_followed(monkeypatch):
    tracked = tracker()
    calls = counted(tracked, monkeypatch)
    run(tracked, {})
    assert calls == {"frames": [], "items": []}


def test_the_cheap_schedule_holds_points_between_windows(monkeypatch):
    tracked = tracker(every=4)
    calls = counted(tracked, monkeypatch)
    positions = [result["a"][0] for result in run(tracked, {2: {"a": PAIR}})[2:]]
    moved = [t for t in range(1, len(positions)) if not np.array_equal(positions[t - 1], positions[t])]
    assert moved == [1, 5, 9, 13, 17, 21]
    assert len(calls["items"]) == len(moved)


def test_memory_is_flat():
    tracked = tracker()
    run(tracked, {2: {"a": PAIR}}, VIDEO[:12])
    early = len(pickle.dumps(tracked.state()))
    run(tracked, {}, np.concatenate([VIDEO, VIDEO]), first=12)
    assert abs(len(pickle.dumps(tracked.state())) - early) < 200


def test_points_beyond_what_fits_are_followed_in_blocks(monkeypatch):
    five = np.random.default_rng(0).uniform(2, 38, (5, 2)).astype(np.float32)
    monkeypatch.setattr(online, "MOST_POINTS", 2)
    found = run(tracker(), {2: {"a": five}}, VIDEO[:6])[-1]["a"]
    assert [len(part) for part in found] == [5, 5, 5]
    alone = run(tracker(), {2: {"a": five[2:4]}}, VIDEO[:6])[-1]["a"]
    np.testing.assert_allclose(found[0][2:4], alone[0], rtol=0, atol=1e-3)


def test_a_group_without_points_is_fine():
    xy, visible, confidence = run(tracker(), {0: {"a": np.zeros((0, 2))}, 1: {"b": POINT}}, VIDEO[:4])[-1]["a"]
    assert xy.shape == (0, 2) and len(visible) == len(confidence) == 0


@pytest.mark.parametrize("size", [(375, 1242), (480, 854), (1, 1)])
def test_frames_of_any_size_are_followed(size):
    point = np.array([[size[1] / 2, size[0] / 2]], np.float32)
    xy, _, _ = run(tracker(), {0: {"a": point}}, noise(3, *size))[-1]["a"]
    assert np.isfinite(xy).all()


def test_support_points_lie_in_the_frame_around_the_points():
    points = support_points(np.array([[90.0, 2.0]]), (40, 100), grid=2, around=3)
    assert points.shape == (13, 2) and points.dtype == np.float32
    assert (points >= 0).all() and (points <= [99, 39]).all()
    assert (np.abs(points[4:] - [90, 2]) <= 7).all()
    assert support_points(POINT, (40, 60), grid=0, around=0).shape == (0, 2)


def test_a_tracker_without_support_points_works():
    assert run(tracker(support=(0, 0)), {0: {"a": POINT}}, VIDEO[:3])[-1]["a"][0].shape == (1, 2)


def test_the_small_model_runs_online():
    found = run(CoTrackerOnline(CoTracker3.untrained()), {0: {"a": PAIR}}, noise(3, 128, 224))[-1]["a"]
    assert np.abs(found[0] - PAIR).max() < 5


def test_weights_are_asked_for_with_their_licence(tmp_path):
    with pytest.raises(InputError, match="CC-BY-NC"):
        CoTrackerOnline()
    tiny().save(tmp_path / "a.safetensors")
    assert CoTrackerOnline(tmp_path / "a.safetensors").network.config == TINY


def test_a_frame_that_is_no_longer_kept_is_an_error_that_says_which_are():
    tracked = CoTrackerOnline(tiny(config=replace(TINY, window=2)))
    run(tracked, {}, VIDEO[:4])
    with pytest.raises(InputError, match=r"keeps the frames \[2, 3\].*frame 0"):
        tracked.add("a", POINT, 0)


def test_frames_of_another_size_and_points_nowhere_are_refused():
    tracked = tracker()
    run(tracked, {}, VIDEO[:2])
    with pytest.raises(InputError, match=r"frame 2 is \(30, 60\)"):
        tracked.observe(VIDEO[0, :30], 2)
    with pytest.raises(InputError, match="'a' in frame 1 are not all finite"):
        tracked.add("a", [[np.nan, 0]], 1)
