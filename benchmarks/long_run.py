"""Memory and time of `samodal run` as a whole over a long video with cars that come and go.

    python benchmarks/long_run.py                              # 10,000 frames, a stand-in segmenter
    python benchmarks/long_run.py --frames 2000 --vis file     # visible masks from a file of KITTI MOTS' form
    python benchmarks/long_run.py --segmenter completion       # the shipped weights, several times slower
    python benchmarks/long_run.py --scale 6 --every 90 --stay 900 --segmenter sam --preset paper --no-overlay \
        --rules.remember_s 6 --backend compiled --device cuda  # 576x960 on a GPU, 20 new ids a minute

The command runs as a process of its own and is watched from outside. Prints its resident memory, and the processor's
time for each 1,000 frames, and what is left after the last frame: writing tracks.json. A new car comes every fourth
frame and stays for 40, so that ten are in a frame and 10,000 frames have 2,500 tracks. Arguments that are not listed
go to the command. With `--device cuda` and this front end, also the most memory that was allocated on the GPU so far,
and what torch holds of it.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

import av
import numpy as np

from samodal.results.frames import UNFINISHED

STEP = 1000
HIGH, WIDE = 96, 160
CAR = (12, 20)
POST = slice(70, 84)
WAY = 120  # pixels from where a car comes to where it goes


@dataclass(frozen=True)
class Scene:
    """Attributes: scale: of the picture; every, stay: frames between two cars, and of a car in the picture."""

    scale: int = 1
    every: int = 4
    stay: int = 40

    def placed(self, t: int) -> list[tuple[int, int, int]]:
        """(id, x, y) of the cars of a frame, in pixels of the smallest picture."""
        keys = range(max(0, (t - self.stay) // self.every + 1), t // self.every + 1)
        return [(key, WAY * (t - key * self.every) // self.stay, 2 + 14 * (key % 6)) for key in keys]

    def visible_mask(self, x: int, y: int) -> np.ndarray:
        """(H, W) bool: a car behind the post."""
        mask = np.zeros((HIGH, WIDE), bool)
        mask[y : y + CAR[0], x : x + CAR[1]] = True
        mask[:, POST] = False
        return self.scaled(mask)

    def scaled(self, picture: np.ndarray) -> np.ndarray:
        """A picture or mask of the smallest size at this one."""
        return picture.repeat(self.scale, axis=0).repeat(self.scale, axis=1)


TOLD = "LONG_RUN"
"""Environment variable that tells the watched process the scene, and where to write the memory of the GPU."""


@lru_cache
def told() -> tuple[Scene, Path | None, int]:
    """The scene, the file for the memory of the GPU, and after how many frames it gets a line."""
    content = json.loads(os.environ.get(TOLD, "{}"))
    return Scene(**content.get("scene", {})), content.get("gpu") and Path(content["gpu"]), content.get("step", STEP)


class Cars:
    """A front end that knows the cars: `--vis long_run:Cars`."""

    def open(self, video):
        return self

    def reset(self):
        pass

    def step(self, image, t):
        from samodal.tracks import VisibleInstance

        scene, gpu, step = told()
        if gpu is not None and (t + 1) % step == 0:
            with gpu.open("a") as file:
                file.write("{:.1f} {:.1f}\n".format(*gpu_memory()))
        masks = [(key, scene.visible_mask(x, y)) for key, x, y in scene.placed(t)]
        return [VisibleInstance(key, "car", 0.9, mask) for key, mask in masks if mask.any()]


def gpu_memory() -> tuple[float, float]:
    """Most MB that were allocated on the GPU so far, and MB that torch holds of it; 0 without one."""
    import torch

    if not torch.cuda.is_available():
        return 0.0, 0.0
    return torch.cuda.max_memory_allocated() / 1e6, torch.cuda.memory_reserved() / 1e6


class Boxes:
    """A segmenter that gives the bounding box of what is visible: `--segmenter long_run:Boxes`."""

    def encode(self, frames):
        from samodal.parts import Features

        return Features(main=None, sizes=tuple(frame.shape[:2] for frame in frames))

    def decode(self, features, prompts, index):
        from samodal.masks import Mask
        from samodal.parts import Decoded

        def boxed(mask: Mask) -> Mask:
            x0, y0, x1, y1 = map(int, mask.box)
            return Mask(mask.size, x0, y0, np.ones((y1 - y0, x1 - x0), bool))

        return Decoded(amodal=[boxed(prompt.mask) for prompt in prompts], iou=[0.8] * len(prompts))


def make_video(path: Path, length: int, scene: Scene) -> None:
    """The cars on a road, at 30 frames a second."""
    rng = np.random.default_rng(0)
    road = rng.integers(40, 90, (HIGH, WIDE, 3), dtype=np.uint8)
    paint = rng.integers(100, 256, (*CAR, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"qscale": "4"})
        stream.height, stream.width, stream.pix_fmt = HIGH * scene.scale, WIDE * scene.scale, "yuv420p"
        for t in range(length):
            image = road.copy()
            for _, x, y in scene.placed(t):
                part = image[y : y + CAR[0], x : x + CAR[1]]
                part[:] = paint[: part.shape[0], : part.shape[1]]
            image[:, POST] = 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.scaled(image), format="rgb24")))
        container.mux(stream.encode(None))


def make_results(path: Path, length: int, scene: Scene) -> None:
    """The visible masks in KITTI MOTS' text form."""
    from samodal.rle import Rle

    with path.open("w") as file:
        for t in range(length):
            for key, x, y in scene.placed(t):
                mask = Rle.encode(scene.visible_mask(x, y))
                if mask.area:
                    file.write(f"{t} {1000 + key} 1 {mask.size[0]} {mask.size[1]} {mask.counts}\n")


@dataclass(frozen=True)
class Watched:
    """What was measured.

    Attributes:
        at: (frames, MB resident, seconds of the processor since the start) each `step` frames.
        peak: MB, over the whole run, its end included.
        end: seconds of the processor from the last frame to the end of the process.
    """

    at: list[tuple[int, float, float]]
    peak: float
    end: float


def watch(command: list[str], out: Path, step: int = STEP, report=lambda *_: None) -> Watched:
    """Run a command whose results go to a folder, and measure it from outside (Linux), frame by frame.

    Raises:
        RuntimeError: with what the command said, if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    environment |= {"OMP_NUM_THREADS": "1"}
    lines = out / UNFINISHED / "frames.jsonl"  # until the run is finished
    at, peak, count, last, spent = [], 0.0, 0, 0.0, 0.0
    with TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        reader = None
        while process.poll() is None:
            sleep(0.02)
            resident, now = _measured(process.pid)
            peak, spent = max(peak, resident), max(spent, now)
            reader = reader or (lines.open("rb") if lines.exists() else None)
            written = reader.read().count(b"\n") if reader else 0
            if written:
                count, last = count + written, spent
            while count - 1 >= step * (len(at) + 1):  # the first line is no frame
                at.append((step * (len(at) + 1), resident, spent))
                report(*at[-1])
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read())
    return Watched(at, peak, spent - last)


def _measured(pid: int) -> tuple[float, float]:
    """Megabytes of a process in memory now, and seconds of the processor that it has taken."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):  # it has just ended
        return 0.0, 0.0
    ticks = int(times[11]) + int(times[12])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, ticks / os.sysconf("SC_CLK_TCK")


def command(
    folder: Path, length: int, vis: str, segmenter: str, scene: Scene | None = None, more: list[str] | None = None
) -> tuple[list[str], Path]:
    """`samodal run` on a video made in a folder, and the folder of its results."""
    video, out, scene = folder / "cars.mp4", folder / "out", scene or Scene()
    make_video(video, length, scene)
    if vis == "file":
        vis = f"file:{folder / 'cars.txt'}"
        make_results(folder / "cars.txt", length, scene)
    parts = ["--vis", vis, "--segmenter", segmenter, "--tracker", "lucas_kanade", "--out", str(out), *(more or [])]
    return [sys.executable, "-m", "samodal", "run", str(video), *parts], out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--vis", default="long_run:Cars", help="file, or as for samodal run")
    parser.add_argument("--segmenter", default="long_run:Boxes", help="as for samodal run")
    parser.add_argument("--step", type=int, default=STEP, help="frames between two lines, fewer than --frames")
    parser.add_argument("--scale", type=int, default=1, help=f"side of the frames in {HIGH}x{WIDE}")
    parser.add_argument("--every", type=int, default=4, help="frames between two cars; there are 30 a second")
    parser.add_argument("--stay", type=int, default=40, help="frames that a car stays")
    given, more = parser.parse_known_args()  # the others are those of samodal run
    scene, on_gpu = Scene(given.scale, given.every, given.stay), any(word.startswith("cuda") for word in more)
    heads = ["frames", "resident, MB", "seconds", *(["GPU most, MB", "GPU held, MB"] if on_gpu else [])]
    print(f"{heads[0]:>8}" + "".join(f"{head:>14}" for head in heads[1:]), flush=True)
    with TemporaryDirectory() as folder:
        gpu = Path(folder) / "gpu"
        os.environ[TOLD] = json.dumps({"scene": asdict(scene), "step": given.step, "gpu": str(gpu) if on_gpu else None})
        run, out = command(Path(folder), given.frames, given.vis, given.segmenter, scene, more)

        def report(frames: int, *values: float) -> None:
            lines = gpu.read_text().splitlines() if gpu.exists() else []
            row = [*values, *map(float, lines[frames // given.step - 1].split() if lines else ())]
            print(f"{frames:>8}" + "".join(f"{value:>14.1f}" for value in row), flush=True)

        watched = watch(run, out, given.step, report)
        size = (out / "tracks.json").stat().st_size / 1e6
        held = [tuple(map(float, line.split())) for line in gpu.read_text().splitlines()] if gpu.exists() else []
    print(f"end: {watched.end:.1f} s, tracks.json of {size:.1f} MB; highest memory {watched.peak:.1f} MB")
    print(f"memory at the end minus at frame {given.step}: {watched.peak - watched.at[0][1]:.1f} MB")
    if held:
        most, reserved = (last - first for first, last in zip(held[0], held[-1], strict=True))
        print(f"on the GPU, last line minus frame {given.step}: most {most:.1f} MB, held {reserved:.1f} MB")
    steps = [b[2] - a[2] for a, b in zip(watched.at, watched.at[1:], strict=False)]
    if steps:  # the first frames have the start of the program
        print(f"last {given.step} frames: {steps[-1] / steps[0]:.2f} times the second {given.step}")


if __name__ == "__main__":
    main()
