"""`samodal run` from files to files: what is written, that it is repeatable, and every kind of bad input."""

import gc
import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import passing_square
from samodal.baselines.trivial import Hull
from samodal.build import with_details
from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.fleet import run as fleet_run
from samodal.fleet import work
from samodal.fleet.run import run_all
from samodal.results.frames import read_frames
from samodal.results.youtube_vis import read_clips
from samodal.rle import Rle
from samodal.runner import run_video
from samodal.runs.places import own_folder
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.settings import RunSettings
from samodal.tracks import Clip, FrameResult, Instance, State
from samodal.video import ArrayVideo, excerpt, open_video
from toy_data import write_toy

FRAMES = 12


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A folder of frames, and the visible masks of its car as KITTI MOTS text and as YouTube-VIS results."""
    root = tmp_path_factory.mktemp("drive")
    _, observed = passing_square(FRAMES)
    (root / "frames").mkdir()
    lines, masks = [], []
    for one in observed:
        Image.fromarray(one.frame.image).save(root / "frames" / f"{one.frame.t:06d}.png")
        rles = [v.mask.rle for v in one.visible]
        lines += [f"{one.frame.t} 1007 1 60 120 {rle.counts}" for rle in rles]
        masks.append(rles[0].to_coco() if rles else None)
    (root / "mots.txt").write_text("\n".join(lines) + "\n")
    results = [{"video_id": 1, "category_id": 26, "score": 0.9, "segmentations": masks}]
    (root / "results.json").write_text(json.dumps(results))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained amodal SAM of the smallest size."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    AmodalSam.initialise(AmodalSamConfig.named("tiny"), seed=0).save(path)
    return str(path)


def settings(drive, **changes):
    base = RunSettings(video=str(drive / "frames"), vis=f"file:{drive / 'mots.txt'}", overlay=False, device="cpu")
    return replace(base, **changes)


def run(settings, out):
    return run_video(settings, open_video(settings.video, settings.strict), out)


def test_a_run_writes_frames_tracks_and_an_overlay(drive, weights, tmp_path):
    summary = run(settings(drive, weights=weights, overlay=True, preset="points"), tmp_path)
    content = read_frames(tmp_path / "frames.jsonl")
    (clip,) = read_clips(tmp_path / "tracks.json").values()
    (track,) = clip.tracks
    assert (summary.frames, summary.tracks) == (FRAMES, 1)
    assert [r.t for r in content.results] == list(range(FRAMES))
    assert content.names[3] == "000003.png"
    assert (track.id, track.category) == (1007, "car")
    assert all(a is not None for v, a in zip(track.visible, track.amodal, strict=True) if v is not None)
    assert content.settings["rules"]["prompt"] == "center"
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in container.decode(stream)) == FRAMES


def test_the_message_of_an_error_is_not_behind_an_empty_bar(drive, tmp_path, capsys):
    (tmp_path / "other.json").write_text('[{"video_id": 1, "category_id": 1, "segmentations": [null], "score": 1}]')
    begin = ["run", str(drive / "frames"), "--out", str(tmp_path / "out"), "--vis"]
    assert main([*begin, f"file:{tmp_path / 'other.json'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("samodal run: ")
    assert (
        main(["run", str(drive / "frames"), "--vis", f"file:{drive / 'mots.txt'}", "--out", str(tmp_path / "b")]) == 0
    )
    assert f"{FRAMES}/{FRAMES}" in capsys.readouterr().err


def test_every_default_mask_contains_its_visible_mask_and_two_runs_are_equal_to_the_byte(drive, tmp_path):
    for name in ("a", "b"):
        run(settings(drive), tmp_path / name)
    first, second = ((tmp_path / n / "frames.jsonl").read_bytes() for n in ("a", "b"))
    assert first == second
    for result in read_frames(tmp_path / "a" / "frames.jsonl").results:
        for one in result.instances:
            if one.visible is not None:
                assert not (one.visible.decode() & ~one.amodal.decode()).any()


def test_details_are_asked_of_a_segmenter_that_has_them_and_of_no_other():
    class Detailed:
        details = False

    segmenter, plain = Detailed(), object()
    assert with_details(segmenter, True).details and not with_details(segmenter, False).details
    assert with_details(plain, True) is plain


def test_a_run_without_graph_and_details_has_the_header_of_earlier_versions(drive, tmp_path):
    plain, asked = (settings(drive, method="copy-visible", graph=n, details=n) for n in (False, True))
    for name, chosen in (("plain", plain), ("asked", asked)):
        run(chosen, tmp_path / name)
    before, after = (read_frames(tmp_path / name / "frames.jsonl").settings for name in ("plain", "asked"))
    assert after == before | {"graph": True, "details": True} and not {"graph", "details"} & before.keys()


@pytest.mark.parametrize("method", ["copy-visible", "hull", "hull-front", "hold-last", "constant-velocity"])
def test_trivial_methods_give_the_same_files(drive, method, tmp_path):
    run(settings(drive, method=method), tmp_path)
    (clip,) = read_clips(tmp_path / "tracks.json").values()
    hidden = [s for s in clip.tracks[0].states if s == State.HIDDEN]
    assert bool(hidden) == (method in ("hold-last", "constant-velocity"))


def test_constant_velocity_goes_on_where_hold_last_stays(drive, tmp_path):
    run(settings(drive, method="hold-last"), tmp_path / "held")
    run(settings(drive, method="constant-velocity"), tmp_path / "moved")

    def left_edges(name):
        return [r.instances[0].amodal.box[0] for r in read_frames(tmp_path / name / "frames.jsonl").results[-3:]]

    assert left_edges("held") == [46, 46, 46]
    assert left_edges("moved") == [46, 48, 50]  # the centre of what was left to see moved by 2 pixels a frame


def test_youtube_vis_results_are_read_and_classes_are_chosen(drive, weights, tmp_path):
    vis = f"file:{drive / 'results.json'}"
    run(settings(drive, vis=vis, method="copy-visible", classes="car"), tmp_path / "car")
    run(settings(drive, vis=vis, method="copy-visible", classes="person"), tmp_path / "person")
    (car,), (person,) = (read_clips(tmp_path / n / "tracks.json").values() for n in ("car", "person"))
    assert (len(car.tracks), len(person.tracks)) == (1, 0)


def test_an_excerpt_reads_the_results_of_its_own_frames(drive, tmp_path):
    run(settings(drive, method="copy-visible", frames="4:7"), tmp_path)
    content = read_frames(tmp_path / "frames.jsonl")
    _, observed = passing_square(FRAMES)
    assert content.names == ("000004.png", "000005.png", "000006.png")
    assert np.array_equal(content.results[0].instances[0].visible.decode(), observed[4].visible[0].mask)


def test_settings_and_summary_can_be_sent_to_another_process(drive, tmp_path):
    chosen = settings(drive, method="hull")
    assert pickle.loads(pickle.dumps(chosen)) == chosen
    assert pickle.loads(pickle.dumps(run(chosen, tmp_path))).frames == FRAMES


def test_what_was_computed_before_a_damaged_frame_is_kept(drive, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for path in sorted((drive / "frames").iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "000005.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="000005.png.*; the 5 frames before are written to .*out"):
        run(settings(drive, video=str(folder), method="copy-visible", strict=True), tmp_path / "out")
    assert len(read_frames(tmp_path / "out" / "frames.jsonl").results) == 5
    (clip,) = read_clips(tmp_path / "out" / "tracks.json").values()
    assert len(clip) == 5


def test_a_damaged_frame_is_left_out_and_the_others_keep_their_masks_and_times(drive, tmp_path, capsys):
    for name in ("whole", "damaged"):
        shutil.copytree(drive / "frames", tmp_path / name)
    (tmp_path / "damaged/000005.png").write_bytes(b"broken")
    found = {}
    for name in ("whole", "damaged"):
        run(settings(drive, video=str(tmp_path / name), method="copy-visible"), tmp_path / "out" / name)
        content = read_frames(tmp_path / "out" / name / "frames.jsonl")
        found[name] = [
            (picture, result.time, [instance.visible.rle for instance in result.instances])
            for picture, result in zip(content.names, content.results, strict=True)
        ]
    assert found["damaged"] == found["whole"][:5] + found["whole"][6:]
    assert "000005.png: damaged picture" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "damaged"), "--vis", f"file:{drive / 'mots.txt'}", "--strict", "--no-overlay",
                 "--method", "copy-visible", "--out", str(tmp_path / "strict")]) == 2  # fmt: skip


def test_names_that_are_no_utf_8_and_names_with_colons_are_names(drive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"stra\xdfe")
    shutil.copytree(drive / "frames", tmp_path / odd)
    shutil.copy(drive / "mots.txt", tmp_path / f"{odd}.txt")
    for out in (odd + "-out", "run-12:30", "7:15"):
        arguments = ["run", odd, "--vis", f"file:{odd}.txt", "--frames", "0:3", "--out", out]
        assert main(arguments) == 0
        assert len(read_frames(tmp_path / out / "frames.jsonl").results) == 3
        assert (tmp_path / out / "overlay.mp4").stat().st_size > 0
    assert read_frames(tmp_path / "7:15" / "frames.jsonl").clip == odd


BAD = {
    "a missing video": (["nowhere.mp4", "--vis", "file:{mots}"], "nowhere.mp4: no such file"),
    "truth of a plain video": (["{frames}", "--vis", "truth"], "needs a data set"),
    "a missing results file": (["{frames}", "--vis", "file:{root}/none.json"], "none.json"),
    "results without a path": (["{frames}", "--vis", "file"], "--vis file needs a path"),
    "an unknown front end": (["{frames}", "--vis", "trut"], "did you mean 'truth'"),
    "an unknown method": (["{frames}", "--vis", "file:{mots}", "--method", "hul"], "did you mean 'hull'"),
    "an unknown tracker": (["{frames}", "--vis", "file:{mots}", "--tracker", "cotracker"], "unknown point tracker"),
    "an unknown preset": (["{frames}", "--vis", "file:{mots}", "--preset", "papr"], "did you mean 'paper'"),
    "an unknown rule": (["{frames}", "--vis", "file:{mots}", "--rules.unit=true"], "did you mean 'unite'"),
    "a seed below 0": (["{frames}", "--vis", "file:{mots}", "--seed=-1"], "seed must be a whole number at least 0"),
    "an unknown flag": (["{frames}", "--vss", "file:{mots}"], "did you mean 'vis'"),
    "missing weights": (["{frames}", "--vis", "file:{mots}", "--weights", "none.pth"], "none.pth"),
    "a video and a data set": (["{frames}", "--data", "asd:{root}"], "either a video or --data"),
    "an unknown data set": (["--data", "asdd:{root}"], "did you mean asd"),
    "a misspelt front end with an argument": (["{frames}", "--vis", "fil:{mots}"], "did you mean 'file'"),
    "an argument too many": (["{frames}", "--vis", "truth:x"], "takes no argument"),
    "a device that is none": (["{frames}", "--device", "gpu"], "expected auto, cpu, cuda, cuda:N, cuda:all or mps"),
    "a text as video": (["{mots}", "--vis", "file:{mots}", "--method", "hull"], "no video or folder of pictures"),
    "a folder too high": (["{drive}", "--vis", "file:{mots}"], "its subfolder frames has 12 pictures: give that"),
    "a module that is not there": (["{frames}", "--vis", "no.such:Thing"], "cannot be imported"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case, drive, tmp_path, capsys):
    arguments, expected = BAD[case]
    names = {"drive": drive, "frames": drive / "frames", "mots": drive / "mots.txt", "root": tmp_path}
    given = [a.format(**names) for a in arguments]
    try:
        code = main(["run", *given, "--out", str(tmp_path / "out"), "--no-overlay"])
    except SystemExit as stop:
        code = stop.code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal run:")]
    assert code == 2
    assert len(error) == 1
    assert expected in error[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "papr"},
        {"rules": {"prompt": "centre"}},
        {"method": "hul"},
        {"weights": "none.pth"},
        {"tracker": "no.such:Thing"},
        {"vis": "fil:x.json"},
        {"segmenter": "sma"},
        {"device": "gpu"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_name_is_refused_before_the_video_is_opened_or_a_word_printed(wrong, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fleet_run, "open_video", None)
    with pytest.raises(InputError):
        run_all(RunSettings(video="drive.mp4", out=tmp_path / "out", **wrong))
    assert capsys.readouterr() == ("", "")


def test_a_file_as_folder_of_results_is_refused(drive, tmp_path):
    (tmp_path / "README.md").write_text("text")
    for out in ("README.md", "README.md/below"):
        with pytest.raises(InputError, match="--out .*README.md: is a file; give a folder"):
            run_all(settings(drive, method="hull", out=tmp_path / out))


def test_a_class_that_is_never_seen_is_told_with_those_that_are(drive, tmp_path, capsys):
    run(settings(drive, method="hull", classes="cat"), tmp_path)
    assert capsys.readouterr().err == "frames: no instance of class cat; seen: car\n"
    run(settings(drive, method="hull", classes="car,cat"), tmp_path / "car")
    assert capsys.readouterr().err == ""


def test_a_misspelt_class_is_told_at_the_first_frame_and_not_after_the_last(drive, tmp_path, capsys):
    told = []
    run_video(
        settings(drive, method="hull", classes="cars"), open_video(drive / "frames"), tmp_path / "cars",
        lambda result: told.append(capsys.readouterr().err),
    )  # fmt: skip
    assert "classes 'cars': did you mean 'car'?" in told[0] and "".join(told[1:]) == ""


def test_classes_may_have_spaces_around_them_and_need_names(drive, tmp_path):
    assert run(settings(drive, method="hull", classes="cat, car "), tmp_path).tracks == 1
    for classes in ("", "car,", " , "):
        with pytest.raises(InputError, match="classes .*: one of them has no name; give names as in car,person"):
            settings(drive, classes=classes)


def test_results_of_another_video_name_both_sizes_or_lengths(drive, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(f"0 1 1 375 1242 {Rle.encode(np.ones((375, 1242))).counts}\n")
    with pytest.raises(InputError, match=r"375x1242.*60x120"):
        run(settings(drive, vis=f"file:{other}", method="copy-visible"), tmp_path)
    content = json.loads((drive / "results.json").read_text())
    content[0]["segmentations"].append(None)
    (tmp_path / "longer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"13 masks but the video has 12 frames"):
        run(settings(drive, vis=f"file:{tmp_path / 'longer.json'}", method="copy-visible"), tmp_path)


def test_an_id_twice_in_a_frame_names_it(drive, tmp_path):
    twice = tmp_path / "twice.txt"
    line = (drive / "mots.txt").read_text().splitlines()[0]
    twice.write_text(f"{line}\n{line}\n")
    with pytest.raises(InputError, match=r"1007, frame 0.*twice"):
        run(settings(drive, vis=f"file:{twice}", method="copy-visible"), tmp_path)


def test_a_full_disk_is_one_line_and_keeps_what_fits(drive, tmp_path, monkeypatch):
    full = OSError(28, "No space left on device")

    class Full:
        def __init__(self, file):
            self.file, self.left = file, 5

        def write(self, text):
            self.left -= 1
            if self.left < 0:
                raise full
            return self.file.write(text)

        def __getattr__(self, name):
            return getattr(self.file, name)

    from samodal.results import frames

    plain = frames.FramesWriter.__init__

    def limited(self, *arguments, **named):
        plain(self, *arguments, **named)
        self._file = Full(self._file)

    monkeypatch.setattr(frames.FramesWriter, "__init__", limited)
    with pytest.raises(InputError, match="No space left on device"):
        run(settings(drive, method="copy-visible"), tmp_path)
    assert len(read_frames(tmp_path / "frames.jsonl").results) == 5


def test_a_clip_of_a_data_set_is_run_again_only_where_frames_are_missing(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=1, frames=3, seed=0)
    command = ["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    lines = tmp_path / "out" / "toy_0000" / "frames.jsonl"
    whole = lines.read_text()
    capsys.readouterr()
    assert main(command) == 0
    assert "every clip is finished" in capsys.readouterr().out
    lines.write_text("".join(whole.splitlines(keepends=True)[:-1]))  # as an interruption leaves it
    assert main(command) == 0
    assert lines.read_text() == whole


class FailingHull(Hull):
    """The convex hull, but the clip toy_0001 breaks it while `broken` is there, and toy_0002 ends its process."""

    broken = Path("broken")

    def run(self, clip, observed):
        for result in super().run(clip, observed):
            if clip == "toy_0001" and self.broken.exists():
                raise RuntimeError("out of memory")
            if clip == "toy_0002" and self.broken.exists():
                os._exit(1)
            yield result


def data_command(data: str, out: Path, *more: str) -> list[str]:
    return ["run", "--data", data, "--method", f"{__name__}:FailingHull", "--no-overlay", "--out", str(out), *more]


def test_a_clip_that_fails_is_recorded_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_toy(tmp_path / "toy", sequences=2, frames=2, seed=0)
    FailingHull.broken.touch()
    (tmp_path / "toy/images/front/toy_0000/front_full_0001_rgb.jpg").rename(tmp_path / "kept.jpg")
    (tmp_path / "toy/images/front/toy_0000/front_full_0001_rgb.jpg").write_bytes(b"damaged")
    assert main(data_command(data, tmp_path / "out")) == 3
    told = capsys.readouterr().err
    assert "2 of 2 clips failed" in told and "toy_0001: out of memory" in told and "toy_0000: " in told
    assert "damaged picture" in (tmp_path / "out" / "toy_0000" / "failed.txt").read_text()
    assert "Traceback" in (tmp_path / "out" / "toy_0001" / "failed.txt").read_text()
    (tmp_path / "kept.jpg").rename(tmp_path / "toy/images/front/toy_0000/front_full_0001_rgb.jpg")
    assert main(data_command(data, tmp_path / "out")) == 3
    assert read_clips(tmp_path / "out" / "toy_0000" / "tracks.json")["toy_0000"].tracks
    assert not (tmp_path / "out" / "toy_0000" / "failed.txt").exists()
    FailingHull.broken.unlink()
    assert main(data_command(data, tmp_path / "out")) == 0
    names = sorted(path.name for path in (tmp_path / "out" / "toy_0001").iterdir())
    assert names == ["frames.jsonl", "run.json", "tracks.json"]


def test_a_process_that_dies_costs_its_clip_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_toy(tmp_path / "toy", sequences=4, frames=2, seed=0)
    FailingHull.broken.touch()
    assert main(data_command(data, tmp_path / "out", "--workers", "2")) == 3
    told = capsys.readouterr()
    assert "2 of 4 clips failed" in told.err and "toy_0002: its process died" in told.err
    assert "toy_0000: 2 frames" in told.out and "toy_0003: 2 frames" in told.out
    assert "its process died" in (tmp_path / "out" / "toy_0002" / "failed.txt").read_text()


def test_what_is_wrong_with_all_clips_is_told_once(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=3, frames=2, seed=0)
    command = ["run", "--data", data, "--weights", "none.pth", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert capsys.readouterr().err.count("none.pth") == 1


def test_a_run_with_nothing_left_to_do_reads_neither_labels_nor_pictures(tmp_path, capsys, monkeypatch):
    data = write_toy(tmp_path / "toy", sequences=2, frames=2, seed=0)
    command = ["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    for reader in ("asd.read_frame", "dataset.read_image"):
        monkeypatch.setattr(f"samodal.data.{reader}", None)
    capsys.readouterr()
    assert main(command) == 0
    assert "every clip is finished" in capsys.readouterr().out


def test_the_truth_of_finished_clips_is_not_kept(tmp_path, monkeypatch):
    data = write_toy(tmp_path / "toy", sequences=3, frames=2, seed=0)
    alive = []

    def counting(settings, video, *rest, **named):
        gc.collect()
        alive.append(sum(type(thing) is Clip for thing in gc.get_objects()))
        assert video.truth is not None
        return run_video(settings, video, *rest, **named)

    monkeypatch.setattr(work, "run_video", counting)
    run_all(RunSettings(data=data, method="hull", overlay=False, out=tmp_path / "out"))
    assert alive == [alive[0]] * 3


def test_whatever_a_run_takes_can_be_sent_to_another_process(drive, tmp_path):
    data = open_dataset(write_toy(tmp_path / "toy", sequences=1, frames=3, seed=0))
    folder = open_video(drive / "frames")
    arrays = ArrayVideo("arrays", np.zeros((3, 8, 8, 3), np.uint8))
    for video in (folder, arrays, data.video("toy_0000")):
        for given in (video, excerpt(video, "1:3")):
            sent = pickle.loads(pickle.dumps(given))
            assert (sent.name, sent.size, sent.length, sent.source) == (
                given.name, given.size, given.length, given.source
            )  # fmt: skip
            assert [frame.t for frame in sent] == [frame.t for frame in given]
    assert pickle.loads(pickle.dumps(excerpt(data.video("toy_0000"), "1:"))).truth is not None


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_clip_whose_results_are_damaged_is_run_again(content, tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=1, frames=2, seed=0)
    command = ["run", "--data", data, "--method", "hull", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    folder = tmp_path / "out" / "toy_0000"
    whole = (folder / "tracks.json").read_bytes()
    if content is None:
        (folder / "frames.jsonl").unlink()
    else:
        (folder / "tracks.json").write_text(content)
    assert main(command) == 0
    assert (folder / "tracks.json").read_bytes() == whole and (folder / "frames.jsonl").exists()


def test_a_clip_that_is_named_but_not_there_is_refused_before_anything_runs(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=1, frames=2, seed=0)
    out = tmp_path / "out"
    assert main(["run", "--data", data, "--clips", "toy_0000,toy_0009", "--method", "hull", "--out", str(out)]) == 2
    assert "no sequence 'toy_0009'" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("mistyped", [["--method", "hulk"], ["--method", "samodal", "--weights", "none.pth"]])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_mistyped_setting_leaves_finished_clips_as_they_are(mistyped, workers, tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=2, frames=2, seed=0)
    command = ["run", "--data", data, "--no-overlay", "--workers", workers, "--out", str(tmp_path / "out")]
    assert main([*command, "--method", "hull"]) == 0
    before = sorted(tmp_path.glob("out/*/*"))
    assert main([*command, *mistyped]) == 2
    assert sorted(tmp_path.glob("out/*/*")) == before
    capsys.readouterr()
    assert main([*command, "--method", "hull"]) == 0
    assert "every clip is finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "folder"),
    [("drive.mp4", "drive"), ("a/frames.2/", "frames.2"), ("camera:0", "camera-0"), ("asd:data/val", "val")],
)
def test_results_of_a_video_lie_in_a_folder_of_its_name_where_none_is_given(source, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drive.mp4").touch()
    assert own_folder(source) == Path("runs", folder)


def test_a_run_without_out_takes_a_folder_of_its_own_and_the_same_command_finds_it_again(drive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (settings(drive, method=method) for method in ("hull", "hold-last"))
    assert [run_all(s)[0].out for s in (first, second, first, second)] == [
        Path("runs/frames"), Path("runs/frames-2"), Path("runs/frames"), Path("runs/frames-2")
    ]  # fmt: skip
    assert run_all(replace(second, overwrite=True))[0].out == Path("runs/frames")


def test_an_unfinished_run_of_something_else_is_not_gone_on_with_nor_replaced(drive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drive / "frames", tmp_path / "cut" / "frames")
    (tmp_path / "cut" / "frames" / "000006.png").write_bytes(b"damaged")
    hull = settings(drive, video="cut/frames", method="hull", strict=True)
    with pytest.raises(InputError):
        run_all(hull)
    before = (tmp_path / "runs/frames/frames.jsonl").read_bytes()
    assert run_all(settings(drive, video="cut/frames", method="hold-last"))[0].out == Path("runs/frames-2")
    assert (tmp_path / "runs/frames/frames.jsonl").read_bytes() == before
    shutil.copy(drive / "frames" / "000006.png", tmp_path / "cut" / "frames")
    assert run_all(hull)[0].out == Path("runs/frames")


def test_clips_of_a_data_set_run_otherwise_go_into_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_toy(tmp_path / "data", 2, 3, seed=0)
    base = RunSettings(data=data, method="copy-visible", overlay=False, device="cpu")
    outs = [run_all(replace(base, method=m))[0].out.parent for m in ("copy-visible", "hull")]
    assert outs == [own_folder(data), own_folder(data).with_name(f"{own_folder(data).name}-2")]
    assert run_all(base) == []


def test_a_stride_takes_every_nth_frame_with_its_own_time_and_name(drive, tmp_path):
    run(settings(drive, stride=3, frames="1:", method="copy-visible"), tmp_path)
    content = read_frames(tmp_path / "frames.jsonl")
    assert content.names == ("000001.png", "000004.png", "000007.png", "000010.png")
    assert [result.time for result in content.results] == [0.1, 0.4, 0.7, 1.0]
    assert content.settings["stride"] == 3


def test_a_folder_of_pictures_has_the_rate_that_is_given_and_a_video_keeps_its_own(drive, tmp_path, capsys):
    chosen = settings(drive, fps=25.0, method="copy-visible", out=tmp_path / "a")
    run_all(chosen)
    content = read_frames(tmp_path / "a" / "frames.jsonl")
    assert content.results[5].time == 0.2 and content.settings["fps"] == 25.0
    (tmp_path / "drive.mp4").touch()
    for source in ([str(tmp_path / "drive.mp4")], ["--data", "asd:nowhere"]):
        assert main(["run", *source, "--fps", "25"]) == 2
        assert "--fps" in capsys.readouterr().err


def test_instances_of_a_low_score_are_left_out_and_those_without_one_stay(drive, tmp_path):
    results = drive / "results.json"  # the score is 0.9
    for conf, tracks in ((0.95, 0), (0.9, 1)):
        chosen = settings(drive, vis=f"file:{results}", conf=conf, method="copy-visible")
        assert run(chosen, tmp_path / str(conf)).tracks == tracks
    assert run(settings(drive, conf=1.0, method="copy-visible"), tmp_path / "none").tracks == 1


@pytest.mark.parametrize(("name", "value"), [("stride", 0), ("fps", -1.0), ("conf", 1.5), ("seed", -1)])
def test_numbers_that_cannot_be_meant_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        RunSettings(**{name: value})


def test_clips_of_a_single_video_are_refused():
    with pytest.raises(InputError, match="--clips is for a data set"):
        RunSettings(video="drive.mp4", clips="a,b")


def test_a_run_saves_other_formats_and_an_overwritten_one_takes_them_away(drive, tmp_path, capsys):
    base = settings(drive, out=tmp_path / "a", method="hull", save="coco,mots")
    run_all(base)
    assert "coco: " in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "a" / "exports").iterdir()) == ["coco.json", "mots"]
    run_all(replace(base, save="cvat"))  # the result is there; its export is not
    assert (tmp_path / "a" / "exports" / "cvat.xml").exists()
    (tmp_path / "a" / "exports" / "notes.txt").touch()
    run_all(replace(base, method="hold-last", overwrite=True, save=None))
    assert [path.name for path in (tmp_path / "a" / "exports").iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="unknown format 'cocoo'"):
        run_all(replace(base, save="cocoo"))


def test_progress_tells_how_many_ids_are_alive_and_hidden():
    def of(state):
        return Instance(str(state), "car", None, state, None, None)

    frame = FrameResult(0, 0.0, tuple(map(of, (State.VISIBLE, State.HIDDEN, State.LEAVING, State.LOST))))
    assert fleet_run._of_ids(frame) == "3 ids, 2 hidden"
