"""Twelve clips on Ray, in shards and in object storage: the results of one local run, whatever is lost on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet_made_up import write_video
from samodal.cli.app import main
from test_fleet import FILES, PARTS, command, content

CLIPS, FRAMES = 12, 12


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for n in range(CLIPS):
        write_video(root / f"v{n:02d}.mp4", FRAMES, seed=n)
    return root


@pytest.fixture(scope="module")
def local(videos, tmp_path_factory):
    """What one process makes of them."""
    out = tmp_path_factory.mktemp("local")
    assert main(["run", str(videos), *PARTS, "--out", str(out)]) == 0
    return content(out)


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_twelve_clips_on_two_workers_of_which_one_is_killed_are_those_of_the_local_run(engine, videos, local, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed (pip install 'samodal[ray]')")
    (tmp_path / "kill").write_text("v05")
    done = command(
        "run", videos, *PARTS, "--engine", engine, "--workers", 2, "--out", tmp_path / "out",
        KILL_ONCE=str(tmp_path / "kill"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kill").read_text() == ""  # the worker of clip 5 was killed
    assert len(local) == CLIPS * len(FILES) and content(tmp_path / "out") == local


def spoil(folder: Path, videos: Path) -> None:
    """A broken video, an empty one, and one without an end: its header is cut short."""
    (folder / "broken.mp4").write_bytes(b"no video" * 1000)
    (folder / "empty.mp4").touch()
    whole = (videos / "v00.mp4").read_bytes()
    (folder / "endless.mp4").write_bytes(whole[: whole.index(b"moov") + 40])


@pytest.mark.heavy
def test_three_shards_at_once_of_which_one_is_killed_and_started_again_are_one_run(videos, local, tmp_path):
    folder = shutil.copytree(videos, tmp_path / "videos")
    spoil(folder, videos)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    begun = [
        subprocess.Popen(
            [sys.executable, "-m", "samodal", "run", str(folder), *PARTS, "--shard", f"{n}/3", "--out",
             str(tmp_path / "out")],
            env=os.environ | {"PYTHONPATH": paths, "SLOW": "0.05"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for n in (1, 2, 3)
    ]  # fmt: skip
    until = time.monotonic() + 120
    while not list((tmp_path / "out").glob("*/unfinished/frames.jsonl")) and time.monotonic() < until:
        time.sleep(0.02)
    begun[0].send_signal(signal.SIGKILL)
    told = [process.communicate(timeout=250) for process in begun]
    again = command("run", folder, *PARTS, "--shard", "1/3", "--out", tmp_path / "out")
    assert begun[0].returncode == -signal.SIGKILL
    codes = {again.returncode, begun[1].returncode, begun[2].returncode}
    errors = "".join([again.stderr, told[1][1], told[2][1]])
    assert 3 in codes and codes <= {0, 3}
    for name in ("broken", "empty", "endless"):
        assert f"{name}.mp4: " in errors and (tmp_path / "out" / name / "failed.txt").exists()
    made = content(tmp_path / "out")
    # Their sources lie elsewhere, which each file tells; so they are held against one run of the same folder.
    whole = command("run", folder, *PARTS, "--out", tmp_path / "whole")
    assert whole.returncode == 3 and "3 of 15 videos failed, the others are done" in whole.stderr
    assert len(made) == CLIPS * len(FILES) == len(local) and made == content(tmp_path / "whole")


# Object storage


@pytest.fixture
def storage():
    """fsspec's storage in memory, empty again after the test."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (pip install 'samodal[cloud]')")
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_videos_are_read_from_and_results_written_to_object_storage(videos, tmp_path, storage, capsys):
    for name in ("v00.mp4", "v01.mp4"):
        storage.pipe_file(f"/in/{name}", (videos / name).read_bytes())
    storage.pipe_file("/in/notes.txt", b"no video")
    base = ["run", "memory://in", *PARTS]
    assert main([*base, "--out", "memory://out"]) == 0
    assert main([*base, "--out", str(tmp_path / "near")]) == 0
    for name in ("v00", "v01"):
        for file in FILES:
            assert storage.cat_file(f"/out/{name}/{file}") == (tmp_path / "near" / name / file).read_bytes()
    assert json.loads(storage.cat_file("/out/v00/run.json"))["complete"] is True
    capsys.readouterr()
    assert main([*base, "--out", "memory://out"]) == 0
    assert "every video is finished" in capsys.readouterr().out
    storage.pipe_file("/in/v01.mp4", (videos / "v02.mp4").read_bytes() + b"\0")
    assert main([*base, "--out", "memory://out", "--overwrite"]) == 0
    pytest.importorskip("pyarrow")
    assert main(["collect", "memory://out"]) == 0
    assert "2 videos: 2 done; open memory://out/summary.html" in capsys.readouterr().out
    assert b"v01" in storage.cat_file("/out/summary.html")


def test_one_video_of_object_storage_lies_right_in_its_folder_and_a_failure_too(videos, storage, tmp_path, capsys):
    storage.pipe_file("/a/drive.mp4", (videos / "v00.mp4").read_bytes())
    assert main(["run", "memory://a/drive.mp4", *PARTS, "--no-overlay", "--out", "memory://b"]) == 0
    assert storage.exists("/b/tracks.json") and "drive: 12 frames" in capsys.readouterr().out
    storage.pipe_file("/a/x/bad.mp4", b"no video")
    assert main(["run", "memory://a", *PARTS, "--no-overlay", "--out", "memory://c"]) == 3
    assert storage.cat_file("/c/bad/failed.txt").startswith(b"memory://") and storage.exists("/c/drive/tracks.json")
    assert main(["run", "memory://none", *PARTS, "--out", "memory://c"]) == 2
    assert main(["run", "memory://none/a.mp4", *PARTS, "--out", str(tmp_path / "d")]) == 2
    assert "memory://none/a.mp4: no such file" in capsys.readouterr().err


def test_file_urls_are_local_places(videos, tmp_path):
    url = (tmp_path / "out").as_uri()
    assert main(["run", (videos / "v00.mp4").as_uri(), *PARTS, "--no-overlay", "--out", url]) == 0
    assert (tmp_path / "out" / "tracks.json").exists()
    (tmp_path / "list.txt").write_text("\n".join((videos / f"v0{n}.mp4").as_uri() for n in range(2)))
    assert main(["run", str(tmp_path / "list.txt"), *PARTS, "--no-overlay", "--out", url + "-many"]) == 0
    assert len(list(tmp_path.glob("out-many/*/tracks.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{v}", "--out", "nope://b"], "nope://b: unknown kind of storage"),
        (["{v}", "--out", "s3x://b"], "unknown kind of storage; did you mean 's3'?"),
        (["{v}", "--out", "memory://b", "--workers", "2"], "memory:// is this process's alone"),
        (["{v}", "--out", "memory://b", "--segment", "60"], "--segment joins its pieces in a local folder"),
        (["{v}", "--address", "auto"], "give --engine ray with it"),
        (["{v}", "--segment", "0.5"], "segment must be"),
        (["{v}", "--workers", "0"], "workers must be"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(arguments, told, videos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *[argument.format(v=videos) for argument in arguments], *PARTS]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("samodal run: ") == 1 and "Traceback" not in error


def test_storage_whose_package_is_missing_says_what_to_install(videos, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert main(["run", str(videos), *PARTS, "--out", "gs://bucket/out"]) == 2
    assert "gs://bucket/out needs an optional part of samodal; install it with: pip install 'samodal[cloud]'" in (
        capsys.readouterr().err
    )
