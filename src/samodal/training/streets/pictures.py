"""Pictures with boxes, some with masks, all in memory: what a detector and a cutter learn from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from samodal.errors import InputError
from samodal.training.state import checked_columns, damaged, read_prepared, replaced
from samodal.training.streets.sources import Item, items_of, read_item
from samodal.training.workers import in_processes

NONE, IGNORED = -1, -2
"""Kinds of places without a box, and of boxes that are neither learned nor background."""
LAYOUT = 1
"""Changes when what is written does."""
QUALITY = 80
"""Of the WebP that pictures are written in."""
COLUMNS = {
    "images": (torch.uint8, "B"), "image_ends": (torch.int64, "N"), "owners": (torch.uint8, "C"),
    "owner_ends": (torch.int64, "N"), "boxes": (torch.float32, "NG4"), "kinds": (torch.int64, "NG"),
    "places": (torch.int64, "NG"), "labelled": (torch.bool, "NK"), "simulated": (torch.bool, "N"),
}  # fmt: skip


@dataclass
class Pictures:
    """N pictures with at most G boxes each, of K classes.

    Attributes:
        pixels: (N, 3, S, S) uint8 RGB, grey below and on the right of the content.
        owners: (N, S, S) uint8, the place of the instance whose visible pixel it is; 0 where none is known.
        content: (N, 2) int64, height and width of the picture.
        boxes: (N, G, 4) float32, x0, y0, x1, y1, pixel edges.
        kinds: (N, G) int64, classes; `NONE` or `IGNORED`.
        places: (N, G) int64, of the box's mask in the owners; 0 where it has none.
        labelled: (N, K) bool, of which classes every instance has a box.
        simulated: (N,) bool, what a program drew.
    """

    pixels: torch.Tensor
    owners: torch.Tensor
    content: torch.Tensor
    boxes: torch.Tensor
    kinds: torch.Tensor
    places: torch.Tensor
    labelled: torch.Tensor
    simulated: torch.Tensor

    def __len__(self) -> int:
        return len(self.content)

    def to(self, device: torch.device) -> Pictures:
        """The same on a device."""
        return Pictures(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def photos(self) -> torch.Tensor:
        """(N,) bool, photos of single objects with masks, of which nothing is labelled completely."""
        return ((self.places > 0).sum(1) == 1) & ~self.labelled.any(1)

    def some(self, index: torch.Tensor) -> Pictures:
        """Those of an index."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})


def chances_of(groups: Sequence[tuple[torch.Tensor, float]]) -> torch.Tensor:
    """(M,) float64, how often each thing is drawn.

    Args:
        groups: (M,) bool and the share of what is drawn of each group; what is in none gets the rest.
    """
    chances = torch.zeros(len(groups[0][0]), dtype=torch.float64, device=groups[0][0].device)
    rest, left = torch.ones_like(groups[0][0]), 1.0
    for group, share in groups:
        if group.any():
            chances[group] = share / int(group.sum())
            rest, left = rest & ~group, left - share
    if rest.any():
        chances[rest] = left / int(rest.sum())
    return chances


def load_pictures(
    data: str, pictures: str, classes: tuple[str, ...], *, every: int, side: int, held_out: str, cache: str = "",
    workers: int = 0, report: Callable[[str], None] = print,
) -> tuple[Pictures, Pictures]:  # fmt: skip
    """What is learned from, and what is only measured on.

    Args:
        data, pictures, every, classes: see `samodal.training.streets.sources.items_of`.
        side: longest side of a picture as it is kept.
        held_out: regular expression of the names of pictures that are measured on.
        cache: files that keep the prepared pictures, separated by commas; one alone is written where it is
            not there.
        workers: processes; 0 takes as many as there are cores.
        report: gets lines of progress.

    Raises:
        InputError: if a source cannot be read, or a file was made otherwise.
    """
    made_from = {"layout": LAYOUT, "classes": list(classes), "side": side}
    files = [Path(name) for name in filter(None, cache.split(","))]
    if files and all(path.exists() for path in files):
        parts = [_read(path, made_from) for path in files]
    else:
        try:
            pattern = re.compile(held_out) if held_out else None
        except re.error as error:
            raise InputError(f"held_out {held_out!r} is no regular expression ({error})") from None
        items = list(items_of(data, every, pictures, classes))
        if not items:
            raise InputError("no pictures; give --data or --pictures")
        rows = []
        for row in in_processes(_prepared, [(item, classes, side) for item in items], workers, most=16):
            rows.append(row)
            if len(rows) % max(1, len(items) // 10) == 0:
                report(f"read {len(rows)} of {len(items)} pictures")
        measured = [bool(pattern and pattern.fullmatch(item.name)) for item in items]
        parts = [(_joined(rows), torch.tensor(measured))]
        if files:
            files[0].parent.mkdir(parents=True, exist_ok=True)
            content = {"made_from": made_from, "rows": parts[0][0], "held_out": {"held_out": parts[0][1]}}
            replaced(files[0], partial(torch.save, content))
    most = max(rows["kinds"].shape[1] for rows, _ in parts)
    whole = [(_padded(rows, most), measured) for rows, measured in parts]
    measured = torch.cat([measured for _, measured in whole])
    together = {name: torch.cat([rows[name] for rows, _ in whole]) for name in COLUMNS if "_ends" not in name}
    for name in ("image", "owner"):
        lengths = [torch.diff(rows[f"{name}_ends"], prepend=torch.zeros(1, dtype=torch.int64)) for rows, _ in whole]
        together[f"{name}_ends"] = torch.cat(lengths).cumsum(0)
    return _decoded(together, ~measured, side), _decoded(together, measured, side)


def _prepared(task: tuple[Item, tuple[str, ...], int]) -> dict:
    """A picture with what it shows, as it is kept on disk."""
    item, classes, side = task
    image, owners, boxes = read_item(item)
    scale = min(1.0, side / max(owners.shape))
    if scale < 1:
        size = tuple(max(1, round(scale * n)) for n in owners.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        owners = cv2.resize(owners, size, interpolation=cv2.INTER_NEAREST)
    kinds = [classes.index(box[0]) if box[0] in classes else IGNORED for box in boxes]
    return {
        "image": cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes(),
        "owners": cv2.imencode(".png", owners)[1].tobytes(),
        "boxes": [tuple(scale * v for v in box[1:5]) for box in boxes], "kinds": kinds,
        "places": [box[5] for box in boxes], "labelled": [name in item.labelled for name in classes],
        "simulated": item.simulated,
    }  # fmt: skip


def _joined(rows: list[dict]) -> dict[str, torch.Tensor]:
    most = max(1, max(len(row["kinds"]) for row in rows))
    boxes, kinds = np.zeros((len(rows), most, 4), np.float32), np.full((len(rows), most), NONE)
    places = np.zeros((len(rows), most), np.int64)
    for n, row in enumerate(rows):
        count = len(row["kinds"])
        if count:
            boxes[n, :count], kinds[n, :count], places[n, :count] = row["boxes"], row["kinds"], row["places"]
    packed = {name: b"".join(row[name] for row in rows) for name in ("image", "owners")}
    return {
        "images": torch.frombuffer(bytearray(packed["image"]), dtype=torch.uint8),
        "image_ends": torch.tensor([len(row["image"]) for row in rows]).cumsum(0),
        "owners": torch.frombuffer(bytearray(packed["owners"]), dtype=torch.uint8),
        "owner_ends": torch.tensor([len(row["owners"]) for row in rows]).cumsum(0),
        "boxes": torch.from_numpy(boxes), "kinds": torch.from_numpy(kinds), "places": torch.from_numpy(places),
        "labelled": torch.tensor([row["labelled"] for row in rows]),
        "simulated": torch.tensor([row["simulated"] for row in rows]),
    }  # fmt: skip


def _read(path: Path, made_from: dict) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    rows = checked_columns(path, read_prepared(path, made_from, "rows"), COLUMNS)
    held = checked_columns(path, read_prepared(path, made_from, "held_out"), {"held_out": (torch.bool, "N")})
    ends = [(rows["image_ends"], len(rows["images"])), (rows["owner_ends"], len(rows["owners"]))]
    wrong = any(int(end[-1]) != count or bool((torch.diff(end) < 0).any()) for end, count in ends)
    if wrong or len(held["held_out"]) != len(rows["image_ends"]):
        raise damaged(path, ValueError("its pictures do not end where it says"))
    return rows, held["held_out"]


def _padded(rows: dict[str, torch.Tensor], most: int) -> dict[str, torch.Tensor]:
    """With room for so many boxes in each picture."""
    more = most - rows["kinds"].shape[1]
    pad = torch.nn.functional.pad
    return rows | {
        "boxes": pad(rows["boxes"], (0, 0, 0, more)), "places": pad(rows["places"], (0, more)),
        "kinds": pad(rows["kinds"], (0, more), value=NONE),
    }  # fmt: skip


def _decoded(rows: dict[str, torch.Tensor], chosen: torch.Tensor, side: int) -> Pictures:
    index = chosen.nonzero()[:, 0]
    pixels, owners = np.full((len(index), 3, side, side), 114, np.uint8), np.zeros((len(index), side, side), np.uint8)
    content = np.zeros((len(index), 2), np.int64)
    data = {name: rows[name].numpy() for name in ("images", "owners")}
    ends = {name: [0, *rows[key].tolist()] for name, key in (("images", "image_ends"), ("owners", "owner_ends"))}

    def decode(n: int) -> None:
        place = int(index[n])
        image, owner = (
            np.asarray(
                Image.open(BytesIO(data[name][ends[name][place] : ends[name][place + 1]].tobytes())).convert(mode)
            )
            for name, mode in (("images", "RGB"), ("owners", "L"))
        )
        height, width = content[n] = owner.shape
        pixels[n, :, :height, :width], owners[n, :height, :width] = image.transpose(2, 0, 1), owner

    with ThreadPoolExecutor() as threads:  # decoding lets others work meanwhile
        list(threads.map(decode, range(len(index)), chunksize=16))
    rest = (rows[name][index] for name in ("boxes", "kinds", "places", "labelled", "simulated"))
    return Pictures(torch.from_numpy(pixels), torch.from_numpy(owners), torch.from_numpy(content), *rest)
