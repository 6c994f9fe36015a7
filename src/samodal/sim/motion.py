"""Where surfaces go: forward flow of every pixel, and tracks of points on the instances.

A point of a surface is a triangle with barycentric coordinates. They name the same point in every pose of a body.
"""

import random
from collections.abc import Sequence

import numpy as np

from samodal.sim.point_files import PointTracks
from samodal.sim.scene import SimInstance
from samodal.sim.stage import Stage

POINTS = 32
"""Points followed on each instance, drawn from the frame in which most of it is visible."""

SCENERY_FRAMES, SCENERY = 4, 16
"""So many points on the street and its houses are drawn from each of so many frames."""


def forward_flow(stage: Stage, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the surface that is visible in each pixel of frame t is in frame t + 1.

    Returns:
        (H, W, 2) float32 pixels to the right and down, hidden or not in frame t + 1; and (H, W) bool, False for the
        sky and for what is behind the camera then.
    """
    triangles = stage.triangles(t)
    y, x = np.nonzero(triangles >= 0)
    chosen = triangles[y, x]
    corners = stage.corners(t)
    weights, _ = _barycentric(stage, t, corners[chosen], np.stack([x, y], 1).astype(float))
    now, _ = stage.project(_blend(corners[chosen], weights), t)
    then, depth = stage.project(_blend(stage.corners(t + 1)[chosen], weights), t + 1)
    flow, valid = np.zeros((*stage.size, 2), np.float32), np.zeros(stage.size, bool)
    flow[y, x] = then - now
    valid[y, x] = depth > 0.1
    flow[~valid] = 0.0
    return flow, valid


def point_tracks(stage: Stage, truth: Sequence[Sequence[SimInstance]]) -> PointTracks:
    """Follow POINTS points on every instance that is visible anywhere, and some on the scenery.

    Args:
        truth: the annotated instances of every frame, as `samodal.sim.truth.annotate` gives them.
    """
    maps = [stage.triangles(t) for t in range(len(truth))]
    owners = stage.owners()
    chosen, weights, ids, anchors = [], [], [], []
    for number, t, count in _draws(stage.scene.sequence, truth):
        y, x = np.nonzero((maps[t] >= 0) & (owners[maps[t]] == number))
        count = count if len(x) else 0
        picks = random.Random(f"{stage.scene.sequence} points {number} {t}").choices(range(len(x)), k=count)
        picked = maps[t][y[picks], x[picks]]
        pixels = np.stack([x[picks], y[picks]], 1).astype(float)
        weights.append(_barycentric(stage, t, stage.corners(t)[picked], pixels)[0])
        chosen.append(picked)
        ids += [number] * count
        anchors += [t] * count
    chosen, weights, ids = np.concatenate(chosen), np.concatenate(weights), np.array(ids, np.int32)
    columns = [_follow(stage, t, maps[t], owners, chosen, weights) for t in range(len(truth))]
    return PointTracks(
        np.stack([c[0] for c in columns], 1).astype(np.float32),
        np.stack([c[1] for c in columns], 1),
        ids,
        np.array(anchors, np.int32),
    )


def _draws(sequence: str, truth) -> list[tuple[int, int, int]]:
    """What points are drawn on: the instance or 0, the frame, and how many."""
    times = sorted(random.Random(f"{sequence} scenery").choices(range(len(truth)), k=SCENERY_FRAMES))
    scenery = [(0, t, SCENERY) for t in times]
    return scenery + [(number, t, POINTS) for number, t in sorted(_anchors(truth).items())]


def _anchors(truth) -> dict[int, int]:
    """The frame in which most of each instance is visible."""
    best: dict[int, tuple[int, int]] = {}
    for t, frame in enumerate(truth):
        for instance in frame:
            if instance.visible is not None and instance.visible.area > best.get(instance.id, (0, 0))[0]:
                best[instance.id] = instance.visible.area, t
    return {number: t for number, (_, t) in best.items()}


def _follow(stage: Stage, t: int, triangles, owners, chosen, weights) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) and visibility (N,) of points in frame t."""
    corners = stage.corners(t)
    xy, depth = stage.project(_blend(corners[chosen], weights), t)
    ahead = depth > 0.1
    xy = np.where(ahead[:, None], xy, np.nan)
    pixel = np.rint(np.nan_to_num(xy, nan=-9.0))
    height, width = stage.size
    inside = (pixel >= 0).all(1) & (pixel[:, 0] < width) & (pixel[:, 1] < height)
    visible = np.zeros(len(xy), bool)
    rows = np.nonzero(inside & ahead)[0]
    front = triangles[pixel[rows, 1].astype(int), pixel[rows, 0].astype(int)]
    own = (front >= 0) & (owners[front] == owners[chosen[rows]])
    rows, front = rows[own], front[own]
    _, surface = _barycentric(stage, t, corners[front], pixel[rows])
    # Half a pixel beside the point the surface is a little nearer or farther than the point itself.
    visible[rows] = (front == chosen[rows]) | (abs(surface - depth[rows]) < 0.05 + 0.01 * depth[rows])
    return xy, visible


def _blend(corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (corners * weights[..., None]).sum(1)


def _barycentric(stage: Stage, t: int, corners: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points of triangles (N, 3, 3) behind pixels (N, 2): weights (N, 3) and depths (N,) in metres.

    Pixels at the rim of a triangle can miss it by half a pixel; they get the nearest weights within it.
    """
    view = stage.view(t)
    local = corners @ view[:3, :3].T + view[:3, 3]
    focal = stage.scene.camera.focal * stage.size[1]
    across = (xy[:, 0] - (stage.size[1] - 1) / 2) / focal
    up = -(xy[:, 1] - (stage.size[0] - 1) / 2) / focal
    ray = np.stack([across, np.ones(len(xy)), up], 1)
    # ray * depth = a + u (b - a) + v (c - a), solved by Cramer's rule.
    a, b, c = local[:, 0], local[:, 1] - local[:, 0], local[:, 2] - local[:, 0]
    normal = np.cross(b, c)
    facing = (normal * ray).sum(1)
    facing = np.where(abs(facing) < 1e-12, 1e-12, facing)
    depth = (normal * a).sum(1) / facing
    inside = ray * depth[:, None] - a
    square = np.maximum((normal * normal).sum(1), 1e-18)
    u = (np.cross(inside, c) * normal).sum(1) / square
    v = (np.cross(b, inside) * normal).sum(1) / square
    weights = np.clip(np.stack([1 - u - v, u, v], 1), 0.0, 1.0)
    weights /= weights.sum(1, keepdims=True)
    return weights, (local[..., 1] * weights).sum(1)
