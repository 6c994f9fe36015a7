"""Things that stand beside the road; built around the origin, looking along +y, on z = 0, metres."""

import random

from samodal.sim.mesh import Builder


def tree(rng: random.Random) -> tuple[Builder, Builder]:
    """Trunk, and crown for the foliage texture."""
    trunk, crown = Builder(), Builder()
    height = rng.uniform(2.2, 3.4)
    trunk.tube((0, 0, 0), (0, 0, height + 0.8), rng.uniform(0.14, 0.24), 0.1, "#5c4a3a", 7, caps=False)
    tint = rng.randint(200, 255)
    for _ in range(4):
        radius = rng.uniform(0.9, 1.5)
        at = (rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), height + 0.7 + rng.uniform(0.0, 1.8))
        crown.ball(at, (radius, radius, radius * 0.85), f"#{tint:02x}{tint:02x}{tint - 30:02x}", 8, 5)
    return trunk, crown


def lamp_post() -> Builder:
    """A street lamp whose arm reaches to the left."""
    b = Builder()
    b.tube((0, 0, 0), (0, 0, 6.4), 0.09, 0.06, "#585c5c", 7, caps=False)
    b.tube((0, 0, 6.3), (-1.5, 0, 6.6), 0.05, 0.04, "#585c5c", 5)
    b.box((-1.6, 0, 6.58), (0.6, 0.24, 0.1), "#484c4c")
    b.box((-1.6, 0, 6.52), (0.5, 0.18, 0.04), "*fff4d8")
    return b


def traffic_light(red: bool) -> Builder:
    """A traffic light that looks back at the ego car."""
    b = Builder()
    b.tube((0, 0, 0), (0, 0, 3.3), 0.07, 0.06, "#50545a", 7)
    b.box((0, -0.05, 2.9), (0.32, 0.26, 0.95), "#26282a")
    for k, (on, off) in enumerate((("*30ff70", "#1c3a24"), ("#4a3c18", "#4a3c18"), ("*ff4030", "#4a1c18"))):
        colour = (on if (k == 2) == red and k != 1 else off) if k != 1 else off
        b.tube((0, -0.18, 2.6 + 0.3 * k), (0, -0.22, 2.6 + 0.3 * k), 0.1, 0.1, colour, 8)
    return b


def sign_post(rng: random.Random) -> Builder:
    """A road sign."""
    b = Builder()
    b.tube((0, 0, 0), (0, 0, 2.7), 0.035, 0.035, "#8c9094", 5)
    colour = rng.choice(("#b83028", "#2858a8", "#d8b830"))
    b.tube((0, -0.05, 2.45), (0, -0.08, 2.45), 0.34, 0.34, colour, 10)
    b.tube((0, -0.08, 2.45), (0, -0.1, 2.45), 0.24, 0.24, "#dcdcd4", 10)
    return b


def shelter(rng: random.Random, length: float) -> Builder:
    """A bus shelter, open to the left, with opaque advertising walls."""
    b = Builder()
    b.box((0, 0, 2.45), (1.6, length, 0.12), "#50565c")
    b.box((0.7, 0, 1.2), (0.06, length, 2.2), rng.choice(("#7c8c94", "#88949a")))
    for end in (-1, 1):
        b.box(
            (0, end * length / 2, 1.2),
            (1.4, 0.1, 2.2),
            rng.choice(("#a84438", "#3870a0", "#d0b050", "#b8c0c4")),
        )
        b.tube(
            (-0.7, end * (length / 2 - 0.1), 0),
            (-0.7, end * (length / 2 - 0.1), 2.4),
            0.05,
            0.05,
            "#40444a",
            6,
        )
    b.box((0.35, 0, 0.5), (0.4, length * 0.6, 0.08), "#8a6a4a")
    return b


def hoarding(rng: random.Random, length: float, height: float) -> Builder:
    """A wall or a builder's fence along the street."""
    b = Builder()
    colour = rng.choice(("#a89c88", "#8c6c58", "#b4b8b4", "#5c7c94", "#94a070"))
    b.box((0, 0, height / 2), (0.22, length, height), colour)
    b.box((0, 0, height + 0.04), (0.3, length + 0.06, 0.08), "#8c8880")
    for k in range(int(length / 1.5) + 1):
        b.box((-0.1, -length / 2 + k * 1.5, height / 2), (0.12, 0.14, height), "#7c7468")
    return b


def column(rng: random.Random) -> Builder:
    """An advertising column."""
    b = Builder()
    b.tube((0, 0, 0), (0, 0, 2.9), 0.62, 0.62, rng.choice(("#c8b078", "#889cac", "#b07868")), 12)
    b.tube((0, 0, 0.7), (0, 0, 2.3), 0.64, 0.64, rng.choice(("#d8d0b8", "#a8483c", "#d0a840")), 12)
    b.tube((0, 0, 2.9), (0, 0, 3.3), 0.75, 0.2, "#3c5c4c", 12)
    return b


def cabinet(rng: random.Random) -> Builder:
    """A switch cabinet beside a low planter, which hide legs and hips."""
    b = Builder()
    height = rng.uniform(0.95, 1.3)
    b.box((0, -0.45, height / 2), (0.45, 0.85, height), rng.choice(("#7c8684", "#8c8c80", "#5c6c60")))
    b.box((0, -0.45, height + 0.03), (0.5, 0.9, 0.06), "#6c7270")
    b.box((0, 0.5, 0.35), (0.7, 0.9, 0.7), "#a49884", top=(1.1, 1.05))
    b.ball((0, 0.5, 0.8), (0.4, 0.5, 0.4), "#5c7a40")
    return b


def hedge(length: float, height: float) -> Builder:
    """A cut hedge, for the foliage texture."""
    b = Builder()
    b.box((0, 0, height / 2), (0.8, length, height), "#d8e8c8")
    return b
