"""Whether a frame and its instances can be what a step is given, before anything is changed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from samodal.errors import InputError
from samodal.parts import Observed, VisSession
from samodal.tracks import VisibleInstance


def check_frame(image: Any, visible: Sequence[VisibleInstance], size: tuple[int, int] | None) -> tuple[int, int]:
    """The (H, W) of a frame that fits.

    Args:
        image: (H, W, 3) uint8 RGB.
        visible: instances of this frame, each id once, with masks of its size.
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
    check_instances(visible, "visible")
    for instance in visible:
        if instance.mask.size != (height, width):
            high, wide = instance.mask.size
            way = "it looks transposed: give mask.T" if (wide, high) == (height, width) else "bring it to that size"
            raise InputError(
                f"instance {instance.id}: its mask is {high}x{wide} but the frame {height}x{width} pixels (height x "
                f"width); {way}"
            )
    return height, width


def alike(frames: Sequence[Observed]) -> Sequence[Observed]:
    """The same frames, each fit for the size of the first; see `check_frame`."""
    size = None
    for seen in frames:
        size = check_frame(seen.frame.image, seen.visible, size)
    return frames


_USERS: WeakKeyDictionary[Any, ref] = WeakKeyDictionary()
"""What works with each point tracker."""


def take(tracker: Any, user: object) -> Any:
    """The tracker, after noting who works with it from now on; one without weak references is not watched."""
    with suppress(TypeError):
        _USERS[tracker] = ref(user)
    return tracker


def check_taken(tracker: Any, user: object) -> None:
    """Raise InputError where another took the tracker since: its points are of another video."""
    try:
        taken = _USERS.get(tracker)
    except TypeError:
        return
    if taken is not None and taken() is not user:
        raise InputError(f"the {type(tracker).__name__} works for another pipeline now; give each pipeline its own")


def listed(visible: Any) -> Any:
    """What an iterator gives, which can be read only once, as a list; everything else as it is."""
    return list(visible) if isinstance(visible, Iterator) else visible


def check_instances(visible: Any, where: str) -> None:
    """Raise InputError for what is no list of `VisibleInstance` with each id once; 7 and "7" are one id.

    Args:
        where: it comes from, for the message.
    """
    if not isinstance(visible, Sequence) or isinstance(visible, str):
        hint = "; put it in a list" if isinstance(visible, VisibleInstance) else ""
        raise InputError(f"{where}: expected a list of VisibleInstance, got {_kind(visible)}{hint}")
    ids: dict[str, int | str] = {}
    for instance in visible:
        if not isinstance(instance, VisibleInstance):
            raise InputError(f"{where}: expected VisibleInstance objects, got {_kind(instance)}")
        key = instance.id
        if str(key) in ids:
            kinds = "in one frame" if ids[str(key)] == key else "in one frame, as number and as text"
            raise InputError(f"{where}: the id {key!r} is there twice {kinds}; ids must be unique")
        ids[str(key)] = key


def reported(session: VisSession, image: np.ndarray, t: int) -> Sequence[VisibleInstance]:
    """What a front end's session reports of frame t.

    Raises:
        InputError: where it gives something else than instances with ids of their own; names its method.
    """
    visible = session.step(image, t)
    check_instances(visible, f"front end, {getattr(session.step, '__qualname__', 'step')} at frame {t}")
    return visible


def checked_time(time: Any, t: int, before: float) -> float:
    """The seconds of frame t from the start of the video.

    Args:
        time: as given; None counts on at 10 frames a second.
        t: index of the frame.
        before: seconds of the frame before it.

    Raises:
        InputError: if it is no finite number, or lies before the frame before. Equal times pass: some files have them.
    """
    if time is None:
        return t / 10 if t == 0 or t / 10 >= before else before + 0.1
    if isinstance(time, bool) or not isinstance(time, numbers.Real) or not math.isfinite(time):
        raise InputError(f"time: expected seconds from the start of the video as a number, got {time!r}")
    if t > 0 and time < before:
        raise InputError(
            f"time: {float(time)} s comes after {before} s; times must ascend; call reset() before another video"
        )
    return float(time)


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
