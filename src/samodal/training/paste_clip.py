"""Clips whose hidden parts are known, made from visible masks alone: something moves past in front of an instance.

What `samodal.training.paste` does to single frames, through time: the instance is seen, then partly, for some frames
not at all, and seen again. What it was before is its amodal mask. For training and for evaluation where there are no
amodal labels: real video with masks of what is visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from samodal.categories import CATEGORY_IDS
from samodal.data.asd import InstanceTruth, frame_stem, write_frame
from samodal.errors import InputError
from samodal.rle import Rle
from samodal.tracks import Clip, Track

LARGEST = 4.0
"""Times the size at which the cutout's box covers its target's; what does not cover it then never does."""
TRIES = 20
"""Draws of `draw_paste` before it gives up."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """Something to paste, cut to its box.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        mask: (h, w) bool, reaches all four sides.
        category: class name.
    """

    image: np.ndarray
    mask: np.ndarray
    category: str


@dataclass(frozen=True, eq=False)
class PastedClip:
    """A clip with something pasted into it.

    Attributes:
        images: (H, W, 3) uint8 RGB each.
        clip: of every track, `visible` is what can still be seen and `amodal` what was visible before; the last track
            is what was pasted.
        hidden: frames in which nothing of the target is seen any more.
    """

    images: list[np.ndarray]
    clip: Clip
    hidden: tuple[int, ...]


def cut_out(image: np.ndarray, mask: np.ndarray, category: str) -> Cutout:
    """The part of an (H, W, 3) image in a non-empty (H, W) mask."""
    y0, y1, x0, x1 = (f(np.flatnonzero(mask.any(axis))) for axis in (1, 0) for f in (np.min, np.max))
    part = np.s_[y0 : y1 + 1, x0 : x1 + 1]
    return Cutout(image[part].copy(), mask[part].copy(), category)


def paste_clip(
    images: Sequence[np.ndarray],
    clip: Clip,
    cutout: Cutout,
    *,
    target: int | str,
    middle: int,
    gap: int,
    velocity: tuple[float, float],
) -> PastedClip:
    """Move a cutout past a track, so that it hides it completely for some frames.

    Args:
        images: (H, W, 3) uint8 RGB, one for each frame of the clip.
        clip: its tracks' `visible` masks are used, and never their `amodal` ones.
        cutout: enlarged until it covers the target wherever it has to.
        target: id of the track to hide.
        middle: frame in which the middle of the cutout is that of the target.
        gap: frames, at least, around it in which the target is hidden completely.
        velocity: x and y of the cutout relative to the target, in pixels a frame.

    Raises:
        InputError: if the target is not visible in the middle, or the cutout covers it at no reasonable size.
    """
    masks = [None if m is None else m.decode() for m in next(t for t in clip.tracks if t.id == target).visible]
    path = _path(masks, middle, velocity, f"clip {clip.name}: track {target}")
    within = range(max(0, middle - (gap - 1) // 2), min(len(clip), middle + gap // 2 + 1))
    smallest = _cover(masks[middle], cutout)
    for zoom in smallest * np.geomspace(1.0, LARGEST, 30):
        opacity = [_place(cutout.mask.astype(np.float32), zoom, path[t], clip.size) for t in within]
        if all(masks[t] is None or not (masks[t] & (o < 0.5)).any() for t, o in zip(within, opacity, strict=True)):
            return _pasted(images, clip, cutout, zoom, path, target)
    raise InputError(
        f"clip {clip.name}: the cutout covers track {target} completely at no reasonable size for {gap} frames; give "
        "one without holes, a shorter gap or a lower velocity"
    )


def draw_paste(
    images: Sequence[np.ndarray], clip: Clip, rng: np.random.Generator, *, gap: int = 3, least: int = 150
) -> PastedClip:
    """`paste_clip` with a random track as target, another one of the same clip as cutout, and a random velocity.

    Args:
        images, clip, gap: as there.
        rng: decides everything.
        least: visible pixels of target and cutout.

    Raises:
        InputError: if after some tries nothing was found that covers something.
    """
    large = [(track, t) for track in clip.tracks for t, m in enumerate(track.visible) if m and m.area >= least]
    inner = [(track, t) for track, t in large if gap <= t < len(clip) - gap]
    for _ in range(TRIES if inner else 0):
        track, middle = inner[rng.integers(len(inner))]
        others = [(other, t) for other, t in large if other.id != track.id]
        if not others:
            continue
        other, t = others[rng.integers(len(others))]
        x0, _, x1, _ = track.visible[middle].box
        speed = rng.choice([-1, 1]) * rng.uniform(0.1, 0.4) * (x1 - x0)
        cutout = cut_out(images[t], other.visible[t].decode(), other.category)
        try:
            return paste_clip(images, clip, cutout, target=track.id, middle=middle, gap=gap, velocity=(speed, 0.0))
        except InputError:
            continue
    raise InputError(
        f"clip {clip.name}: found nothing to hide behind something; it needs two tracks of {least} visible pixels and "
        f"more than {2 * gap} frames"
    )


def write_clip(root: Path, pasted: PastedClip, name: str | None = None) -> None:
    """Write a clip below the folder of a split in AmodalSynthDrive's layout, as asd:ROOT reads it.

    Args:
        root: folder of the split.
        pasted: ids are whole numbers, classes those of AmodalSynthDrive.
        name: of the sequence; the clip's by default.

    Raises:
        InputError: for a class that the layout does not have.
    """
    from PIL import Image

    clip, name = pasted.clip, name or pasted.clip.name
    for track in clip.tracks:
        if track.category not in CATEGORY_IDS:
            raise InputError(f"clip {clip.name}: the layout has no class {track.category!r}, only {list(CATEGORY_IDS)}")
    folder = Path(root) / "images" / "front" / name
    folder.mkdir(parents=True, exist_ok=True)
    for t, image in enumerate(pasted.images):
        Image.fromarray(image).save(folder / f"{frame_stem(t)}_rgb.jpg", quality=95)
        there = [one for one in clip.tracks if one.amodal[t] is not None]
        instances = [InstanceTruth(one.id, one.category, one.amodal[t], one.visible[t]) for one in there]
        write_frame(Path(root) / "amodal_instance_seg" / "front" / name, t, instances, clip.size)


def _path(masks: list, middle: int, velocity: tuple[float, float], where: str) -> np.ndarray:
    """(T, 2) x and y of the cutout's middle: that of the target's box, and a straight line relative to it."""
    if not 0 <= middle < len(masks) or masks[middle] is None:
        raise InputError(f"{where} is not visible in frame {middle}, where it is to be hidden")
    seen = [t for t, mask in enumerate(masks) if mask is not None]
    centres = np.array([_centre(masks[t]) for t in seen])
    times = np.arange(len(masks))
    follows = np.stack([np.interp(times, seen, centres[:, axis]) for axis in (0, 1)], axis=1)
    return follows + (times - middle)[:, None] * np.array(velocity)


def _centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2


def _cover(mask: np.ndarray, cutout: Cutout) -> float:
    """The magnification at which the cutout's box is as wide and as high as that of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = cutout.mask.shape
    return max((columns[-1] - columns[0] + 1) / width, (rows[-1] - rows[0] + 1) / height)


def _place(values: np.ndarray, zoom: float, centre: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, …) float32: an enlarged picture with its middle at `centre` (x, y), zero elsewhere."""
    import cv2

    height, width = values.shape[:2]
    shift = np.asarray(centre) - zoom * np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float32)
    return cv2.warpAffine(values.astype(np.float32), matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def _pasted(
    images: Sequence[np.ndarray], clip: Clip, cutout: Cutout, zoom: float, path: np.ndarray, target: int | str
) -> PastedClip:
    """The clip with a cutout at a magnification along a path."""
    made, covers = [], []
    opacity = cutout.mask.astype(np.float32)[..., None]
    # Colours times opacity, so that what lay beside the cutout does not bleed into its border.
    layers = np.concatenate([cutout.image * opacity, opacity], axis=2)
    for image, centre in zip(images, path, strict=True):
        placed = _place(layers, zoom, centre, clip.size)
        made.append((image * (1 - placed[..., 3:]) + placed[..., :3]).round().clip(0, 255).astype(np.uint8))
        covers.append(placed[..., 3] >= 0.5)
    tracks = [
        replace(one, amodal=one.visible, visible=tuple(map(_uncovered, one.visible, covers))) for one in clip.tracks
    ]
    column = tuple(Rle.encode(cover) if cover.any() else None for cover in covers)
    number = 1 + max((one.id for one in clip.tracks if isinstance(one.id, int)), default=0)
    after = next(one for one in tracks if one.id == target)
    hidden = tuple(t for t, mask in enumerate(after.amodal) if mask is not None and after.visible[t] is None)
    tracks.append(Track(number, cutout.category, None, column, column))
    return PastedClip(made, replace(clip, tracks=tuple(tracks)), hidden)


def _uncovered(mask: Rle | None, cover: np.ndarray) -> Rle | None:
    if mask is None:
        return None
    left = mask.decode() & ~cover
    return Rle.encode(left) if left.any() else None
