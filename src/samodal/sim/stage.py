"""Draws a scene with Panda3D's software display, which needs neither a screen nor a GPU.

There are three passes. The image is drawn at twice its size and averaged. The ids are drawn as flat colours, hidden by
whatever is in front. The instances alone are drawn flat as well, several at once where their boxes do not meet.
"""

import numpy as np

from samodal.sim import weather
from samodal.sim.assets import pose
from samodal.sim.geometry import Shades, colour, contact_shadow, dome, geom, panda_texture, pose_matrix, to_panda
from samodal.sim.scene import Actor, Scene
from samodal.sim.screen import panda, screen
from samodal.sim.surfaces import Surfaces

_LIFT = 0.015  # metres above the ground, which would hide the lowest pixels of soles and tyres otherwise


class Stage:
    """A scene on Panda3D's stage, ready to be drawn frame by frame.

    Args:
        scene: what to draw.
        size: (H, W) in pixels.
    """

    def __init__(self, scene: Scene, size: tuple[int, int]):
        self.scene, self.size = scene, size
        self._core = core = panda()
        self._screen = screen(size)
        self._surfaces = None
        self._root = core.NodePath("root")
        self._shades = Shades(scene.sun)
        self._poses: dict[tuple[int, int], object] = {}
        self._static()
        self._actors = [self._actor(actor) for actor in scene.actors]
        self._t = None

    def close(self) -> None:
        """Free the scene; the window is kept for the next scene."""
        self._screen.leave(self._root)
        self._root.removeNode()

    def camera(self, t: int) -> dict:
        """The camera of frame t; (x, y, z) in metres, z up, the heading turns to the left."""
        x, y, z, heading = self.scene.camera.track[t].tolist()
        focal = round(self.scene.camera.focal * self.size[1], 3)
        return {"focal": focal, "position": [x, y, z], "heading": heading, "pitch": self.scene.camera.pitch}

    def view(self, t: int) -> np.ndarray:
        """(4, 4) float64: world to camera (x right, y ahead, z up), acting on columns."""
        return np.linalg.inv(self._camera_matrix(t))

    def _camera_matrix(self, t: int) -> np.ndarray:
        x, y, z, heading = self.scene.camera.track[t]
        return pose_matrix(x, y, z, heading, self.scene.camera.pitch)

    def actor_matrix(self, actor: Actor, t: int) -> np.ndarray:
        """(4, 4) float64: body to world, acting on columns."""
        matrix = pose_matrix(*actor.track[t, :2], actor.track[t, 3] + _LIFT, actor.track[t, 2], 0.0)
        matrix[:3, :3] *= actor.scale
        return matrix

    def project(self, points: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
        """World points (N, 3) to pixels (N, 2), integers at pixel centres, and their depths (N,) in metres."""
        view = self.view(t)
        local = points @ view[:3, :3].T + view[:3, 3]
        focal = self.scene.camera.focal * self.size[1]
        depth = np.maximum(local[:, 1], 1e-6)
        x = (self.size[1] - 1) / 2 + focal * local[:, 0] / depth
        y = (self.size[0] - 1) / 2 - focal * local[:, 2] / depth
        return np.stack([x, y], 1), local[:, 1]

    def image(self, t: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of frame t, weather included."""
        self.set_time(t)
        clear = self._screen.image()
        haze = self._haze(t) if self.scene.weather == "fog" else None
        return weather.apply(clear, self.scene.weather, self.scene.sequence, t, haze)

    def _haze(self, t: int) -> np.ndarray:
        """(H, W) uint8, how much fog is in front of each pixel: every node is as foggy as its middle is far."""
        camera = self.scene.camera.track[t]
        places = [(node, actor.track[t, :2]) for (node, _), actor in zip(self._actors, self.scene.actors, strict=True)]
        for node, middle in self._static_places + places:
            distance = float(np.hypot(*(middle - camera[:2])))
            node.setTag("fog", str(int(_fog(distance))))
        fog = self._screen.fog()
        rows = (np.arange(self.size[0]) - (self.size[0] - 1) / 2) / (self.scene.camera.focal * self.size[1])
        down = np.maximum(rows - self.scene.camera.pitch, 1e-3)
        ground = _fog(np.minimum(camera[2] / down, 1e4)).astype(np.uint8)
        return np.where(fog == 1, ground[:, None], fog)

    def ids(self, t: int) -> np.ndarray:
        """(W, H) uint8, the id of the instance that is visible in every pixel, 0 for none; transposed for RLEs."""
        self.set_time(t)
        return self._screen.ids()

    def alone(self, t: int, ids: list[int]) -> np.ndarray:
        """(W, H) uint8: instances drawn without anything else; they must not overlap each other."""
        self.set_time(t)
        for number in ids:
            self._actors[number - 1][0].show(self._screen.alone_bit)
        pixels = self._screen.alone()
        for number in ids:
            self._actors[number - 1][0].hide(self._screen.alone_bit)
        return pixels

    def triangles(self, t: int) -> np.ndarray:
        """(H, W) int32: which triangle is visible in every pixel, counted as in `corners`; -1 for the sky."""
        if self._surfaces is None:
            self._surfaces = Surfaces(self._core, self.scene, self._root)
        self.set_time(t)
        self._surfaces.set_time(t, [self.actor_matrix(actor, t) for actor in self.scene.actors])
        return self._screen.triangles(self._surfaces.root)

    def corners(self, t: int) -> np.ndarray:
        """(N, 3, 3) float64: every triangle of the scene in the world at frame t, in metres."""
        parts = [mesh.corners for _, mesh in self.scene.street]
        for actor in self.scene.actors:
            matrix = self.actor_matrix(actor, t)
            parts.append(pose(actor.body, int(actor.phases[t])).corners @ matrix[:3, :3].T + matrix[:3, 3])
        return np.concatenate(parts)

    def owners(self) -> np.ndarray:
        """(N,) int: the id of the instance that each triangle belongs to, 0 for the street."""
        counts = [len(mesh.corners) for _, mesh in self.scene.street]
        counts += [len(pose(actor.body, 0).corners) for actor in self.scene.actors]
        return np.repeat([0] * len(self.scene.street) + [actor.id for actor in self.scene.actors], counts)

    def set_time(self, t: int) -> None:
        """Move everything to frame t."""
        if self._screen.enter(self._root, self.scene.camera.focal) and t == self._t:
            return
        self._t = t
        self._screen.camera.setMat(to_panda(self._core, self._camera_matrix(t)))
        x, y = self.scene.camera.track[t, :2]
        self._sky.setPos(float(x), float(y), 0.0)
        for actor, (node, shadow) in zip(self.scene.actors, self._actors, strict=True):
            node.setMat(to_panda(self._core, self.actor_matrix(actor, t)))
            shadow.setMat(to_panda(self._core, self.actor_matrix(actor, t)))
            if actor.body.phases > 1:
                node.node().removeAllGeoms()
                node.node().addGeom(self._pose(actor, int(actor.phases[t])))

    def _pose(self, actor: Actor, phase: int):
        key = actor.id, phase
        if key not in self._poses:
            mesh = pose(actor.body, phase)
            colours = [actor.palette[name] for name in mesh.names]
            shades = self._shades(mesh, float(actor.track[0, 2]))
            glow = [name in ("lamp", "sign") for name in mesh.names]
            self._poses[key] = geom(self._core, mesh, colour(mesh, colours, shades, glow))
        return self._poses[key]

    def _actor(self, actor: Actor):
        core = self._core
        node = core.GeomNode(f"actor {actor.id}")
        node.addGeom(self._pose(actor, int(actor.phases[0])))
        path = self._root.attachNewNode(node)
        path.setTag("id", str(actor.id))
        path.hide(self._screen.alone_bit)
        shadow = self._root.attachNewNode(core.GeomNode("shadow"))
        if actor.body.category != "rider":
            shadow.node().addGeom(contact_shadow(core, actor.body.length, actor.body.width))
        shadow.setTransparency(core.TransparencyAttrib.MAlpha)
        shadow.setDepthWrite(False)
        shadow.hide(self._screen.alone_bit | self._screen.id_bit | self._screen.fog_bit)
        return path, shadow

    def _static(self) -> None:
        core = self._core
        self._static_places = []
        static = self._root.attachNewNode("street")
        static.hide(self._screen.alone_bit)
        for name, mesh in self.scene.street:
            node = core.GeomNode(name or "plain")
            colours = [tuple(bytes.fromhex(m[-6:])) for m in mesh.names]
            glow = [m.startswith("*") for m in mesh.names]
            node.addGeom(geom(core, mesh, colour(mesh, colours, self._shades(mesh, 0.0), glow)))
            path = static.attachNewNode(node)
            middle = mesh.corners.reshape(-1, 3).mean(0)[:2]
            if name and name.split("-")[0] in ("asphalt", "pavement", "grass"):
                path.setTag("fog", "1")
            else:
                self._static_places.append((path, middle))
            if name:
                path.setTexture(panda_texture(core, name))
        self._sky = self._root.attachNewNode(core.GeomNode("sky"))
        self._sky.node().addGeom(dome(core))
        self._sky.setTexture(panda_texture(core, self.scene.sky))
        self._sky.setBin("fixed", 0)  # last: most of it is behind houses
        self._sky.setDepthWrite(False)
        self._sky.hide(self._screen.alone_bit | self._screen.id_bit)
        self._sky.setTag("fog", "240")


def _fog(distance):
    """Share of fog at a distance in metres, in 2..255 as 1 marks the ground; rounded to be the same everywhere."""
    return np.round(2 + 250 * (1 - np.exp(-np.asarray(distance) / 55.0)), 3) // 1
