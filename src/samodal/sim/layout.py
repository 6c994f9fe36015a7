"""From the name of a sequence to a scene: who drives, walks, stands and hides where.

Everything is drawn from a single generator seeded with split and number. Some occlusions are staged: an occluder is put
on the line of sight to a chosen instance at a chosen time.
"""

import math

import numpy as np

from samodal.sim import props
from samodal.sim.assets import Body, bodies
from samodal.sim.plan import Plan
from samodal.sim.scene import Camera, Scene
from samodal.sim.splits import SPLITS, split_of

_TRAFFIC = (("car", 11), ("truck", 4), ("bus", 3), ("motorcycle", 2.5))
_PARKED = (("car", 14), ("truck", 2), ("bus", 0.7), ("motorcycle", 1.5), ("bicycle", 1.5))

_VARIANT = {"test_0000_day": 28}
"""The shipped example was chosen among a few layouts, for several instances that vanish and return."""


def scene(sequence: str) -> Scene:
    """Lay out the scene of a sequence; equal names give equal scenes."""
    split = split_of(sequence)
    name, index, weather = sequence.rsplit("_", 2)
    times = tuple(round(t * split.interval_s, 3) for t in range(split.frames))
    return _Layout(
        f"streetsim {name} {int(index)} {_VARIANT.get(sequence, 0)}",
        sequence,
        weather,
        times,
        SPLITS[name].pool,
    ).build()


class _Layout(Plan):
    """What happens on the street; the order of the stages is part of the data set."""

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
            what = rng.choice(("vehicle", "vehicle", "wall", "wall", "shelter", "column", "cabinet", "cabinet"))
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
                high = [b for b in bodies(self.pool)["car"] if "van" in b.name] + list(bodies(self.pool)["truck"])
                return self._park(rng.choice(high), s, u, side)
        if self.street.near_junction(s, 3.0):
            return False
        if what == "wall":
            low = rng.random() < 0.65
            length = rng.uniform(2.5, 6.0) + 2.5 * low
            height = rng.uniform(0.95, 1.25) if low else rng.uniform(1.9, 2.4)
            if self.free(s, u, length, 0.6):
                self.street.place(props.hoarding(rng, length, height), s, u)
                return True
        elif what == "shelter":
            length = rng.uniform(2.8, 4.2)
            if self.free(s, u, length, 1.7):
                self.street.place(props.shelter(rng, length), s, u, 0.0 if side > 0 else math.pi)
                return True
        elif self.free(s, u, 1.9, 1.5):
            self.street.place((props.column if what == "column" else props.cabinet)(rng), s, u)
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
                u = direction * speed * (times - self.duration * rng.uniform(0.0, 1.0)) + self.ego_u * rng.uniform(
                    -1, 1
                )
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
                self.drive(body, place - speed * times, self.lane_u(lane, oncoming=True) + sway, oncoming=True)
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
                    u = side * (self.kind.kerb(side) - max(1.05, body.width / 2 + 0.1) + rng.uniform(-0.06, 0.06))
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
                    trunk, crown = props.tree(rng)
                    x, y, heading = self.curve.at(s, side * (kerb + 0.7))
                    self.street.place(trunk, s, side * (kerb + 0.7))
                    self.street.part(s, self.street.textures["foliage"]).join(crown, (x, y, 0), heading)
                s += kind.trees * rng.uniform(0.8, 1.3)
            s = rng.uniform(4, 20)
            while s < 130:
                if not self.street.near_junction(s, 3) and self.free(s, side * (kerb + 0.4), 0.4, 0.4):
                    self.street.place(props.lamp_post(), s, side * (kerb + 0.4), 0.0 if side > 0 else math.pi)
                s += rng.uniform(20, 28)
            if rng.random() < 0.6:
                s = rng.uniform(8, 40)
                if not self.street.near_junction(s, 2) and self.free(s, side * (kerb + 0.35), 0.4, 0.4):
                    self.street.place(props.sign_post(rng), s, side * (kerb + 0.35))
            if kind.setback > 2:
                self._hedges(side, kerb + kind.pavement + 0.5)
        if self.junction is not None:
            red = self.mode in ("stop", "stand")
            for u, s in (
                (kind.kerb(1) + 0.5, self.junction - 5.4),
                (-kind.kerb(-1) - 0.5, self.junction + 5.6),
            ):
                self.street.place(props.traffic_light(red), s, u)

    def _hedges(self, side: int, u: float) -> None:
        rng, s = self.rng, 0.0
        while s < 90:
            length = rng.uniform(3, 8)
            if rng.random() < 0.6 and not self.street.near_junction(s + length / 2, 5 + length / 2):
                x, y, heading = self.curve.at(s + length / 2, side * u)
                prop = props.hedge(length, rng.uniform(0.8, 1.5))
                self.street.part(s, self.street.textures["foliage"]).join(prop, (x, y, 0), heading)
            s += length + rng.uniform(1, 4)
