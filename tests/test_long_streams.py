"""Long streams: what is written at the end of a run grows with what was seen, not with frames times tracks."""

import importlib.util
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.results import tracks_json
from samodal.results.by_track import clip_from_results
from samodal.results.tracks_json import write_tracks, write_tracks_of
from samodal.results.youtube_vis import read_clips
from samodal.results.youtube_vis_entries import read_video_results, read_video_truth
from samodal.rle import Rle
from samodal.tracks import FrameResult, Instance, State

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SIZE = (4, 6)
INFO = {"settings": {"preset": "default"}}


def block(x: int) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[1:3, x : x + 2] = True
    return Rle.encode(mask)


MASKS = [block(x) for x in range(5)]


def passing(length: int, stay: int = 4) -> Iterator[FrameResult]:
    """A new car in every frame, which stays for a few and is hidden in its last."""
    for t in range(length):
        cars = [
            Instance(key, "car", 0.5 + 0.01 * (t - key), State.HIDDEN if t - key == stay - 1 else State.VISIBLE,
                     None if t - key == stay - 1 else MASKS[t % 5], MASKS[t % 5])
            for key in range(max(0, t - stay + 1), t + 1)
        ]  # fmt: skip
        yield FrameResult(t, t / 10, tuple(cars), cut=t == 6)


def named(results) -> Iterator[tuple[str, FrameResult]]:
    return ((f"{result.t}.png", result) for result in results)


def stream(path, length: int) -> dict:
    write_tracks_of(path, "clip", SIZE, named(passing(length)), INFO)
    return json.loads(path.read_text())


def collected(length: int):
    return clip_from_results("clip", SIZE, [f"{t}.png" for t in range(length)], passing(length))


@pytest.mark.parametrize("largest", [tracks_json.LARGEST_DENSE, 0])
def test_a_stream_is_written_as_the_same_bytes_as_its_tracks_collected_in_memory(tmp_path, monkeypatch, largest):
    monkeypatch.setattr(tracks_json, "LARGEST_DENSE", largest)
    stream(tmp_path / "stream.json", 12)
    write_tracks(tmp_path / "memory.json", collected(12), INFO)
    assert (tmp_path / "stream.json").read_bytes() == (tmp_path / "memory.json").read_bytes()


def test_a_short_file_has_a_value_or_null_for_every_frame(tmp_path):
    content = stream(tmp_path / "tracks.json", 12)
    assert content["info"]["schema"] == 1
    assert {len(a[name]) for a in content["annotations"] for name in tracks_json.COLUMNS} == {12}
    assert not any("frames" in annotation for annotation in content["annotations"])


def test_a_long_file_has_values_for_the_frames_of_a_track_alone_and_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks_json, "LARGEST_DENSE", 100)
    content = stream(tmp_path / "tracks.json", 12)
    car = content["annotations"][1]
    assert content["info"]["schema"] == 2 and car["frames"] == [1, 2, 3, 4]
    assert car["states"] == ["visible", "visible", "visible", "hidden"] and len(car["segmentations"]) == 4
    (read,) = read_clips(tmp_path / "tracks.json").values()
    assert read.tracks == collected(12).tracks


def test_evaluation_reads_a_long_file_as_it_reads_a_short_one(tmp_path, monkeypatch):
    stream(tmp_path / "dense.json", 12)
    monkeypatch.setattr(tracks_json, "LARGEST_DENSE", 0)
    stream(tmp_path / "sparse.json", 12)
    truth = read_video_truth(tmp_path / "dense.json")
    dense, sparse = (read_video_results(tmp_path / f"{name}.json", truth) for name in ("dense", "sparse"))
    assert [vars(entry) for entry in sparse] == [vars(entry) for entry in dense]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [([3, 2, 1, 4], "be ascending"), ([1, 2, 3, 12], "of its 12 frames"), ([1.0, 2, 3, 4], "must be"), ("", "must be"),
     ([1, 2], "a value for each of 2 frames")],
)  # fmt: skip
def test_frames_that_a_track_cannot_have_are_refused(tmp_path, monkeypatch, frames, reason):
    monkeypatch.setattr(tracks_json, "LARGEST_DENSE", 0)
    content = stream(tmp_path / "tracks.json", 12)
    content["annotations"][1]["frames"] = frames
    (tmp_path / "tracks.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"tracks.json: annotation 2: .*{reason}"):
        read_clips(tmp_path / "tracks.json")


def test_memory_at_the_end_of_a_run_does_not_grow_with_frames_times_tracks(tmp_path):
    def peak(length: int) -> int:
        tracemalloc.start()
        write_tracks_of(tmp_path / "tracks.json", "clip", SIZE, named(passing(length)), INFO)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(1100), peak(4400)
    size = (tmp_path / "tracks.json").stat().st_size
    assert many - few < 3_300 * 1500, f"{few} and {many} bytes"  # 1 kB or so for each further frame and its track
    assert size < 4_400 * 4 * 400


def test_memory_at_the_end_of_a_run_does_not_grow_with_the_length_of_a_track(tmp_path):
    noise = Rle.encode(np.random.default_rng(0).random((80, 80)) < 0.5)

    def peak(length: int) -> int:
        car = Instance(1, "car", 0.5, State.VISIBLE, noise, noise)
        frames = named(FrameResult(t, t / 10, (car,)) for t in range(length))
        tracemalloc.start()
        write_tracks_of(tmp_path / "tracks.json", "clip", noise.size, frames, INFO)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(600), peak(2400)
    assert len(noise.counts) > 3_000
    assert many - few < 1_800 * 500, f"{few} and {many} bytes"  # for each further frame its name, and no mask


def test_a_stream_that_fails_leaves_the_older_file_and_nothing_else(tmp_path):
    (tmp_path / "tracks.json").write_text("older")

    def broken():
        yield from named(passing(3))
        raise InputError("frame 3 is damaged")

    with pytest.raises(InputError, match="frame 3 is damaged"):
        write_tracks_of(tmp_path / "tracks.json", "clip", SIZE, broken(), INFO)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_frames_out_of_order_become_no_tracks(tmp_path):
    late = [FrameResult(0, 0.0, ()), FrameResult(2, 0.2, ())]
    with pytest.raises(InputError, match="clip clip: frames are missing or out of order"):
        write_tracks_of(tmp_path / "tracks.json", "clip", SIZE, named(late), INFO)


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux gives it")
@pytest.mark.parametrize("vis", ["long_run:Cars", "file"])
def test_a_longer_run_needs_no_more_memory_up_to_its_end(tmp_path, vis):
    spec = importlib.util.spec_from_file_location("long_run", BENCHMARKS / "long_run.py")
    long_run = importlib.util.module_from_spec(spec)
    sys.modules["long_run"] = long_run
    peaks = {}
    try:
        spec.loader.exec_module(long_run)
        # Before 900 frames memory still grows: instances are remembered for 180 frames, and the allocator keeps room.
        for length in (900, 1500):
            folder = tmp_path / str(length)
            folder.mkdir()
            command, out = long_run.command(folder, length, vis, "long_run:Boxes")
            watched = long_run.watch(command, out, step=length // 3)
            peaks[length] = watched.peak
            assert [row[0] for row in watched.at] == [length // 3, 2 * length // 3, length]
            assert watched.at[0][2] < watched.at[1][2] < watched.at[2][2]  # seen while it was at work
    finally:
        del sys.modules["long_run"]
    # The end counts: it makes tracks.json and report.html of all frames, and must not hold them at once.
    assert peaks[1500] - peaks[900] < 15, peaks
    tracks = json.loads((out / "tracks.json").read_text())["annotations"]
    assert len(tracks) == 375 and {len(track["segmentations"]) for track in tracks} == {1500}
