"""Run lengths themselves, for what COCO's mask functions do not offer: complement, and frames joined into one."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from samodal.errors import InputError
from samodal.masks import Rle, run_lengths

_LARGEST = 2**32 - 1


def from_runs(runs: Sequence[int] | np.ndarray, size: tuple[int, int]) -> Rle:
    """A mask from plain run lengths, outside first."""
    coded = coco.frPyObjects({"size": list(size), "counts": np.asarray(runs).tolist()}, *size)
    return Rle((int(size[0]), int(size[1])), coded["counts"].decode("ascii"))


def split(ids: np.ndarray) -> dict[int, Rle]:
    """The mask of every id in a (H, W) map of ids, 0 left out; the map is read once, however many there are."""
    flat = np.ravel(ids, order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], len(flat))
    values = flat[starts]
    masks = {}
    for key in np.unique(values).tolist():
        if key:
            edges = np.stack([starts[values == key], ends[values == key]], axis=1).ravel()
            runs = np.diff(edges, prepend=0, append=len(flat))
            masks[key] = from_runs(runs if runs[-1] else runs[:-1], ids.shape)
    return masks


def without(mask: Rle, removed: Rle | None) -> Rle | None:
    """The pixels of a mask that are not in another of equal size; None where none is left."""
    if removed is None:
        return mask
    runs = run_lengths(removed.counts)
    complement = from_runs(runs[1:] if runs[0] == 0 else np.concatenate([[0], runs]), removed.size)
    left = coco.merge([mask.to_coco(), complement.to_coco()], intersect=True)
    rle = Rle(mask.size, left["counts"].decode("ascii"))
    return rle if rle.area else None


def join(masks: Sequence[Rle | None], size: tuple[int, int]) -> Rle:
    """The frames of a video side by side as one mask of (H, W * T); absent ones are empty.

    The IoU of two joined masks is the sum of intersections over the sum of unions (paper, equation 1), so that
    any evaluator of images evaluates videos.

    Raises:
        InputError: if the video has more pixels than COCO's run lengths can count (2071 frames at 1080x1920).
    """
    if len(masks) == 1 and masks[0] is not None:
        return masks[0]
    height, width = size
    if height * width * len(masks) > _LARGEST:
        raise InputError(f"{len(masks)} frames of {height}x{width} are too many to evaluate as one video; cut it")
    runs = [0]
    for mask in masks:
        own = run_lengths(mask.counts).tolist() if mask else [height * width]
        if len(runs) % 2:  # the last run is outside, as the next frame's first one is
            runs[-1] += own[0]
            runs.extend(own[1:])
        elif own[0]:
            runs.extend(own)
        else:  # a mask that leaves one frame at the right border and begins the next at the left one
            runs[-1] += own[1]
            runs.extend(own[2:])
    return from_runs(runs, (height, width * len(masks)))
