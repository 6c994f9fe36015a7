"""Places, times and instances of a scene while it is laid out."""

import math
import random

import numpy as np

from samodal.sim import palettes
from samodal.sim.assets import Body, bodies, rider_on, riders
from samodal.sim.people import PHASES
from samodal.sim.road import Curve
from samodal.sim.scene import Actor
from samodal.sim.street import TYPES, Street


class Plan:
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
        """u of the middle of a lane; lane 0 is next to the centre line."""
        u = self.kind.median / 2 + (lane + 0.5) * self.kind.lane
        return -u if oncoming else u

    def ego_at(self, t: float) -> float:
        """s of the ego car at a time in seconds."""
        return float(np.interp(t, self.times, self.ego_s))

    def _choose_junction(self) -> float | None:
        rng = self.rng
        if self.mode in ("stop", "stand", "start"):
            self.speed = {"stop": rng.uniform(5, 8), "stand": 0.0, "start": rng.uniform(4, 7)}[self.mode]
            travel = {"stop": self.speed * min(self.duration, 6.0) * 0.42, "stand": 0.0, "start": 0.0}[self.mode]
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
        """A body of a class drawn by [(category, weight), …]."""
        category = self.rng.choices([w[0] for w in weights], [w[1] for w in weights])[0]
        return self.rng.choice(bodies(self.pool)[category])

    def body(self, category: str) -> Body:
        """A body of a class."""
        return self.rng.choice(bodies(self.pool)[category])

    def add(self, body: Body, track: np.ndarray, distance: np.ndarray, ridden: bool = True, ground=0.0) -> None:
        """Add an instance, and its rider if it has a seat.

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
        self.actors.append(Actor(len(self.actors) + 1, body, palette, round(scale, 3), np.round(track, 4), phases))

    def along(self, s, u, oncoming: bool = False) -> np.ndarray:
        """(T, 3) track of places (s, u) per frame on the curved street."""
        points = [self.curve.at(a, b) for a, b in np.broadcast(np.asarray(s, float), np.asarray(u, float))]
        return np.array([(x, y, heading + (math.pi if oncoming else 0.0)) for x, y, heading in points])

    def drive(self, body: Body, s, u, oncoming: bool = False) -> None:
        """Add a vehicle at places (s, u), scalars or (T,)."""
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
