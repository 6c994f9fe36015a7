"""Colours of instances, which people with any kind of colour vision can tell apart."""

from __future__ import annotations

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
    """The RGB colour of an id, which depends on the id alone; ids that follow each other have different ones."""
    number = key if isinstance(key, int) else zlib.crc32(str(key).encode("utf-8", "surrogatepass"))
    return PALETTE[number % len(PALETTE)]
