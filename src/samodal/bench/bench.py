"""The whole measurement, its table, and the comparison with an earlier one."""

from __future__ import annotations

import csv
import os
import shlex
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from subprocess import DEVNULL, PIPE, run
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from samodal.bench.disk import from_disk
from samodal.bench.settings import WARM, BenchSettings
from samodal.bench.stages import BUDGET, RUN, Clock, latencies
from samodal.bench.steps import grid
from samodal.build import found_device
from samodal.errors import Incomplete, InputError
from samodal.experiments.machine import machine
from samodal.files import read_json, write_json
from samodal.outputs import writing
from samodal.results.fields import value_of
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import open_video

ALLOWED = 0.05
"""Share that a ratio may lie below an earlier one: that much differs from run to run."""
ROW = {"visible": int, "hidden": int, "ratio": float}
"""What a step of an earlier file must tell."""
EMBEDDED = Path(__file__).parents[1] / "clip_road" / "motorway.mp4"


def bench(settings: BenchSettings) -> dict[str, Any]:
    """Measure, print the tables and write the file.

    Raises:
        Incomplete: where a ratio is more than `ALLOWED` below that of the earlier file.
    """
    import torch

    before = None if settings.against is None else earlier(settings.against)
    disk = disk_rows(settings) if settings.disk else []  # first, and kept: it takes longest, on a lent machine
    result = {
        "machine": machine(settings.device),
        "threads": torch.get_num_threads(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "settings": settings.parts
        | {"size": [settings.height, settings.width], "device": found_device(settings.device)},
        "run": whole_run(settings),
        "steps": grid(settings),
        "disk": disk,
        "memory_mb": memory(settings.device),
    }
    print(report(result))
    if settings.json is not None:
        write_json(settings.json, result)
    if before is not None and (slower := losses(result, before)):
        raise Incomplete(f"slower than {settings.against} by more than {ALLOWED:.0%} in the ratio:", slower)
    return result


def disk_rows(settings: BenchSettings) -> list[dict[str, Any]]:
    """The rows of `samodal.bench.disk`; the table has each as soon as it is measured."""
    rows: list[dict[str, Any]] = []
    for row in from_disk(settings):
        rows.append(row)
        if settings.table is not None:
            write_table(settings.table, rows)
    return rows


def whole_run(settings: BenchSettings) -> dict[str, Any]:
    """`samodal run` with the default front end: its start in a process of its own, and its frames by stage."""
    source, clock, at, work = settings.video or str(EMBEDDED), Clock(), [], []
    wanted = RunSettings(video=source, vis="detector", frames=f"0:{settings.frames}", **settings.parts)
    video = open_video(source)
    frames = type(video).__iter__
    with TemporaryDirectory() as folder:
        cold = cold_start(source, settings.device, Path(folder) / "cold")
        with clock.on(RUN):

            def begun(self):
                work.append(process_time())  # the networks are loaded
                return clock.items("decoding", frames(self))

            def done(_):
                at.append(perf_counter())
                work.append(process_time())

            type(video).__iter__ = begun
            try:
                run_video(wanted, video, Path(folder) / "warm", done)
            finally:
                type(video).__iter__ = frames
    if len(at) <= WARM:
        raise InputError(f"{source}: has {len(at)} frames; give a video of {WARM + 1} or more")
    gaps = [after - before for before, after in zip(at[WARM - 1 :], at[WARM:], strict=False)]
    return {
        "video": Path(source).name,
        "size": list(video.size),
        "frames": len(at),
        "latency": latencies(gaps),
        "fps": len(gaps) / sum(gaps),
        "cpu_ms": 1000 * (work[-1] - work[0]) / len(at),
        "stages": clock.table(len(at)),
        "cold_start": cold,
    }


def cold_start(source: str, device: str, out: Path) -> dict[str, float]:
    """Seconds from the command to its end with one frame, by the clock and on the processor.

    Raises:
        InputError: where the command fails, with its last message.
    """
    command = [sys.executable, "-m", "samodal", "run", source, "--frames", "0:1", "--no-overlay", "--vis", "detector"]
    command += ["--device", device, "--out", str(out)]
    start, work = perf_counter(), getrusage(RUSAGE_CHILDREN).ru_utime
    done = run(command, stdout=DEVNULL, stderr=PIPE, text=True, errors="replace")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"bench: {shlex.join(command)} ended with exit code {done.returncode}: {last}")
    return {"s": perf_counter() - start, "cpu_s": getrusage(RUSAGE_CHILDREN).ru_utime - work}


def memory(device: str) -> dict[str, float]:
    """Most megabytes of this process, and of the GPU."""
    import torch

    most = {"process": getrusage(RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)}
    if found_device(device).startswith("cuda"):
        most["gpu"] = torch.cuda.max_memory_allocated() / 1e6
    return most


def report(result: dict[str, Any]) -> str:
    """The tables in words."""
    whole, memory_mb = result["run"], result["memory_mb"]
    cold = whole["cold_start"]
    lines = [
        f"{result['machine']}; {result['threads']} threads, load {(result['load'] or [0])[0]:.1f}",
        f"samodal run {whole['video']} ({whole['size'][1]}x{whole['size'][0]}): {whole['fps']:.2f} frames/s, "
        f"{whole['cpu_ms']:.0f} ms of the processor a frame, {_latency(whole['latency'])}; "
        f"start with one frame {cold['s']:.1f} s ({cold['cpu_s']:.1f} s of the processor)",
        f"{'stage':<16}{'ms a frame':>12}{'best call':>12}{'on the CPU':>12}{'budget':>12}",
    ]
    for stage, row in whole["stages"].items():
        over = " over" if row["cpu_ms"] > BUDGET[stage] else ""
        times = f"{row['ms']:>12.1f}{row['best_ms']:>12.1f}{row['cpu_ms']:>12.1f}"
        lines.append(f"{stage:<16}{times}{BUDGET[stage]:>12}{over}")
    lines.append(f"{'all':<16}{whole['cpu_ms']:>36.1f}{sum(BUDGET.values()):>12} for 6 frames/s on two cores")
    if result["steps"]:
        lines.append(
            f"{'visible':>8}{'hidden':>8}{'frames/s':>10}{'p50':>8}{'p90':>8}{'p99':>8}{'released':>10}{'ratio':>7}"
        )
    for row in result["steps"]:
        ours = row["ours"]
        times = "".join(f"{ours[name]:>8.1f}" for name in ("p50", "p90", "p99"))
        last = f"{row['released']['p50']:>10.1f}{row['ratio']:>7.2f}"
        lines.append(f"{row['visible']:>8}{row['hidden']:>8}{ours['fps']:>10.2f}{times}{last}")
    for row in result["disk"]:
        latency = _latency(row) if "p50" in row else ""
        lines.append(f"{row['manner']:<24}{row['fps']:>8.1f} frames/s, ratio {row['ratio']:.1f}  {latency}")
    lines.append("memory: " + ", ".join(f"{name} {value:.0f} MB" for name, value in memory_mb.items()))
    return "\n".join(lines)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows of `samodal.bench.disk` as a CSV file; stages have columns of their own."""
    flat = [
        {key: value for key, value in row.items() if key != "stages"}
        | {f"{stage} ms": spent["ms"] for stage, spent in row.get("stages", {}).items()}
        for row in rows
    ]
    names = list(dict.fromkeys(key for row in flat for key in row))
    with writing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows({key: f"{v:.2f}" if isinstance(v, float) else v for key, v in row.items()} for row in flat)


def _latency(values: dict[str, float]) -> str:
    return f"p50 {values['p50']:.0f} ms, p90 {values['p90']:.0f}, p99 {values['p99']:.0f}"


def earlier(path: Path) -> dict[str, Any]:
    """An earlier measurement.

    Raises:
        InputError: for a file of something else.
    """
    before, where = read_json(path), f"--against {path}"
    for n, row in enumerate(value_of(before, "steps", list, where)):
        for name, kind in ROW.items():
            value_of(row, name, kind, f"{where}, step {n}")
    return before


def losses(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """The scenes in which the ratio to the released manner is lower than before by more than `ALLOWED`."""
    earlier = {(row["visible"], row["hidden"]): row["ratio"] for row in before["steps"]}
    return [
        f"{row['visible']} visible, {row['hidden']} hidden: ratio {row['ratio']:.2f}, before {known:.2f}"
        for row in now["steps"]
        if (known := earlier.get((row["visible"], row["hidden"]))) and row["ratio"] < (1 - ALLOWED) * known
    ]
