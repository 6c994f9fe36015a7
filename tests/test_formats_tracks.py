"""What a run writes: frames.jsonl and tracks.json."""

import json
import os
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from samodal import files as writing
from samodal.confidence import Confidence
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.results.frames import FramesWriter, read_frames, schema
from samodal.results.open import open_visible
from samodal.results.tracks_json import write_tracks
from samodal.results.youtube_vis import read_clips
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, Returned, State, Track

SIZE = (4, 6)


def rle(x0: int, x1: int) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[1:3, x0:x1] = True
    return Rle.encode(mask)


def results() -> list[FrameResult]:
    """A car seen in part, then hidden with one of its two points lost; a person that leaves."""
    points = np.array([[1.5, 2.25]], np.float32)
    followed = np.array([[2.5, 2.0], [np.nan, np.nan]], np.float32)
    return [
        FrameResult(
            0,
            0.0,
            (
                Instance(3, "car", np.float32(0.5), State.VISIBLE, rle(0, 2), rle(0, 4), points),
                Instance("p", "person", None, State.KEPT, rle(5, 6), rle(5, 6)),
            ),
        ),
        FrameResult(
            1,
            0.1,
            (
                Instance(3, "car", 0.25, State.HIDDEN, None, rle(1, 5), None, followed, 1, 0.1),
                Instance("p", "person", None, State.HIDDEN, None, None, frames_since_seen=1),
            ),
        ),
    ]


@pytest.fixture
def lines(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE, {"preset": "default"}) as writer:
        for result in results():
            writer.write(result, f"{result.t}.png")
    return tmp_path / "frames.jsonl"


def test_every_line_fits_the_shipped_schema(lines):
    for line in lines.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema())


def test_the_schema_refuses_what_is_not_a_line():
    for wrong in ({}, {"t": 0, "time": 0, "name": None, "instances": [{"id": 1}]}, {"schema": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema())


def complete() -> FrameResult:
    """A bus in front of a car that reaches 2 pixels over the left border; all is said of the car that can be."""
    beyond = Mask(SIZE, -2, 1, np.ones((2, 6), bool))
    bus = Instance("bus", "bus", 0.9, State.VISIBLE, rle(2, 6), rle(2, 6), expected_iou=0.5, beyond=Mask.of(rle(2, 6)))
    car = Instance(
        1, "car", 0.4, State.VISIBLE, rle(0, 2), rle(0, 4), expected_iou=np.float32(0.75), beyond=beyond,
        spread=np.array([0.5, 1, 2.25, 3], np.float32),
        hypotheses=(Mask.nowhere(SIZE), Mask.of(rle(0, 4)), Mask.of(rle(0, 5))),
        confidence=Confidence.of(-2, 1, np.linspace(0, 1, 12).reshape(2, 6)),
    )  # fmt: skip
    return FrameResult(0, 0.0, (bus, car))


@pytest.fixture
def detailed(tmp_path):
    with FramesWriter(tmp_path / "detailed.jsonl", "clip", SIZE, details=True) as writer:
        writer.write(complete())
    return tmp_path / "detailed.jsonl"


def test_each_line_says_who_hides_whom_and_by_which_share_of_the_amodal_mask(detailed):
    bus, car = json.loads(detailed.read_text().splitlines()[1])["instances"]
    assert (bus["hidden_by"], car["hidden_by"]) == ([], [{"id": "bus", "share": 0.5}])
    assert read_frames(detailed).results[0].hidden_by == {"bus": (), 1: (("bus", 0.5),)}


def test_what_a_segmenter_says_beside_its_mask_comes_back_as_it_was_written(detailed):
    for line in detailed.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema())
    wrote, read = complete()[1], read_frames(detailed).results[0][1]
    assert (read.expected_iou, read.spread.tolist()) == (0.75, [0.5, 1, 2.25, 3])
    assert (read.beyond.box, read.beyond.area, read.beyond.size) == ((-2, 1, 4, 3), 12, SIZE)
    assert read.hypotheses == wrote.hypotheses
    assert (read.confidence.x, read.confidence.y) == (-2, 1)
    assert np.array_equal(read.confidence.values, wrote.confidence.values)


def test_what_lies_beyond_the_frame_is_written_only_where_it_is_more_than_the_amodal_mask(detailed):
    bus, car = json.loads(detailed.read_text().splitlines()[1])["instances"]
    assert bus["beyond"] is None
    assert {key: car["beyond"][key] for key in ("x0", "y0", "size")} == {"x0": -2, "y0": 1, "size": [2, 6]}


def test_hypotheses_and_confidence_are_written_only_where_they_are_wanted(tmp_path):
    with FramesWriter(tmp_path / "f.jsonl", "clip", SIZE) as writer:
        writer.write(complete())
    line = json.loads((tmp_path / "f.jsonl").read_text().splitlines()[1])
    jsonschema.validate(line, schema())
    assert not {"hypotheses", "confidence"} & line["instances"][1].keys()
    read = read_frames(tmp_path / "f.jsonl").results[0][1]
    assert (read.hypotheses, read.confidence, read.expected_iou) == (None, None, 0.75)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("beyond", "size", [2]),
        ("beyond", "size", [2, 10**9]),
        ("beyond", "counts", "1"),
        ("beyond", "x0", 0.5),
        ("confidence", "zlib", "AAAA"),
        ("confidence", "size", [3, 6]),
        ("confidence", "zlib", 7),
    ],
)
def test_a_damaged_cut_out_is_refused_with_its_place(detailed, part, key, value):
    header, line = (json.loads(line) for line in detailed.read_text().splitlines())
    line["instances"][1][part][key] = value
    detailed.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
    with pytest.raises(InputError, match=f"detailed.jsonl, line 2: instance 1, {part}"):
        read_frames(detailed)


SCHEMA_1 = """\
{"schema":1,"clip":"clip","size":[4,6],"settings":{"preset":"default"}}
{"t":0,"time":0.0,"name":null,"instances":[{"id":3,"category":"car","score":0.5,"state":"visible",\
"visible":{"size":[4,6],"counts":"1220?"},"amodal":{"size":[4,6],"counts":"122000007"},\
"visible_box":[0.0,1.0,2.0,3.0],"amodal_box":[0.0,1.0,4.0,3.0],"occlusion":0.5,"points":[[1.5,2.25]],"followed":null,\
"frames_since_seen":0,"seconds_since_seen":0.0}]}
"""


def test_a_file_of_schema_1_is_read_as_before(tmp_path):
    (tmp_path / "f.jsonl").write_text(SCHEMA_1)
    frames = read_frames(tmp_path / "f.jsonl")
    (car,) = frames.results[0]
    assert (car.visible, car.amodal, car.points.tolist()) == (rle(0, 2), rle(0, 4), [[1.5, 2.25]])
    assert (car.expected_iou, car.beyond, car.spread, car.hypotheses, car.confidence) == (None,) * 5
    assert frames.results[0].hidden_by == {3: ()} and frames.tracks().tracks[0].id == 3


def test_frames_come_back_as_they_were_written(lines):
    frames = read_frames(lines)
    assert (frames.clip, frames.size, frames.settings, frames.complete) == (
        "clip",
        SIZE,
        {"preset": "default"},
        True,
    )
    assert frames.names == ("0.png", "1.png")
    for wrote, read in zip(results(), frames.results, strict=True):
        assert (wrote.t, wrote.time) == (read.t, read.time)
        for one, other in zip(wrote.instances, read.instances, strict=True):
            for name in ("id", "category", "score", "state", "visible", "amodal", "frames_since_seen"):
                assert getattr(one, name) == getattr(other, name)
            np.testing.assert_array_equal(one.points, other.points)
            np.testing.assert_array_equal(one.followed, other.followed)


@pytest.mark.parametrize("merged", [None, 8, "8.2"])
def test_what_a_frame_says_of_a_return_comes_back_and_fits_the_schema(tmp_path, merged):
    back = replace(CAR, returned=Returned(0.25, merged))
    with FramesWriter(tmp_path / "f.jsonl", "clip", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, (back,)))
        writer.write(FrameResult(1, 0.1, (CAR,)))
    for line in (tmp_path / "f.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema())
    first, second = (result.instances[0].returned for result in read_frames(tmp_path / "f.jsonl").results)
    assert (first, second) == (Returned(0.25, merged), None)


CAR = Instance(3, "car", 0.5, State.VISIBLE, rle(0, 2), rle(0, 4))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (FrameResult(1, 0.1, (CAR, CAR)), "frame 1, instance 3: the id is there twice"),
        (FrameResult(1, 0.1, (CAR, replace(CAR, id="3"))), "frame 1, instance '3': the id is there twice"),
        (FrameResult(1, 0.1, (replace(CAR, id=(1, 2)),)), "expected an int or str as id, got tuple"),
        (FrameResult(1, 0.1, (replace(CAR, id=True),)), "expected an int or str as id, got bool"),
        (FrameResult(1, 0.1, (replace(CAR, category=None),)), "expected a class name as text, got None"),
        (FrameResult(1, 0.1, (replace(CAR, score=7.5),)), "expected a score in .0, 1. or None, got 7.5"),
        (FrameResult(1, 0.1, (replace(CAR, score=float("nan")),)), "expected a score"),
        (
            FrameResult(1, 0.1, (replace(CAR, amodal=np.ones((5, 6), bool)),)),
            r"a mask of \(5, 6\) in frames of \(4, 6\)",
        ),
        (FrameResult(1, float("nan"), ()), "its time nan is no number"),
        (FrameResult(0, 0.1, ()), "frame 0: comes after frame 0"),
        (FrameResult(2, 0.1, ()), "frame 2: comes after frame 0"),
    ],
)
def test_a_frame_that_would_spoil_the_file_is_refused_and_the_file_goes_on(tmp_path, result, message):
    with FramesWriter(tmp_path / "f.jsonl", "clip", SIZE) as writer:
        writer.write(results()[0])
        with pytest.raises(InputError, match=message):
            writer.write(result)
        writer.write(results()[1])
    assert len(read_frames(tmp_path / "f.jsonl").tracks()) == 2


def test_ids_may_be_numbers_of_numpy(tmp_path):
    with FramesWriter(tmp_path / "f.jsonl", "clip", SIZE) as writer:
        hidden, other = (
            replace(CAR, id=np.int64(7)),
            Instance(np.int32(8), "bus", None, State.VISIBLE, rle(2, 4), rle(2, 4)),
        )
        writer.write(FrameResult(np.int64(0), np.float32(0), (hidden, other)))
    assert read_frames(tmp_path / "f.jsonl").results[0].edges() == [(8, 7, 0.5)]


def test_each_frame_is_in_the_file_as_soon_as_it_is_written(tmp_path):
    writer = FramesWriter(tmp_path / "f.jsonl", "clip", SIZE)
    writer.write(results()[0])
    assert len(read_frames(tmp_path / "f.jsonl").results) == 1
    writer.close()


def test_a_cut_last_line_is_left_out_and_the_rest_is_read(lines):
    text = lines.read_text()
    lines.write_text(text[:-30])
    frames = read_frames(lines)
    assert len(frames.results) == 1 and not frames.complete
    assert frames.tracks().tracks[0].amodal == (rle(0, 4),)


def test_a_damaged_line_in_the_middle_is_refused(lines):
    text = lines.read_text().splitlines()
    text[1] = text[1][:-30]
    lines.write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match="frames.jsonl, line 2"):
        read_frames(lines)


def test_another_schema_version_is_refused(lines):
    lines.write_text(lines.read_text().replace('"schema":2', '"schema":9'))
    with pytest.raises(InputError, match="schema 9, this version reads 1 and 2"):
        read_frames(lines)


def test_a_file_without_header_is_refused(tmp_path):
    (tmp_path / "f.jsonl").write_text('{"t":0}\n')
    with pytest.raises(InputError, match="no header"):
        read_frames(tmp_path / "f.jsonl")


def test_frames_become_tracks(lines):
    car, person = read_frames(lines).tracks().tracks
    assert car.visible == (rle(0, 2), None) and car.amodal == (rle(0, 4), rle(1, 5))
    assert car.score == 0.5 and car.states == (State.VISIBLE, State.HIDDEN)
    assert person.score is None and person.amodal == (rle(5, 6), None)


def test_tracks_come_back_as_they_were_written(lines, tmp_path):
    wrote = read_frames(lines).tracks()
    write_tracks(tmp_path / "tracks.json", wrote, {"settings": {"preset": "default"}})
    (read,) = read_clips(tmp_path / "tracks.json").values()
    assert (read.name, read.size, read.frames) == (wrote.name, wrote.size, wrote.frames)
    assert read.info == {"schema": 1, "settings": {"preset": "default"}}
    assert read.tracks == wrote.tracks


def test_tracks_are_youtube_vis_with_the_ids_of_the_front_end(lines, tmp_path):
    write_tracks(tmp_path / "tracks.json", read_frames(lines).tracks())
    content = json.loads((tmp_path / "tracks.json").read_text())
    car, person = content["annotations"]
    assert content["categories"] == [{"id": 26, "name": "car"}, {"id": 24, "name": "person"}]
    assert (car["id"], car["track_id"], person["id"], person["track_id"]) == (1, 3, 2, "p")
    assert car["areas"] == [8, 8] and car["bboxes"][0] == [0, 1, 4, 2] and car["occlude_rate"] == [0.5, 1.0]
    assert person["segmentations"][1] is None


def test_several_clips_in_one_file_and_classes_that_nobody_knows(tmp_path):
    clips = [
        Clip(name, SIZE, ("0",), (Track(1, "tram", 0.5, (rle(0, 2),), (rle(0, 3),)),), labelled=(0,))
        for name in ("a", "b")
    ]
    write_tracks(tmp_path / "truth.json", clips)
    read = read_clips(tmp_path / "truth.json")
    assert list(read) == ["a", "b"]
    assert read["b"].tracks[0].category == "tram" and read["b"].labelled == (0,)


@pytest.mark.parametrize("name", ["tracks.json", "frames.jsonl"])
def test_our_own_files_are_front_ends_too(lines, tmp_path, name):
    write_tracks(tmp_path / "tracks.json", read_frames(lines).tracks())
    clip = open_visible(tmp_path / name, "other", SIZE, 2)
    assert clip.name == "other" and clip.tracks[0].visible == (rle(0, 2), None)
    assert all(mask is None for track in clip.tracks for mask in track.amodal)
    with pytest.raises(InputError, match="4x6 .* in 2 frames, but the video has 4x6 in 7 frames"):
        open_visible(tmp_path / name, "other", SIZE, 7)


def test_two_tracks_with_one_id_are_refused(lines, tmp_path):
    write_tracks(tmp_path / "tracks.json", read_frames(lines).tracks())
    text = (tmp_path / "tracks.json").read_text().replace('"track_id":"p"', '"track_id":3')
    (tmp_path / "tracks.json").write_text(text)
    with pytest.raises(InputError, match="tracks.json: clip clip: two tracks have the id 3"):
        read_clips(tmp_path / "tracks.json")


def test_a_failed_write_leaves_the_old_file_and_says_why(tmp_path, monkeypatch):
    path = tmp_path / "tracks.json"
    writing.write_json(path, {"old": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="tracks.json: cannot be written .No space left on device"):
        writing.write_json(path, {"new": 1})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
