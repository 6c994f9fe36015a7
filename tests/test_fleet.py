"""Many videos in one run: what is named as videos, who runs which, what fails, and that nothing changes a result."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fleet_made_up import picture, write_video
from samodal.cli.app import main
from samodal.errors import DiskFull, InputError
from samodal.executors import processes
from samodal.fleet import run as fleet_run
from samodal.fleet import work
from samodal.fleet.inputs import expanded, is_single, place_of
from samodal.fleet.jobs import Job, named, share_of
from samodal.fleet.run import run_all
from samodal.results.frames import read_frames
from samodal.settings import RunSettings

FILES = ("frames.jsonl", "tracks.json", "overlay.mp4", "report.html")
FRAMES = 12
PARTS = ["--vis", "fleet_made_up:Reds", "--method", "hold-last", "--device", "cpu"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two folders of videos, with the same file names in both."""
    root = tmp_path_factory.mktemp("videos")
    for n in range(4):
        write_video(root / f"day{n % 2}" / f"v{n // 2}.mp4", FRAMES, seed=n)
    return root


@pytest.fixture(scope="module")
def result(videos, tmp_path_factory):
    """What one worker makes of them."""
    out = tmp_path_factory.mktemp("result")
    assert main(["run", str(videos), *PARTS, "--out", str(out)]) == 0
    return out


def content(out: Path) -> dict[str, bytes]:
    """The bytes of all results, without run.json, which holds times."""
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes() for path in sorted(out.glob("*/*")) if path.name in FILES
    }


def command(*arguments, **environment) -> subprocess.CompletedProcess:
    """The command in a process of its own, which may be killed."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "samodal", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths} | environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


# What is named


def test_files_folders_patterns_and_lists_name_the_same_videos_in_any_order(videos, tmp_path, monkeypatch):
    paths = sorted(map(str, videos.glob("*/*.mp4")))
    (tmp_path / "list.txt").write_text("# all\n" + "\n".join(reversed(paths)) + "\n\n" + paths[0] + "\n")
    (videos / "near.txt").write_text("day0/v0.mp4\nday1/v0.mp4\nday0/v1.mp4\nday1/v1.mp4\n")
    for given in (
        paths[::-1],
        [str(videos)],
        [str(videos / "day1"), str(videos / "day0")],
        [str(videos / "day*/*.mp4")],
        [str(videos / "**/*.mp4")],
        [str(tmp_path / "list.txt")],
        [str(videos / "near.txt"), f"{videos}/./day0/v0.mp4"],
    ):
        assert expanded(given) == paths
    (videos / "near.txt").unlink()
    monkeypatch.chdir(videos)
    assert expanded(["./day0", "day1/../day1"]) == [os.path.relpath(path) for path in paths]


def test_a_column_of_a_parquet_file_is_a_list(videos, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'samodal[tables]')")
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = sorted(map(str, videos.glob("*/*.mp4")))
    for n, columns in enumerate(({"video": paths, "site": ["a"] * 4}, {"what": paths, "length": [1, 2, 3, 4]})):
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{n}.parquet")
        assert expanded([str(tmp_path / f"{n}.parquet")]) == paths
    parquet.write_table(pyarrow.table({"a": paths, "b": paths}), tmp_path / "two.parquet")
    with pytest.raises(InputError, match="two.parquet: no column of videos; name one of its columns video, it has a"):
        expanded([str(tmp_path / "two.parquet")])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="bad.parquet: no Parquet file"):
        expanded([str(tmp_path / "bad.parquet")])


def test_a_folder_of_pictures_is_one_video_and_a_folder_of_videos_is_many(videos, tmp_path):
    (tmp_path / "frames").mkdir()
    for t in range(3):
        Image.fromarray(picture(t)).save(tmp_path / "frames" / f"{t:06d}.png")
    assert is_single(str(tmp_path / "frames")) and is_single("camera:0") and is_single("rtsp://host/a")
    assert not is_single(str(videos)) and not is_single(str(videos / "day0" / "*.mp4"))
    shutil.copy(videos / "day0" / "v0.mp4", tmp_path)
    assert expanded([str(tmp_path)]) == [str(tmp_path / "v0.mp4")]
    assert expanded([f"{tmp_path}/*"]) == [str(tmp_path / "frames"), str(tmp_path / "v0.mp4")]
    odd = tmp_path / "a[1]*.mp4"
    shutil.copy(videos / "day0" / "v0.mp4", odd)
    assert is_single(str(odd))  # what is there as a file is no pattern


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("empty.txt", "", "empty.txt: an empty list; it names no video"),
        ("comments.txt", "# none\n\n", "an empty list"),
        ("gone.txt", "a.mp4\nb.mp4\n", "no video or folder of pictures, but text: none of its 2 entries is there"),
        ("pattern", None, "no file or folder fits this pattern"),
    ],
)
def test_what_names_no_video_is_refused_in_one_sentence(name, text, told, tmp_path, capsys):
    given = str(tmp_path / "none*.mp4") if text is None else str(tmp_path / name)
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main(["run", given, *PARTS, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("samodal run:") == 1 and not (tmp_path / "out").exists()


def test_videos_of_one_name_have_folders_of_their_own_which_they_keep():
    first = named(["/a/x/1.mp4", "/a/y/1.mp4", "/a/z/2.mp4", "/b/x/3.mp4"], {})
    assert first == {"x-1": "/a/x/1.mp4", "y-1": "/a/y/1.mp4", "2": "/a/z/2.mp4", "3": "/b/x/3.mp4"}
    known = {name: place_of(source) for name, source in first.items()}
    second = named(["/q/z/2.mp4", "/a/z/2.mp4", "/a/y/1.mp4", "/c/x/1.mp4"], known)
    assert second["2"] == "/a/z/2.mp4" and second["y-1"] == "/a/y/1.mp4" and second["z-2"] == "/q/z/2.mp4"
    assert second["1"] == "/c/x/1.mp4"
    assert len(named(["/a/x/A.mp4", "/a/x/a.mp4"], {}).keys()) == 2


@pytest.mark.parametrize("stem", ["..", "a\nb", "ü" * 200, "summary.html", ".hidden", "\udcff", "con:1"])
def test_an_odd_name_becomes_the_name_of_a_folder_right_below(stem, tmp_path):
    (name,) = named([f"/v/{stem}.mp4"], {})
    assert Path(name).name == name and not name.startswith(".") and "\n" not in name
    assert len(os.fsencode(name)) <= 250 and name not in ("summary.html", "videos.json")


# Who runs which


def test_shards_are_disjoint_complete_and_equal_for_any_order():
    jobs = [Job(f"{n}", f"/v/{n}.mp4", part) for n in range(5) for part in ("", "0:9")]
    shares = [share_of(jobs, n, 3) for n in range(3)]
    assert sorted(sum(shares, [])) == sorted(jobs) and sorted(map(len, shares)) == [3, 3, 4]
    assert [sorted(share_of(jobs[::-1], n, 3)) for n in range(3)] == list(map(sorted, shares))
    assert sum(len(share_of(jobs, n, 99)) for n in range(99)) == len(jobs)


@pytest.mark.parametrize("shard", ["4/3", "0/3", "1", "a/b", "1/0", "-1/2", "1/3/5", "", "1/2 "])
def test_what_is_no_shard_is_refused(shard):
    with pytest.raises(InputError, match="expected I/N with I from 1 to N"):
        RunSettings(video="a.mp4", shard=shard)


def test_shards_in_any_order_come_to_the_result_of_one_run(videos, result, tmp_path, capsys):
    for n in (3, 1, 2):
        assert main(["run", str(videos), *PARTS, "--shard", f"{n}/3", "--out", str(tmp_path)]) == 0
        assert f"shard {n} of 3: " in capsys.readouterr().out
    assert content(tmp_path) == content(result)
    assert main(["run", str(videos), *PARTS, "--out", str(tmp_path)]) == 0
    assert "every video is finished" in capsys.readouterr().out
    assert main(["run", str(videos), *PARTS, "--shard", "9/9", "--workers", "2", "--out", str(tmp_path)]) == 0


def test_a_video_among_many_comes_to_what_it_comes_to_alone(videos, result, tmp_path):
    assert main(["run", str(videos / "day1" / "v0.mp4"), *PARTS, "--out", str(tmp_path)]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == {
        name: (result / "day1-v0" / name).read_bytes() for name in FILES
    }


def test_finished_videos_are_not_opened_again(videos, result, tmp_path, monkeypatch, capsys):
    out = shutil.copytree(result, tmp_path / "out")
    for module in (work, fleet_run):
        monkeypatch.setattr(module, "open_video", None)
    assert run_all(RunSettings(video=str(videos), out=out, vis=PARTS[1], method="hold-last", device="cpu")) == []
    assert "every video is finished" in capsys.readouterr().out


def test_a_result_of_other_settings_or_of_a_changed_video_is_no_finished_one(videos, tmp_path, capsys):
    video = shutil.copy(videos / "day0" / "v0.mp4", tmp_path / "a.mp4")
    (tmp_path / "list.txt").write_text(str(video))
    base = ["run", str(tmp_path / "list.txt"), *PARTS, "--out", str(tmp_path / "out")]
    assert main(base) == 0
    assert main([*base, "--stride", "2"]) == 2
    assert "holds a finished result of something else: without --stride before" in capsys.readouterr().err
    shutil.copy(videos / "day1" / "v1.mp4", video)
    assert main(base) == 2
    assert "the files have changed" in capsys.readouterr().err
    assert main([*base, "--overwrite"]) == 0


# What fails


@pytest.fixture
def bad(videos, tmp_path):
    """Good videos, and among them a broken, an empty, a missing and an endless one, whose header is cut short."""
    folder = tmp_path / "bad"
    shutil.copytree(videos, folder)
    (folder / "broken.mp4").write_bytes(b"no video" * 1000)
    (folder / "empty.mp4").touch()
    whole = (videos / "day0" / "v0.mp4").read_bytes()
    (folder / "endless.mp4").write_bytes(whole[: whole.index(b"moov") + 40])
    (folder / "list.txt").write_text(
        "\n".join(["gone.mp4", *(str(path.relative_to(folder)) for path in sorted(folder.rglob("*.mp4")))])
    )
    return folder / "list.txt"


def test_one_that_fails_is_recorded_with_its_reason_and_the_others_go_on(bad, result, tmp_path, capsys):
    assert main(["run", str(bad), *PARTS, "--out", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert "4 of 8 videos failed, the others are done" in error and "out/VIDEO/failed.txt" in error
    for name in ("broken", "empty", "endless", "gone"):
        assert f"  {name}: " in error
        assert (tmp_path / "out" / name / "failed.txt").read_text()
    assert "an empty file" in error and "gone.mp4: no such file" in error
    assert len([name for name in content(tmp_path / "out") if name.endswith("tracks.json")]) == 4
    (bad.parent / "broken.mp4").write_bytes((bad.parent / "day0" / "v0.mp4").read_bytes())
    assert main(["run", str(bad), *PARTS, "--out", str(tmp_path / "out")]) == 3
    assert "3 of 8 videos failed" in capsys.readouterr().err and not (tmp_path / "out/broken/failed.txt").exists()


def test_a_full_disk_stops_the_run_and_keeps_what_is_finished(videos, tmp_path, monkeypatch):
    run, ran = work.run_video, []

    def filling(settings, video, out, progress=None):
        ran.append(video.source)
        if len(ran) == 3:
            raise DiskFull(f"{out}: cannot be written (No space left on device)")
        return run(settings, video, out, progress)

    monkeypatch.setattr(work, "run_video", filling)
    settings = RunSettings(video=str(videos), out=tmp_path / "out", vis=PARTS[1], method="hold-last", device="cpu")
    with pytest.raises(DiskFull, match="No space left.*; stopped, 2 videos of this run are finished and kept"):
        run_all(settings)
    assert len(ran) == 3 and len(list(tmp_path.glob("out/*/tracks.json"))) == 2


def test_want_of_memory_is_tried_again_and_a_reason_that_stays_is_not(videos, tmp_path, monkeypatch):
    run, tries = work.run_video, {}

    def short(settings, video, out, progress=None):
        tries[out.name] = tries.get(out.name, 0) + 1
        if out.name == "day0-v0" and tries[out.name] < 3:
            raise MemoryError
        if out.name == "day1-v1":
            raise InputError("v1: damaged")
        return run(settings, video, out, progress)

    monkeypatch.setattr(work, "run_video", short)
    settings = RunSettings(video=str(videos), out=tmp_path / "out", vis=PARTS[1], method="hold-last", device="cpu")
    with pytest.raises(InputError, match="1 of 4 videos failed"):
        run_all(settings)
    assert tries == {"day0-v0": 3, "day0-v1": 1, "day1-v0": 1, "day1-v1": 1}


def test_results_into_the_folder_of_the_videos_are_no_videos(videos, tmp_path, capsys):
    shutil.copytree(videos, tmp_path / "v")
    for _ in range(2):
        assert main(["run", str(tmp_path / "v"), *PARTS, "--out", str(tmp_path / "v")]) == 0
    assert "every video is finished" in capsys.readouterr().out
    assert len(expanded([str(tmp_path / "v")])) == 4


def noted(made, *what):
    made.append(what)
    yield from ()


def test_all_gpus_are_a_worker_each(monkeypatch, videos, tmp_path):
    made = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr(processes.Processes, "run", lambda self, work, jobs: noted(made, self.workers, work))
    monkeypatch.setattr(fleet_run, "make_method", lambda settings: None)
    run_all(RunSettings(video=str(videos), out=tmp_path / "out", vis=PARTS[1], method="hull", device="cuda:all"))
    ((workers, job),) = made
    assert workers == 3 and job.args[0].device == "cuda"


def test_lists_of_videos_are_given_in_yaml_too(videos, tmp_path):
    paths = sorted(map(str, videos.glob("day0/*.mp4")))
    (tmp_path / "run.yaml").write_text(json.dumps({"video": paths, "method": "hold-last", "vis": PARTS[1]}))
    assert main(["run", "--config", str(tmp_path / "run.yaml"), "--trust-config", "--out", str(tmp_path / "out")]) == 0
    assert len(list(tmp_path.glob("out/v*/tracks.json"))) == 2
    assert main(["run", paths[0], *PARTS, "--out", str(tmp_path / "b"), paths[1], "--no-overlay"]) == 0
    assert sorted(path.name for path in (tmp_path / "b").iterdir() if path.is_dir()) == ["v0", "v1"]
    assert len(read_frames(tmp_path / "b" / "v0" / "frames.jsonl").results) == FRAMES
