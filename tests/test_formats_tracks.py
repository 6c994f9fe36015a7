"""What a run writes: frames.jsonl and tracks.json."""

import json

import jsonschema
import numpy as np
import pytest

from samodal import files as writing
from samodal.errors import InputError
from samodal.results.frames import FramesWriter, read_frames, schema
from samodal.results.open import open_visible
from samodal.results.youtube_vis import read_clips, write_tracks
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, Track

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
    for wrong in ({}, {"t": 0, "time": 0, "name": None, "instances": [{"id": 1}]}, {"schema": 2}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema())


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
    lines.write_text(lines.read_text().replace('"schema":1', '"schema":9'))
    with pytest.raises(InputError, match="schema 9, this version reads 1"):
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

    monkeypatch.setattr(writing.os, "replace", full)
    with pytest.raises(InputError, match="tracks.json: cannot be written .No space left on device"):
        writing.write_json(path, {"new": 1})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
