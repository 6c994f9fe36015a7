"""Parametric bodies of trucks and buses, of a dozen parts or more each.

They stand on z = 0 around the origin and look along +y. Lengths in metres.
"""

from samodal.sim.cars import add_wheel
from samodal.sim.mesh import Builder, Mesh


def truck(*, length, width, height, cab, kind, cab_height=2.6, wheel=0.48, axles=3) -> Mesh:
    """A truck; `kind` is what it carries: "box", "tipper", "tank" or "flat"; `cab` the length of the cab."""
    b = Builder()
    front, rear, half = length / 2, -length / 2, width / 2
    floor, cargo_front = 1.05, front - cab - 0.12
    b.loft(
        [
            (front - cab, 0.5, half * 0.94),
            (front - cab, cab_height - 0.1, half * 0.92),
            (front - cab + 0.3, cab_height, half * 0.88),
            (front - 0.35, cab_height - 0.05, half * 0.88),
            (front - 0.05, 1.35, half * 0.95),
            (front, 0.95, half * 0.95),
            (front, 0.45, half * 0.95),
        ],
        "paint",
    )
    high = cab_height - 0.25
    b.panel(
        [
            (-half * 0.82, front - 0.06 + 0.03, 1.42),
            (half * 0.82, front - 0.03, 1.42),
            (half * 0.78, front - 0.27, high),
            (-half * 0.78, front - 0.27, high),
        ],
        "glass",
        out=(0, 1, 0.3),
    )
    for side in (-1, 1):
        points = [
            (side * half * 0.955, y, z)
            for y, z in (
                (front - 0.25, 1.4),
                (front - 0.4, high),
                (front - cab * 0.62, high),
                (front - cab * 0.62, 1.4),
            )
        ]
        b.panel(points, "glass", out=(side, 0, 0))
        b.box((side * half * 1.06, front - 0.25, 1.85), (0.16, 0.12, 0.42), "dark")
        b.box((side * half * 0.72, front - 0.01, 0.75), (0.36, 0.08, 0.18), "lamp")
        b.box((side * half * 0.75, rear - 0.01, 0.85), (0.3, 0.06, 0.16), "tail")
        b.box(
            (side * half * 0.7, (rear + cargo_front) / 2, 0.62),
            (0.5, (cargo_front - rear) * 0.3, 0.42),
            "rim",
        )
    b.box((0, (rear + cargo_front) / 2, 0.85), (width * 0.5, cargo_front - rear, 0.25), "dark")
    b.box((0, front + 0.02, 0.5), (width * 0.95, 0.12, 0.3), "bumper")
    b.box((0, front + 0.02, 1.1), (width * 0.6, 0.06, 0.22), "dark")
    b.box((0, front + 0.09, 0.5), (0.5, 0.02, 0.12), "plate")
    b.box((0, rear - 0.03, 0.62), (width * 0.8, 0.08, 0.12), "dark")
    _cargo(b, kind, rear, cargo_front, half, floor, height)
    positions = [front - cab * 0.5, rear + 0.9] + [rear + 0.9 + 1.15 * i for i in range(1, axles - 1)]
    for y in positions:
        for side in (-1, 1):
            add_wheel(b, side, half * 0.98, y, wheel, 0.3)
    return b.mesh()


def _cargo(b, kind, rear, front, half, floor, height):
    middle, span = (rear + front) / 2, front - rear
    if kind == "box":
        b.box((0, middle, (floor + height) / 2), (half * 2, span, height - floor), "cargo")
        for side in (-1, 1):
            stripe = [
                (side * (half + 0.012), y, z)
                for y, z in (
                    (rear + 0.3, floor + 0.5),
                    (front - 0.3, floor + 0.5),
                    (front - 0.3, floor + 1.0),
                    (rear + 0.3, floor + 1.0),
                )
            ]
            b.panel(stripe, "stripe", out=(side, 0, 0))
            b.box((side * half, middle, floor), (0.06, span, 0.12), "dark")
        b.panel(
            [
                (d, rear - 0.012, z)
                for d, z in (
                    (-0.02, floor + 0.1),
                    (0.02, floor + 0.1),
                    (0.02, height - 0.1),
                    (-0.02, height - 0.1),
                )
            ],
            "dark",
            out=(0, -1, 0),
        )
    elif kind == "tipper":
        b.box(
            (0, middle, floor + (height - floor) / 2),
            (half * 1.8, span * 0.94, height - floor),
            "cargo",
            top=(1.1, 1.06),
        )
        for k in range(5):
            y = rear + span * (0.1 + 0.2 * k)
            for side in (-1, 1):
                b.box(
                    (side * half * 0.96, y, floor + (height - floor) / 2),
                    (0.12, 0.1, height - floor),
                    "stripe",
                )
        b.ball((0, middle, height - 0.1), (half * 0.8, span * 0.4, 0.35), "earth")
    elif kind == "tank":
        radius = (height - floor) / 2
        b.tube((0, rear + 0.1, floor + radius), (0, front, floor + radius), radius, radius, "cargo", 12)
        for k in range(4):
            y = rear + span * (0.15 + 0.23 * k)
            b.tube(
                (0, y, floor + radius),
                (0, y + 0.08, floor + radius),
                radius * 1.03,
                radius * 1.03,
                "stripe",
                12,
            )
        b.box((0, middle, height + 0.05), (0.5, span * 0.7, 0.12), "dark")
    else:
        b.box((0, middle, floor + 0.08), (half * 2, span, 0.2), "cargo")
        b.box((0, front - 0.1, floor + 0.7), (half * 2, 0.1, 1.3), "stripe")
        for k in range(3):
            b.box(
                (0, rear + span * (0.2 + 0.27 * k), floor + 0.65),
                (half * 1.7, span * 0.22, 0.9 + 0.2 * (k % 2)),
                ("stripe", "earth", "rim")[k],
            )


def bus(*, length, width, height, floor=0.35, sill=1.25, decks=1, slant=0.25, wheel=0.48, nose=0.0) -> Mesh:
    """A city bus or coach; `sill` is the lower edge of the windows, `nose` a bonnet as of a school bus."""
    b = Builder()
    front, rear, half = length / 2 - nose, -length / 2, width / 2
    b.loft(
        [
            (rear, floor, half * 0.98),
            (rear, height - 0.25, half * 0.97),
            (rear + 0.25, height, half * 0.9),
            (front - slant - 0.2, height, half * 0.9),
            (front - slant, height - 0.2, half * 0.96),
            (front, sill - 0.2, half),
            (front, floor, half),
        ],
        "paint",
    )
    if nose:
        b.box(
            (0, front + nose / 2, floor + 0.5),
            (width * 0.8, nose, 0.9),
            "paint",
            top=(0.9, 0.85),
            shift=(0, -0.1),
        )
    for deck in range(decks):
        low = sill + deck * 1.95
        _bus_windows(b, front, rear, half, low, min(low + 0.95, height - 0.25), height, sill, slant)
    for side in (-1, 1):
        skirt = [
            (side * half * 1.002, y, z)
            for y, z in (
                (rear + 0.2, floor + 0.1),
                (front - 0.2, floor + 0.1),
                (front - 0.2, floor + 0.35),
                (rear + 0.2, floor + 0.35),
            )
        ]
        b.panel(skirt, "stripe", out=(side, 0, 0))
        b.box((side * half * 0.75, length / 2, floor + 0.35), (0.34, 0.07, 0.2), "lamp")
        b.box((side * half * 0.82, rear - 0.01, floor + 0.55), (0.22, 0.06, 0.4), "tail")
        b.box((side * half * 1.1, front - 0.05, height - 0.75), (0.16, 0.16, 0.4), "dark")
    for y in (front - 0.6, front - 0.55 * length):
        door = [
            (half * 1.006, y - d, z)
            for d, z in ((0, floor + 0.08), (1.15, floor + 0.08), (1.15, sill + 0.9), (0, sill + 0.9))
        ]
        b.panel(door, "door", out=(1, 0, 0))
    b.box((0, rear * 0.4, height + 0.08), (width * 0.6, 1.8, 0.22), "rim")
    b.box((0, length / 2 + 0.02, floor + 0.08), (width * 0.95, 0.1, 0.25), "bumper")
    b.box((0, rear - 0.02, floor + 0.08), (width * 0.95, 0.1, 0.25), "bumper")
    b.box((0, rear - 0.06, floor + 0.35), (0.5, 0.03, 0.12), "plate")
    for y in (length / 2 - 2.1 if not nose else length / 2 - 0.7, rear + 2.4):
        for side in (-1, 1):
            add_wheel(b, side, half, y, wheel, 0.3)
    return b.mesh()


def _bus_windows(b, front, rear, half, low, high, height, sill, slant):
    count = max(3, round((front - rear) / 1.7))
    step = (front - rear - 0.6) / count
    for k in range(count):
        y0 = rear + 0.3 + k * step
        for side in (-1, 1):
            pane = [
                (side * half * 1.004, y, z)
                for y, z in (
                    (y0 + 0.06, low),
                    (y0 + step - 0.06, low),
                    (y0 + step - 0.06, high),
                    (y0 + 0.06, high),
                )
            ]
            b.panel(pane, "glass", out=(side, 0, 0))
    lean = slant * (high - sill) / max(height - 0.2 - sill + 0.2, 0.1)
    b.panel(
        [
            (-half * 0.9, front + 0.02, low - 0.1),
            (half * 0.9, front + 0.02, low - 0.1),
            (half * 0.88, front + 0.04 - lean, high),
            (-half * 0.88, front + 0.04 - lean, high),
        ],
        "glass",
        out=(0, 1, 0),
    )
    b.panel(
        [
            (-half * 0.8, rear - 0.015, low),
            (half * 0.8, rear - 0.015, low),
            (half * 0.8, rear - 0.015, high),
            (-half * 0.8, rear - 0.015, high),
        ],
        "glass",
        out=(0, -1, 0),
    )
    b.box((0, front - slant * 0.8 + 0.05, height - 0.16), (half * 1.3, 0.12, 0.22), "sign")
