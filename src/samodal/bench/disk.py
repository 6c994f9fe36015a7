"""JPEGs of 1080x1920 on disk to run lengths on disk: the released manner, ours plain and compiled, and the completer.

Ten visible instances of a drawn scene, whose visible masks a file of KITTI MOTS' form has. `streaming` takes a frame
when the result of the one before is written; `throughput` is `samodal run`, which reads and encodes ahead.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from samodal.bench.drawn import drawn_segmenter
from samodal.bench.scenes import Scene
from samodal.bench.settings import BenchSettings
from samodal.bench.stages import Clock, latencies
from samodal.bench.steps import Released, synchronised
from samodal.build import found_device, make_method, make_session, segmenter_of
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.checks import reported
from samodal.parts import Segmenter
from samodal.results.frames import FramesWriter
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import FolderVideo

PICTURES = 40
"""Different pictures; a longer video shows them again."""
SIZE, SMALL = (1080, 1920), (108, 192)
"""(H, W) of the frames, and for networks that are smaller than the released ones."""
STAGES = {
    "prompts": "method.pipeline:Pipeline._select",
    "segmenter": "method.pipeline:Pipeline._segment",
    "hidden phase": "method.pipeline:Pipeline._follow",
    "lines": "results.frames:FramesWriter.write",
}


@dataclass(frozen=True)
class Manner:
    """A row of the table.

    Attributes:
        name: of the row.
        preset: of rules.
        backend: "torch" or "compiled".
        share: of the frames, for what is slow.
        ahead: whether frames are read and encoded ahead.
        released: whether the frame is encoded for each instance, and each decoded alone.
        processes: that do the same side by side, each with the whole video, on one GPU.
    """

    name: str
    preset: str
    backend: str
    share: float = 1.0
    ahead: bool = False
    released: bool = False
    processes: int = 1


MANNERS = (
    Manner("released manner", "paper", "torch", 0.04, released=True),
    Manner("plain, streaming", "paper", "torch", 0.2),
    Manner("compiled, streaming", "paper", "compiled"),
    Manner("compiled, throughput", "paper", "compiled", ahead=True),
    Manner("compiled, 3 videos side by side", "paper", "compiled", ahead=True, processes=3),
    Manner("completer, streaming", "default", "torch", 0.4),
    Manner("completer, throughput", "default", "torch", 0.4, ahead=True),
    Manner("completer compiled, streaming", "default", "compiled", 0.4),
    Manner("completer compiled, throughput", "default", "compiled", 0.4, ahead=True),
)


def from_disk(settings: BenchSettings) -> Iterator[dict[str, Any]]:
    """A row for each of `MANNERS`, when it is measured; compiled ones only on an NVIDIA GPU."""
    device, network = found_device(settings.device), settings.disk_network
    scene = Scene(SIZE if network.startswith("vit") else SMALL, 10, 0)
    slowest: float | None = None
    with TemporaryDirectory() as place:
        video, truth = written(scene, settings.disk, Path(place))
        for manner in MANNERS:
            if manner.backend == "compiled" and not device.startswith("cuda"):
                continue
            count = max(12, round(manner.share * settings.disk))
            wanted = RunSettings(
                video=str(video.source), vis=f"file:{truth}", preset=manner.preset, overlay=False, report=False,
                device=settings.device, frames=f"0:{count}", backend=manner.backend, overwrite=True,
            )  # fmt: skip
            row: dict[str, Any] = {"manner": manner.name, "frames": count}
            if manner.processes > 1:
                row |= side_by_side(manner, network, scene, device, wanted, Path(place))
            else:
                segmenter = made(manner, network, scene, device, wanted)
                with patch("samodal.build.segmenter_of", lambda *_, segmenter=segmenter: segmenter):
                    measured = throughput if manner.ahead else streaming
                    row |= measured(wanted, video, Path(place) / "out")
            slowest = slowest or row["fps"]
            row |= {"ratio": row["fps"] / slowest} | gpu_memory(device)
            shown = "  ".join(f"{key} {value:.1f}" for key, value in row.items() if isinstance(value, float))
            print(f"{manner.name}: {shown}", file=sys.stderr, flush=True)
            yield row


def written(scene: Scene, count: int, place: Path) -> tuple[FolderVideo, Path]:
    """A folder of so many JPEGs, in which the background moves, and the file of visible masks."""
    folder = place / "frames"
    folder.mkdir()
    for t in range(count):
        file = folder / f"{t:06d}.jpg"
        if t < PICTURES:
            Image.fromarray(np.roll(scene.image, 4 * t, axis=1)).save(file, quality=92)
        else:
            shutil.copy(folder / f"{t % PICTURES:06d}.jpg", file)
    height, width = scene.size
    masks = [f"{1000 + n} 1 {height} {width} {Mask.of(mask).counts}" for n, mask in enumerate(scene.front)]
    truth = place / "visible.txt"
    truth.write_text("".join(f"{t} {mask}\n" for t in range(count) for mask in masks))
    return FolderVideo.open(folder), truth


def made(manner: Manner, network: str, scene: Scene, device: str, wanted: RunSettings) -> Segmenter:
    """The segmenter of a row."""
    if manner.preset == "default":
        return segmenter_of("completion", "streetsim-complete", wanted.device, wanted.backend)
    segmenter = drawn_segmenter(network, scene, device, manner.backend)
    return Released(segmenter) if manner.released else segmenter


def streaming(wanted: RunSettings, video: FolderVideo, out: Path) -> dict[str, Any]:
    """Latency from a frame in memory to its line on disk, and frames a second without the reading of pictures."""
    pipeline, session = make_method(wanted), make_session(wanted, video)
    done, clock = synchronised(wanted.device), Clock()
    count = int(wanted.frames.partition(":")[2])
    seconds = []
    shutil.rmtree(out, ignore_errors=True)
    pipeline.reset(video.name)
    with FramesWriter(out / "frames.jsonl", video.name, video.size) as writer:
        for t, frame in zip(range(count + warm(count)), repeated(video), strict=False):
            done()
            visible = reported(session, frame.image, t % count)
            with clock.on(STAGES if t >= warm(count) else {}):
                start = perf_counter()
                writer.write(pipeline.step(frame.image, visible, t / 10))
                seconds.append(perf_counter() - start)
    return latencies(seconds[warm(count) :]) | {"stages": clock.table(count)}


def repeated(video: FolderVideo) -> Iterator[Any]:
    """The frames of a video, again and again."""
    while True:
        yield from video


def throughput(wanted: RunSettings, video: FolderVideo, out: Path) -> dict[str, Any]:
    """Frames a second of `samodal run`, reading of pictures included; it begins with some to grow warm."""
    at: list[float] = []
    run_video(wanted, video, out, lambda _: at.append(perf_counter()))
    counted = at[warm(len(at)) :]
    return {"fps": (len(counted) - 1) / (counted[-1] - counted[0])}


def side_by_side(
    manner: Manner, network: str, scene: Scene, device: str, wanted: RunSettings, place: Path
) -> dict[str, Any]:
    """Frames a second of several processes together, from when all of them are warm."""
    context = get_context("spawn")
    ready, spans = context.Barrier(manner.processes), context.SimpleQueue()
    told = (manner, network, scene, device, wanted, ready, spans)
    workers = [context.Process(target=_one_of_several, args=(*told, place / f"{n}")) for n in range(manner.processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise InputError(f"bench: a process of {manner.name!r} failed; its message stands above")
    begun, ended, counts = zip(*(spans.get() for _ in workers), strict=True)
    return {"fps": sum(counts) / (max(ended) - min(begun))}


def _one_of_several(manner: Manner, network: str, scene: Scene, device: str, wanted: RunSettings, ready: Any,
                    spans: Any, out: Path) -> None:  # fmt: skip
    segmenter, at = made(manner, network, scene, device, wanted), []

    def progress(_: Any) -> None:
        at.append(perf_counter())
        if len(at) == warm(int(wanted.frames.partition(":")[2])):
            ready.wait(600)
            at[-1] = perf_counter()

    try:
        with patch("samodal.build.segmenter_of", lambda *_: segmenter):
            run_video(wanted, FolderVideo.open(Path(wanted.video)), out, progress)
    except BaseException:
        ready.abort()  # the others must not wait for it
        raise
    counted = at[warm(len(at)) - 1 :]
    spans.put((counted[0], counted[-1], len(counted) - 1))


def warm(count: int) -> int:
    """Frames that are not counted: kernels are chosen, graphs recorded and memory filled in them."""
    return min(40, count // 4)


def gpu_memory(device: str) -> dict[str, float]:
    """Most megabytes of the GPU since the last row."""
    import torch

    if not device.startswith("cuda"):
        return {}
    most = torch.cuda.max_memory_allocated() / 1e6
    torch.cuda.reset_peak_memory_stats()
    return {"gpu_mb": most}
