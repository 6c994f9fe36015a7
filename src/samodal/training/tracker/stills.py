"""Clips with points, made of real pictures: one slides and zooms as the ground, cut-outs of others pass over it.

A simulator's surfaces are smoother than real ones, and what was learned on them alone errs on real pixels. Here every
pixel is of a photo, and where it moves is known exactly. Single pictures are enough, as for SuperPoint, which learned
from pictures under homographies (DeTone et al. 2018, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.training.streets.pictures import Pictures

LEAST = 40
"""Shortest side in pixels of a cut-out in its picture: smaller ones have no detail."""
CUTS = (3, 8)
"""Fewest and most cut-outs of a clip."""
TALL = (0.12, 0.8)
"""Height of a cut-out as a share of the frame's, evenly drawn in its logarithm."""
PASSING = 0.6
"""Share of the cut-outs that move by themselves; the others stand on the ground."""
ON_GROUND, ON_CUT = 48, 24
"""Points on the ground and on a cut-out."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A flat thing and how it moves.

    Attributes:
        rgba: (h, w, 4) uint8, colours multiplied by opacity.
        to_frame: (T, 3, 3) from its pixels to those of each frame.
    """

    rgba: np.ndarray
    to_frame: np.ndarray


@dataclass(frozen=True, eq=False)
class StillClip:
    """A clip as `Clips` holds it: (T, 3, h, w) uint8 frames, and the points' columns, ids ascending."""

    frames: np.ndarray
    xy: np.ndarray
    visible: np.ndarray
    ids: np.ndarray


def still_clips(
    pictures: Pictures, outlines: np.ndarray, *, size: tuple[int, int], length: int, count: int, seed: int,
    workers: int = 8, report: Callable[[str], None] = print,
) -> list[StillClip]:  # fmt: skip
    """So many clips; the same for the same seed, whatever the number of workers.

    Args:
        pictures: their pixels are the ground; what has a mask or a box in them is cut out.
        outlines: (M, S, S) uint8, 1 inside, shapes for what has a box alone.
        size: (h, w) of the frames.
        length: frames of a clip, T.
        count: of clips.
        seed: decides everything.
        workers: threads.
        report: gets lines of progress.

    Raises:
        InputError: where nothing in the pictures can be cut out.
    """
    cuttable = np.argwhere(_large(pictures))
    grounds = np.flatnonzero(~pictures.photos.numpy()) if not pictures.photos.all() else np.arange(len(pictures))
    if not len(cuttable):
        raise InputError(f"nothing of {LEAST} pixels or more has a box in these pictures; cut-outs are made of such")

    def clip(number: int) -> StillClip:
        rng = np.random.default_rng((seed, number))
        ground = _content(pictures, int(grounds[rng.integers(len(grounds))]))
        camera = _camera(rng, ground.shape[:2], size, length)
        layers = [Layer(_opaque(ground), camera)]
        for _ in range(rng.integers(CUTS[0], CUTS[1] + 1)):
            cut = _cut(rng, pictures, cuttable[rng.integers(len(cuttable))], outlines)
            layers.append(_placed(rng, cut, camera, size))
        return draw_clip(rng, layers, size)

    made = []
    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(clip, range(count)):
            made.append(done)
            if len(made) % 200 == 0:
                report(f"{len(made)} of {count} clips of real pictures made")
    return made


def draw_clip(rng: np.random.Generator, layers: list[Layer], size: tuple[int, int]) -> StillClip:
    """The frames of layers, each in front of those before it, and points on all of them.

    Args:
        rng: draws the points.
        layers: the ground first; it covers every frame.
        size: (h, w) of the frames.
    """
    height, width = size
    length = len(layers[0].to_frame)
    frames = np.empty((length, 3, height, width), np.uint8)
    covered = np.zeros((len(layers), length, height, width), bool)
    for t in range(length):
        frame = np.zeros((height, width, 3), np.float32)
        for n, layer in enumerate(layers):
            border = cv2.BORDER_REFLECT if n == 0 else cv2.BORDER_CONSTANT
            warped = cv2.warpPerspective(layer.rgba, layer.to_frame[t], (width, height), borderMode=border)
            opacity = warped[..., 3:].astype(np.float32) / 255
            frame = frame * (1 - opacity) + warped[..., :3]
            covered[n, t] = opacity[..., 0] > 0.5
        frames[t] = frame.round().clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
    parts = [_points(rng, n, layer, size) for n, layer in enumerate(layers)]
    ids = np.repeat(np.arange(len(layers)), [len(xy) for xy in parts])
    xy = np.concatenate(parts)
    return StillClip(frames, xy.astype(np.float32), _visible(xy, ids, covered), ids.astype(np.int32))


def _visible(xy: np.ndarray, ids: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """(P, T) bool: inside the frame, and no layer in front of the point's own covers it."""
    _, length, height, width = covered.shape
    x, y = np.rint(xy[..., 0]).astype(int), np.rint(xy[..., 1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    over = covered[:, np.arange(length), y, x]  # (K, P, T)
    in_front = np.arange(len(covered))[:, None] > ids
    return inside & ~(over & in_front[..., None]).any(0)


def _points(rng: np.random.Generator, number: int, layer: Layer, size: tuple[int, int]) -> np.ndarray:
    """(P, T, 2) where points of a layer are; those of the ground are drawn in what some frame shows."""
    if number == 0:
        t = rng.integers(len(layer.to_frame), size=ON_GROUND)
        shown = rng.random((ON_GROUND, 2)) * (size[1] - 1, size[0] - 1)
        back = np.linalg.inv(layer.to_frame)[t]
        places = np.stack([_mapped(back[n], shown[n : n + 1])[0] for n in range(ON_GROUND)])
        rows, columns = layer.rgba.shape[:2]
        places = places[((places >= 0) & (places <= (columns - 1, rows - 1))).all(1)]
    else:
        solid = cv2.erode((layer.rgba[..., 3] > 250).astype(np.uint8), np.ones((3, 3), np.uint8))
        candidates = np.argwhere(solid)[:, ::-1]
        places = candidates[rng.permutation(len(candidates))[:ON_CUT]].astype(float)
    return np.stack([_mapped(matrix, places) for matrix in layer.to_frame], axis=1)


def _mapped(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(P, 2) points after a (3, 3) homography."""
    moved = np.c_[xy, np.ones(len(xy))] @ matrix.T
    return moved[:, :2] / moved[:, 2:]


def _large(pictures: Pictures) -> np.ndarray:
    """(N, G) bool: boxes of a class, or with a mask, of at least `LEAST` pixels."""
    x0, y0, x1, y1 = pictures.boxes.unbind(-1)
    large = ((x1 - x0) >= LEAST) & ((y1 - y0) >= LEAST)
    return (large & ((pictures.kinds >= 0) | (pictures.places > 0))).numpy()


def _content(pictures: Pictures, number: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture."""
    height, width = pictures.content[number].tolist()
    return pictures.pixels[number, :, :height, :width].permute(1, 2, 0).numpy()


def _opaque(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def _cut(rng: np.random.Generator, pictures: Pictures, which: np.ndarray, outlines: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8 of a cut-out: by its mask, or by some outline where it has a box alone."""
    number, place = which
    height, width = pictures.content[number].tolist()
    corners = pictures.boxes[number, place].round().int().tolist()
    x0, y0, x1, y1 = (min(max(v, 0), most) for v, most in zip(corners, (width, height) * 2, strict=True))
    rows, columns = slice(y0, y1), slice(x0, x1)
    image = pictures.pixels[number, :, rows, columns].permute(1, 2, 0).numpy()
    value = int(pictures.places[number, place])
    if value:
        mask = (pictures.owners[number, rows, columns] == value).numpy()
    else:
        outline = outlines[rng.integers(len(outlines))]
        used = np.argwhere(outline)
        (top, left), (bottom, right) = used.min(0), used.max(0) + 1
        shape = outline[top:bottom, left:right].astype(np.uint8)
        mask = cv2.resize(shape, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) > 0
    opacity = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)
    return np.dstack([image * opacity[..., None], 255 * opacity]).round().astype(np.uint8)


def _camera(rng: np.random.Generator, ground: tuple[int, int], size: tuple[int, int], length: int) -> np.ndarray:
    """(T, 3, 3): the ground's motion, as if a camera moved over it; some shake."""
    zoom = max(size[0] / ground[0], size[1] / ground[1]) * rng.uniform(1.1, 1.8)
    growth = zoom * np.exp(0.25 * _curve(rng, length))
    angle = np.deg2rad(3) * _curve(rng, length)
    shift = np.stack([0.2 * size[1] * _curve(rng, length), 0.06 * size[0] * _curve(rng, length)], axis=1)
    if rng.random() < 0.3:
        shift += rng.normal(0, rng.uniform(0.2, 1.5), shift.shape)
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 2e-4, 2)
    centre = (ground[1] - 1) / 2, (ground[0] - 1) / 2
    middle = (size[1] - 1) / 2 + shift[:, 0], (size[0] - 1) / 2 + shift[:, 1]
    return _tilted(middle, tilt) @ _similar(centre, np.stack(middle, axis=1), growth, angle)


def _tilted(middle: tuple[np.ndarray, np.ndarray], tilt: np.ndarray) -> np.ndarray:
    """(T, 3, 3): a homography about a point of each frame."""
    there, back = np.tile(np.eye(3), (len(middle[0]), 1, 1)), np.tile(np.eye(3), (len(middle[0]), 1, 1))
    there[:, 0, 2], there[:, 1, 2] = middle
    back[:, :2, 2] = -there[:, :2, 2]
    return there @ tilt @ back


def _placed(rng: np.random.Generator, cut: np.ndarray, camera: np.ndarray, size: tuple[int, int]) -> Layer:
    """A cut-out at some place of the first frame, that stands on the ground or moves over it."""
    length = len(camera)
    tall = size[0] * np.exp(rng.uniform(*np.log(TALL)))
    growth = np.exp(0.3 * _curve(rng, length)) if rng.random() < PASSING else np.ones(length)
    passing = bool((growth != 1).any())
    share = min(1.0, tall * growth.max() / cut.shape[0])
    shrunk = (max(4, round(cut.shape[1] * share)), max(4, round(cut.shape[0] * share)))
    cut = cv2.resize(cut, shrunk, interpolation=cv2.INTER_AREA)
    rows, columns = cut.shape[:2]
    centre, start = ((columns - 1) / 2, (rows - 1) / 2), rng.random(2) * (size[1] - 1, size[0] - 1)
    on_ground = _mapped(np.linalg.inv(camera[0]), start[None])
    path = np.concatenate([_mapped(matrix, on_ground) for matrix in camera])
    zoom = np.sqrt(np.abs(np.linalg.det(camera[:, :2, :2])))
    if passing:
        way = np.stack([_curve(rng, length), 0.3 * _curve(rng, length)], axis=1)
        path = path + rng.uniform(0.1, 0.7) * np.array([size[1], size[0]]) * way
    angle = np.deg2rad(4) * _curve(rng, length) * passing
    return Layer(cut, _similar(centre, path, tall / rows * growth * zoom / zoom[0], angle))


def _similar(centre: tuple[float, float], path: np.ndarray, scale: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(T, 3, 3): scaled and turned about `centre`, which comes to lie on the path (T, 2)."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrices = np.tile(np.eye(3), (len(path), 1, 1))
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1] = cos, -sin, sin, cos
    matrices[:, :2, 2] = path - matrices[:, :2, :2] @ np.array(centre)
    return matrices


def _curve(rng: np.random.Generator, length: int) -> np.ndarray:
    """(T,) a smooth way from 0, some 1 in size: steady, accelerating and swaying parts."""
    s = np.linspace(0, 1, length)
    steady, accelerating, swaying = rng.normal(0, (0.7, 0.4, 0.15))
    phase, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2)
    return steady * s + accelerating * s**2 + swaying * (np.sin(2 * np.pi * turns * s + phase) - np.sin(phase))
