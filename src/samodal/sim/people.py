"""Walking pedestrians and riders: limbs between joints that a phase moves.

A body stands on z = 0 (a rider sits in the coordinates of the two-wheeler) and looks along +y. Metres.
"""

import math

from samodal.sim.mesh import Builder, Mesh

PHASES = 16
"""Poses of a double step, or of a turn of the pedals."""


def pedestrian(
    phase: int,
    *,
    height,
    girth=1.0,
    stride=0.42,
    coat=0.0,
    skirt=False,
    bag=False,
    backpack=False,
    hat=False,
    long_hair=False,
) -> Mesh:
    """One pose of a walking person.

    Args:
        phase: 0 to PHASES - 1.
        height, girth: metres, and a factor on every thickness.
        stride: largest angle of a thigh in radians.
        coat: how far a coat reaches below the hips, as a share of the height.
        skirt, bag, backpack, hat, long_hair: what the person wears.
    """
    b = Builder()
    h, turn = height, 2 * math.pi * phase / PHASES
    legs = [_leg(h, stride, turn), _leg(h, stride, turn + math.pi)]
    lift = 0.045 * h - min(ankle[1] for _, ankle in legs)
    hip = lift
    for side, (knee, ankle) in zip((-1, 1), legs, strict=True):
        x = side * 0.052 * h * girth
        knee, ankle = (x, knee[0], knee[1] + lift), (x, ankle[0], ankle[1] + lift)
        b.tube((x, 0, hip), knee, 0.052 * h * girth, 0.036 * h * girth, "trousers")
        b.tube(knee, ankle, 0.036 * h * girth, 0.024 * h * girth, "skin" if skirt else "trousers")
        b.box(
            (x, ankle[1] + 0.03 * h, ankle[2] - 0.022 * h),
            (0.05 * h, 0.145 * h, 0.044 * h),
            "shoes",
            top=(0.8, 0.7),
        )
    shoulder, neck = hip + 0.31 * h, hip + 0.335 * h
    _torso(b, h, girth, hip, shoulder, 0.0)
    if coat or skirt:
        drop = 0.2 * h if skirt else coat * h
        b.box(
            (0, 0, hip - drop / 2 + 0.03 * h),
            (0.25 * h * girth, 0.2 * h * girth, drop + 0.06 * h),
            "trousers" if skirt else "shirt",
            top=(0.74, 0.68),
        )
    for side, swing in ((-1, math.sin(turn + math.pi)), (1, math.sin(turn))):
        _arm(b, h, girth, side, 0.85 * stride * swing, shoulder)
    _head(b, h, 0.0, neck, "hat" if hat else "hair", long_hair)
    if backpack:
        b.box((0, -0.11 * h, hip + 0.19 * h), (0.17 * h, 0.1 * h, 0.22 * h), "bag", top=(0.85, 0.8))
    if bag:
        b.box((0.155 * h * girth, 0, hip - 0.03 * h), (0.05 * h, 0.17 * h, 0.14 * h), "bag", top=(0.8, 0.8))
    return b.mesh()


def _leg(h: float, stride: float, turn: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Knee and ankle (y, z) below a hip at the origin."""
    thigh = stride * math.sin(turn)
    shin = thigh - (0.12 + 0.75 * max(0.0, math.cos(turn - 0.35)) * stride / 0.42)
    knee = (0.245 * h * math.sin(thigh), -0.245 * h * math.cos(thigh))
    return knee, (knee[0] + 0.235 * h * math.sin(shin), knee[1] - 0.235 * h * math.cos(shin))


def _torso(b, h, girth, hip, shoulder, lean):
    """Hips, chest and neck; lean is how far ahead of the hips the shoulders are, in metres."""
    b.box((0, 0, hip + 0.02 * h), (0.185 * h * girth, 0.125 * h * girth, 0.1 * h), "trousers")
    middle = (hip + shoulder) / 2
    b.box(
        (0, lean * 0.25, middle - 0.06 * h),
        (0.17 * h * girth, 0.12 * h * girth, 0.17 * h),
        "shirt",
        top=(1.12, 1.1),
        shift=(0, lean * 0.5),
    )
    b.box(
        (0, lean * 0.75, middle + 0.085 * h),
        (0.19 * h * girth, 0.132 * h * girth, 0.14 * h),
        "shirt",
        top=(1.0, 0.72),
        shift=(0, lean * 0.5),
    )
    for side in (-1, 1):
        b.ball((side * 0.105 * h * girth, lean, shoulder - 0.02 * h), (0.042 * h * girth,) * 3, "shirt", 6, 4)
    b.tube((0, lean, shoulder - 0.02 * h), (0, lean * 1.06, shoulder + 0.05 * h), 0.032 * h, 0.03 * h, "skin", 6)


def _arm(b, h, girth, side, angle, shoulder):
    x = side * 0.122 * h * girth
    elbow = (
        x + side * 0.012 * h,
        0.16 * h * math.sin(angle),
        shoulder - 0.02 * h - 0.16 * h * math.cos(angle),
    )
    bend = angle + 0.35
    hand = (
        x + side * 0.006 * h,
        elbow[1] + 0.145 * h * math.sin(bend),
        elbow[2] - 0.145 * h * math.cos(bend),
    )
    b.tube((x, 0, shoulder - 0.02 * h), elbow, 0.031 * h * girth, 0.026 * h * girth, "shirt", 6)
    b.tube(elbow, hand, 0.026 * h * girth, 0.018 * h, "shirt", 6)
    b.ball(hand, (0.019 * h, 0.026 * h, 0.03 * h), "skin", 5, 3)


def _head(b, h, y, neck, cover, long_hair=False):
    top = neck + 0.078 * h
    b.ball((0, y + 0.008 * h, top), (0.047 * h, 0.056 * h, 0.068 * h), "skin", 8, 6)
    b.ball((0, y - 0.012 * h, top + 0.02 * h), (0.052 * h, 0.055 * h, 0.06 * h), cover, 8, 5)
    b.box((0, y + 0.064 * h, top - 0.004 * h), (0.014 * h, 0.018 * h, 0.022 * h), "skin")
    if cover == "hat":
        b.tube((0, y, top + 0.03 * h), (0, y, top + 0.042 * h), 0.085 * h, 0.085 * h, "hat", 10)
    if cover == "helmet":
        b.box((0, y + 0.045 * h, top + 0.012 * h), (0.08 * h, 0.03 * h, 0.032 * h), "dark")
    if long_hair:
        b.box((0, y - 0.05 * h, top - 0.05 * h), (0.09 * h, 0.03 * h, 0.13 * h), "hair")


def rider(phase: int, *, height, girth=1.0, seat, saddle, grip, foot, pedals: bool, lean=0.25, backpack=False) -> Mesh:
    """One pose of a person on a two-wheeler, in the coordinates of the two-wheeler.

    Args:
        phase: of the pedals, 0 to PHASES - 1; a motorcyclist has a single pose.
        seat, saddle: height and y of the seat.
        grip: (half width, y, z) of the handlebar's ends.
        foot: (y, z) of the pedals' axle or of the foot rests.
        lean: how far ahead of the hips the shoulders are, in metres.
    """
    b = Builder()
    h = height
    hip_y, hip_z = saddle, seat + 0.07 * h
    for side in (-1, 1):
        turn = 2 * math.pi * phase / PHASES + (math.pi if side > 0 else 0.0)
        reach = 0.17 if pedals else 0.0
        ankle = (foot[0] - 0.04 + reach * math.cos(turn), foot[1] + 0.09 - reach * math.sin(turn))
        knee = _bent((hip_y, hip_z), ankle, 0.245 * h, 0.245 * h, ahead=True)
        x = side * (0.07 * h if pedals else 0.1 * h)
        b.tube((side * 0.05 * h, hip_y, hip_z), (x, *knee), 0.052 * h * girth, 0.038 * h * girth, "trousers")
        b.tube((x, *knee), (x, *ankle), 0.038 * h * girth, 0.026 * h * girth, "trousers")
        b.box((x, ankle[0] + 0.035 * h, ankle[1] - 0.03 * h), (0.052 * h, 0.145 * h, 0.045 * h), "shoes")
    shoulder_z = hip_z + math.sqrt(max((0.31 * h) ** 2 - lean**2, 0.01))
    part = Builder()
    _torso(part, h, girth, hip_z, shoulder_z, lean)
    _head(part, h, lean * 1.12, shoulder_z + 0.025 * h, "helmet")
    if backpack:
        part.box(
            (0, lean * 0.5 - 0.13 * h, (hip_z + shoulder_z) / 2 + 0.03 * h),
            (0.18 * h, 0.1 * h, 0.22 * h),
            "bag",
        )
    b.join(part, (0, saddle, 0))
    for side in (-1, 1):
        start = (saddle + lean, shoulder_z - 0.02 * h)
        elbow = _bent(start, (grip[1], grip[2]), 0.17 * h, 0.16 * h, ahead=False)
        x = (side * 0.12 * h * girth, side * (0.13 * h + 0.04), side * grip[0])
        b.tube((x[0], *start), (x[1], *elbow), 0.033 * h * girth, 0.028 * h * girth, "shirt", 6)
        b.tube((x[1], *elbow), (x[2], grip[1], grip[2]), 0.028 * h * girth, 0.02 * h, "shirt", 6)
        b.ball((x[2], grip[1], grip[2]), (0.03 * h, 0.028 * h, 0.028 * h), "gloves", 5, 3)
    return b.mesh()


def _bent(a, c, first: float, second: float, ahead: bool) -> tuple[float, float]:
    """The joint between two bars of given lengths from a to c (y, z); stretched where c is out of reach."""
    dy, dz = c[0] - a[0], c[1] - a[1]
    distance = max(math.hypot(dy, dz), 1e-6)
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    along = min(max(along, -first), first)
    off = math.sqrt(max(first**2 - along**2, 0.0)) if distance < first + second else 0.0
    along = along if distance < first + second else distance * first / (first + second)
    uy, uz = dy / distance, dz / distance
    ny, nz = -uz, uy
    if ny and (ny > 0) != ahead:
        ny, nz = uz, -uy
    return a[0] + along * uy + off * ny, a[1] + along * uz + off * nz
