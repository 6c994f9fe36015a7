"""Colours of the materials of a body."""

import random

from samodal.sim.assets import CLOTHES, PAINTS

BASE = {
    "glass": (38, 46, 54), "tyre": (28, 28, 30), "rim": (148, 150, 152), "dark": (34, 35, 38), "bumper": (58, 60, 64),
    "lamp": (236, 236, 214), "tail": (178, 30, 28), "plate": (208, 206, 190), "metal": (96, 98, 100),
    "earth": (116, 92, 66), "sign": (232, 170, 60), "door": (52, 60, 66), "shoes": (44, 40, 40), "gloves": (50, 46, 46),
    "cargo": (196, 196, 190), "stripe": (90, 110, 140), "hat": (70, 62, 54), "bag": (90, 70, 54),
    "helmet": (180, 180, 176),
}  # fmt: skip
_SKINS = ((224, 186, 160), (206, 160, 128), (160, 112, 84), (110, 76, 56))
_HAIRS = ((46, 36, 30), (90, 62, 40), (150, 116, 70), (120, 118, 116), (24, 22, 22))
_CARGOES = ((206, 206, 200), (150, 156, 160), (58, 96, 140), (170, 60, 50), (96, 120, 84))


def vehicle(pool: str, rng: random.Random) -> tuple[dict, str]:
    """Paint for a vehicle: the palette, and the name of the asset."""
    paint = rng.choice(PAINTS[pool])
    return BASE | {
        "paint": paint,
        "cargo": rng.choice(_CARGOES),
        "stripe": rng.choice(PAINTS[pool]),
    }, f"paint {paint}"


def person(pool: str, rng: random.Random) -> tuple[dict, str]:
    """Clothes for a person: the palette, and the name of the asset."""
    shirt = rng.choice(CLOTHES[pool])
    return BASE | {
        "shirt": shirt,
        "trousers": rng.choice(CLOTHES[pool]),
        "bag": rng.choice(CLOTHES[pool]),
        "helmet": rng.choice(PAINTS[pool]),
        "skin": rng.choice(_SKINS),
        "hair": rng.choice(_HAIRS),
    }, f"cloth {shirt}"
