"""Exact truth: what each instance covers alone, what of it is visible, and which instances are annotated.

The display takes every pixel that a face touches. So masks reach about half a pixel farther on each side than the
pixels whose centres lie on the object. This holds for amodal and visible masks, so the visible mask is always a part of
the amodal mask.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from pycocotools import mask as coco

from samodal.rle import Rle
from samodal.sim.assets import Body, pose
from samodal.sim.scene import Actor, SimInstance
from samodal.sim.stage import Stage

MINIMUM_AREA = 40
"""Pixels at 960x540 that an instance must cover, hidden or not, to be annotated in a frame."""


def annotate(stage: Stage) -> list[tuple[SimInstance, ...]]:
    """The annotated instances of every frame, nearest first.

    An instance is annotated in a frame if its amodal mask has at least MINIMUM_AREA pixels (at 960x540) inside
    the image, fully hidden or not, and if any pixel of it is visible in any frame of the sequence.
    """
    least = MINIMUM_AREA * stage.size[0] * stage.size[1] / (540 * 960)
    frames = [_frame(stage, t, least) for t in range(len(stage.scene.times))]
    visible_ids = {instance.id for frame in frames for instance in frame if instance.visible is not None}
    annotated = []
    for frame in frames:
        nearest = sorted((i for i in frame if i.id in visible_ids), key=lambda i: (i.distance, i.id))
        annotated.append(tuple(replace(instance, depth_order=order) for order, instance in enumerate(nearest)))
    return annotated


def _frame(stage: Stage, t: int, least: float) -> list[SimInstance]:
    boxes = {actor.id: box for actor in stage.scene.actors if (box := _box(stage, actor, t)) is not None}
    if not boxes:
        return []
    visible, instances = stage.ids(t), []
    for group in _apart({key: box[:4] for key, box in boxes.items()}):
        alone = stage.alone(t, group)
        for number in group:
            amodal = _rle(alone == number)
            if amodal.area < least:
                continue
            visible_mask = _rle(visible == number)
            category = stage.scene.actors[number - 1].body.category
            distance = round(float(boxes[number][4]), 3)
            instances.append(
                SimInstance(number, category, amodal, visible_mask if visible_mask.area else None, 0, distance)
            )
    return instances


def _rle(transposed: np.ndarray) -> Rle:
    """A (W, H) mask as run lengths of its (H, W) transpose, without a copy."""
    coded = coco.encode(transposed.view(np.uint8).T)
    return Rle((transposed.shape[1], transposed.shape[0]), coded["counts"].decode("ascii"))


def _box(stage: Stage, actor: Actor, t: int) -> tuple[float, float, float, float, float] | None:
    """A box in the image that holds the instance, and its distance; None where it cannot be visible at all."""
    points = _bounds(actor.body, int(actor.phases[t]))
    matrix = stage.actor_matrix(actor, t)
    xy, depth = stage.project(points @ matrix[:3, :3].T + matrix[:3, 3], t)
    camera = stage.scene.camera.track[t, :2]
    distance = float(np.hypot(*(actor.track[t, :2] - camera)))
    if depth.max() < 0.4 or distance > 150:
        return None
    if depth.min() < 0.4:
        return -1e9, -1e9, 1e9, 1e9, distance
    x0, y0, x1, y1 = *(xy.min(0) - 2), *(xy.max(0) + 2)
    if x1 < 0 or y1 < 0 or x0 > stage.size[1] or y0 > stage.size[0] or (x1 - x0) * (y1 - y0) < 40:
        return None
    return x0, y0, x1, y1, distance


@lru_cache(maxsize=512)
def _bounds(body: Body, phase: int) -> np.ndarray:
    """(8, 3): the corners of the smallest upright box around a body."""
    corners = pose(body, phase).corners.reshape(-1, 3)
    low, high = corners.min(0), corners.max(0)
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


def _apart(boxes: dict[int, tuple[float, float, float, float]]) -> list[list[int]]:
    """Groups of instances whose boxes do not meet, so that a whole group is drawn in a single pass."""
    groups: list[list[int]] = []
    for key, box in boxes.items():
        for group in groups:
            if all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1] for o in map(boxes.get, group)):
                group.append(key)
                break
        else:
            groups.append([key])
    return groups
