"""The tables of point trackers and of hidden frames, on a made-up data set."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import image_of, passing_square, post, square
from samodal.cli.app import main
from samodal.data.asd import write_frame
from samodal.data.dataset import InstanceTruth
from samodal.experiments.points import LEAST, Query, choose_queries, follow
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.rle import Rle
from samodal.sim.motion import PointTracks
from samodal.trackers.still import Still

FRAMES, STEP = 20, 4


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


def test_an_instance_is_shown_where_enough_of_it_is_visible_and_the_scenery_never():
    known = tracks()
    queries = [one for seed in range(20) for one in choose_queries(known, "clip", seed)]
    assert {one.id for one in queries} == {7}
    assert all(known.visible[one.rows, one.t].all() and len(one.rows) >= LEAST for one in queries)
    assert len({one.t for one in queries}) > 3
    assert max(one.t for one in queries) < FRAMES - 1


def test_a_seed_asks_the_same_again():
    (one,), (two,) = choose_queries(tracks(), "clip", 1), choose_queries(tracks(), "clip", 1)
    assert one.t == two.t
    assert one.rows.tolist() == two.rows.tolist()


def test_nothing_is_said_before_a_query():
    known = tracks()
    images = [one.frame.image for one in passing_square(FRAMES)[1]]
    ((xy, visible),) = follow(Still(), images, known.xy, [Query(7, 3, np.arange(4))])
    assert np.isnan(xy[:, :3]).all()
    assert not visible[:, :3].any()
    assert (xy[:, 3:] == known.xy[:4, 3:4]).all()


def run(name: str, data: str, out: Path, *more: str) -> dict:
    command = ["experiments", name, "--data", data, "--out", str(out), "--workers", "1", "--device", "cpu", *more]
    assert main(command) == 0
    return json.loads((out / f"{Path(name).stem}.json").read_text(encoding="utf-8"))


def test_the_points_table_is_written_and_finished_clips_are_not_run_again(data, tmp_path, monkeypatch, capsys):
    record = run("points", data, tmp_path / "out", "--seeds", "2")
    rows = {row["row"]: row["columns"] for row in record["table"]}
    assert rows["still"]["hidden"]["mean"] > 0 and len(rows["still"]["AJ"]["values"]) == 2
    assert rows["lucas_kanade"]["δ_avg"]["mean"] > rows["still"]["δ_avg"]["mean"]
    assert [row["row"] for row in record["missing"]] == ["cotracker3"]
    page = capsys.readouterr().out
    assert "| lucas_kanade |" in page and "In percent, but for counts" in page
    monkeypatch.setattr("samodal.experiments.points._follow_clip", None)
    assert run("points", data, tmp_path / "out", "--seeds", "2")["table"] == record["table"]


def test_data_without_point_tracks_is_told(data, tmp_path, capsys):
    (tmp_path / "points" / "front" / "two.npz").unlink()
    assert main(["experiments", "points", "--data", data, "--out", str(tmp_path / "out"), "--workers", "1"]) == 2
    assert "samodal synth --points" in capsys.readouterr().err


def test_distances_that_are_not_known_are_read_back_as_infinite(data, tmp_path, monkeypatch):
    (tmp_path / "my_lost.py").write_text(
        "import numpy as np\nfrom samodal.trackers.still import Still\n\n\nclass Lost(Still):\n"
        "    def positions(self):\n"
        "        return {key: (xy * np.nan, *rest) for key, (xy, *rest) in super().positions().items()}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lost.yaml").write_text(
        "title: T\nkind: points\ncolumns: {δ: points all delta_full, n: points all full}\n"
        "rows: {lost: {tracker: 'my_lost:Lost'}}\n"
    )
    record = run(str(tmp_path / "lost.yaml"), data, tmp_path / "out", "--seeds", "5", "--trust-config")
    assert record["table"][0]["columns"]["δ"]["values"] == [0.0] * 5
    assert record["table"][0]["columns"]["n"]["mean"] > 0


def test_the_table_of_hidden_frames_says_what_the_evaluation_says(data, tmp_path):
    (tmp_path / "gaps.yaml").write_text(
        "base: hidden\ntitle: T\nrows: {hold-last: {method: hold-last}, moving: {method: constant-velocity}}\n"
    )
    record = run(str(tmp_path / "gaps.yaml"), data, tmp_path / "out", "--resamples", "20")
    (folder,) = (tmp_path / "out" / "runs").glob("truth-hold-last-*")
    metrics = evaluate(folder, data, ScoringRules(profile="strict", level="image"))["metrics"]
    held, moving = (row["columns"] for row in record["table"])
    assert held["IoU"]["mean"] == pytest.approx(100 * metrics["miou_fully_hidden_after_seen"], abs=1e-3)
    # Between the edges of the post: frames 10, 11 and 12 of both clips.
    levels = record["runs"][0]["metrics"]["gaps"]
    assert [levels[name]["frames"] for name in ("all", "1–5", "6–10", "21+")] == [6, 6, 0, 0]
    assert held["1–5 frames"] == held["IoU"] | {"interval": None} and held["6–10"] is None
    assert held["ghosts"]["values"] == [0] and moving["IoU"]["mean"] > held["IoU"]["mean"]
    assert len(held["IoU"]["interval"]) == 2
