"""A data set prepared for training: small frames as bytes, masks as bits, all in memory.

20,000 frames of 288x512 with nine instances each take 9 GB of frames and 7 GB of masks, which fits a GPU;
reading, decoding and resizing then happen once, in parallel, and a step needs no CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

from samodal.data.open import opened
from samodal.errors import InputError
from samodal.rle import Rle
from samodal.training.state import ANEW, checked_columns, read_prepared, replaced
from samodal.training.workers import in_processes

if TYPE_CHECKING:
    from samodal.data.dataset import InstanceTruth
    from samodal.images import FrameTransform

LAYOUT = 1
"""Changes when the fields below do."""
COLUMNS = {
    "frames": (torch.uint8, "FCHW"), "visible": (torch.uint8, "NHB"), "amodal": (torch.uint8, "NHB"),
    "frame": (torch.int64, "N"), "occlusion": (torch.float32, "N"), "centre": (torch.float32, "N2"),
    "frame_size": (torch.int32, "F2"), "content": (torch.int32, "F2"), "input_size": (torch.int32, "F2"),
}  # fmt: skip
COUNTS = ("frames", "instances", "hidden", "too_small")


@dataclass
class Cache:
    """F frames and N instances; (H, W) is the model's largest input.

    Attributes:
        frames: (F, 3, H, W) uint8 RGB, resized; below and right of the content zero.
        visible, amodal: (N, H, W / 8) uint8, eight pixels to a byte, highest bit first.
        frame: (N,) int64, the frame of each instance, ascending.
        occlusion: (N,) float32, share of the amodal mask that is hidden, at the original resolution.
        centre: (N, 2) float32, x and y of the visible pixel farthest from the border, in input pixels;
            nan where they were not computed.
        frame_size: (F, 2) int32, original (H, W).
        content: (F, 2) int32, (H, W) of the resized frame without padding.
        input_size: (F, 2) int32, (H, W) that the model gets for this frame.
        counts: {"frames", "instances", "hidden", "too_small"}; the last two are left out.
    """

    frames: torch.Tensor
    visible: torch.Tensor
    amodal: torch.Tensor
    frame: torch.Tensor
    occlusion: torch.Tensor
    centre: torch.Tensor
    frame_size: torch.Tensor
    content: torch.Tensor
    input_size: torch.Tensor
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.frame)

    def to(self, device: torch.device) -> Cache:
        """The same on a device; frames and masks stay where they are if they would fill most of a GPU."""
        large = ("frames", "visible", "amodal")
        stay = device.type == "cuda" and self.nbytes() > 0.6 * torch.cuda.mem_get_info(device)[0]
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {
            k: v.to(device) if isinstance(v, torch.Tensor) and not (stay and k in large) else v
            for k, v in values.items()
        }
        return Cache(**moved)

    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        values = (getattr(self, f.name) for f in fields(self))
        return sum(v.nbytes for v in values if isinstance(v, torch.Tensor))


def take(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows of a tensor that may have stayed in main memory, on the device of the index."""
    return values[index.to(values.device)].to(index.device)


def pack(masks: np.ndarray) -> np.ndarray:
    """(…, W) bool to (…, W / 8) uint8, highest bit first; W is a multiple of eight."""
    return np.packbits(masks, axis=-1)


def unpack(bits: torch.Tensor) -> torch.Tensor:
    """(…, W / 8) uint8 to (…, W) bool, the inverse of `pack` on any device."""
    shifts = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    return ((bits.unsqueeze(-1) >> shifts) & 1).flatten(-2).bool()


def open_cache(
    data: str,
    transform: FrameTransform,
    *,
    path: Path | None = None,
    min_visible: int = 12,
    centres: bool = False,
    amodal: bool = True,
    workers: int = 0,
    report: Callable[[str], None] = print,
) -> Cache:
    """Load the prepared data from `path`, or prepare it and write it there.

    Args:
        data: what `open_dataset` takes.
        transform: the model's preparation of frames.
        path: a file; None prepares in memory.
        min_visible: instances with fewer visible pixels at input size are counted and left out.
        centres: also find each instance's centre point, which costs about a millisecond each.
        amodal: False never reads the data set's amodal masks; `Cache.amodal` is then what is visible.
        workers: processes; 0 takes as many as there are cores.
        report: gets lines of progress.

    Raises:
        InputError: if the file was made from other data or settings, or the data has no instance.
    """
    made_from = {
        "layout": LAYOUT, "data": data, "size": list(transform.size), "pad": transform.pad,
        "min_visible": min_visible, "centres": centres,
    }  # fmt: skip
    if not amodal:
        made_from["amodal"] = False
    if path is not None and Path(path).exists():
        return _load(Path(path), made_from)
    cache = build(
        data, transform, min_visible=min_visible, centres=centres, amodal=amodal, workers=workers, report=report
    )
    if path is not None:
        _save(cache, made_from, Path(path))
    return cache


def _load(path: Path, made_from: dict) -> Cache:
    held = read_prepared(path, made_from, "cache", mmap=True)
    cache = Cache(**checked_columns(path, held, COLUMNS), counts=held.get("counts"))
    whole = isinstance(cache.counts, dict) and all(isinstance(cache.counts.get(name), int) for name in COUNTS)
    frames = torch.cat([torch.zeros(1, dtype=torch.int64), cache.frame, torch.tensor([len(cache.frames) - 1])])
    if not whole or not len(cache) or bool((frames.diff() < 0).any()):
        raise InputError(f"{path}: its counts or the frames of its instances are not what was prepared; {ANEW}")
    return cache


def _save(cache: Cache, made_from: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {f.name: getattr(cache, f.name) for f in fields(cache)}
    replaced(path, partial(torch.save, {"made_from": made_from, "cache": held}))


def build(
    data: str,
    transform: FrameTransform,
    *,
    min_visible: int = 12,
    centres: bool = False,
    amodal: bool = True,
    workers: int = 0,
    report: Callable[[str], None] = print,
) -> Cache:
    """Prepare a data set, one sequence per task; equal for any number of workers."""
    opened.forget()  # a data set may have grown since
    tasks = [(data, name, transform, min_visible, centres, amodal) for name in opened(data).sequences]
    parts: list[dict] = []
    for done, part in enumerate(in_processes(_sequence, tasks, workers, most=16), start=1):
        parts.append(part)
        if done % max(1, len(tasks) // 10) == 0 or done == len(tasks):
            report(f"prepared {done} of {len(tasks)} sequences of {data}")
    return _joined(parts, data)


def _sequence(task: tuple) -> dict:
    """The arrays of one sequence; `frame` counts from its first frame."""
    data, name, transform, min_visible, centres, amodal = task
    video = opened(data).video(name)
    part: dict[str, list] = {"frames": [], "sizes": [], "instances": [], "hidden": 0, "too_small": 0}
    for t in range(video.length):
        image = video.frame(t).image
        part["frames"].append(_small_frame(image, transform))
        part["sizes"].append(
            (image.shape[:2], transform.resized(image.shape[:2]), transform.input_size(image.shape[:2]))
        )
        for instance in video.frame_truth(t) if amodal else video.frame_visible(t):
            if instance.visible is None:
                part["hidden"] += 1
                continue
            prepared = _instance(instance, t, transform, min_visible, centres)
            part["too_small"] += prepared is None
            if prepared is not None:
                part["instances"].append(prepared)
    return _packed(part, transform.size)


def _packed(part: dict, size: tuple[int, int]) -> dict:
    """One array per column instead of a list, which travels between processes fast."""
    rows = part["instances"]
    bits = (0, size[0], size[1] // 8)
    return {
        "frames": np.stack(part["frames"]),
        "sizes": np.array(part["sizes"], np.int32),
        "visible": np.stack([r["visible"] for r in rows]) if rows else np.zeros(bits, np.uint8),
        "amodal": np.stack([r["amodal"] for r in rows]) if rows else np.zeros(bits, np.uint8),
        "frame": np.array([r["frame"] for r in rows], np.int64),
        "occlusion": np.array([r["occlusion"] for r in rows], np.float32),
        "centre": np.array([r["centre"] for r in rows], np.float32).reshape(-1, 2),
        "hidden": part["hidden"],
        "too_small": part["too_small"],
    }


def _small_frame(image: np.ndarray, transform: FrameTransform) -> np.ndarray:
    """(3, H, W) uint8: the frame as the transform resizes it, before it is normalised."""
    height, width = transform.resized(image.shape[:2])
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    padded = np.zeros((3, *transform.size), np.uint8)
    padded[:, :height, :width] = small.transpose(2, 0, 1)
    return padded


def _instance(truth: InstanceTruth, t: int, transform: FrameTransform, min_visible: int, centres: bool) -> dict | None:
    """An instance with its masks at input size; None where too little of it is visible."""
    visible = small_mask(truth.visible, transform)
    if int(visible.sum()) < min_visible:
        return None
    whole = truth.visible.area == truth.amodal.area
    amodal = visible if whole else small_mask(truth.amodal, transform) | visible
    centre = centre_point(truth.visible.decode()) if centres else np.full(2, np.nan, np.float32)
    scale = np.array(transform.resized(truth.amodal.size))[::-1] / np.array(truth.amodal.size)[::-1]
    return {
        "visible": pack(visible),
        "amodal": pack(amodal),
        "frame": t,
        "occlusion": 1.0 - truth.visible.area / truth.amodal.area,
        "centre": centre * scale,
    }


def small_mask(mask: Rle, transform: FrameTransform) -> np.ndarray:
    """(H, W) bool: a pixel is inside where at least half of what it stands for is.

    Only the box of the mask is resized, with a rim that the filter does not reach across: ten times as fast.
    """
    resized = transform.resized(mask.size)
    padded = np.zeros(transform.size, bool)
    x0, y0, x1, y1 = mask.box
    rows, crop_rows, box_rows = _span(y0, y1, mask.size[0], resized[0])
    columns, crop_columns, box_columns = _span(x0, x1, mask.size[1], resized[1])
    crop = Image.fromarray(mask.decode()[crop_rows, crop_columns].astype(np.uint8) * 255)
    box = (box_columns[0], box_rows[0], box_columns[1], box_rows[1])
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    padded[rows, columns] = np.asarray(crop.resize(shape, Image.Resampling.BILINEAR, box)) >= 128
    return padded


def _span(low: float, high: float, length: int, resized: int) -> tuple[slice, slice, tuple[float, float]]:
    """Along one axis: resized pixels that a mask may touch, the pixels they come from, and which part of these."""
    scale = length / resized
    first, end = max(0, int(low / scale) - 2), min(resized, int(high / scale) + 3)
    start, stop = int(first * scale), min(length, int(np.ceil(end * scale)))
    return slice(first, end), slice(start, stop), (first * scale - start, min(length, end * scale) - start)


def centre_point(mask: np.ndarray) -> np.ndarray:
    """(2,) float32, x and y of the pixel farthest from the mask's border, the image's border included."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, x0 = rows[0], columns[0]
    crop = np.pad(mask[y0 : rows[-1] + 1, x0 : columns[-1] + 1], 1)
    y, x = np.unravel_index(int(distance_transform_edt(crop).argmax()), crop.shape)
    return np.array([x - 1 + x0, y - 1 + y0], np.float32)


def first_frames(cache: Cache, count: int) -> Cache:
    """The first frames of a cache on the CPU, with centre points found at input size."""
    rows = slice(0, int(torch.searchsorted(cache.frame, count)))
    visible = cache.visible[rows].cpu().clone()
    centre = [centre_point(mask.numpy()) for mask in map(unpack, visible)]
    held = {name: getattr(cache, name)[rows].cpu() for name in ("amodal", "frame", "occlusion")}
    sizes = {name: getattr(cache, name)[:count].cpu() for name in ("frames", "frame_size", "content", "input_size")}
    return Cache(visible=visible, centre=torch.from_numpy(np.stack(centre)), counts=cache.counts, **held, **sizes)


def _joined(parts: list[dict], data: str) -> Cache:
    """All sequences behind one another. Parts are let go one column at a time: both copies would not fit."""
    offsets = np.cumsum([0] + [len(p["frames"]) for p in parts])
    for part, offset in zip(parts, offsets[:-1], strict=True):
        part["frame"] = part["frame"] + offset
    counts = {
        "frames": int(offsets[-1]),
        "instances": sum(len(p["frame"]) for p in parts),
        "hidden": sum(p["hidden"] for p in parts),
        "too_small": sum(p["too_small"] for p in parts),
    }
    if not counts["instances"]:
        raise InputError(f"{data}: no instance with enough visible pixels in {counts['frames']} frames")

    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([p.pop(name) for p in parts]))

    sizes = column("sizes")
    names = ("frames", "visible", "amodal", "frame", "occlusion", "centre")
    return Cache(
        **{name: column(name) for name in names},
        frame_size=sizes[:, 0].contiguous(),
        content=sizes[:, 1].contiguous(),
        input_size=sizes[:, 2].contiguous(),
        counts=counts,
    )
