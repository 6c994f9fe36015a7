"""Colours of instances, which people with any kind of colour vision can tell apart."""

from __future__ import annotations

import re
import zlib

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (60, 170, 255),
    (255, 60, 0),
    (255, 255, 120),
    (120, 60, 215),
    (170, 255, 255),
    (215, 60, 170),
    (215, 170, 60),
    (170, 215, 170),
)
"""RGB. Found by search for colours that stay far apart when they are seen without red, green or blue cones."""


def color_of(key: int | str) -> Color:
    """The RGB colour of an id, which depends on the id alone; ids that follow each other have different ones.

    Of a text the number at its end counts, as in car-7; of 7@120, which a scene cut made of 7, the id itself.
    """
    if isinstance(key, int):
        return PALETTE[key % len(PALETTE)]
    text = re.sub(r"(?<=.)@\d+$", "", key, flags=re.DOTALL)
    number = re.search(r"[0-9]+$", text)
    return PALETTE[
        (int(number[0][-9:]) if number else zlib.crc32(text.encode("utf-8", "surrogatepass"))) % len(PALETTE)
    ]
