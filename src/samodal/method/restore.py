"""A pipeline's saved state, taken over after every value is checked."""

from __future__ import annotations

from typing import Annotated, Any

from samodal.checks import Between, check_entries
from samodal.errors import InputError, shown
from samodal.method.camera import CameraMotion
from samodal.method.cuts import CutDetector
from samodal.method.memory import PointMemory
from samodal.method.saved import Index, Seconds
from samodal.parts import PointTracker

STATE: dict[str, Any] = {
    "clip": str, "t": Annotated[int, Between(-1, 1_000_000_000)], "time": Seconds, "size": tuple[Index, Index] | None,
    "memory": list, "tracker": object, "cuts": dict, "camera": dict,
}  # fmt: skip


def restore(
    state: Any, memory: PointMemory, tracker: PointTracker, cuts: CutDetector, camera: CameraMotion
) -> tuple[str, int, float, Any]:
    """Bring the parts of a pipeline into a state that `Pipeline.state_dict` gave.

    Returns:
        name of the clip, index and time of the newest frame, (H, W) of its frames or None.

    Raises:
        InputError: for a value that cannot be, or values that cannot be together; everything is forgotten then.
    """
    check_entries(state, STATE, "state of the pipeline")
    size = None if state["size"] is None else tuple(state["size"])
    try:
        memory.load_state(state["memory"])
        tracker.load_state(state["tracker"])
        cuts.load_state(state["cuts"])
        camera.load_state(state["camera"])
        _check_together(memory, tracker, size, state["t"])
        if not camera.fits(size):
            raise InputError("state of the camera: its frame is of another size than those of the state")
    except InputError:
        memory.reset()
        tracker.reset()
        cuts.reset()
        camera.reset()
        raise
    return state["clip"], state["t"], state["time"], size


def _check_together(memory: PointMemory, tracker: PointTracker, size: tuple[int, int] | None, t: int) -> None:
    """Refuse masks of another size than the frames, and other points than are followed."""
    positions = tracker.positions()
    for remembered in memory:
        last, phase, position = remembered.last, remembered.phase, positions.get(remembered.id)
        if last.amodal.size != size or last.t > t:
            raise InputError(f"instance {shown(remembered.id)}: was seen in another frame than those of the state")
        if phase is not None and position is not None and len(position[0]) != len(phase.start):
            raise InputError(f"instance {shown(remembered.id)}: the tracker follows other points than its own")
