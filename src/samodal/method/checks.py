"""Whether a frame and its instances can be what a step is given, before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.tracks import VisibleInstance


def check_frame(
    image: Any, visible: Sequence[VisibleInstance], time: float | None, size: tuple[int, int] | None
) -> tuple[int, int]:
    """The (H, W) of a frame that fits.

    Args:
        image: (H, W, 3) uint8 RGB.
        visible: instances of this frame, each id once, with masks of its size.
        time: seconds, or None.
        size: (H, W) of the frames before; None for the first.

    Raises:
        InputError: for anything else.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected a NumPy array (H, W, 3) uint8 RGB, got {found}")
    height, width = image.shape[:2]
    if height < 1 or width < 1:
        raise InputError(f"image: {height}x{width} pixels (height x width); a frame has at least one")
    if size is not None and size != (height, width):
        raise InputError(
            f"image: {height}x{width} pixels (height x width), but the stream began with {size[0]}x{size[1]}; "
            "call reset() before another video"
        )
    if time is not None and not math.isfinite(time):
        raise InputError(f"time: expected seconds from the start of the video, got {time}")
    ids = set()
    for instance in visible:
        if not isinstance(instance, VisibleInstance):
            raise InputError(f"visible: expected VisibleInstance objects, got {type(instance).__name__}")
        if instance.id in ids:
            raise InputError(f"visible: the id {instance.id!r} is there twice in one frame; ids must be unique")
        ids.add(instance.id)
        if instance.mask.size != (height, width):
            found = f"{instance.mask.size[0]}x{instance.mask.size[1]}"
            raise InputError(f"instance {instance.id}: its mask is {found} but the frame {height}x{width} pixels")
    return height, width
