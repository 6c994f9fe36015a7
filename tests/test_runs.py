"""Runs survive: kills, interruptions, second runs and places that refuse cost nothing that was finished."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from killed import FRAMES
from made_up import Oracle, passing_square
from samodal import outputs
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.interruption import COMPLETE
from samodal.method.pipeline import Pipeline
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.report.make import RunReport
from samodal.results.frames import read_frames
from samodal.runner import run_video
from samodal.runs import saved
from samodal.runs.state import read_state, write_state
from samodal.settings import RunSettings
from samodal.video import ArrayVideo, open_video

FILES = ("frames.jsonl", "tracks.json")


class Report:
    """A front end that reports the passing square, and stops the run at a frame in the way that a test wants."""

    stop_at, why, alone = None, KeyboardInterrupt, True

    def open(self, video):
        self._observed = passing_square(FRAMES)[1]
        return self

    def step(self, frame, t):
        if t == type(self).stop_at:
            raise self.why
        return self._observed[t].visible

    def reset(self):
        pass


@pytest.fixture
def drive(tmp_path):
    """A folder of frames of the passing square."""
    folder = tmp_path / "drive"
    folder.mkdir()
    for seen in passing_square(FRAMES)[1]:
        Image.fromarray(seen.frame.image).save(folder / f"{seen.frame.t:06d}.png")
    return folder


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """A state after every frame, and no waiting for locks; the front end stops nowhere."""
    monkeypatch.setattr(saved, "SAVE_S", 0.0)
    monkeypatch.setattr(saved, "SHARE", 1e9)
    monkeypatch.setattr(Report, "stop_at", None)
    monkeypatch.setattr(Report, "why", KeyboardInterrupt)


def settings(drive, **changes):
    base = RunSettings(video=str(drive), vis=f"{__name__}:Report", method="hold-last", overlay=False, device="cpu")
    return replace(base, **changes)


def run(settings, out):
    return run_video(settings, open_video(settings.video, settings.strict), out)


def content(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@contextmanager
def stopped(t, why=KeyboardInterrupt):
    """The run that is stopped at frame t."""
    Report.stop_at, Report.why = t, why
    with pytest.raises(why if isinstance(why, type) else type(why)) as error:
        yield error
    Report.stop_at = None


# Going on


@pytest.mark.parametrize("changes", [{"method": "samodal"}, {"method": "samodal", "reassociate": True}, {}])
def test_an_interrupted_run_goes_on_and_ends_with_the_bytes_of_one_that_was_not(changes, drive, tmp_path):
    chosen = settings(drive, **changes)
    run(chosen, tmp_path / "whole")
    for t in (3, 7, 10):
        with stopped(t):
            run(chosen, tmp_path / "out")
        assert len(read_frames(tmp_path / "out" / "frames.jsonl").results) == t
    run(chosen, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["frames.jsonl", "run.json", "tracks.json"]


class Threads(Oracle):
    """A segmenter that knows the square, and notes in which thread it is asked."""

    def __init__(self):
        super().__init__([passing_square(FRAMES)[0]])
        self.asked = []

    def decode(self, features, prompts, index):
        self.asked.append(threading.current_thread().name)
        return super().decode(features, prompts, index)


class Ahead(Threads):
    """The same, which encodes frames to come as a GPU does."""

    batch = 3

    def encode_ahead(self, frames):
        pass


def segmented(segmenter, chosen, out, monkeypatch):
    """The bytes of a run with a segmenter, and the threads in which it was asked."""
    monkeypatch.setattr("samodal.build.segmenter_of", lambda *_: segmenter)
    run(chosen, out)
    return content(out), set(segmenter.asked)


@pytest.mark.parametrize(
    ("changes", "threads"),
    [
        ({"preset": "paper"}, {"ahead"}),
        ({"preset": "default"}, {"MainThread"}),
        ({"reassociate": True}, {"MainThread"}),
    ],
    ids=["paper", "told earlier shapes", "ids hang on results"],
)
def test_a_segmenter_on_a_gpu_is_asked_ahead_of_time_where_nothing_hangs_on_results(
    changes, threads, drive, tmp_path, monkeypatch
):
    chosen = settings(drive, method="samodal", **({"preset": "paper"} | changes))
    plain, where = segmented(Threads(), chosen, tmp_path / "plain", monkeypatch)
    assert where == {"MainThread"}
    assert segmented(Ahead(), chosen, tmp_path / "ahead", monkeypatch) == (plain, threads)


def test_a_run_whose_segmenter_was_asked_ahead_goes_on_where_it_was_interrupted(drive, tmp_path, monkeypatch):
    chosen, segmenter = settings(drive, method="samodal", preset="paper"), Ahead()
    whole, _ = segmented(Ahead(), chosen, tmp_path / "whole", monkeypatch)
    monkeypatch.setattr("samodal.build.segmenter_of", lambda *_: segmenter)
    for t in (3, 7):
        with stopped(t):
            run(chosen, tmp_path / "out")
        assert len(read_frames(tmp_path / "out" / "frames.jsonl").results) == t
    segmenter.asked.clear()
    assert segmented(segmenter, chosen, tmp_path / "out", monkeypatch) == (whole, {"ahead"})
    assert len(segmenter.asked) <= FRAMES - 7


RETURNS = 34
"""Frames in which the square comes out again, and stays for longer than hindsight waits for."""


class Returns(Report):
    """The same over more frames, two pixels a frame, so that the square is hidden for some and comes back."""

    def open(self, video):
        self._observed = passing_square(RETURNS, step=2)[1]
        return self


@pytest.fixture
def returning(tmp_path):
    folder = tmp_path / "returning"
    folder.mkdir()
    for seen in passing_square(RETURNS, step=2)[1]:
        Image.fromarray(seen.frame.image).save(folder / f"{seen.frame.t:06d}.png")
    return folder


def offline(returning, **changes):
    return settings(returning, method="samodal", vis=f"{__name__}:Returns", offline=True, **changes)


@pytest.mark.parametrize("changes", [{}, {"reassociate": True}, {"details": True}], ids=str)
def test_an_interrupted_run_with_hindsight_ends_with_the_bytes_of_one_that_was_not(changes, returning, tmp_path):
    chosen = offline(returning, **changes)
    run(chosen, tmp_path / "whole")
    for t in (3, 21, 26, 30):
        Returns.stop_at, Returns.why = t, KeyboardInterrupt
        with pytest.raises(KeyboardInterrupt):
            run(chosen, tmp_path / "out")
    Returns.stop_at = None
    run(chosen, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["frames.jsonl", "run.json", "tracks.json"]


def test_a_run_with_hindsight_that_goes_on_makes_only_the_frames_after_its_state(returning, tmp_path, monkeypatch):
    Returns.stop_at = 24
    with pytest.raises(KeyboardInterrupt):
        run(offline(returning), tmp_path / "out")
    waiting = len(read_frames(tmp_path / "out" / "frames.jsonl").results)
    assert waiting == 20  # the square is hidden from there on
    Returns.stop_at, steps, plain = None, [], Pipeline.step
    monkeypatch.setattr(Pipeline, "step", lambda self, *given: steps.append(1) or plain(self, *given))
    run(offline(returning), tmp_path / "out")
    assert len(steps) == RETURNS - 24


def test_a_run_with_hindsight_says_so_and_changes_the_gap_alone(returning, tmp_path):
    run(offline(returning, overlay=True), tmp_path / "late")
    run(replace(offline(returning, overlay=True), offline=False), tmp_path / "causal")
    record = json.loads((tmp_path / "late" / "run.json").read_text())
    assert record["settings"]["offline"] is True
    for name, told in (("late", True), ("causal", False)):
        assert ("hindsight: masks in gaps" in (tmp_path / name / "report.html").read_text()) is told
    assert "offline" not in json.loads((tmp_path / "causal" / "run.json").read_text())["settings"]
    lines = [(tmp_path / name / "frames.jsonl").read_text().splitlines()[1:] for name in ("late", "causal")]
    differ = [t for t, (late, causal) in enumerate(zip(*lines, strict=True)) if late != causal]
    assert differ == [20, 21, 22, 23, 24]


def test_every_frame_of_an_overlay_with_hindsight_is_that_of_its_result(returning, tmp_path, monkeypatch):
    pairs, add = [], RunReport.add
    monkeypatch.setattr(RunReport, "add", lambda *given: pairs.append(given[1:]) or add(*given))
    run(offline(returning, frames="2:"), tmp_path / "out")
    pictures = [np.asarray(Image.open(path)) for path in sorted(returning.iterdir())][2:]
    assert [frame.t for frame, _ in pairs] == [result.t for _, result in pairs] == list(range(RETURNS - 2))
    assert all(np.array_equal(frame.image, pictures[frame.t]) for frame, _ in pairs)


def test_hindsight_is_refused_for_what_is_live(returning, tmp_path):
    video = ArrayVideo("camera", np.zeros((4, 60, 120, 3), np.uint8), source="/dev/video0")
    video.live = "v4l2"
    with pytest.raises(InputError, match="/dev/video0: --offline looks back from later frames"):
        run_video(offline(returning), video, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_method_with_a_state_sees_only_the_frames_after_it(drive, tmp_path, monkeypatch):
    chosen = settings(drive, method="samodal")
    with stopped(8):
        run(chosen, tmp_path / "out")
    steps, plain = [], Pipeline.step
    monkeypatch.setattr(Pipeline, "step", lambda self, *given: steps.append(1) or plain(self, *given))
    run(chosen, tmp_path / "out")
    assert len(steps) == FRAMES - 8


def test_an_interrupted_overlay_is_whole_and_the_finished_one_has_all_frames(drive, tmp_path):
    av = pytest.importorskip("av")

    def frames(path):
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0))

    chosen = settings(drive, method="samodal", overlay=True)
    with stopped(5):
        run(chosen, tmp_path / "out")
    assert frames(tmp_path / "out" / "overlay.mp4") == 5
    run(chosen, tmp_path / "out")
    assert frames(tmp_path / "out" / "overlay.mp4") == FRAMES


def test_a_state_that_is_lost_or_damaged_costs_time_alone(drive, tmp_path):
    chosen = settings(drive, method="samodal")
    run(chosen, tmp_path / "whole")
    for n, damaged in enumerate((None, b"", b"{}\n", b'{"pairs":[]}\nmore', b"\xff" * 40)):
        out = tmp_path / f"out{n}"
        with stopped(6):
            run(chosen, out)
        state = out / "unfinished" / "state"
        state.unlink() if damaged is None else state.write_bytes(damaged)
        run(chosen, out)
        assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize("name", ["t", "position", "memory", "tracker", "cuts"])
def test_a_state_with_a_value_that_cannot_be_costs_time_alone(name, drive, tmp_path):
    chosen = settings(drive, method="samodal")
    run(chosen, tmp_path / "whole")
    with stopped(6):
        run(chosen, tmp_path / "out")
    state = tmp_path / "out" / "unfinished" / "state"
    content_of = read_state(state)
    (content_of if name in content_of else content_of["method"])[name] = "x"
    write_state(state, content_of)
    run(chosen, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_line_that_was_cut_by_a_kill_is_written_again(drive, tmp_path):
    chosen = settings(drive)
    run(chosen, tmp_path / "whole")
    with stopped(6):
        run(chosen, tmp_path / "out")
    lines = tmp_path / "out" / "frames.jsonl"
    lines.write_bytes(lines.read_bytes()[:-25])
    run(chosen, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_front_end_that_reports_something_else_than_before_is_named(drive, tmp_path, monkeypatch):
    for method, expected in (("samodal", "the front end reports something else"), ("hull", "line 2: is not what")):
        out = tmp_path / method
        with stopped(6):
            run(settings(drive, method=method), out)
        with monkeypatch.context() as patch, pytest.raises(InputError, match=expected):
            patch.setattr(Report, "step", lambda self, frame, t: self._observed[min(t + 1, FRAMES - 1)].visible)
            run(settings(drive, method=method), out)


def test_a_part_whose_state_no_file_can_hold_begins_anew(drive, tmp_path, monkeypatch):
    chosen = settings(drive, method="samodal")
    run(chosen, tmp_path / "whole")
    monkeypatch.setattr(Pipeline, "state_dict", lambda self: {"open": object()})
    with stopped(6):
        run(chosen, tmp_path / "out")
    run(chosen, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = {
        "t": 3, 7: ("a", [np.arange(6, dtype=np.float32).reshape(2, 3), None, True, 0.1]), "empty": np.zeros((0, 2)),
        "frames": [(1, np.full((2, 2), 255, np.uint8))], "none": {}, "nan": np.array([np.nan, np.inf]),
    }  # fmt: skip
    write_state(tmp_path / "state", state)
    again = read_state(tmp_path / "state")
    assert list(again) == list(state) and again[7][0] == "a" and again[7][1][1:] == [None, True, 0.1]
    for before, after in (
        (state[7][1][0], again[7][1][0]),
        (state["empty"], again["empty"]),
        (state["nan"], again["nan"]),
    ):
        assert before.dtype == after.dtype and np.array_equal(before, after, equal_nan=True)
    assert again["frames"][0][1].tolist() == [[255, 255], [255, 255]] and again["none"] == {}


@pytest.mark.parametrize("dtype", ["|O", "08", "f4,f4", "(09)f4", "[('a', 'f4')]", "<U3", 4, None])
def test_an_array_of_a_state_holds_flags_or_numbers_and_nothing_else(dtype, tmp_path):
    line = json.dumps({"pairs": [["a", {"array": [dtype, [1]]}]]})
    (tmp_path / "state").write_bytes(line.encode() + b"\n" + bytes(8))
    assert read_state(tmp_path / "state") is None


def test_a_state_from_before_the_pictures_changed_is_not_taken_up(drive, tmp_path, monkeypatch):
    chosen = settings(drive, method="samodal")
    with stopped(8):
        run(chosen, tmp_path / "out")
    for picture in drive.iterdir():
        Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    steps, plain = [], Pipeline.step
    monkeypatch.setattr(Pipeline, "step", lambda self, *given: steps.append(1) or plain(self, *given))
    with stopped(2):
        run(chosen, tmp_path / "out")
    assert len(steps) == 2
    run(chosen, tmp_path / "out")
    assert len(steps) == FRAMES
    run(chosen, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


# What is finished


@pytest.mark.parametrize("why", [KeyboardInterrupt, RuntimeError("out of memory"), InputError("damaged")])
def test_a_finished_result_is_not_touched_by_a_run_that_fails(why, drive, tmp_path):
    run(settings(drive), tmp_path)
    before = content(tmp_path)
    with stopped(4, why):
        run(settings(drive, method="hull", overwrite=True), tmp_path)
    assert content(tmp_path) == before
    assert len(read_frames(tmp_path / "unfinished" / "frames.jsonl").results) == 4
    run(settings(drive, method="hull", overwrite=True), tmp_path)
    assert read_frames(tmp_path / "frames.jsonl").settings["method"] == "hull"
    assert not (tmp_path / "unfinished").exists()


def test_the_same_command_again_makes_nothing_anew_and_gives_the_same_summary(drive, tmp_path, capsys):
    first = run(settings(drive), tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    second = run(settings(drive), tmp_path / "out")
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert replace(second, before=False) == first and second.before
    command = ["run", str(drive), "--vis", f"{__name__}:Report", "--method", "hold-last", "--no-overlay"]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    assert "is finished with these settings already" in capsys.readouterr().out


@pytest.mark.parametrize("interrupted", [True, False])
def test_other_settings_are_refused_with_what_differs_unless_the_result_is_to_be_overwritten(
    interrupted, drive, tmp_path
):
    if interrupted:
        with stopped(4):
            run(settings(drive), tmp_path)
    else:
        run(settings(drive), tmp_path)
    for changes, told in (
        ({"method": "hull"}, "method was 'hold-last' and is 'hull'"),
        ({"rules": {"points": 4}}, "rules.points was 3 and is 4"),
        ({"frames": "0:9"}, "something else: without --frames before;"),
    ):
        with pytest.raises(InputError) as error:
            run(settings(drive, **changes), tmp_path)
        assert told in str(error.value) and "--overwrite" in str(error.value) and "\n" not in str(error.value)
    run(settings(drive, method="hull", overwrite=True), tmp_path)
    assert read_frames(tmp_path / "frames.jsonl").settings["method"] == "hull"


def test_a_result_is_known_by_its_pictures_and_weights_not_by_their_names(drive, tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"first")
    chosen = settings(drive, vis=f"{__name__}:Weighted:{weights}")
    run(chosen, tmp_path / "out")
    picture = drive / "000003.png"
    bytes_before, known = picture.read_bytes(), picture.stat()
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    with pytest.raises(InputError, match="pictures: the files have changed.*--overwrite"):
        run(chosen, tmp_path / "out")
    picture.write_bytes(bytes_before)  # at another time, but the same
    assert picture.stat().st_mtime_ns != known.st_mtime_ns
    assert run(chosen, tmp_path / "out").before
    weights.write_bytes(b"other")
    with pytest.raises(InputError, match="Weighted:.*: the files have changed"):
        run(chosen, tmp_path / "out")


class Weighted(Report):
    def __init__(self, path):
        pass


def test_changed_labels_of_a_finished_clip_are_noticed(tmp_path, capsys):
    from toy_data import write_toy

    data = write_toy(tmp_path / "toy", sequences=2, frames=2, seed=0)
    command = ["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    (label,) = tmp_path.glob("toy/amodal_instance_seg/front/toy_0001/*_0001_aminseg.json")
    label.write_text("{}")
    assert main(command) == 3
    told = capsys.readouterr().err
    assert "toy_0001" in told and "labels: the files have changed" in told
    assert main([*command, "--overwrite", "--clips", "toy_0001"]) == 0
    assert main(command) == 0


def test_a_picture_that_was_damaged_is_replaced_and_the_run_goes_on(drive, tmp_path):
    strict = settings(drive, strict=True)
    run(strict, tmp_path / "whole")
    picture = drive / "000005.png"
    sound = picture.read_bytes()
    picture.write_bytes(b"damaged")
    with pytest.raises(InputError, match="the 5 frames before are written"):
        run(strict, tmp_path / "out")
    picture.write_bytes(sound)
    run(strict, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_run_without_the_damaged_pictures_is_whole_and_is_taken_up_again(drive, tmp_path, capsys):
    (drive / "000003.png").write_bytes(b"damaged")
    run(settings(drive), tmp_path / "whole")
    with stopped(6):
        run(settings(drive), tmp_path / "out")
    run(settings(drive), tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["complete"], record["summary"]["frames"]) == (True, FRAMES - 1)
    assert run(settings(drive), tmp_path / "out").before


@pytest.mark.parametrize("name", ["frames.jsonl", "tracks.json", "run.json"])
@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"info": null}', b"\xff\xfe"])
def test_a_file_of_a_result_that_is_lost_or_damaged_is_made_again(name, damage, drive, tmp_path):
    run(settings(drive), tmp_path)
    before = content(tmp_path)
    (tmp_path / name).unlink() if damage is None else (tmp_path / name).write_bytes(damage)
    run(settings(drive), tmp_path)
    assert content(tmp_path) == before


def test_what_an_interrupted_run_leaves_says_that_it_is_not_complete(drive, tmp_path):
    with stopped(4):
        run(settings(drive), tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["complete"], record["frames"], record["of"]) == (False, 4, FRAMES)
    assert json.loads((tmp_path / "tracks.json").read_text())["info"]["complete"] is False
    run(settings(drive), tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["complete"] is True
    assert "complete" not in json.loads((tmp_path / "tracks.json").read_text())["info"]


def test_evaluate_names_results_that_are_not_complete(tmp_path):
    from toy_data import write_toy

    data = write_toy(tmp_path / "toy", sequences=2, frames=3, seed=0)
    out = tmp_path / "out"
    assert main(["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(out)]) == 0
    assert "notes" not in evaluate(out, data, ScoringRules())
    for path in (out / "toy_0001").iterdir():
        path.unlink()
    tracks = json.loads((out / "toy_0000" / "tracks.json").read_text())
    tracks["info"]["complete"] = False
    (out / "toy_0000" / "tracks.json").write_text(json.dumps(tracks))
    lines = (out / "toy_0000" / "frames.jsonl").read_text().replace("toy_0000", "toy_0001").splitlines(keepends=True)
    (out / "toy_0001" / "unfinished").mkdir()
    (out / "toy_0001" / "unfinished" / "frames.jsonl").write_text("".join(lines[:2]))
    scores = evaluate(out, data, ScoringRules())
    assert scores["settings"]["incomplete"] == ["toy_0000", "toy_0001"]
    assert scores["notes"] == [
        "clip toy_0000: its run was not finished",
        "no results of 1 of 2 clips (toy_0001): nothing is found in them",
    ]


def test_a_live_source_is_complete_when_it_is_stopped_and_never_gone_on_with(tmp_path):
    observed = passing_square(FRAMES)[1]
    video = ArrayVideo("camera", np.stack([seen.frame.image for seen in observed]), source="/dev/video0")
    video.live = "v4l2"
    chosen = RunSettings(video="camera:0", vis=f"{__name__}:Report", method="hull", overlay=False, device="cpu")
    with stopped(4) as stop:
        run_video(chosen, video, tmp_path)
    assert COMPLETE in stop.value.args and not (tmp_path / "unfinished").exists()
    assert "complete" not in json.loads((tmp_path / "tracks.json").read_text())["info"]
    with pytest.raises(InputError, match="is live, each time another video"):
        run_video(chosen, video, tmp_path)


# Two at a time, and places that refuse


def test_a_folder_that_another_process_writes_is_refused_with_its_number(drive, tmp_path, monkeypatch):
    code = "import sys, time\nfrom pathlib import Path\nfrom samodal.runs.folder import held\n"
    code += f"with held(Path({str(tmp_path / 'out')!r})):\n    print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with monkeypatch.context() as patch:
            patch.setattr(outputs, "PATIENCE_S", 0.0)
            with pytest.raises(InputError, match=f"out: is being written by process {process.pid}"):
                with outputs.locked(tmp_path / "out" / ".run.lock", "out", 0.0):
                    pass
    finally:
        process.kill()
        process.wait()
    assert run(settings(drive), tmp_path / "out").frames == FRAMES  # a lock of a process that was killed is none


@pytest.mark.heavy
def test_two_runs_of_other_settings_into_one_folder_leave_a_whole_result_of_one(drive, tmp_path):
    out = tmp_path / "out"
    processes = [
        start(drive, out, "--method", method, SLOW="0.4", stderr=subprocess.PIPE) for method in ("hull", "hold-last")
    ]
    told = [process.communicate()[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2]
    refused = told[0] if processes[0].returncode else told[1]
    assert "is being written by process" in refused or "holds a finished result of something else" in refused
    assert len(read_frames(out / "frames.jsonl").results) == FRAMES


def test_an_output_that_is_an_input_is_refused_and_the_input_stays(drive, tmp_path, capsys):
    run(settings(drive, overlay=True), tmp_path / "out")
    overlay = tmp_path / "out" / "overlay.mp4"
    before = overlay.read_bytes()
    command = ["run", str(overlay), "--vis", f"{__name__}:Report", "--method", "hull", "--overwrite"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "is read by this command" in capsys.readouterr().err and overlay.read_bytes() == before
    command = ["run", str(drive), "--vis", f"file:{tmp_path / 'out' / 'tracks.json'}", "--overwrite"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert main(["run", str(drive), "--vis", f"{__name__}:Report", "--out", str(drive)]) == 2
    assert len(list(drive.iterdir())) == FRAMES
    truth = tmp_path / "out" / "tracks.json"
    before = truth.read_bytes()
    assert main(["evaluate", str(tmp_path / "out"), "--truth", str(truth), "--json", str(truth)]) == 2
    assert truth.read_bytes() == before


def test_a_device_or_a_folder_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, what in ((pipe, "is a device"), (tmp_path, "is a folder"), (Path("/dev/null"), "is a device")):
        with pytest.raises(InputError, match=what), outputs.writing(path) as partial:
            partial.write_text("text")
    assert pipe.is_fifo() and Path("/dev/null").is_char_device()


def test_a_link_stays_a_link_to_the_file_that_is_replaced(tmp_path):
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    with outputs.writing(tmp_path / "link.json") as partial:
        partial.write_text("new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "target.json").read_text() == "new"


def test_places_that_refuse_are_one_line_and_exit_code_2(drive, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "unfinished" / "tracks.part.json").mkdir(parents=True)
    places = (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), Path("/proc/nowhere"))
    for out in places:
        command = ["run", str(drive), "--vis", f"{__name__}:Report", "--method", "hull", "--no-overlay"]
        assert main([*command, "--out", str(out)]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal run:")]
        assert str(out) in line or "is a file" in line
    assert run(settings(drive), tmp_path / "taken").frames == FRAMES


def test_a_full_disk_loses_no_frame_and_the_run_goes_on(drive, tmp_path, monkeypatch):
    run(settings(drive), tmp_path / "whole")
    from samodal.results import frames

    plain, left = json.dumps, [7]

    def full(value, **named):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return plain(value, **named)

    with monkeypatch.context() as patch, pytest.raises((InputError, OSError), match="No space left"):
        patch.setattr(frames.json, "dumps", full)
        run(settings(drive), tmp_path / "out")
    run(settings(drive), tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--vis", "list"]])
def test_a_full_standard_output_is_one_line_and_exit_code_2(arguments):
    paths = str(Path(outputs.__file__).parents[1])
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "samodal", *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )  # fmt: skip
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
    assert "output: No space left on device" in ended.stderr


# Signals and kills


def start(drive, out, *more, KILLED_AT="", SLOW="", **how):
    """A process with `samodal run`."""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(outputs.__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": paths, "KILLED_AT": KILLED_AT, "SLOW": SLOW, "OMP_NUM_THREADS": "1"}
    command = ["run", str(drive), "--vis", "killed:FrontEnd", "--device", "cpu", "--out", str(out), *more]
    how = {"stderr": subprocess.DEVNULL} | how
    return subprocess.Popen(
        [sys.executable, "-m", "samodal", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_signals,
        **how,
    )


def heed_signals():
    """Let signals end a process again, which are ignored where the tests run in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.heavy
def test_after_a_kill_at_any_moment_the_same_command_ends_with_the_same_bytes(drive, tmp_path):
    assert start(drive, tmp_path / "whole").wait() == 0
    out = tmp_path / "out"
    for moment in ("frame:7", "state:9", "move:2"):
        assert start(drive, out, KILLED_AT=moment).wait() == -signal.SIGKILL
    assert start(drive, out).wait() == 0
    assert content(out) == content(tmp_path / "whole")
    assert (out / "overlay.mp4").read_bytes() == (tmp_path / "whole" / "overlay.mp4").read_bytes()
    assert not (out / "unfinished").exists()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_leaves_whole_files_its_exit_code_and_a_line_how_to_go_on(number, code, drive, tmp_path):
    out = tmp_path / "out"
    process = start(drive, out, "--method", "hull", SLOW="0.2", stderr=subprocess.PIPE)
    wait_for(lambda: (out / "unfinished" / "frames.jsonl").exists())
    wait_for(lambda: (out / "unfinished" / "frames.jsonl").read_bytes().count(b"\n") > 3)
    process.send_signal(number)
    told = process.communicate()[1]
    assert process.returncode == code
    assert told.splitlines()[-1] == (
        "samodal run: stopped; what was finished is kept; the same command goes on from there"
    )
    assert 2 < len(read_frames(out / "frames.jsonl").results) < FRAMES
    assert json.loads((out / "tracks.json").read_text())["info"]["complete"] is False


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(number, tmp_path):
    from toy_data import write_toy

    data = write_toy(tmp_path / "toy", sequences=4, frames=40, seed=0)
    code = f"from samodal.cli.app import main; main(['run', '--data', {data!r}, '--vis', 'test_runs:Slow', '--method', "
    code += f"'hull', '--no-overlay', '--workers', '2', '--out', {str(tmp_path / 'out')!r}])"
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(outputs.__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    begun = "out/*/unfinished/frames.jsonl"
    wait_for(lambda: sum(lines.read_bytes().count(b"\n") > 2 for lines in tmp_path.glob(begun)) == 2)
    workers = children_of(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(list(tmp_path.glob("out/*/frames.jsonl"))) == 2  # what they had is whole
    assert not list(tmp_path.glob("out/*/failed.txt"))


class Slow(Report):
    def step(self, frame, t):
        time.sleep(0.2)
        return []


def children_of(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(happened, seconds=120):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
