"""Parametric bodies of cars, vans, trucks, buses and two-wheelers; each has a dozen parts or more.

Every builder gives a `Mesh` that stands on z = 0 around the origin and looks along +y. Lengths in metres.
"""

from samodal.sim.mesh import Builder, Mesh


def car(
    *,
    length,
    width,
    height,
    belt,
    nose,
    deck,
    bonnet,
    boot,
    rake,
    tail,
    wheel=0.32,
    clear=0.2,
    doors=4,
    panel=False,
) -> Mesh:
    """A car by its side view.

    Args:
        belt, nose, deck: heights of the window line, the front end and the rear deck.
        bonnet, boot: lengths ahead of and behind the cabin.
        rake, tail: how far windscreen and rear window lean, from belt to roof.
        wheel, clear: wheel radius and ground clearance.
        doors: 2 or 4, sets the pillars.
        panel: a van without rear side windows.
    """
    b = Builder()
    front, rear, half = length / 2, -length / 2, width / 2
    screen, back = front - bonnet, rear + boot
    b.loft(
        [
            (rear + 0.08, clear, half * 0.92),
            (rear, clear + 0.2, half * 0.95),
            (rear + 0.02, deck * 0.85, half * 0.96),
            (rear + 0.12, deck, half * 0.9),
            (back, belt, half * 0.93),
            (screen, belt, half * 0.93),
            (front - 0.25, nose, half * 0.9),
            (front - 0.02, nose * 0.8, half * 0.93),
            (front, clear + 0.18, half * 0.93),
            (front - 0.1, clear, half * 0.9),
        ],
        "paint",
    )
    _cabin(b, half, belt, height, screen, back, rake, tail, doors, panel)
    for y in (front - 0.19 * length, rear + 0.2 * length):
        for side in (-1, 1):
            _wheel(b, side, half, y, wheel)
    _car_trim(b, front, rear, half, nose, deck, clear, screen, back, belt, doors)
    return b.mesh()


def _cabin(b, half, belt, height, screen, back, rake, tail, doors, panel):
    top, low = height - 0.05, belt - 0.03
    roof_front, roof_back = screen - rake, back + tail
    material = "glass"
    b.loft(
        [
            (back, low, half * 0.9),
            (roof_back, top, half * 0.74),
            (roof_front, top, half * 0.74),
            (screen, low, half * 0.9),
        ],
        material,
    )
    b.loft(
        [
            (roof_back - 0.1, top - 0.04, half * 0.78),
            (roof_back + 0.1, height, half * 0.68),
            (roof_front - 0.1, height, half * 0.68),
            (roof_front + 0.06, top - 0.04, half * 0.78),
        ],
        "paint",
    )
    if panel:
        split = roof_front - 0.9
        b.loft(
            [
                (back - 0.02, low, half * 0.93),
                (roof_back - 0.03, top, half * 0.8),
                (split, top, half * 0.8),
                (split, low, half * 0.93),
            ],
            "paint",
        )
    posts = [(screen, roof_front), (back, roof_back)]
    middle = (roof_front + roof_back) / 2
    posts += [(middle + 0.1, middle + 0.05)] + (
        [((middle + back) / 2 - 0.1, (middle + roof_back) / 2)] if doors == 4 else []
    )
    for side in (-1, 1):
        for y_low, y_top in posts:
            b.tube(
                (side * half * 0.91, y_low, low),
                (side * half * 0.755, y_top, top),
                0.05,
                0.045,
                "paint",
                4,
                caps=False,
            )


def _wheel(b, side, half, y, radius, width=0.22):
    b.tube(
        (side * (half - 0.3), y, radius * 1.22),
        (side * (half - 0.012), y, radius * 1.22),
        radius * 1.2,
        radius * 1.2,
        "dark",
        12,
    )
    b.tube((side * (half - width), y, radius), (side * (half + 0.02), y, radius), radius, radius, "tyre", 12)
    b.tube(
        (side * (half - width), y, radius),
        (side * (half + 0.035), y, radius),
        radius * 0.66,
        radius * 0.5,
        "rim",
        10,
    )
    b.tube(
        (side * half, y, radius), (side * (half + 0.05), y, radius), radius * 0.15, radius * 0.12, "dark", 6
    )


def _car_trim(b, front, rear, half, nose, deck, clear, screen, back, belt, doors):
    for side in (-1, 1):
        b.box(
            (side * half * 0.68, front - 0.1, nose * 0.78), (half * 0.36, 0.2, 0.13), "lamp", top=(0.9, 0.7)
        )
        b.box((side * half * 0.72, rear + 0.05, deck * 0.82), (half * 0.32, 0.12, 0.16), "tail")
        b.box((side * half * 1.08, screen - 0.25, belt + 0.07), (0.2, 0.1, 0.13), "paint")
        edges = (
            [screen - 0.15, (screen + back) / 2, back + 0.15] if doors == 4 else [screen - 0.15, back + 0.35]
        )
        for y in edges:
            points = [
                (side * half * 0.962, y + d, z)
                for d, z in ((0, clear + 0.1), (0.025, clear + 0.1), (0.025, belt - 0.06), (0, belt - 0.06))
            ]
            b.panel(points, "dark", out=(side, 0, 0))
        for y in edges[:-1]:
            b.box((side * half * 0.96, y - 0.75, belt - 0.13), (0.04, 0.16, 0.035), "rim")
        b.box((side * half * 0.93, 0, clear + 0.03), (0.08, (front - rear) * 0.5, 0.09), "dark")
    b.box((0, front - 0.02, nose * 0.66), (half * 0.8, 0.08, 0.13), "dark")
    b.box((0, front - 0.04, clear + 0.1), (half * 1.8, 0.14, 0.16), "bumper")
    b.box((0, rear + 0.03, clear + 0.14), (half * 1.8, 0.14, 0.18), "bumper")
    b.box((0, front + 0.03, clear + 0.18), (0.5, 0.02, 0.11), "plate")
    b.box((0, rear - 0.03, deck * 0.68), (0.5, 0.03, 0.11), "plate")


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
            _wheel(b, side, half * 0.98, y, wheel, 0.3)
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
            _wheel(b, side, half, y, wheel, 0.3)
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


def motorcycle(*, length, seat, wheel=0.31, bulk=1.0, fairing=False, box=False, scooter=False) -> Mesh:
    """A motorcycle by its length and seat height; a scooter has a step-through front shield."""
    b = Builder()
    axle = length / 2 - wheel
    for y in (axle, -axle):
        b.tube((-0.06, y, wheel), (0.06, y, wheel), wheel, wheel, "tyre", 12)
        b.tube((-0.07, y, wheel), (0.07, y, wheel), wheel * 0.6, wheel * 0.6, "rim", 8)
        b.box((0, y - 0.02, 2 * wheel + 0.03), (0.16, wheel * 1.1, 0.06), "paint")
    bar = seat + 0.28
    for side in (-1, 1):
        b.tube((side * 0.09, axle, wheel), (side * 0.09, axle - 0.32, bar - 0.1), 0.035, 0.035, "rim", 5)
        b.tube((0, axle - 0.32, bar - 0.05), (side * 0.36, axle - 0.42, bar), 0.025, 0.025, "dark", 5)
        b.tube((side * 0.36, axle - 0.42, bar), (side * 0.3, axle - 0.34, bar + 0.16), 0.012, 0.05, "dark", 5)
        b.box((side * 0.08, -axle * 0.5, wheel + 0.12), (0.06, axle, 0.08), "dark")
    b.box((0, 0.02, wheel + 0.12), (0.3 * bulk, 0.5, 0.36), "metal")
    b.box((0, -length * 0.17, seat - 0.04), (0.28, length * 0.36, 0.12), "dark", top=(0.8, 0.9))
    b.box((0, -length * 0.34, seat - 0.1), (0.22, 0.34, 0.14), "paint", top=(0.8, 0.7))
    b.box((0, -length / 2 + 0.12, seat - 0.08), (0.16, 0.06, 0.08), "tail")
    b.tube((0, axle - 0.3, bar - 0.14), (0, axle - 0.17, bar - 0.14), 0.1, 0.1, "lamp", 8)
    b.tube((0.16, -0.1, wheel - 0.06), (0.16, -length / 2 + 0.1, wheel + 0.06), 0.05, 0.06, "rim", 6)
    b.box((0, -length / 2 + 0.05, seat - 0.24), (0.18, 0.02, 0.14), "plate")
    if scooter:
        b.box((0, axle - 0.42, wheel + 0.35), (0.42, 0.1, 0.75), "paint", top=(0.75, 0.8), shift=(0, -0.12))
        b.box((0, 0.05, wheel), (0.34, 0.6, 0.1), "paint")
        b.box((0, -length * 0.25, wheel + 0.2), (0.34, 0.6, 0.36), "paint", top=(0.9, 0.9))
    else:
        b.ball((0, 0.14, seat + 0.04), (0.17 * bulk, 0.32, 0.16), "paint")
    if fairing:
        b.box((0, axle - 0.25, bar - 0.15), (0.42, 0.35, 0.42), "paint", top=(0.6, 0.4), shift=(0, -0.08))
        b.panel(
            [
                (-0.15, axle - 0.2, bar + 0.05),
                (0.15, axle - 0.2, bar + 0.05),
                (0.1, axle - 0.36, bar + 0.28),
                (-0.1, axle - 0.36, bar + 0.28),
            ],
            "glass",
            out=(0, 1, 0.5),
        )
    if box:
        b.box((0, -length * 0.4, seat + 0.2), (0.45, 0.4, 0.38), "stripe", top=(0.92, 0.92))
    return b.mesh()


def bicycle(
    *, length, seat, wheel=0.34, step=False, basket=False, bags=False, drop=False, cargo=False
) -> Mesh:
    """A bicycle: `step` a low frame, `drop` racing handlebars, `cargo` a box in front."""
    b = Builder()
    axle = length / 2 - wheel
    for y in (axle, -axle):
        b.hoop((0, y, wheel), wheel, wheel - 0.05, 0.05, "tyre")
        for dy, dz in ((1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7)):
            reach = wheel - 0.04
            b.tube(
                (0, y - dy * reach, wheel - dz * reach),
                (0, y + dy * reach, wheel + dz * reach),
                0.01,
                0.01,
                "rim",
                3,
                caps=False,
            )
        b.tube((-0.05, y, wheel), (0.05, y, wheel), 0.05, 0.05, "rim", 6)
    crank, saddle, head = (0, -0.08, 0.3), (0, -0.25, seat - 0.06), (0, axle - 0.2, seat - 0.02)
    lower = (0, -0.17, seat * 0.62) if step else saddle
    for a, c in (
        (crank, saddle),
        (crank, head),
        (lower, head),
        (crank, (0, -axle, wheel)),
        (saddle, (0, -axle, wheel)),
        (head, (0, axle, wheel)),
    ):
        b.tube(a, c, 0.027, 0.027, "paint", 5)
    bar = seat + (0.02 if drop else 0.14)
    b.tube(head, (0, axle - 0.24, bar), 0.024, 0.024, "rim", 5)
    for side in (-1, 1):
        b.tube((0, axle - 0.24, bar), (side * 0.28, axle - 0.3, bar), 0.02, 0.02, "dark", 5)
        b.box((side * 0.13, -0.08, 0.3 - side * 0.14), (0.1, 0.1, 0.03), "dark")
        if bags:
            b.box((side * 0.17, -axle - 0.05, wheel + 0.18), (0.14, 0.34, 0.34), "stripe")
    b.box((0, -0.27, seat), (0.16, 0.26, 0.07), "dark", top=(0.7, 0.8))
    b.tube((-0.02, -0.08, 0.3), (0.04, -0.08, 0.3), 0.1, 0.1, "dark", 8)
    for y in (axle, -axle):
        b.box((0, y, 2 * wheel + 0.03), (0.07, wheel, 0.03), "paint")
    b.box((0, -axle - wheel * 0.9, wheel + 0.25), (0.07, 0.05, 0.07), "tail")
    b.tube((0, axle - 0.16, bar - 0.08), (0, axle - 0.08, bar - 0.08), 0.05, 0.05, "lamp", 6)
    if basket:
        b.box((0, axle - 0.02, seat + 0.02), (0.34, 0.28, 0.24), "metal", top=(1.15, 1.15))
    if cargo:
        b.box((0, axle - 0.1, wheel + 0.28), (0.56, 0.8, 0.42), "stripe", top=(1.1, 1.1))
    return b.mesh()
