"""Parametric bodies of cars and vans, of about twenty parts each.

They stand on z = 0 around the origin and look along +y. Lengths in metres.
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
            add_wheel(b, side, half, y, wheel)
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


def add_wheel(b: Builder, side: int, half: float, y: float, radius: float, width: float = 0.22) -> None:
    """Add an arch, a tyre, a rim and a hub on a side (-1 left, 1 right) of a body of half width `half`."""
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
    b.tube((side * half, y, radius), (side * (half + 0.05), y, radius), radius * 0.15, radius * 0.12, "dark", 6)


def _car_trim(b, front, rear, half, nose, deck, clear, screen, back, belt, doors):
    for side in (-1, 1):
        b.box((side * half * 0.68, front - 0.1, nose * 0.78), (half * 0.36, 0.2, 0.13), "lamp", top=(0.9, 0.7))
        b.box((side * half * 0.72, rear + 0.05, deck * 0.82), (half * 0.32, 0.12, 0.16), "tail")
        b.box((side * half * 1.08, screen - 0.25, belt + 0.07), (0.2, 0.1, 0.13), "paint")
        edges = [screen - 0.15, (screen + back) / 2, back + 0.15] if doors == 4 else [screen - 0.15, back + 0.35]
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
