"""From the name of a sequence to a scene: who drives, walks, stands and hides where.

Everything is drawn from one generator seeded with split and number. Situations in which instances hide one
another are staged: an occluder is put on the line of sight to a chosen instance at a chosen time.
"""

import math
import random

import numpy as np

from samodal.sim import palettes, street
from samodal.sim.assets import Body, bodies, rider_on, riders
from samodal.sim.people import PHASES
from samodal.sim.road import Curve
from samodal.sim.scene import Actor, Camera, Scene
from samodal.sim.splits import SPLITS, split_of
from samodal.sim.street import TYPES, Street

_TRAFFIC = (("car", 11), ("truck", 4), ("bus", 3), ("motorcycle", 2.5))
_PARKED = (("car", 14), ("truck", 2), ("bus", 0.7), ("motorcycle", 1.5), ("bicycle", 1.5))


_VARIANT = {"test_0000_day": 28}
"""The shipped example was chosen among a few layouts, for several instances that vanish and return."""


def scene(sequence: str) -> Scene:
    """Lay out the scene of a sequence; equal names give equal scenes."""
    split = split_of(sequence)
    name, index, weather = sequence.rsplit("_", 2)
    times = tuple(round(t * split.interval_s, 3) for t in range(split.frames))
    return _Stage(
        f"streetsim {name} {int(index)} {_VARIANT.get(sequence, 0)}",
        sequence,
        weather,
        times,
        SPLITS[name].pool,
    ).build()


class _Stage:
    """The state while a scene is laid out; (s, u) are metres along the street and to its right."""

    def __init__(self, seed: str, sequence: str, weather: str, times: tuple[float, ...], pool: str):
        self.rng = rng = random.Random(seed)
        self.sequence, self.weather, self.times, self.pool = sequence, weather, times, pool
        self.kind = TYPES[pool][rng.choice(sorted(TYPES[pool]))]
        turn = rng.choice((0.0, 0.0, 1 / 70, 1 / 110, 1 / 180)) * rng.choice((-1, 1))
        self.curve = Curve.bend([(60 + rng.uniform(5, 40), 0.0), (rng.uniform(15, 45), turn), (300, 0.0)])
        self.duration = times[-1]
        self.mode = rng.choices(("cruise", "slow", "stop", "stand", "start"), (8, 4, 4, 4, 2))[0]
        self.junction = self._choose_junction()
        self.ego_lane = rng.randrange(self.kind.lanes)
        self.ego_u = self.lane_u(self.ego_lane) - 0.25
        self.ego_s = np.array([self._ego_position(t) for t in times])
        self.street = Street(self.kind, self.curve, pool, rng, self.junction)
        self.actors: list[Actor] = []
        self.used: list[tuple[float, float, float, float]] = []
        self.names: set[str] = set()

    # Places and times

    def lane_u(self, lane: int, oncoming: bool = False) -> float:
        u = self.kind.median / 2 + (lane + 0.5) * self.kind.lane
        return -u if oncoming else u

    def ego_at(self, t: float) -> float:
        return float(np.interp(t, self.times, self.ego_s))

    def _choose_junction(self) -> float | None:
        rng = self.rng
        if self.mode in ("stop", "stand", "start"):
            self.speed = {"stop": rng.uniform(5, 8), "stand": 0.0, "start": rng.uniform(4, 7)}[self.mode]
            travel = {"stop": self.speed * min(self.duration, 6.0) * 0.42, "stand": 0.0, "start": 0.0}[
                self.mode
            ]
            return travel + rng.uniform(11.5, 14.0)
        self.speed = rng.uniform(6, 11) if self.mode == "cruise" else rng.uniform(2, 5)
        return rng.uniform(35, 90) if rng.random() < 0.4 else None

    def _ego_position(self, t: float) -> float:
        v = self.speed
        if self.mode == "stop":
            halt = 2 * (self.junction - 12.0) / max(v, 0.1)
            share = min(t / halt, 1.0)
            return (self.junction - 12.0) * (2 * share - share * share)
        if self.mode == "start":
            late = max(0.0, t - self.duration * 0.35)
            return min(0.5 * 1.6 * late * late, v * late)
        return v * t + (0.3 * math.sin(t) if self.mode == "cruise" else 0.0)

    def free(self, s: float, u: float, length: float, width: float) -> bool:
        """Take a place on the ground if nothing static is there yet."""
        box = (s - length / 2, s + length / 2, u - width / 2, u + width / 2)
        if any(box[0] < o[1] and o[0] < box[1] and box[2] < o[3] and o[2] < box[3] for o in self.used):
            return False
        self.used.append(box)
        return True

    # Instances

    def pick(self, weights) -> Body:
        category = self.rng.choices([w[0] for w in weights], [w[1] for w in weights])[0]
        return self.rng.choice(bodies(self.pool)[category])

    def body(self, category: str) -> Body:
        return self.rng.choice(bodies(self.pool)[category])

    def add(
        self, body: Body, track: np.ndarray, distance: np.ndarray, ridden: bool = True, ground=0.0
    ) -> None:
        """Add an instance, and its rider where it has one.

        Args:
            track: (T, 3), x, y, heading.
            distance: (T,) metres walked or ridden, which moves the limbs.
            ridden: False for a two-wheeler that stands there without a rider.
            ground: height of the ground under it, metres, scalar or (T,).
        """
        track = np.column_stack([track, np.broadcast_to(ground, len(track))])
        self._append(body, track, distance, self.rng.uniform(0.96, 1.05))
        if body.seat and ridden:
            scale = self.actors[-1].scale
            self._append(rider_on(self.rng.choice(riders(self.pool)), body), track, distance, scale)

    def _append(self, body: Body, track, distance, scale: float) -> None:
        person = body.category in ("person", "rider")
        palette, asset = (palettes.person if person else palettes.vehicle)(self.pool, self.rng)
        cycle = 1.45 if body.category == "person" else 4.5
        start = self.rng.random()
        phases = np.floor((np.asarray(distance) / cycle + start) * PHASES).astype(int) % body.phases
        self.names |= {asset} | set(body.name.split(" on "))
        self.actors.append(
            Actor(len(self.actors) + 1, body, palette, round(scale, 3), np.round(track, 4), phases)
        )

    def along(self, s, u, oncoming: bool = False) -> np.ndarray:
        """(T, 3) track of places (s, u) per frame on the curved street."""
        points = [self.curve.at(a, b) for a, b in np.broadcast(np.asarray(s, float), np.asarray(u, float))]
        return np.array([(x, y, heading + (math.pi if oncoming else 0.0)) for x, y, heading in points])

    def drive(self, body: Body, s, u, oncoming: bool = False) -> None:
        s = np.broadcast_to(np.asarray(s, float), len(self.times))
        u = np.broadcast_to(np.asarray(u, float), len(self.times))
        self.add(body, self.along(s, u, oncoming), np.abs(s))

    def walk(self, s0: float, u: float, speed: float, at: float) -> None:
        """A pedestrian on a pavement who is at s0 at time `at`; a negative speed walks towards the ego car."""
        s = s0 + speed * (np.array(self.times) - at)
        track = self.along(s, u + 0.0 * s, oncoming=speed < 0)
        if speed == 0:
            track[:, 2] += self.rng.uniform(-math.pi, math.pi)
        ground = np.array([self.street.pavement_height(a) for a in s])
        self.add(self.body("person"), track, np.abs(speed) * np.array(self.times), ground=ground)

    # The whole scene

    def build(self) -> Scene:
        for stage in (
            self._staged,
            self._crossing,
            self._leaders,
            self._oncoming,
            self._parked,
            self._strollers,
            self._cyclists,
        ):
            stage()
        self._furniture()
        self.street.ground()
        self.street.houses()
        azimuth, height = self.rng.uniform(-math.pi, math.pi), self.rng.uniform(0.5, 1.0)
        sun = (math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height))
        track = self.along(self.ego_s + 0.6, self.ego_u)
        bump = [0.008 * math.sin(2.3 * s) for s in self.ego_s]
        heights = self.rng.uniform(1.42, 1.75) + np.array(bump)
        camera = Camera(
            round(self.rng.uniform(0.68, 0.8), 4),
            np.round(np.column_stack([track[:, :2], heights, track[:, 2]]), 4),
            round(self.rng.uniform(-0.06, -0.02), 4),
        )
        return Scene(
            self.sequence, self.weather, self.times, tuple(self.actors), self.street.parts(),
            self.street.textures["sky"], camera, tuple(round(v, 4) for v in sun),
            frozenset(self.names) | self.street.names,
        )  # fmt: skip

    def _staged(self) -> None:
        """Situations in which a pedestrian vanishes behind something at a chosen time and returns."""
        rng = self.rng
        for _ in range(rng.choice((2, 2, 3, 3))):
            at = self.duration * rng.uniform(0.25, 0.75)
            side = rng.choice((-1, 1, 1))
            kerb, end = self.kind.kerb(side), self.kind.kerb(side) + self.kind.pavement
            u = side * rng.uniform(kerb + 0.55 * self.kind.pavement, end - 0.4)
            ahead = rng.uniform(11, 30)
            ego = self.ego_at(at)
            if self.street.near_junction(ego + ahead, 3):
                continue
            what = rng.choice(
                ("vehicle", "vehicle", "wall", "wall", "shelter", "column", "cabinet", "cabinet")
            )
            across = side * (kerb - 1.15 if what == "vehicle" else kerb + 0.3 + 0.2 * self.kind.pavement)
            s = ego + ahead * (across - self.ego_u) / (u - self.ego_u)
            if self._occluder(what, s, across, side):
                for k in range(rng.choice((1, 1, 2))):
                    speed = rng.choice((-1, 1)) * rng.uniform(0.8, 1.8)
                    self.walk(ego + ahead + k * rng.uniform(0.5, 1.1), u - side * 0.55 * k, speed, at)

    def _occluder(self, what: str, s: float, u: float, side: int) -> bool:
        rng = self.rng
        if what == "vehicle":
            if not self.kind.parking[0 if side > 0 else 1]:
                what, u = "wall", u + side * 1.8
            else:
                high = [b for b in bodies(self.pool)["car"] if "van" in b.name] + list(
                    bodies(self.pool)["truck"]
                )
                return self._park(rng.choice(high), s, u, side)
        if self.street.near_junction(s, 3.0):
            return False
        if what == "wall":
            low = rng.random() < 0.65
            length = rng.uniform(2.5, 6.0) + 2.5 * low
            height = rng.uniform(0.95, 1.25) if low else rng.uniform(1.9, 2.4)
            if self.free(s, u, length, 0.6):
                self.street.place(street.hoarding(rng, length, height), s, u)
                return True
        elif what == "shelter":
            length = rng.uniform(2.8, 4.2)
            if self.free(s, u, length, 1.7):
                self.street.place(street.shelter(rng, length), s, u, 0.0 if side > 0 else math.pi)
                return True
        elif self.free(s, u, 1.9, 1.5):
            self.street.place((street.column if what == "column" else street.cabinet)(rng), s, u)
            return True
        return False

    def _park(self, body: Body, s: float, u: float, side: int) -> bool:
        if self.street.near_junction(s, 3.0 + body.length / 2) or not self.free(s, u, body.length + 0.5, 2.0):
            return False
        turn = self.rng.uniform(-0.03, 0.03)
        place = self.along(np.full(len(self.times), s), u, oncoming=side < 0) + (0, 0, turn)
        self.add(body, place, np.zeros(len(self.times)), ridden=False)
        return True

    def _crossing(self) -> None:
        """Traffic on the crossing street and people on its zebra, while the ego car waits."""
        if self.mode not in ("stop", "stand"):
            return
        rng, times = self.rng, np.array(self.times)
        x, y, heading = self.curve.at(self.junction, 0.0)
        right, ahead = (math.cos(heading), math.sin(heading)), (-math.sin(heading), math.cos(heading))
        for lane, direction in ((-2.1, 1), (2.1, -1)):
            speed, place = rng.uniform(3.5, 7.0), -rng.uniform(2, 16)
            for _ in range(rng.choice((2, 3, 4))):
                body = self.pick(_TRAFFIC + (("bicycle", 3),))
                place -= body.length / 2
                across = direction * (place + speed * (times - self.duration * 0.3)) + self.ego_u
                track = np.column_stack(
                    [
                        x + across * right[0] + lane * ahead[0],
                        y + across * right[1] + lane * ahead[1],
                        np.full(len(times), heading - direction * math.pi / 2),
                    ]
                )
                self.add(body, track, speed * times)
                place -= body.length / 2 + rng.uniform(2.0, 8.0)
        for zebra in (-7.1, 7.1):
            for _ in range(rng.choice((0, 1, 1, 2))):
                direction, speed = rng.choice((-1, 1)), rng.uniform(0.9, 1.6)
                u = direction * speed * (
                    times - self.duration * rng.uniform(0.0, 1.0)
                ) + self.ego_u * rng.uniform(-1, 1)
                track = self.along(self.junction + zebra + rng.uniform(-0.8, 0.8) + 0 * u, u)
                track[:, 2] -= direction * math.pi / 2
                self.add(self.body("person"), track, speed * times)

    def _leaders(self) -> None:
        """Vehicles ahead in the lanes of the ego car's own direction."""
        rng, times = self.rng, np.array(self.times)
        for lane in range(self.kind.lanes):
            own = lane == self.ego_lane
            if self.mode in ("stop", "stand"):
                if not own:
                    place = self.junction - 6.0
                    for _ in range(rng.choice((0, 1, 2))):
                        body = self.pick(_TRAFFIC)
                        place -= body.length / 2
                        if place > -10:
                            self.drive(body, place, self.lane_u(lane))
                        place -= body.length / 2 + rng.uniform(1.0, 2.5)
                continue
            if self.mode == "start":
                continue
            speed = 0.0 if own else rng.uniform(-2.5, 2.5)
            place = rng.uniform(8, 20) if own else rng.uniform(-8, 12)
            for _ in range(rng.choice((0, 1, 1, 2) if own else (0, 1, 2))):
                body = self.pick(_TRAFFIC)
                place += body.length / 2
                sway = 0.15 * np.sin(0.7 * times + rng.uniform(0, 6))
                drift = (1.2 * np.sin(0.5 * times + rng.uniform(0, 6)) if own else 0.0) + speed * times
                self.drive(body, self.ego_s + place + drift, self.lane_u(lane) + sway)
                place += body.length / 2 + rng.uniform(5.0, 14.0)

    def _oncoming(self) -> None:
        rng, times = self.rng, np.array(self.times)
        waiting = self.mode in ("stop", "stand")
        for lane in range(self.kind.lanes):
            speed = 0.0 if waiting else rng.uniform(5, 10)
            place = self.junction + 7.0 if waiting else rng.uniform(10, 30)
            for _ in range(rng.choice((0, 1, 1, 2, 2))):
                body = self.pick(_TRAFFIC)
                place += body.length / 2
                sway = 0.1 * np.sin(0.6 * times + rng.uniform(0, 6)) * (not waiting)
                self.drive(
                    body, place - speed * times, self.lane_u(lane, oncoming=True) + sway, oncoming=True
                )
                place += body.length / 2 + (rng.uniform(1.2, 3.0) if waiting else rng.uniform(6.0, 22.0))

    def _parked(self) -> None:
        rng = self.rng
        for side in (1, -1):
            if not self.kind.parking[0 if side > 0 else 1]:
                continue
            s, left = rng.uniform(3, 12), rng.choice((1, 2, 3, 4))
            while left and s < self.ego_at(self.duration) + 38:
                body = self.pick(_PARKED)
                s += body.length / 2
                if rng.random() < 0.72:
                    u = side * (
                        self.kind.kerb(side) - max(1.05, body.width / 2 + 0.1) + rng.uniform(-0.06, 0.06)
                    )
                    left -= self._park(body, s, u, side)
                s += body.length / 2 + rng.uniform(0.7, 2.5)

    def _strollers(self) -> None:
        """More pedestrians, who meet whatever is there."""
        rng = self.rng
        for _ in range(rng.choice((0, 1, 2, 3))):
            side = rng.choice((-1, 1))
            kerb = self.kind.kerb(side)
            u = side * (kerb + self.kind.pavement * rng.uniform(0.45, 0.92))
            at = self.duration * rng.random()
            speed = rng.choice((-1, 1, 1)) * rng.uniform(0.7, 1.9) * (rng.random() < 0.85)
            self.walk(self.ego_at(at) + rng.uniform(8, 34), u, speed, at)
        if self.mode in ("cruise", "slow") and rng.random() < 0.55:
            times = np.array(self.times)
            at, speed, direction = (
                self.duration * rng.uniform(0.2, 0.8),
                rng.uniform(0.9, 1.7),
                rng.choice((-1, 1)),
            )
            s = self.ego_at(self.duration) + rng.uniform(9, 22)
            u = self.ego_u + direction * speed * (times - at)
            track = self.along(s + 0 * u, u)
            track[:, 2] -= direction * math.pi / 2
            self.add(self.body("person"), track, speed * times)

    def _cyclists(self) -> None:
        rng, times = self.rng, np.array(self.times)
        for oncoming in (False, True):
            for _ in range(rng.choices((0, 1, 2), (6, 4, 1))[0]):
                body = self.body("bicycle")
                speed = rng.uniform(2.5, 5.5)
                if self.mode in ("stop", "stand") and not oncoming:
                    continue
                u = (self.kind.road - 0.6) * (-1 if oncoming else 1)
                start = rng.uniform(6, 18) + (12 if oncoming else max(0.0, (self.speed - speed) * 1.5))
                self.drive(
                    body,
                    start + (-speed if oncoming else speed) * times,
                    u + 0.08 * np.sin(times * 1.1),
                    oncoming,
                )

    def _furniture(self) -> None:
        """Trees, lamps, signs, hedges and lights where there is room."""
        rng, kind = self.rng, self.kind
        for side in (-1, 1):
            kerb = kind.kerb(side)
            s = rng.uniform(0, 10)
            while kind.trees and s < 110:
                if not self.street.near_junction(s, 4) and self.free(s, side * (kerb + 0.7), 0.6, 0.6):
                    trunk, crown = street.tree(rng)
                    x, y, heading = self.curve.at(s, side * (kerb + 0.7))
                    self.street.place(trunk, s, side * (kerb + 0.7))
                    self.street._at(s, self.street.textures["foliage"]).join(crown, (x, y, 0), heading)
                s += kind.trees * rng.uniform(0.8, 1.3)
            s = rng.uniform(4, 20)
            while s < 130:
                if not self.street.near_junction(s, 3) and self.free(s, side * (kerb + 0.4), 0.4, 0.4):
                    self.street.place(
                        street.lamp_post(), s, side * (kerb + 0.4), 0.0 if side > 0 else math.pi
                    )
                s += rng.uniform(20, 28)
            if rng.random() < 0.6:
                s = rng.uniform(8, 40)
                if not self.street.near_junction(s, 2) and self.free(s, side * (kerb + 0.35), 0.4, 0.4):
                    self.street.place(street.sign_post(rng), s, side * (kerb + 0.35))
            if kind.setback > 2:
                self._hedges(side, kerb + kind.pavement + 0.5)
        if self.junction is not None:
            red = self.mode in ("stop", "stand")
            for u, s in (
                (kind.kerb(1) + 0.5, self.junction - 5.4),
                (-kind.kerb(-1) - 0.5, self.junction + 5.6),
            ):
                self.street.place(street.traffic_light(red), s, u)

    def _hedges(self, side: int, u: float) -> None:
        rng, s = self.rng, 0.0
        while s < 90:
            length = rng.uniform(3, 8)
            if rng.random() < 0.6 and not self.street.near_junction(s + length / 2, 5 + length / 2):
                x, y, heading = self.curve.at(s + length / 2, side * u)
                prop = street.hedge(rng, length, rng.uniform(0.8, 1.5))
                self.street._at(s, self.street.textures["foliage"]).join(prop, (x, y, 0), heading)
            s += length + rng.uniform(1, 4)
