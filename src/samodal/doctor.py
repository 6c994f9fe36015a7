"""What works on this machine: the parts that samodal needs, those it can use, and its weights."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from samodal.errors import page
from samodal.version import __version__

EXTRAS = {
    "sim": ("panda3d",),
    "train": ("accelerate", "tensorboard"),
    "onnx": ("onnxruntime", "onnx"),
    "lora": ("peft",),
    "tables": ("pandas", "pyarrow", "matplotlib"),
    "supervision": ("supervision",),
    "ray": ("ray",),
    "cloud": ("fsspec", "s3fs", "gcsfs"),
}
"""Modules that an extra of pyproject.toml brings."""
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")
LEAST_MEMORY = 2.0
"""GB that a run with the embedded weights takes, about."""
LEAST_DISK = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of it.
        text: what was found, and the way out where something is missing.
        ok: False where samodal does not work without it; None where something else does not.
    """

    name: str
    text: str
    ok: bool | None = True

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAULT", None: "-"}[self.ok]
        return f"{mark:<6}{self.name:<14}{self.text}"


def findings(folder: Path = Path()) -> Iterator[Finding]:
    """Look at everything, one thing after another.

    Args:
        folder: where results are to be written.
    """
    yield Finding("samodal", f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}")
    docs = Path(page("start.md")).parent
    yield Finding("docs", str(docs if docs.is_absolute() else Path(__file__).parents[2] / docs))
    yield from _torch()
    yield from _video()
    yield _opencv()
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        way_out = f"without {', '.join(missing)}: pip install 'samodal[{extra}]'"
        yield Finding(f"[{extra}]", way_out if missing else ", ".join(modules), None if missing else True)
    yield _memory(_free_memory())
    yield _disk(shutil.disk_usage(folder).free / 1e9, folder.resolve())
    yield from _weights()


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a broken build raises anything
        yield Finding("torch", f"cannot be imported ({error}); install it anew: https://pytorch.org", False)
        return
    counts = _counted(torch.get_num_threads(), "thread"), _counted(os.cpu_count() or 1, "core")
    yield Finding("torch", f"{torch.__version__}, {' on '.join(counts)}")
    names = (
        [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if names:
        yield Finding("device", f"cuda: {', '.join(names)}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "cpu is taken; --device mps can be tried")
    else:
        yield Finding("device", "cpu; front ends from the hub want a GPU", None)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _video() -> Iterator[Finding]:
    try:
        import av
    except Exception as error:
        yield Finding("video", f"PyAV cannot be imported ({error}); pip install --force-reinstall av", False)
        return
    missing = [name for name in CODECS if name not in av.codecs_available]
    text = f"PyAV {av.__version__} reads {', '.join(name for name in CODECS if name not in missing)}"
    yield Finding("video", f"{text}; not {', '.join(missing)}" if missing else text, None if missing else True)
    try:
        av.CodecContext.create("libx264", "w")
        yield Finding("overlay.mp4", "libx264 writes H.264")
    except Exception:
        yield Finding("overlay.mp4", "this PyAV has no libx264; give --no-overlay, or pip install av", False)


def _opencv() -> Finding:
    names = {str(entry.metadata["Name"]).lower() for entry in distributions()}
    found = sorted(name for name in names if name.startswith("opencv-"))
    try:
        import cv2
    except Exception as error:
        return Finding("OpenCV", f"cannot be imported ({error}); pip install opencv-contrib-python-headless", False)
    if len(found) > 1:
        text = f"{cv2.__version__}; {', '.join(found)} overwrite each other: keep opencv-contrib-python-headless alone"
        return Finding("OpenCV", text, None)
    return Finding("OpenCV", cv2.__version__)


def _free_memory() -> float | None:
    """GB that programs can still have; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    except (OSError, ValueError, StopIteration):
        return None


def _memory(free: float | None) -> Finding:
    if free is None:
        return Finding("memory", "not known on this system", None)
    little = free < LEAST_MEMORY
    text = f"{free:.1f} GB are free" + (f"; a run takes {LEAST_MEMORY:g} GB" if little else "")
    return Finding("memory", text, None if little else True)


def _disk(free: float, folder: Path) -> Finding:
    little = free < LEAST_DISK
    text = f"{free:.1f} GB are free in {folder}" + ("; choose another folder with --out" if little else "")
    return Finding("disk", text, None if little else True)


def _weights() -> Iterator[Finding]:
    try:
        from samodal.checkpoints.published import verified

        checked = dict(verified())
    except Exception as error:  # without torch there is no reader
        yield Finding("weights", f"cannot be looked at ({error})", False)
        return
    faults = {name: fault for name, fault in checked.items() if fault}
    for name, fault in faults.items():
        yield Finding("weights", f"{name}: {fault}", False)
    if len(checked) > len(faults):
        yield Finding("weights", f"{len(checked) - len(faults)} at hand, unchanged (samodal weights lists them)")
