"""What a data set teaches a completer: around each instance a canvas of masks, from which crops are cut.

Canvases reach farther than crops, so that crops can be moved and scaled. They are small: 36 kB each, and a hundredth of
that on disk.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from samodal.data.open import opened
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.results.frames import read_frames
from samodal.segmenters.completion.config import CompletionConfig
from samodal.segmenters.completion.layers import Crop, inside, resampled, told
from samodal.training.state import ANEW, checked_columns, damaged, read_prepared, replaced
from samodal.training.workers import in_processes, sequences

SIZE = 192
"""Side of a canvas in its own pixels."""
REACH = 3.4
"""Side of a canvas in longer sides of the visible box; more, up to `FARTHEST`, where the whole object is larger."""
FARTHEST = 8.0
LAYERS = ("visible", "front", "behind", "outside", "amodal")
"""Bits of a canvas, lowest first; "outside" is beyond the border of the picture."""
FITTING = 0.4
"""Least IoU of a run's visible mask with an instance's own, to be told for it."""
LAYOUT = 3
"""Changes when what is written does."""
COLUMNS = {
    "packed": (torch.uint8, "B"), "lengths": (torch.int64, "N"), "visible_box": (torch.float32, "N4"),
    "amodal_box": (torch.float32, "N4"), "kind": (torch.int64, "N"), "occlusion": (torch.float32, "N"),
    "partner": (torch.int64, "N"),
}  # fmt: skip


@dataclass
class Canvases:
    """N instances.

    Attributes:
        bits: (N, SIZE, SIZE) uint8, a bit for each of `LAYERS`.
        visible_box, amodal_box: (N, 4) float32, x0, y0, x1, y1 in pixels of the canvas.
        kind: (N,) int64, numbers of classes, 0 for unknown.
        occlusion: (N,) float32, share of the amodal mask that is hidden.
        partner: (N,) int64, the instance that shows most of the same object in another frame; -1 where none shows more.
    """

    bits: torch.Tensor
    visible_box: torch.Tensor
    amodal_box: torch.Tensor
    kind: torch.Tensor
    occlusion: torch.Tensor
    partner: torch.Tensor

    def __len__(self) -> int:
        return len(self.kind)

    def to(self, device: torch.device) -> Canvases:
        """The same on a device."""
        return Canvases(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def part(self, first: int, end: int) -> Canvases:
        """Instances from `first` to before `end`; partners beyond them are none."""
        cut = Canvases(**{f.name: getattr(self, f.name)[first:end] for f in fields(self)})
        partner = cut.partner - first
        return replace(cut, partner=torch.where((partner >= 0) & (partner < end - first), partner, -1))

    def layers(self, index: torch.Tensor) -> torch.Tensor:
        """(n, L, SIZE, SIZE) bool of instances, in the order of `LAYERS`."""
        return unpacked(self.bits[index])


def unpacked(bits: torch.Tensor) -> torch.Tensor:
    """(n, SIZE, SIZE) uint8 to (n, L, SIZE, SIZE) bool."""
    return torch.stack([bits & (1 << n) > 0 for n in range(len(LAYERS))], 1)


def load_canvases(
    data: str,
    config: CompletionConfig,
    *,
    path: Path | None = None,
    first: int | None = None,
    min_visible: int = 16,
    workers: int = 0,
    masks: str = "",
    report: Callable[[str], None] = print,
) -> Canvases:
    """The canvases of data sets that commas separate, from `path` where they were written before.

    Args:
        path: a file; None prepares in memory.
        first: so many sequences of each data set; None for all.
        min_visible: fewest visible pixels in the frame of an instance that is learned from.
        workers: processes; 0 takes as many as there are cores.
        masks: results of a run on the data, whose visible masks are told instead of the data's; "" for the data's.
        report: gets lines of progress.

    Raises:
        InputError: if the file was made from other data or settings, or the data has no such instance.
    """
    made_from = {
        "layout": LAYOUT, "data": data, "first": first, "min_visible": min_visible, "classes": list(config.classes),
    }  # fmt: skip
    if masks:
        made_from["masks"] = masks
    if path is not None and path.exists():
        return _read(path, made_from)
    tasks = [(*sequence, config, min_visible, masks) for sequence in sequences(data, first)]
    parts = []
    for part in in_processes(_sequence, tasks, workers, most=16):
        parts.append(part)
        if len(parts) % max(1, len(tasks) // 10) == 0:
            report(f"prepared {len(parts)} of {len(tasks)} sequences of {data}")
    rows = _joined(parts, data)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replaced(path, partial(torch.save, {"made_from": made_from, "rows": rows}))
    return _canvases(rows)


def _read(path: Path, made_from: dict) -> Canvases:
    rows = checked_columns(path, read_prepared(path, made_from, "rows"), COLUMNS)
    count, lengths, partner = len(rows["kind"]), rows["lengths"], rows["partner"]
    if int(lengths.sum()) != len(rows["packed"]) or bool((lengths < 0).any() or (partner >= count).any()):
        raise InputError(f"{path}: its lengths or partners are not what was prepared; {ANEW}")
    try:
        return _canvases(rows)
    except (zlib.error, ValueError, RuntimeError) as error:
        raise damaged(path, error) from None


def _sequence(task: tuple) -> list[dict]:
    """The instances of a sequence, each with the number of its frame and its id; `bits` are packed."""
    data, name, config, min_visible, masks = task
    video = opened(data).video(name)
    run = read_frames(Path(masks) / name / "frames.jsonl").results if masks else None
    if run is not None and len(run) != video.length:
        raise InputError(f"{masks}/{name}: {len(run)} frames, {data} has {video.length}; run `samodal run` on it again")
    rows = []
    for t in range(video.length):
        truth = [(entry, Mask.of(entry.visible)) for entry in video.frame_truth(t) if entry.visible is not None]
        own = [visible for _, visible in truth]
        given = own if run is None else [Mask.of(i.visible) for i in run[t].instances if i.visible is not None]
        for entry, visible in truth:
            told_mask = visible if run is None else max(given, key=visible.iou, default=None)
            if visible.area < min_visible or told_mask is None or visible.iou(told_mask) < FITTING:
                continue
            whole, kind = Mask.of(entry.amodal).union(visible), config.class_number(entry.category)
            others = [mask for mask in given if mask is not told_mask]
            row = canvas(told_mask, whole, others, grounded=kind > 0)
            if row is not None:
                rows.append(row | {"id": entry.id, "kind": kind, "occlusion": 1 - visible.area / whole.area})
    return rows


def canvas(visible: Mask, amodal: Mask, others: list[Mask], grounded: bool = True) -> dict | None:
    """What `Canvases` has of an instance: packed bits, boxes and occlusion; None where hardly a pixel is left of it."""
    x0, y0, x1, y1 = visible.box
    longest = max(x1 - x0, y1 - y0)
    middle, whole = np.array([x0 + x1, y0 + y1]) / 2, np.array(amodal.box)
    extent = 2.2 * max((whole[2:] - middle).max(), (middle - whole[:2]).max())
    side = max(24.0, REACH * longest, min(extent, FARTHEST * longest))
    crop = Crop(*(middle - side / 2), side)
    seen = told(crop, SIZE, visible, others, grounded=grounded)
    planes = [seen[name] for name in LAYERS[:3]] + [1 - inside(crop, SIZE, visible.size), resampled(amodal, crop, SIZE)]
    if np.count_nonzero(planes[0] >= 0.5) < 8:
        return None
    bits = sum((plane >= 0.5).astype(np.uint8) << n for n, plane in enumerate(planes))
    scale, corner = SIZE / side, np.array([crop.x, crop.y] * 2)
    return {
        "bits": zlib.compress(bits.tobytes(), 6),
        "visible_box": (np.array(visible.box) - corner) * scale,
        "amodal_box": (whole - corner) * scale,
        "occlusion": 1 - visible.area / amodal.area,
    }


def _joined(parts: list[list[dict]], data: str) -> dict[str, torch.Tensor]:
    """All rows as tensors; packed bits behind one another."""
    rows = [row for part in parts for row in part]
    if not rows:
        raise InputError(f"{data}: no instance with amodal mask and enough visible pixels; nothing to learn from")
    partner, start = [], 0
    for part in parts:
        best: dict[int, list[int]] = {}
        for n in sorted(range(len(part)), key=lambda n: part[n]["occlusion"]):
            best.setdefault(part[n]["id"], []).append(n)
        for n, row in enumerate(part):
            other = next((m for m in best[row["id"]] if m != n), None)
            better = other is not None and part[other]["occlusion"] < min(0.5, row["occlusion"])
            partner.append(start + other if better else -1)
        start += len(part)
    packed = b"".join(row["bits"] for row in rows)
    return {
        "packed": torch.frombuffer(bytearray(packed), dtype=torch.uint8),
        "lengths": torch.tensor([len(row["bits"]) for row in rows]),
        "visible_box": torch.from_numpy(np.stack([row["visible_box"] for row in rows]).astype(np.float32)),
        "amodal_box": torch.from_numpy(np.stack([row["amodal_box"] for row in rows]).astype(np.float32)),
        "kind": torch.tensor([row["kind"] for row in rows]),
        "occlusion": torch.tensor([row["occlusion"] for row in rows], dtype=torch.float32),
        "partner": torch.tensor(partner),
    }


def _canvases(rows: dict[str, torch.Tensor]) -> Canvases:
    packed, ends = rows["packed"].numpy().tobytes(), rows["lengths"].cumsum(0).tolist()
    bits = np.empty((len(ends), SIZE * SIZE), np.uint8)

    def unpack(n: int) -> None:
        bits[n] = np.frombuffer(_inflated(packed[ends[n - 1] if n else 0 : ends[n]]), np.uint8)

    with ThreadPoolExecutor() as threads:  # zlib lets others work meanwhile
        list(threads.map(unpack, range(len(ends)), chunksize=64))
    return Canvases(torch.from_numpy(bits).view(-1, SIZE, SIZE), *(rows[f.name] for f in fields(Canvases)[1:]))


def _inflated(packed: bytes) -> bytes:
    """The bits of one canvas, and not more of what may unpack to gigabytes."""
    return zlib.decompressobj().decompress(packed, SIZE * SIZE)
