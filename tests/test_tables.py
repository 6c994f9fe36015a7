"""The scripts of the tables of point trackers and of hidden frames, on a made-up data set."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import image_of, passing_square, post, square
from samodal.data.asd import InstanceTruth, write_frame
from samodal.rle import Rle
from samodal.sim.motion import PointTracks

SCRIPTS = Path(__file__).parent.parent / "scripts"
FRAMES, STEP = 20, 4


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def tracks() -> PointTracks:
    """Nine points of square 7, which passes behind the post, and two of the scenery."""
    corner = np.stack(np.meshgrid([3, 8, 12], [3, 8, 12]), -1).reshape(-1, 1, 2) + [10, 20]
    moved = corner + np.arange(FRAMES)[None, :, None] * [STEP, 0]
    fixed = np.tile(np.array([[[5, 5]], [[60, 5]]]), (1, FRAMES, 1))
    xy = np.concatenate([moved, fixed]).astype(np.float32)
    covered = post()[np.clip(xy[..., 1], 0, 59).astype(int), np.clip(xy[..., 0], 0, 119).astype(int)]
    visible = ~covered & (xy[..., 0] < 120)
    ids = np.array([7] * 9 + [0, 0], np.int32)
    return PointTracks(xy, visible, ids, np.zeros(11, np.int32))


@pytest.fixture
def data(tmp_path) -> str:
    """Two equal clips of the square behind the post, with point tracks."""
    for name in ("one", "two"):
        images, points = tmp_path / "images" / "front" / name, tmp_path / "points" / "front"
        images.mkdir(parents=True)
        points.mkdir(parents=True, exist_ok=True)
        for t in range(FRAMES):
            car, seen = square(10 + STEP * t), square(10 + STEP * t) & ~post()
            Image.fromarray(image_of(t, car, post())).save(images / f"front_full_{t:04d}_rgb.png")
            shown = Rle.encode(seen) if seen.any() else None
            truth = [InstanceTruth(7, "car", Rle.encode(car), shown)] if car.any() else []
            write_frame(tmp_path / "amodal_instance_seg" / "front" / name, t, truth, car.shape)
        known = tracks()
        np.savez(points / f"{name}.npz", xy=known.xy, visible=known.visible, ids=known.ids, anchors=known.anchors)
    return f"streetsim:{tmp_path}"


def test_an_instance_is_shown_where_enough_of_it_is_visible_and_the_scenery_never(scripts):
    from points_table import LEAST, choose_queries

    known = tracks()
    queries = [one for seed in range(20) for one in choose_queries(known, "clip", seed)]
    assert {one.id for one in queries} == {7}
    assert all(known.visible[one.rows, one.t].all() and len(one.rows) >= LEAST for one in queries)
    assert len({one.t for one in queries}) > 3
    assert max(one.t for one in queries) < FRAMES - 1


def test_a_seed_asks_the_same_again(scripts):
    from points_table import choose_queries

    (one,), (two,) = choose_queries(tracks(), "clip", 1), choose_queries(tracks(), "clip", 1)
    assert one.t == two.t
    assert one.rows.tolist() == two.rows.tolist()


def test_nothing_is_said_before_a_query(scripts):
    from points_table import Query, follow

    from samodal.trackers.still import Still

    known = tracks()
    images = [one.frame.image for one in passing_square(FRAMES)[1]]
    ((xy, visible),) = follow(Still(), images, known.xy, [Query(0, 7, 3, np.arange(4))])
    assert np.isnan(xy[:, :3]).all()
    assert not visible[:, :3].any()
    assert (xy[:, 3:] == known.xy[:4, 3:4]).all()


def test_the_points_table_is_written_and_finished_clips_are_not_run_again(scripts, data, tmp_path, monkeypatch, capsys):
    import points_table

    out = tmp_path / "points.json"
    arguments = ["points_table.py", "--data", data, "--trackers", "still", "lucas_kanade", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--seeds", "0", "1"])
    points_table.main()
    record = json.loads(out.read_text())
    assert record["trackers"]["still"]["mean"]["evaluated"] > 0
    assert record["trackers"]["lucas_kanade"]["mean"]["delta_avg"] > record["trackers"]["still"]["mean"]["delta_avg"]
    assert "| lucas_kanade |" in capsys.readouterr().out
    monkeypatch.setattr(points_table, "run_clip", None)
    points_table.main()
    again = json.loads(out.read_text())
    assert again["trackers"] == record["trackers"]


def test_the_hidden_table_says_what_the_evaluation_says(scripts, data, tmp_path, monkeypatch, capsys):
    import hidden_table

    from samodal.metrics.evaluate import Rules, evaluate

    arguments = ["hidden_table.py", "--data", data, "--out", str(tmp_path), "--rows", "hold-last"]
    monkeypatch.setattr(sys, "argv", [*arguments, "constant-velocity remember_s=9", "--resamples", "20"])
    hidden_table.main()
    record = json.loads((tmp_path / "hidden.json").read_text())
    metrics = evaluate(tmp_path / "runs" / "hold-last-0", data, Rules(profile="strict", level="image"))["metrics"]
    assert record["rows"]["hold-last"]["all"] == [pytest.approx(metrics["miou_fully_hidden_after_seen"])]
    # Between the edges of the post: frames 10, 11 and 12 of both clips.
    assert record["frames"] == {"all": 6, "1–5": 6, "6–10": 0, "11–20": 0, "21+": 0}
    assert "| constant-velocity remember_s=9 |" in capsys.readouterr().out
