"""Results in Python: slices of frames and tracks, tables, pictures, and runs read from disk."""

import builtins
import sys

import numpy as np
import pytest

import samodal
from samodal.errors import InputError
from samodal.exports.source import of_run
from samodal.results.frames import FramesWriter
from samodal.tracks import FrameResult, Instance, State
from samodal.views.frame import FrameView

SIZE = (40, 60)
TABLES = "pip install 'samodal[tables]'"


def block(x, y, width, height):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


CAR, POLE = block(10, 10, 20, 10), block(16, 0, 8, 40)


def frame_of(t=0, hidden=False):
    car = Instance(7, "car", 0.5, State.HIDDEN if hidden else State.VISIBLE, None if hidden else CAR & ~POLE, CAR)
    pole = Instance("p", "<b>pole</b>", None, State.VISIBLE, POLE, POLE)
    return FrameResult(t, t / 10, (car, pole, Instance(9, "car", None, State.LOST, None, None)))


@pytest.fixture
def folder(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "drive", SIZE, {"fps": 10.0}) as writer:
        for t in range(5):
            writer.write(frame_of(t, hidden=t in (1, 2, 4)))
    return tmp_path


def test_a_frame_is_cut_by_ids_by_booleans_and_by_places():
    frame = FrameView.of(frame_of())
    assert frame[7].category == "car" and frame["7"] is frame[7]
    assert frame[["p", 7]].ids == ["p", 7] and frame[:1].ids == [7] and frame[[]].ids == []
    assert frame[frame.visible_share < 0.9].ids == [7] and frame[frame.categories == "car"].ids == [7, 9]
    assert frame[np.array([True, False, False])].t == 0
    assert isinstance(frame[[7]], FrameView) and isinstance(frame, samodal.FrameResult)
    with pytest.raises(KeyError, match="no instance 8"):
        frame[[8]]
    with pytest.raises(InputError, match="a boolean for each of 3"):
        frame[[True]]


def test_hidden_chooses_by_the_share_that_cannot_be_seen():
    frame = FrameView.of(frame_of())
    assert frame.visible_share[:2].tolist() == [0.6, 1.0] and np.isnan(frame.visible_share[2])
    assert frame.hidden().ids == [] and frame.hidden(0.4).ids == [7] and frame.hidden(0).ids == [7, "p"]
    assert FrameView.of(frame_of(hidden=True)).hidden().ids == [7]


def test_frames_of_a_tracker_are_views():
    pixels = np.zeros((*SIZE, 3), np.uint8)
    tracker = samodal.load(vis="file:unused.txt", device="cpu")
    frame = tracker.step(pixels, [samodal.VisibleInstance(7, "car", 0.9, CAR)])
    assert isinstance(frame, samodal.FrameView) and frame.plot().shape == (*SIZE, 3)


def test_a_picture_is_drawn_on_the_frame_or_on_a_dark_one_and_html_has_no_code_of_names():
    frame = FrameView.of(frame_of())
    dark = frame.plot()
    bright = frame.plot(np.full((*SIZE, 3), 255, np.uint8))
    assert dark[39, 59].tolist() == [40, 40, 40] and bright[39, 59].tolist() == [255, 255, 255]
    html = frame._repr_html_()
    assert "&lt;b&gt;pole" in html and "<b>pole" not in html and "data:image/jpeg;base64," in html
    with pytest.raises(InputError, match="give image="):
        frame[[9]].plot()
    assert "lost" in frame[[9]]._repr_html_()


def test_a_table_of_a_frame_and_of_a_run_has_a_row_for_each_instance(folder):
    pytest.importorskip("pandas", reason=TABLES)
    table = FrameView.of(frame_of()).to_pandas()
    assert table["id"].tolist() == [7, "p", 9] and table["state"].tolist() == ["visible", "visible", "lost"]
    assert table["hidden_by"].tolist()[0] == ["p"] and table["hidden_by_share"][0][0] == pytest.approx(0.4)
    assert table["amodal_x1"][0] == 30 and np.isnan(table["amodal_x1"][2])
    run = samodal.open_run(folder)
    assert len(run.to_pandas()) == 15
    tracks = run.tracks.to_pandas()
    assert tracks["hidden_seconds"].tolist() == [pytest.approx(0.3), 0, pytest.approx(0.5)]


def test_supervision_gets_visible_masks_with_whole_ones_beside():
    pytest.importorskip("supervision", reason="pip install 'samodal[supervision]'")
    found = FrameView.of(frame_of(hidden=True)).to_supervision()
    assert len(found) == 2 and found.xyxy.tolist() == [[10, 10, 30, 20], [16, 0, 24, 40]]
    assert not found.mask[0].any() and (found.data["amodal_mask"][0] == CAR).all()
    assert found.data["state"].tolist() == ["hidden", "visible"] and found.data["visible_share"].tolist() == [0.0, 1.0]
    assert found.tracker_id is None and found.data["id"].tolist() == ["7", "p"] and found.class_id[0] == 26
    cars = FrameView.of(frame_of())[[7]].to_supervision()
    assert cars.tracker_id.tolist() == [7] and cars.confidence.tolist() == [0.5]
    assert len(FrameView.of(frame_of())[[9]].to_supervision()) == 0
    assert (found[found.data["visible_share"] < 0.5]).data["id"].tolist() == ["7"]


def test_a_time_line_has_a_row_for_each_track_with_the_longest_hidden_on_top(folder, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pytest.importorskip("matplotlib", reason=TABLES)
    axes = samodal.open_run(folder).tracks.show()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["p <b>pole</b>", "7 car", "9 car"]
    assert FrameView.of(frame_of()).show().get_title() == "frame 0, 0.00 s"


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("pandas", lambda frame: frame.to_pandas(), "tables"),
        ("supervision", lambda frame: frame.to_supervision(), "supervision"),
        ("matplotlib", lambda frame: frame.show(), "tables"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(library, call, extra, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *rest)

    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=rf"{library}.*pip install 'samodal\[{extra}\]'"):
        call(FrameView.of(frame_of()))


def test_a_run_is_read_frame_by_frame_from_either_end_and_as_a_stream(folder):
    run = samodal.open_run(folder)
    assert (run.name, run.size, run.fps, len(run), run.complete) == ("drive", SIZE, 10.0, 5, False)
    assert run[3].time == 0.3 and run[-1].t == 4 and run[-1][7].state == "hidden"
    assert [frame.t for frame in run] == [0, 1, 2, 3, 4]
    for t in (5, -6):
        with pytest.raises(IndexError, match=f"no frame {t}: the run has 5 frames, from 0"):
            run[t]
    assert [frame.t for frame in run[1:4:2]] == [1, 3] and [frame.t for frame in run[-2:]] == [3, 4]
    for key in ("7", True, 1.0):
        with pytest.raises(InputError, match="expected the number of a frame or a slice"):
            run[key]
    assert run[np.int64(2)].t == 2 and run[9:] == []
    assert "not complete" in repr(run) and "<table>" in run._repr_html_()
    with pytest.raises(InputError, match="no such file"):
        samodal.open_run(folder / "nothing")


def test_a_line_that_was_cut_off_is_no_frame(folder):
    lines = (folder / "frames.jsonl").read_bytes()
    (folder / "frames.jsonl").write_bytes(lines[:-20])
    run = samodal.open_run(folder)
    assert len(run) == 4 and run[-1].t == 3 and len(run.tracks[7].frames) == 4


def test_tracks_tell_how_long_they_are_hidden_and_are_cut_as_frames_are(folder):
    tracks = samodal.open_run(folder).tracks
    car = tracks[7]
    assert (car.hidden_seconds, car.longest_hidden) == (pytest.approx(0.3), pytest.approx(0.2))
    assert car.states.tolist() == ["visible", "hidden", "hidden", "visible", "hidden"]
    assert car.boxes[0].tolist() == [10, 10, 30, 20] and car.visible_share.tolist() == [0.6, 0, 0, 0.6, 0]
    assert tracks.ids == [7, "p", 9] and tracks.hidden().ids == [7] and tracks[["p"]].ids == ["p"]
    assert tracks[tracks.hidden_seconds > 0.4].ids == [9] and tracks[tracks.categories == "car"][:1].ids == [7]
    assert "&lt;b&gt;pole" in tracks._repr_html_() and "hidden for 0.3 s" in repr(car)


def test_a_run_is_converted_from_python(folder):
    told = samodal.open_run(folder).convert("coco")
    assert told[0] == f"coco: {folder / 'exports' / 'coco.json'}" and "5 instances of frames left out" in told[1]
    assert of_run(folder).contents.lost == 5
