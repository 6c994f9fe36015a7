"""What never moves: road, pavements, houses, trees, poles, shelters and walls, along a curve."""

import random
from dataclasses import dataclass

import numpy as np

from samodal.sim.assets import TEXTURES
from samodal.sim.mesh import Builder, Mesh
from samodal.sim.road import Curve

AHEAD = 170.0
"""The street is drawn up to here, metres along the curve."""
_CHUNK = 25.0
_STRETCH = 5.0
_KERB = 0.12


@dataclass(frozen=True)
class StreetType:
    """How a street is laid out; lengths in metres.

    Attributes:
        lanes: in each direction.
        lane: width of a lane.
        parking: parking lanes on the (right, left) side.
        pavement: width.
        setback: of the houses from the pavement.
        heights: range of the houses' heights.
        gap: between two houses.
        trees: distance between two trees, 0 for none.
        median: width of a green strip in the middle.
    """

    lanes: int
    lane: float
    parking: tuple[bool, bool]
    pavement: float
    setback: float
    heights: tuple[float, float]
    gap: float
    trees: float
    median: float = 0.0

    @property
    def road(self) -> float:
        """u of the edge of the outermost lane on the right."""
        return self.median / 2 + self.lanes * self.lane

    def kerb(self, side: int) -> float:
        """Distance of the kerb from the centre line; side 1 is the right, -1 the left."""
        return self.road + (2.3 if self.parking[0 if side > 0 else 1] else 0.5)


TYPES = {
    "train": {
        "terrace": StreetType(1, 3.2, (True, True), 3.2, 0.0, (8, 14), 0.0, 0),
        "avenue": StreetType(2, 3.3, (True, True), 4.2, 0.5, (12, 22), 0.5, 11),
        "shops": StreetType(1, 3.4, (True, False), 4.6, 0.0, (7, 16), 0.3, 18),
        "suburb": StreetType(1, 3.1, (False, True), 2.6, 5.0, (6, 9), 6.0, 9),
        "narrow": StreetType(1, 2.9, (True, False), 2.4, 0.0, (9, 17), 0.0, 0),
        "arterial": StreetType(2, 3.4, (False, False), 3.6, 3.0, (9, 24), 4.0, 15),
    },
    "test": {
        "boulevard": StreetType(2, 3.25, (True, False), 5.0, 1.5, (14, 26), 1.0, 8, 2.4),
        "market": StreetType(1, 3.6, (True, True), 5.4, 0.0, (6, 11), 0.0, 24),
        "ring": StreetType(2, 3.5, (False, True), 3.0, 6.5, (8, 18), 8.0, 13, 1.2),
    },
}


class Street:
    """Collects the static geometry of a scene by texture and by stretch of road."""

    def __init__(self, kind: StreetType, curve: Curve, pool: str, rng: random.Random, junction: float | None):
        self.kind, self.curve, self.rng, self.junction = kind, curve, rng, junction
        self.textures = {name: rng.choice(options) for name, options in TEXTURES[pool].items()}
        self.facades = rng.sample(TEXTURES[pool]["facade"], 4)
        self.textures.pop("facade")
        self._parts: dict[tuple[int, str | None], Builder] = {}

    @property
    def names(self) -> frozenset[str]:
        """Names of the textures in use."""
        return frozenset(self.textures.values()) | frozenset(self.facades)

    def parts(self) -> tuple[tuple[str | None, Mesh], ...]:
        """The geometry, a mesh per texture and stretch."""
        return tuple((texture, builder.mesh()) for (_, texture), builder in self._parts.items())

    def part(self, s: float, texture: str | None = None) -> Builder:
        """What collects the geometry near s that has a texture, or none."""
        return self._parts.setdefault((int(s // _CHUNK), texture), Builder())

    def point(self, s: float, u: float, z: float = 0.0) -> tuple[float, float, float]:
        """World coordinates of a place on the street."""
        x, y, _ = self.curve.at(s, u)
        return x, y, z

    def place(self, prop: Builder, s: float, u: float, turn: float = 0.0) -> None:
        """Put a prop that was built around the origin, looking along the street."""
        x, y, heading = self.curve.at(s, u)
        self.part(s).join(prop, (x, y, 0.0), heading + turn)

    def strip(self, s0, s1, u0, u1, z, colour, texture=None, tile=4.0) -> None:
        """A flat patch between two places along and two across the street."""
        points = [self.point(s0, u0, z), self.point(s0, u1, z), self.point(s1, u1, z), self.point(s1, u0, z)]
        uv = [(u0 / tile, s0 / tile), (u1 / tile, s0 / tile), (u1 / tile, s1 / tile), (u0 / tile, s1 / tile)]
        self.part(s0, texture and self.textures[texture]).panel(points, colour, (0, 0, 1), uv)

    def near_junction(self, s: float, margin: float) -> bool:
        """Is a place closer to the crossing street's middle than its half width and a margin?"""
        return self.junction is not None and abs(s - self.junction) < 4.2 + margin

    def pavement_height(self, s: float) -> float:
        """Height of the pavement at s, metres; 0 where the crossing street interrupts it."""
        return 0.0 if self.near_junction((s // _STRETCH + 0.5) * _STRETCH, 1.0) else _KERB

    def ground(self) -> None:
        """Grass, road, pavements and markings."""
        kind = self.kind
        for k in range(int(-15 / _STRETCH), int(AHEAD / _STRETCH)):
            s0, s1 = k * _STRETCH, (k + 1) * _STRETCH
            left, right = (kind.kerb(side) + kind.pavement for side in (-1, 1))
            self.strip(s0, s1, -left, right, 0.0, "#ffffff", "asphalt", 5.0)
            for side in (-1, 1):
                kerb, end = kind.kerb(side), kind.kerb(side) + kind.pavement
                if self.pavement_height(s0):
                    self.strip(s0, s1, side * kerb, side * end, _KERB, "#ffffff", "pavement", 4.0)
                    a, b = self.point(s0, side * kerb), self.point(s1, side * kerb)
                    edge = [a, b, (b[0], b[1], _KERB), (a[0], a[1], _KERB)]
                    middle = self.point(s0, 0)
                    self.part(s0).panel(edge, "#a8a49c", out=np.subtract(middle, a))
                self.strip(s0, s1, side * end, side * (end + 9), 0.0, "#ffffff", "grass", 7.0)
                self.strip(s0, s1, side * (end + 9), side * 90, 0.0, "#e8e8e0", "grass", 23.0)
            if kind.median and not self.near_junction((s0 + s1) / 2, 6.5):
                self.strip(s0, s1, -kind.median / 2, kind.median / 2, 0.1, "#ffffff", "grass", 4.0)
        self._markings()
        if self.junction is not None:
            self._cross_street()

    def _markings(self) -> None:
        kind, white = self.kind, "#d6d6d0"
        lines = [0.0] if not kind.median else []
        lines += [side * (kind.median / 2 + i * kind.lane) for i in range(1, kind.lanes) for side in (-1, 1)]
        for k in range(-3, int(AHEAD / 6)):
            s = k * 6.0
            if self.near_junction(s + 1.5, 3.0):
                continue
            for u in lines:
                self.strip(s, s + 3.0, u - 0.07, u + 0.07, 0.012, white)
            for side in (-1, 1):
                if kind.parking[0 if side > 0 else 1]:
                    self.strip(s, s + 0.12, side * kind.road, side * kind.kerb(side), 0.012, white)
                else:
                    self.strip(s, s + 6.0, side * (kind.road + 0.02), side * (kind.road + 0.14), 0.012, white)

    def _cross_street(self) -> None:
        s, half, kind = self.junction, 4.2, self.kind
        x, y, heading = self.curve.at(s, 0.0)
        ahead, right = (np.array(self.curve.at(s + d, u)[:2]) - (x, y) for d, u in ((1.0, 0), (0, 1.0)))
        ahead, right = ahead / np.linalg.norm(ahead), right / np.linalg.norm(right)

        def quad(u0, u1, v0, v1, z, colour, texture=None, tile=5.0):
            points = [
                (*(np.array([x, y]) + u * right + v * ahead), z) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))
            ]
            uv = [(u / tile, v / tile) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))]
            self.part(s, texture and self.textures[texture]).panel(points, colour, (0, 0, 1), uv)

        for side in (-1, 1):
            kerb = kind.kerb(side)
            for k in range(8):
                u0, u1 = side * (kerb + k * 10 - 0.5 * (k == 0)), side * (kerb + (k + 1) * 10)
                quad(u0, u1, -half - 1.1, half + 1.1, 0.006, "#f4f4f4", "asphalt")
                quad((u0 + u1) / 2 - 1.5, (u0 + u1) / 2 + 1.5, -0.07, 0.07, 0.014, "#d6d6d0")
                if k:
                    for v in (-1, 1):
                        quad(u0, u1, v * (half + 1.1), v * (half + 3.3), _KERB, "#ffffff", "pavement", 4.0)
            for k in range(int(2 * kind.road / 1.0)):
                u = -kind.road + 0.5 + k * 1.0
                quad(u, u + 0.5, side * (half + 1.6), side * (half + 4.2), 0.014, "#d6d6d0")
        quad(kind.median / 2 + 0.1, kind.road, -half - 5.4, -half - 5.0, 0.014, "#d6d6d0")
        quad(-kind.road, -kind.median / 2 - 0.1, half + 5.0, half + 5.4, 0.014, "#d6d6d0")

    def houses(self) -> None:
        """Rows of houses on both sides, broken by the crossing street, and a skyline."""
        for side in (-1, 1):
            s = -12.0
            while s < AHEAD:
                width = self.rng.uniform(7.0, 17.0)
                front = self.kind.kerb(side) + self.kind.pavement + self.kind.setback
                blocked = self.junction is not None and s < self.junction + 8.5 and s + width > self.junction - 8.5
                if blocked:
                    if s < self.junction - 8.5 - 5.0:
                        self._house(side, s, self.junction - 8.5 - s, front)
                    s = self.junction + 8.5
                    continue
                self._house(side, s, width, front)
                s += width + self.kind.gap * self.rng.uniform(0.5, 1.5)
        self._skyline()

    def _house(self, side: int, s: float, width: float, front: float) -> None:
        rng = self.rng
        floors = max(2, round(rng.uniform(*self.kind.heights) / 3.1))
        height, depth = floors * 3.1, rng.uniform(8.0, 12.0)
        texture = rng.choice(self.facades)
        tint = "#{:02x}{:02x}{:02x}".format(*(rng.randint(205, 255) for _ in range(3)))
        low, high = [], []
        for ds, du in ((0, 0), (width, 0), (width, depth), (0, depth)):
            low.append(self.point(s + ds, side * (front + du)))
            high.append((low[-1][0], low[-1][1], height))
        middle = np.mean(low, axis=0)
        builder = self.part(s, texture)
        bays = [max(1, round(length / 3.2)) / 2 for length in (width, depth, width, depth)]
        for k in (0, 1, 3):
            a, b = k, (k + 1) % 4
            out = (np.add(low[a], low[b]) / 2 - middle) * (1, 1, 0)
            uv = [(0, 0), (bays[k], 0), (bays[k], floors / 2), (0, floors / 2)]
            builder.panel([low[a], low[b], high[b], high[a]], tint, out, uv)
        self._roof(s, high, floors)
        self._ground_floor(side, s, width, front)

    def _roof(self, s: float, high, floors: int) -> None:
        builder, colour = self.part(s), self.rng.choice(("#6e4a40", "#585c62", "#7a6a5c"))
        if floors > 4:
            builder.panel(high, "#6a6864", (0, 0, 1))
            return
        ridge_a, ridge_b = (
            np.add(high[0], high[3]) / 2 + (0, 0, 2.4),
            np.add(high[1], high[2]) / 2 + (0, 0, 2.4),
        )
        inside = np.mean(high, axis=0)
        for face in ([high[0], high[1], ridge_b, ridge_a], [high[2], high[3], ridge_a, ridge_b]):
            builder.panel(face, colour, np.mean(face, axis=0) - inside)
        for face in ([high[0], high[3], ridge_a], [high[1], high[2], ridge_b]):
            builder.panel(face, "#b0a494", np.mean(face, axis=0) - inside)

    def _ground_floor(self, side: int, s: float, width: float, front: float) -> None:
        """A shop window with an awning, or a door."""
        rng, out = self.rng, np.subtract(self.point(s, 0), self.point(s, side))
        u = side * (front - 0.04)

        def pane(s0, s1, z0, z1, colour, at=u):
            points = [
                self.point(s0, at, z0),
                self.point(s1, at, z0),
                self.point(s1, at, z1),
                self.point(s0, at, z1),
            ]
            self.part(s).panel(points, colour, out)

        if self.kind.setback < 2 and rng.random() < 0.55:
            pane(s + 0.5, s + width - 0.5, 0.1, 3.0, "#54504c")
            panes = max(2, int(width / 3))
            step = (width - 1.4) / panes
            for k in range(panes):
                pane(
                    s + 0.7 + k * step + 0.1,
                    s + 0.7 + (k + 1) * step,
                    0.6,
                    2.4,
                    "#3c444c",
                    side * (front - 0.07),
                )
            colour = rng.choice(("#a03830", "#2c5c8c", "#3c6c48", "#c8a048", "#d8d4cc"))
            pane(s + 0.5, s + width - 0.5, 2.5, 3.05, colour, side * (front - 0.09))
        else:
            at = s + width * rng.uniform(0.2, 0.7)
            pane(at - 0.1, at + 1.2, 0.0, 2.5, "#c8c4b8")
            pane(at, at + 1.1, 0.1, 2.4, rng.choice(("#4c3428", "#2c4438", "#743028")), side * (front - 0.07))

    def _skyline(self) -> None:
        x, y, heading = self.curve.at(AHEAD, 0.0)
        for k in range(-11, 12):
            b = Builder()
            height = self.rng.uniform(9.0, 30.0)
            shade = self.rng.randint(128, 160)
            b.box(
                (k * 17.0, 12 + self.rng.uniform(0, 30) + 0.08 * k * k, height / 2),
                (20.0, 8.0, height),
                f"#{shade:02x}{shade + 8:02x}{shade + 18:02x}",
            )
            self.part(AHEAD).join(b, (x, y, 0.0), heading)
