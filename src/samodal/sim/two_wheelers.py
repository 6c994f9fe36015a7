"""Parametric bodies of motorcycles and bicycles, without their riders.

Every builder gives a `Mesh` that stands on z = 0 around the origin and looks along +y. Lengths in metres.
"""

from samodal.sim.mesh import Builder, Mesh


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


def bicycle(*, length, seat, wheel=0.34, step=False, basket=False, bags=False, drop=False, cargo=False) -> Mesh:
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
