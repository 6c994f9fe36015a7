"""SAVOS' pickles of KINS-car: the visible masks that PointTrack found in KITTI's raw videos.

    {video: {object: {t: {"VM": run lengths, "VM_bbox": […], "loss_mask": run lengths}}}}

t is the number in the image's file name. Only `VM` is read; `loss_mask`, the union of the others' visible masks,
follows from it. Source: facts/datasets_metrics.md 2.3.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from samodal.data.pickles import read_pickle
from samodal.errors import InputError
from samodal.files import field, read_mask
from samodal.rle import Rle

Objects = dict[int, dict[int, dict]]
"""Run lengths as the file has them, by object and number of the frame."""


def read_found(path: Path) -> dict[str, Objects]:
    """What a pickle holds, by name of the video, sorted; masks are drawn by `masks_of`.

    Raises:
        InputError: if it is missing, cut off, of another form, or holds more than plain data.
    """
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected SAVOS' {{video: {{object: {{t: {{'VM': …}}}}}}}}, got {str(content)[:60]}")
    found: dict[str, Objects] = {}
    for key in sorted(content, key=str):
        name = PurePosixPath(str(key)).name  # some list videos as date/video
        if name in found or not name:
            raise InputError(f"{path}: video {key!r} is there twice, or has no name")
        objects = _numbered(content[key], f"{path}: {name}", "object")
        found[name] = {one: _frames(frames, f"{path}: {name}, object {one}") for one, frames in objects.items()}
    return found


def masks_of(objects: Objects, size: tuple[int, int], where: str) -> dict[int, dict[int, Rle]]:
    """{object: {t: mask}} of a video whose frames are of size (H, W); masks without a pixel are left out.

    Raises:
        InputError: if a mask is damaged or of another size.
    """
    drawn = {}
    for key, frames in objects.items():
        masks = {t: read_mask(value, size, f"{where}, object {key}, t {t}") for t, value in frames.items()}
        drawn[key] = {t: mask for t, mask in masks.items() if mask is not None}
    return drawn


def _frames(content: Any, where: str) -> dict[int, dict]:
    frames = {}
    for t, entry in _numbered(content, where, "frame").items():
        value = field(entry, "VM", f"{where}, t {t}")
        size = value.get("size") if isinstance(value, dict) else None
        if not isinstance(size, list | tuple) or "counts" not in value:
            raise InputError(f"{where}, t {t}: expected run lengths (size, counts) in VM, got {str(value)[:60]}")
        frames[t] = {"size": list(size), "counts": value["counts"]}
    return frames


def _numbered(content: Any, where: str, what: str) -> dict[int, Any]:
    """A dict by whole numbers, which some write as text."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a dict by {what}, got {str(content)[:60]}")
    found = {}
    for key, value in content.items():
        if isinstance(key, bool) or not str(key).isdecimal():
            raise InputError(f"{where}: {what} {key!r} is no number")
        if int(key) in found:
            raise InputError(f"{where}: {what} {int(key)} is there twice")
        found[int(key)] = value
    return found
