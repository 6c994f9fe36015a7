"""Segments of a long video: where they begin, how ids go on over the seams, and what they change."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleet_made_up import LANES, SIZE, cars_of, posts, write_video
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.fleet.segments import joined_lines, matched, own_names, parts_of
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results.frames import read_frames
from samodal.results.tracks_json import write_tracks
from samodal.rle import Rle
from samodal.settings import RunSettings
from samodal.tracks import Clip, Track
from samodal.video import open_video

FPS = 5.0
PARTS = ["--vis", "fleet_made_up:Reds", "--device", "cpu", "--no-overlay"]


def test_segments_begin_before_their_seams_and_cover_every_frame_once():
    settings = RunSettings(video="a.mp4", segment=60.0)
    assert parts_of(settings, 1500, 5.0, "a") == ["0:300", "260:600", "560:900", "860:1200", "1160:1500"]
    assert parts_of(settings, 340, 5.0, "a") == ["0:340"]  # what is no longer than an overlap makes no segment
    assert parts_of(settings, 341, 5.0, "a") == ["0:300", "260:341"]
    assert parts_of(replace(settings, frames="100:900"), 1500, 5.0, "a") == ["100:400", "360:700", "660:900"]
    strided = replace(settings, stride=7)
    assert [int(part.split(":")[0]) % 7 for part in parts_of(strided, 1500, 5.0, "a")] == [0] * 5
    with pytest.raises(InputError, match="camera:0: has no length that can be told, so no segments"):
        parts_of(settings, None, 30.0, "camera:0")


def entry(name, *instances, **more):
    """A line of frames.jsonl: instances as (id, left edge of a square of 10 pixels)."""
    listed = []
    for key, left in instances:
        mask = np.zeros((20, 60), bool)
        mask[5:15, left : left + 10] = True
        box = [left, 5, left + 10, 15]
        listed.append(
            {"id": key, "visible": Rle.encode(mask).to_coco(), "amodal": Rle.encode(mask).to_coco(),
             "visible_box": box, "amodal_box": box, "hidden_by": []}
        )  # fmt: skip
    return {"t": 0, "time": 0.0, "name": name, "instances": listed} | more


def test_the_instances_of_two_segments_are_matched_by_what_they_share_near_the_seam():
    # 1 and 2 change places: at the seam, which is last, 1 lies where 7 lies.
    overlap = [
        (entry("a", (1, 0), (2, 30)), entry("a", (8, 0), (7, 30))),
        (entry("b", (1, 30), (2, 0)), entry("b", (8, 0), (7, 30))),
        (entry("c", (1, 31), (2, 0)), entry("c", (8, 0), (7, 31))),
    ]
    assert matched(overlap, fps=1.0) == {7: 1, 8: 2}
    assert matched([(entry("a", (1, 0)), entry("a", (5, 7)))], fps=1.0) == {}  # they overlap by less than half
    assert matched([], fps=1.0) == {}


def written(folder: Path, entries) -> Path:
    folder.mkdir()
    (folder / "frames.jsonl").write_text("\n".join(map(json.dumps, [{"schema": 2}, *entries])) + "\n")
    return folder


def test_ids_go_on_over_a_seam_and_new_ones_are_no_old_ones(tmp_path):
    first = written(tmp_path / "1", [entry("a", (1, 0), (2, 30)), entry("b", (1, 2), (2, 30))])
    back = entry("c", (2, 4), (1, 45), (3, 30))
    back["instances"][0] |= {"hidden_by": [{"id": 1, "share": 0.5}], "returned": {"margin": 0.1, "merged": 3}}
    second = written(tmp_path / "2", [entry("b", (2, 2), (1, 45)), back])
    lines = list(joined_lines([first, second], False, 1.0))
    assert [(line["t"], line["name"]) for line in lines] == [(0, "a"), (1, "b"), (2, "c")]
    last = lines[-1]["instances"]
    assert [instance["id"] for instance in last] == [1, 4, 3] or [i["id"] for i in last] == [1, 3, 4]
    assert last[0]["hidden_by"][0]["id"] == last[1]["id"]
    kept = list(joined_lines([first, second], True, 1.0))
    assert [instance["id"] for instance in kept[-1]["instances"]] == [2, 1, 3]  # they are names already


def test_front_ends_that_read_ids_keep_them():
    assert own_names(RunSettings(vis="truth")) and own_names(RunSettings(vis="file:a.json"))
    assert not own_names(RunSettings(vis="detector")) and not own_names(RunSettings(vis="mine:Part"))
    assert not own_names(RunSettings(vis="truth", reassociate=True))


def test_segments_side_by_side_and_in_shards_come_to_the_same_bytes(tmp_path, capsys):
    video = write_video(tmp_path / "a.mp4", 250, FPS)
    base = ["run", str(video), *PARTS, "--method", "hold-last", "--segment", "15"]
    assert main([*base, "--out", str(tmp_path / "a")]) == 0
    for n in (2, 1):
        assert main([*base, "--shard", f"{n}/2", "--out", str(tmp_path / "b")]) == 0
    for name in ("frames.jsonl", "tracks.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["frames.jsonl", "run.json", "tracks.json"]
    capsys.readouterr()
    assert main([*base, "--out", str(tmp_path / "a")]) == 0
    assert "every video is finished" in capsys.readouterr().out
    assert len(read_frames(tmp_path / "a" / "frames.jsonl").results) == 250


def test_a_short_video_among_long_ones_has_the_result_that_it_has_without_segments(tmp_path, capsys):
    for name, frames in (("long", 200), ("short", 20)):
        write_video(tmp_path / "v" / f"{name}.mp4", frames, FPS)
    base = ["run", str(tmp_path / "v"), "--vis", PARTS[1], "--method", "hold-last", "--device", "cpu"]
    assert main([*base, "--segment", "15", "--out", str(tmp_path / "a")]) == 0
    assert main([*base, "--segment", "15", "--out", str(tmp_path / "a")]) == 0
    assert "every video is finished" in capsys.readouterr().out
    assert main(["run", str(tmp_path / "v" / "short.mp4"), *base[2:], "--out", str(tmp_path / "b")]) == 0
    for name in ("frames.jsonl", "tracks.json", "overlay.mp4", "report.html"):
        assert (tmp_path / "a" / "short" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(list(open_video(tmp_path / "a" / "long" / "overlay.mp4"))) == 200  # drawn with the joined ids
    assert (tmp_path / "a" / "long" / "report.html").exists()


# What segments change


def truth_of(path: Path, frames: int, name: str, seed: int) -> Path:
    """The whole cars, and what is seen of them, as a file of truth."""
    front = posts()
    columns: dict[int, tuple[list, list]] = {}
    for t in range(frames):
        for key, mask in cars_of(t, seed).items():
            amodal, visible = columns.setdefault(key, ([None] * frames, [None] * frames))
            amodal[t] = Rle.encode(mask)
            visible[t] = Rle.encode(mask & ~front) if (mask & ~front).any() else None
    tracks = tuple(Track(key + 1, "car", None, tuple(v), tuple(a)) for key, (a, v) in columns.items())
    write_tracks(path, Clip(name, SIZE, tuple(f"{t:06d}" for t in range(frames)), tracks))
    return path


def ids_at_seams(whole: Path, pieces: Path, seams) -> tuple[int, int]:
    """Of the objects visible on both sides of a seam: how many, and how many whose id changes in one run alone."""
    runs = [read_frames(folder / "frames.jsonl").results for folder in (whole, pieces)]
    objects = wrong = 0
    for seam in seams:
        same = []
        for results in runs:
            before, after = (
                {i.visible.rle.counts: i.id for i in results[t].instances if i.visible} for t in (seam - 1, seam)
            )
            same.append((before, after))
        (a0, a1), (b0, b1) = same
        assert a0.keys() == b0.keys() and a1.keys() == b1.keys()
        names = {a0[mask]: b0[mask] for mask in a0}
        for mask, key in a1.items():
            if key in names:
                objects += 1
                wrong += b1[mask] != names[key]
    return objects, wrong


@pytest.mark.heavy
def test_five_minutes_in_segments_against_in_one_piece(tmp_path):
    frames, seams = 1500, (300, 600, 900, 1200)
    video = write_video(tmp_path / "long.mp4", frames, FPS, seed=1)
    base = ["run", str(video), *PARTS, "--method", "constant-velocity"]
    assert main([*base, "--out", str(tmp_path / "whole")]) == 0
    assert main([*base, "--segment", "60", "--workers", "2", "--out", str(tmp_path / "pieces")]) == 0
    objects, wrong = ids_at_seams(tmp_path / "whole", tmp_path / "pieces", seams)
    assert objects >= len(LANES) * len(seams) and wrong == 0
    truth = truth_of(tmp_path / "truth.json", frames, "long", seed=1)
    scored = {
        name: evaluate(tmp_path / name / "tracks.json", truth, ScoringRules(profile="strict"))["metrics"]
        for name in ("whole", "pieces")
    }
    whole, pieces = (100 * scored[name]["AP"] for name in ("whole", "pieces"))
    print(f"{objects} objects at {len(seams)} seams, {wrong} with other ids; AP {whole:.2f}, in pieces {pieces:.2f}")
    assert whole > 20 and abs(whole - pieces) <= 0.2
