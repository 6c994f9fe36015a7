"""Triangle meshes of named materials, put together from boxes, tubes, balls and lofted profiles.

Axes: x to the right, y ahead, z up, metres. Triangles do not share corners, so that a triangle and its
barycentric coordinates name the same point of a surface in every pose of a body.
"""

import math
from dataclasses import dataclass

import numpy as np

_STEP = 1e-5  # coordinates are rounded to this: sines differ in the last bit between machines


@dataclass(frozen=True, eq=False)
class Mesh:
    """N triangles.

    Attributes:
        corners: (N, 3, 3) float64, metres, seen counter-clockwise from outside.
        normals: (N, 3, 3) float64, of unit length, per corner.
        uv: (N, 3, 2) float64, texture coordinates.
        materials: (N,) int, index into `names`.
        names: of the materials.
    """

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    materials: np.ndarray
    names: tuple[str, ...]


class Builder:
    """Collects primitives; each is star-shaped around its centre, which orients its triangles."""

    def __init__(self):
        # (corners, reference, is the reference a direction, normals, uv, material); worked out together in mesh().
        self._parts: list[tuple] = []

    def add(self, corners, material: str, centre=None, out=None, normals=None, uv=None) -> None:
        """Add (N, 3, 3) triangles, to be turned away from `centre` or along `out`."""
        corners = np.asarray(corners, dtype=np.float64).reshape(-1, 3, 3)
        reference = np.asarray(centre if out is None else out, dtype=np.float64)
        self._parts.append((corners, reference, out is not None, normals, uv, material))

    def mesh(self) -> Mesh:
        """Everything added so far, in the order in which it was added."""
        counts = [len(part[0]) for part in self._parts]
        names = tuple(dict.fromkeys(part[5] for part in self._parts))
        index = {name: k for k, name in enumerate(names)}
        corners = np.concatenate([part[0] for part in self._parts])
        reference = np.repeat(np.array([part[1] for part in self._parts]), counts, 0)
        direction = np.repeat([part[2] for part in self._parts], counts)
        uv = np.concatenate(
            [np.zeros((n, 3, 2)) if p[4] is None else p[4] for p, n in zip(self._parts, counts, strict=True)]
        )
        flat = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.sqrt((flat * flat).sum(1))
        away = np.where(direction[:, None], reference, corners.mean(1) - reference)
        flip = (flat * away).sum(1) < 0
        flat = np.where(flip[:, None], -flat, flat) / np.maximum(length, 1e-9)[:, None]
        normals = np.repeat(flat[:, None], 3, 1)
        start = 0
        for part, count in zip(self._parts, counts, strict=True):
            if part[3] is not None:
                normals[start : start + count] = part[3]
            start += count
        order, rows = np.where(flip[:, None], [0, 2, 1], [0, 1, 2]), np.arange(len(corners))[:, None]
        keep = length > 1e-9
        materials = np.repeat([index[part[5]] for part in self._parts], counts)
        corners = np.round(corners[rows, order][keep] / _STEP) * _STEP
        return Mesh(corners, normals[rows, order][keep], np.round(uv[rows, order][keep], 5), materials[keep], names)

    def join(self, other: "Builder", offset, heading: float = 0.0) -> None:
        """Add everything of another builder, turned by `heading` (radians, to the left) and moved by `offset`."""
        c, s = math.cos(heading), math.sin(heading)
        turn, offset = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]), np.asarray(offset, float)
        for corners, reference, direction, normals, uv, material in other._parts:
            reference = reference @ turn + (0 if direction else offset)
            normals = None if normals is None else normals @ turn
            self._parts.append((corners @ turn + offset, reference, direction, normals, uv, material))

    def panel(self, points, material: str, out, uv=None) -> None:
        """A flat convex polygon that faces `out`; uv is (K, 2)."""
        points = np.asarray(points, float)
        fan = [(0, i, i + 1) for i in range(1, len(points) - 1)]
        self.add(points[fan], material, out=out, uv=None if uv is None else np.asarray(uv, float)[fan])

    def box(self, centre, size, material: str, top=(1.0, 1.0), shift=(0.0, 0.0)) -> None:
        """A box; `top` scales its upper face in x and y, `shift` moves that face."""
        half = np.asarray(size, float) / 2
        sign = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
        points = sign * half
        points[4:, :2] = points[4:, :2] * top + np.asarray(shift)
        points += np.asarray(centre, float)
        quads = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
        self.add(points[_split(quads)], material, centre=points.mean(0))

    def loft(self, profile, material: str) -> None:
        """A side profile [(y, z, half width), …], closed by itself, spanned from left to right around x = 0."""
        profile = np.asarray(profile, float)
        count = len(profile)
        middle = profile.mean(0)
        left = np.column_stack([-profile[:, 2], profile[:, 0], profile[:, 1]])
        right = np.column_stack([profile[:, 2], profile[:, 0], profile[:, 1]])
        ends = np.array([[-middle[2], *middle[:2]], [middle[2], *middle[:2]]])
        points = np.concatenate([left, right, ends])
        following = [(i + 1) % count for i in range(count)]
        sides = [(i, j, 2 * count) for i, j in enumerate(following)]
        sides += [(count + i, count + j, 2 * count + 1) for i, j in enumerate(following)]
        strip = _split([(i, j, count + j, count + i) for i, j in enumerate(following)])
        self.add(points[sides + strip], material, centre=(0.0, *middle[:2]))

    def tube(self, a, b, radius_a: float, radius_b: float, material: str, sides: int = 7, caps: bool = True) -> None:
        """A round bar from a to b that may taper."""
        a, b = np.asarray(a, float), np.asarray(b, float)
        axis = (b - a) / max(np.linalg.norm(b - a), 1e-9)
        other = np.array([1.0, 0.0, 0.0] if abs(axis[0]) < 0.9 else [0.0, 0.0, 1.0])
        u, v = _frame(axis, other)
        angle = np.arange(sides) * (2 * math.pi / sides)
        ray = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
        points = np.concatenate([a + radius_a * ray, b + radius_b * ray, a[None], b[None]])
        following = [(i + 1) % sides for i in range(sides)]
        quads = _split([(i, j, sides + j, sides + i) for i, j in enumerate(following)])
        self.add(points[quads], material, centre=(a + b) / 2, normals=np.concatenate([ray, ray])[quads])
        if caps:
            rims = [(i, j, 2 * sides) for i, j in enumerate(following)]
            rims += [(sides + i, sides + j, 2 * sides + 1) for i, j in enumerate(following)]
            self.add(points[rims], material, centre=(a + b) / 2)

    def ball(self, centre, radii, material: str, around: int = 8, down: int = 5) -> None:
        """An ellipsoid."""
        phi = np.arange(around) * (2 * math.pi / around)
        theta = np.arange(down + 1) * (math.pi / down)
        unit = np.stack(
            [
                np.sin(theta)[:, None] * np.cos(phi),
                np.sin(theta)[:, None] * np.sin(phi),
                np.repeat(np.cos(theta)[:, None], around, 1),
            ],
            -1,
        ).reshape(-1, 3)
        quads = [
            (
                r * around + i,
                r * around + (i + 1) % around,
                (r + 1) * around + (i + 1) % around,
                (r + 1) * around + i,
            )
            for r in range(down)
            for i in range(around)
        ]
        index = _split(quads)
        centre = np.asarray(centre, float)
        uv = np.column_stack([unit[:, 0] + unit[:, 1], unit[:, 2]])
        self.add((centre + unit * radii)[index], material, centre=centre, normals=unit[index], uv=uv[index])

    def hoop(self, centre, outer: float, inner: float, width: float, material: str) -> None:
        """A wheel rim or tyre with a hole, its axle along x, as a ring of twelve sides."""
        sides = 12
        angle = np.arange(sides) * (2 * math.pi / sides)
        ray = np.column_stack([np.zeros(sides), np.cos(angle), np.sin(angle)])
        centre, side = np.asarray(centre, float), np.array([width / 2, 0, 0])
        for i in range(sides):
            j = (i + 1) % sides
            ring = [centre + r * ray[k] + s * side for k in (i, j) for r in (inner, outer) for s in (-1, 1)]
            quads = [(0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
            self.add(np.array(ring)[_split(quads)], material, centre=np.mean(ring, axis=0))


def _split(quads: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int]]:
    """Two triangles for every quad."""
    return [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of (N, 3) vectors, several times faster than np.cross."""
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        1,
    )


def _frame(axis: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors that are perpendicular to a unit axis and to each other."""
    u = _cross(axis[None], other[None])
    u /= np.sqrt((u * u).sum())
    return u[0], _cross(axis[None], u)[0]
