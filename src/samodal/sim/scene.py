"""What a layout gives and the renderer draws."""

from dataclasses import dataclass

import numpy as np

from samodal.rle import Rle
from samodal.sim.assets import Body
from samodal.sim.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Actor:
    """An instance: everything that gets a mask.

    Attributes:
        id: unique in the scene, from 1.
        body: its shape and category.
        palette: colour of each material, (r, g, b) in 0..255.
        scale: factor on the body's size.
        track: (T, 4) float64, x, y in metres, heading in radians, height of the ground in metres, in every frame.
        phases: (T,) int, pose of the limbs.
    """

    id: int
    body: Body
    palette: dict[str, tuple[int, int, int]]
    scale: float
    track: np.ndarray
    phases: np.ndarray


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera on the ego car.

    Attributes:
        focal: focal length as a share of the image width; the principal point is the image centre.
        track: (T, 4) float64, x, y, z in metres and heading in radians.
        pitch: radians, negative looks down.
    """

    focal: float
    track: np.ndarray
    pitch: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A street with everything that happens on it in T frames.

    Attributes:
        sequence: its name.
        weather: a member of `samodal.sim.splits.WEATHERS`.
        times: (T,) seconds.
        actors: the instances.
        street: (texture or None, mesh) of what never moves; its materials are colours as "#rrggbb".
        sky: name of the sky's texture.
        camera: where the ego car looks from.
        sun: unit vector towards the sun.
        assets: every name of a body, texture or colour that was drawn.
    """

    sequence: str
    weather: str
    times: tuple[float, ...]
    actors: tuple[Actor, ...]
    street: tuple[tuple[str | None, Mesh], ...]
    sky: str
    camera: Camera
    sun: tuple[float, float, float]
    assets: frozenset[str]


@dataclass(frozen=True, eq=False)
class SimInstance:
    """An instance in a frame.

    Attributes:
        id, category: as everywhere.
        amodal: the whole object's pixels inside the image.
        visible: its pixels that nothing hides, None where there is none.
        depth_order: 0 is the nearest instance of the frame.
        distance: from the camera, metres.
    """

    id: int
    category: str
    amodal: Rle
    visible: Rle | None
    depth_order: int
    distance: float

    @property
    def occlusion(self) -> float:
        """Share of the amodal mask that is hidden."""
        return 1.0 - (self.visible.area if self.visible else 0) / self.amodal.area


@dataclass(frozen=True, eq=False)
class SimFrame:
    """A frame with its truth.

    Attributes:
        t, time: index, and seconds from the start.
        image: (H, W, 3) uint8 RGB.
        instances: those that are annotated; what is never visible in the sequence is not annotated.
        camera: focal length in pixels, position in metres, heading and pitch in radians.
    """

    t: int
    time: float
    image: np.ndarray
    instances: tuple[SimInstance, ...]
    camera: dict
