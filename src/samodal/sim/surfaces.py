"""Which triangle is visible in every pixel: each triangle is drawn in a colour that is its number."""

import numpy as np

from samodal.sim.assets import pose
from samodal.sim.geometry import geom, to_panda
from samodal.sim.mesh import Mesh
from samodal.sim.scene import Scene

_BITS = 6  # of each channel; the two lowest are left to rounding


class Surfaces:
    """A second copy of a scene, visible to the camera for triangles only.

    Attributes:
        root: the node to draw.
    """

    def __init__(self, core, scene: Scene, parent):
        self._core, self._scene = core, scene
        self.root = parent.attachNewNode("surfaces")
        self.root.hide(core.BitMask32.lowerOn(4))
        self.root.setTextureOff(10)
        start = 0
        for _, mesh in scene.street:
            node = core.GeomNode("street")
            node.addGeom(geom(core, mesh, encode(start, mesh)))
            self.root.attachNewNode(node)
            start += len(mesh.corners)
        self._actors = []
        for actor in scene.actors:
            path = self.root.attachNewNode(core.GeomNode("actor"))
            self._actors.append((path, start))
            start += len(pose(actor.body, 0).corners)

    def set_time(self, t: int, matrices: list[np.ndarray]) -> None:
        """Pose and move the instances."""
        for actor, matrix, (path, start) in zip(self._scene.actors, matrices, self._actors, strict=True):
            mesh = pose(actor.body, int(actor.phases[t]))
            path.node().removeAllGeoms()
            path.node().addGeom(geom(self._core, mesh, encode(start, mesh)))
            path.setMat(to_panda(self._core, matrix))


def encode(start: int, mesh: Mesh) -> np.ndarray:
    """(N, 3, 4) uint8 colours of triangles that are counted from `start`; 0 stays free for nothing."""
    numbers = np.arange(start, start + len(mesh.corners)) + 1
    mask = (1 << _BITS) - 1
    channels = [((numbers >> (_BITS * k) & mask) << (8 - _BITS)) + 2 for k in range(3)]
    colour = np.stack([*channels, np.full(len(numbers), 255)], -1).astype(np.uint8)
    return np.repeat(colour[:, None], 3, 1)


def decode(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8, blue first, to (H, W) int32 numbers of triangles, -1 where nothing is."""
    blue, green, red = (pixels[..., k].astype(np.int32) >> (8 - _BITS) for k in range(3))
    return red + (green << _BITS) + (blue << (2 * _BITS)) - 1
