"""What each pool of assets may draw: bodies, textures and colours. The pools share nothing.

"train" serves the splits train, val, test_seen and tracks; "test" serves the split test only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial

from samodal.sim import cars, heavy, people, two_wheelers
from samodal.sim.mesh import Mesh
from samodal.sim.people import PHASES

POOLS = ("train", "test")


@dataclass(frozen=True)
class Body:
    """A parametric body.

    Attributes:
        name: unique over all pools.
        category: AmodalSynthDrive's class name.
        build: (phase) -> Mesh; the phase is ignored by bodies that do not move their limbs.
        phases: number of poses, 1 for a rigid body.
        length, width: of the ground it covers, metres.
        seat: what a rider needs to sit on it, keywords of `people.rider`; empty elsewhere.
    """

    name: str
    category: str
    build: Callable[[int], Mesh]
    phases: int
    length: float
    width: float
    seat: tuple[tuple[str, object], ...] = ()


def _c(length, width, height, belt, nose, deck, bonnet, boot, rake, tail, **more):
    keys = ("length", "width", "height", "belt", "nose", "deck", "bonnet", "boot", "rake", "tail")
    return dict(zip(keys, (length, width, height, belt, nose, deck, bonnet, boot, rake, tail), strict=True)) | more


_CARS = {
    "train": {
        "saloon": _c(4.6, 1.82, 1.45, 0.93, 0.78, 0.95, 1.25, 0.85, 0.75, 0.6),
        "hatchback": _c(4.1, 1.78, 1.48, 0.95, 0.8, 0.98, 1.0, 0.12, 0.7, 0.35),
        "estate": _c(4.7, 1.84, 1.5, 0.95, 0.8, 0.98, 1.2, 0.08, 0.75, 0.3),
        "off-roader": _c(4.65, 1.92, 1.78, 1.12, 1.0, 1.12, 1.15, 0.1, 0.55, 0.2, wheel=0.38, clear=0.28),
        "city-car": _c(3.5, 1.64, 1.52, 0.97, 0.85, 0.98, 0.7, 0.06, 0.6, 0.2, wheel=0.29, doors=2),
        "people-carrier": _c(4.5, 1.83, 1.66, 1.0, 0.9, 1.05, 0.8, 0.06, 0.95, 0.25),
        "delivery-van": _c(5.3, 2.0, 2.35, 1.25, 1.05, 1.3, 0.75, 0.04, 0.75, 0.08, wheel=0.35, panel=True),
        "box-van": _c(4.4, 1.85, 1.85, 1.12, 0.95, 1.15, 0.95, 0.05, 0.7, 0.1, panel=True),
    },
    "test": {
        "fastback": _c(4.75, 1.88, 1.4, 0.9, 0.74, 0.98, 1.35, 0.35, 0.85, 1.15),
        "crossover": _c(4.35, 1.84, 1.62, 1.04, 0.93, 1.08, 1.05, 0.1, 0.65, 0.45, wheel=0.36, clear=0.25),
        "coupe": _c(4.35, 1.8, 1.34, 0.88, 0.72, 0.92, 1.3, 0.6, 0.75, 0.75, doors=2),
        "minibus-van": _c(4.95, 1.94, 1.98, 1.12, 1.0, 1.2, 0.65, 0.04, 0.8, 0.12, wheel=0.34),
        "high-van": _c(5.8, 2.02, 2.6, 1.3, 1.1, 1.35, 0.7, 0.04, 0.8, 0.06, wheel=0.36, panel=True),
    },
}

_TRUCKS = {
    "train": {
        "box-truck": dict(length=7.5, width=2.4, height=3.3, cab=1.7, kind="box", axles=2),
        "long-box-truck": dict(length=9.6, width=2.5, height=3.6, cab=2.0, kind="box", cab_height=2.8, axles=3),
        "tipper": dict(length=7.6, width=2.45, height=2.6, cab=1.8, kind="tipper", axles=3),
        "tanker": dict(length=8.6, width=2.45, height=3.0, cab=1.9, kind="tank", cab_height=2.7, axles=3),
        "flatbed": dict(length=7.2, width=2.4, height=2.4, cab=1.75, kind="flat", axles=2),
        "small-box-truck": dict(
            length=6.0, width=2.15, height=2.9, cab=1.6, kind="box", cab_height=2.3, wheel=0.4, axles=2
        ),
    },
    "test": {
        "removal-truck": dict(length=8.4, width=2.5, height=3.8, cab=1.5, kind="box", cab_height=2.5, axles=2),
        "big-tipper": dict(length=8.8, width=2.5, height=2.9, cab=2.1, kind="tipper", cab_height=2.9, axles=4),
        "milk-tanker": dict(length=7.4, width=2.35, height=2.7, cab=1.65, kind="tank", cab_height=2.45, axles=2),
        "builder-flatbed": dict(
            length=6.2, width=2.2, height=2.2, cab=2.0, kind="flat", cab_height=2.35, wheel=0.42, axles=2
        ),
    },
}

_BUSES = {
    "train": {
        "city-bus": dict(length=11.8, width=2.5, height=3.05),
        "midi-bus": dict(length=9.2, width=2.4, height=2.95, sill=1.2),
        "coach": dict(length=12.2, width=2.5, height=3.5, sill=1.75, slant=0.6),
        "double-decker": dict(length=10.6, width=2.5, height=4.3, sill=1.2, decks=2, slant=0.15),
        "shuttle": dict(length=7.2, width=2.2, height=2.75, sill=1.2, slant=0.5, wheel=0.38),
        "school-bus": dict(length=9.4, width=2.4, height=3.0, sill=1.45, slant=0.1, nose=1.1),
    },
    "test": {
        "low-floor-bus": dict(length=10.8, width=2.52, height=3.2, floor=0.25, sill=1.05, slant=0.45),
        "touring-coach": dict(length=11.2, width=2.5, height=3.75, sill=1.95, slant=0.9, wheel=0.5),
        "village-bus": dict(length=8.0, width=2.3, height=2.85, sill=1.35, slant=0.2, nose=0.5, wheel=0.4),
    },
}

_MOTORCYCLES = {
    "train": {
        "roadster": dict(length=2.1, seat=0.8),
        "tourer": dict(length=2.3, seat=0.8, bulk=1.2, fairing=True, box=True),
        "racer": dict(length=2.05, seat=0.82, fairing=True),
        "scooter": dict(length=1.85, seat=0.78, wheel=0.25, scooter=True),
        "delivery-scooter": dict(length=1.9, seat=0.78, wheel=0.26, scooter=True, box=True),
        "cruiser": dict(length=2.35, seat=0.7, wheel=0.33, bulk=1.3),
    },
    "test": {
        "trail-bike": dict(length=2.15, seat=0.88, wheel=0.36, bulk=0.85),
        "maxi-scooter": dict(length=2.1, seat=0.76, wheel=0.29, scooter=True, fairing=True),
        "light-tourer": dict(length=2.2, seat=0.78, wheel=0.32, box=True),
    },
}

_BICYCLES = {
    "train": {
        "town-bicycle": dict(length=1.75, seat=0.92, step=True, basket=True),
        "trekking-bicycle": dict(length=1.78, seat=0.95, bags=True),
        "racing-bicycle": dict(length=1.7, seat=0.98, drop=True),
        "plain-bicycle": dict(length=1.74, seat=0.93),
        "small-bicycle": dict(length=1.5, seat=0.82, wheel=0.27, step=True),
        "cargo-bicycle": dict(length=2.1, seat=0.92, cargo=True),
    },
    "test": {
        "dutch-bicycle": dict(length=1.85, seat=0.98, wheel=0.36, step=True, bags=True),
        "folding-bicycle": dict(length=1.45, seat=0.88, wheel=0.23),
        "courier-bicycle": dict(length=1.72, seat=0.97, wheel=0.33, drop=True, basket=True),
    },
}

_PEOPLE = {
    "train": {
        "man": dict(height=1.8, girth=1.08),
        "woman": dict(height=1.67, girth=0.95, long_hair=True),
        "woman-in-skirt": dict(height=1.65, girth=0.95, skirt=True, bag=True, stride=0.34),
        "man-in-coat": dict(height=1.82, girth=1.12, coat=0.2, hat=True, stride=0.38),
        "student": dict(height=1.74, girth=0.98, backpack=True, stride=0.46),
        "child": dict(height=1.25, girth=1.0, backpack=True),
        "stout-man": dict(height=1.75, girth=1.4, bag=True, stride=0.36),
        "slim-man": dict(height=1.88, girth=0.9),
    },
    "test": {
        "old-woman": dict(height=1.58, girth=1.2, coat=0.16, bag=True, stride=0.28),
        "jogger": dict(height=1.77, girth=0.93, stride=0.6),
        "teenager": dict(height=1.52, girth=0.9, backpack=True, long_hair=True, stride=0.44),
        "woman-in-coat": dict(height=1.7, girth=1.0, coat=0.24, long_hair=True, bag=True, stride=0.37),
        "tall-man": dict(height=1.95, girth=1.2, hat=True),
    },
}

_RIDERS = {
    "train": {
        "rider-man": dict(height=1.8, girth=1.05),
        "rider-woman": dict(height=1.67, girth=0.95),
        "rider-tall": dict(height=1.9, girth=1.0),
        "rider-stout": dict(height=1.74, girth=1.3),
        "rider-backpack": dict(height=1.76, girth=1.0, backpack=True),
        "rider-small": dict(height=1.58, girth=0.95),
    },
    "test": {
        "rider-broad": dict(height=1.84, girth=1.2, backpack=True),
        "rider-slight": dict(height=1.62, girth=0.88),
        "rider-middle": dict(height=1.72, girth=1.1),
    },
}

TEXTURES = {
    "train": {
        "asphalt": ("asphalt-0", "asphalt-1", "asphalt-2", "asphalt-3"),
        "pavement": ("pavement-0", "pavement-1", "pavement-2", "pavement-3"),
        "grass": ("grass-0", "grass-1", "grass-2"),
        "facade": tuple(f"facade-{k}" for k in range(10)),
        "wall": ("wall-0", "wall-1", "wall-2", "wall-3"),
        "foliage": ("foliage-0", "foliage-1", "foliage-2", "foliage-3"),
        "sky": tuple(f"sky-{k}" for k in range(6)),
    },
    "test": {
        "asphalt": ("asphalt-10", "asphalt-11"),
        "pavement": ("pavement-10", "pavement-11"),
        "grass": ("grass-10", "grass-11"),
        "facade": tuple(f"facade-{k}" for k in range(20, 26)),
        "wall": ("wall-10", "wall-11"),
        "foliage": ("foliage-10", "foliage-11"),
        "sky": tuple(f"sky-{k}" for k in range(10, 13)),
    },
}

PAINTS = {
    "train": (
        (196, 198, 200), (40, 42, 46), (120, 124, 130), (150, 28, 30), (32, 58, 120), (214, 214, 208),
        (70, 74, 80), (28, 84, 60), (168, 140, 92), (200, 90, 30), (84, 140, 180), (120, 20, 48),
    ),
    "test": (
        (208, 206, 196), (54, 54, 60), (140, 146, 150), (176, 48, 40), (24, 76, 140), (52, 104, 96),
        (190, 164, 60), (96, 60, 110),
    ),
}  # fmt: skip
CLOTHES = {
    "train": (
        (40, 44, 60), (150, 40, 44), (60, 90, 140), (190, 186, 176), (70, 100, 70), (110, 80, 56), (30, 30, 32),
        (196, 160, 60), (130, 60, 110), (90, 94, 100),
    ),
    "test": (
        (58, 60, 80), (170, 70, 40), (40, 110, 130), (206, 200, 190), (100, 110, 60), (44, 40, 40), (180, 90, 130),
    ),
}  # fmt: skip


def _rider_seat(kind: str, spec: dict) -> tuple[tuple[str, object], ...]:
    wheel = spec.get("wheel", 0.31 if kind == "motorcycle" else 0.34)
    axle, seat = spec["length"] / 2 - wheel, spec["seat"]
    if kind == "motorcycle":
        foot = (0.25, wheel - 0.05) if spec.get("scooter") else (-0.02, wheel - 0.08)
        places = dict(saddle=-0.2, grip=(0.34, axle - 0.44, seat + 0.3), foot=foot, pedals=False, lean=0.16)
    else:
        drop = spec.get("drop", False)
        bar = seat + (0.03 if drop else 0.16)
        places = dict(
            saddle=-0.27,
            grip=(0.26, axle - 0.3, bar),
            foot=(-0.08, 0.3),
            pedals=True,
            lean=0.36 if drop else 0.2,
        )
    return tuple((places | dict(seat=seat)).items())


@cache
def bodies(pool: str) -> dict[str, tuple[Body, ...]]:
    """The bodies of a pool ("train" or "test") by category."""
    by_category: dict[str, list[Body]] = {}

    def put(name, category, build, phases, length, width, seat=()):
        by_category.setdefault(category, []).append(Body(name, category, build, phases, length, width, seat))

    for name, spec in _PEOPLE[pool].items():
        put(name, "person", partial(people.pedestrian, **spec), PHASES, 0.6, 0.6)
    for category, table, build in (
        ("car", _CARS, cars.car),
        ("truck", _TRUCKS, heavy.truck),
        ("bus", _BUSES, heavy.bus),
    ):
        for name, spec in table[pool].items():
            put(name, category, _rigid(build, spec), 1, spec["length"], spec["width"])
    for category, table, build in (
        ("motorcycle", _MOTORCYCLES, two_wheelers.motorcycle),
        ("bicycle", _BICYCLES, two_wheelers.bicycle),
    ):
        for name, spec in table[pool].items():
            put(name, category, _rigid(build, spec), 1, spec["length"], 0.7, _rider_seat(category, spec))
    return {category: tuple(values) for category, values in by_category.items()}


def _rigid(build, spec: dict) -> Callable[[int], Mesh]:
    return lambda phase: build(**spec)


@cache
def riders(pool: str) -> tuple[str, ...]:
    """Names of the people who may sit on a two-wheeler."""
    return tuple(_RIDERS[pool])


@cache
def rider_on(person: str, mount: Body) -> Body:
    """The body of a person who rides `mount`."""
    spec = next(table[person] for table in _RIDERS.values() if person in table)
    seat = dict(mount.seat)
    build = partial(people.rider, **spec, **seat)
    return Body(f"{person} on {mount.name}", "rider", build, PHASES if seat["pedals"] else 1, mount.length, 0.7)


def asset_names(pool: str) -> frozenset[str]:
    """Every name of a body, person or texture and every colour that a pool may draw."""
    names = {body.name for group in bodies(pool).values() for body in group} | set(riders(pool))
    names |= {name for group in TEXTURES[pool].values() for name in group}
    return frozenset(names | {f"paint {c}" for c in PAINTS[pool]} | {f"cloth {c}" for c in CLOTHES[pool]})


@lru_cache(maxsize=512)
def pose(body: Body, phase: int) -> Mesh:
    """The mesh of a body in a pose; kept, since many scenes of a process use it."""
    return body.build(phase % body.phases)
