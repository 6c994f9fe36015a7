"""Renders a sequence: images with exact truth, frame by frame."""

from collections.abc import Iterator

from samodal.sim.layout import scene as lay_out
from samodal.sim.scene import SimFrame
from samodal.sim.stage import Stage
from samodal.sim.truth import annotate


def frames(sequence: str, size: tuple[int, int] = (540, 960)) -> Iterator[SimFrame]:
    """Render a sequence; equal names and sizes give equal pixels on every machine.

    Args:
        sequence: a name in `samodal.sim.splits.sequences(split)`.
        size: (H, W) in pixels.

    Raises:
        InputError: if there is no such sequence or Panda3D is not installed.
    """
    stage = Stage(lay_out(sequence), size)
    try:
        truth = annotate(stage)
        for t, time in enumerate(stage.scene.times):
            yield SimFrame(t, time, stage.image(t), truth[t], stage.camera(t))
    finally:
        stage.close()
