"""Equal bytes: for any number of workers and threads, and for any hash seed (docs/method.md says what is promised)."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.data.asd import InstanceTruth, write_frame
from samodal.drawing.video import VideoWriter
from samodal.fleet import work
from samodal.fleet.run import run_all
from samodal.rle import Rle
from samodal.runner import Summary
from samodal.settings import RunSettings

SIZE = (360, 640)
CLIPS = ("morning", "night")
FRAMES = 5


@pytest.fixture
def data(tmp_path) -> str:
    """Two clips of a car that drives behind a wall."""
    rng = np.random.default_rng(0)
    for name in CLIPS:
        images = tmp_path / "val/images/front" / name
        images.mkdir(parents=True)
        for t in range(FRAMES):
            amodal, visible = np.zeros((2, *SIZE), bool)
            amodal[120:240, 80 + 36 * t : 280 + 36 * t] = True
            visible[:] = amodal
            visible[:, 320:] = False
            pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / f"front_full_{t:04d}_rgb.jpg")
            car = InstanceTruth(5, "car", Rle.encode(amodal), Rle.encode(visible))
            write_frame(tmp_path / "val/amodal_instance_seg/front" / name, t, [car], SIZE)
    return f"asd:{tmp_path}/val"


@pytest.mark.heavy
def test_a_data_set_gives_equal_bytes_for_any_threads_workers_and_hash_seed(data, tmp_path):
    written = []
    for threads, workers, seed in (("1", "1", "0"), ("2", "2", "5"), ("2", "1", "7")):
        out = tmp_path / f"{threads}{workers}{seed}"
        subprocess.run(
            [sys.executable, "-m", "samodal", "run", "--data", data, "--workers", workers, "--out", str(out)],
            env=os.environ
            | {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        )
        names = [
            f"{clip}/{name}" for clip in CLIPS for name in ("frames.jsonl", "tracks.json", "overlay.mp4", "report.html")
        ]
        written.append({name: (out / name).read_bytes() for name in names})
    assert written[0] == written[1] == written[2]


def test_a_clip_of_a_data_set_runs_on_one_thread_and_what_was_before_comes_back(data, tmp_path, monkeypatch):
    threads = []

    def run_video(settings, video, out, progress=None):
        threads.append(torch.get_num_threads())
        return Summary(video.name, 1, 0, 0, 0, 0, 1.0, out)

    monkeypatch.setattr(work, "run_video", run_video)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_all(RunSettings(data=data, out=tmp_path / "out", method="hull"))
        assert (threads, torch.get_num_threads()) == ([1, 1], 2)
    finally:
        torch.set_num_threads(before)


def test_a_video_is_written_by_one_thread_so_that_cores_do_not_matter(tmp_path):
    """Many times, as the encoder can read memory that holds anything: with `mbtree` five of sixty files differed."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 90, 161, 3), dtype=np.uint8)
    contents = set()
    for _ in range(30):
        with VideoWriter(tmp_path / "a.mp4", frames[0].shape[:2], 10) as writer:
            for t, frame in enumerate(frames):
                writer.write(frame, t / 10)
        contents.add((tmp_path / "a.mp4").read_bytes())
    assert len(contents) == 1
    assert b" threads=1 " in contents.pop()  # the encoder writes its settings into the file
