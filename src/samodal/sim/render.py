"""Draws a scene with Panda3D's software display, which needs neither a screen nor a GPU.

Three passes: the image at twice the size, averaged; the numbers of the instances, each flat in its own colour,
hidden by everything that hides them; and the instances alone, flat, several at once where their boxes do not meet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from samodal.errors import missing_extra
from samodal.masks import Rle
from samodal.sim import weather
from samodal.sim.assets import pose
from samodal.sim.layout import scene as lay_out
from samodal.sim.mesh import Mesh
from samodal.sim.scene import Actor, Scene
from samodal.sim.textures import texture

_NEAR, _FAR = 0.4, 420.0
_OVERSAMPLE = 2
_LIFT = 0.015  # metres above the ground, which would hide the lowest pixels of soles and tyres otherwise
_BRIGHTEST = 226  # what is brighter shines by itself, see weather.night


def _panda():
    try:
        from panda3d import core
    except ImportError as error:
        raise missing_extra("StreetSim", "sim") from error
    return core


@dataclass(frozen=True, eq=False)
class SimInstance:
    """One instance in one frame.

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
    """One frame with its truth.

    Attributes:
        t, time: index, and seconds from the start.
        image: (H, W, 3) uint8 RGB.
        instances: the annotated ones; what is never visible in the sequence is not annotated.
        camera: focal length in pixels, position in metres, heading and pitch in radians.
    """

    t: int
    time: float
    image: np.ndarray
    instances: tuple[SimInstance, ...]
    camera: dict


def frames(sequence: str, size: tuple[int, int] = (540, 960)) -> Iterator[SimFrame]:
    """Render a sequence; equal names and sizes give equal pixels on every machine.

    Args:
        sequence: one of `samodal.sim.splits.sequences(split)`.
        size: (H, W) in pixels.

    Raises:
        InputError: if there is no such sequence or Panda3D is not installed.
    """
    from samodal.sim.truth import annotate

    stage = Stage(lay_out(sequence), size)
    try:
        truth = annotate(stage)
        for t, time in enumerate(stage.scene.times):
            yield SimFrame(t, time, stage.image(t), truth[t], stage.camera(t))
    finally:
        stage.close()


class Stage:
    """A scene on Panda3D's stage, ready to be drawn frame by frame.

    Args:
        scene: what to draw.
        size: (H, W) in pixels.
    """

    def __init__(self, scene: Scene, size: tuple[int, int]):
        self.scene, self.size = scene, size
        self._core = core = _panda()
        self._screen = _screen(size)
        self._root = core.NodePath("root")
        self._shades = Shades(scene.sun)
        self._poses: dict[tuple[int, int], object] = {}
        self._static()
        self._actors = [self._actor(actor) for actor in scene.actors]
        self._screen.focus(scene.camera.focal)
        self._screen.camera.reparentTo(self._root)
        self._t = None

    def close(self) -> None:
        """Free the scene; the window is kept for the next one."""
        self._screen.camera.detachNode()
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
        return _pose_matrix(x, y, z, heading, self.scene.camera.pitch)

    def actor_matrix(self, actor: Actor, t: int) -> np.ndarray:
        """(4, 4) float64: body to world, acting on columns."""
        matrix = _pose_matrix(*actor.track[t, :2], actor.track[t, 3] + _LIFT, actor.track[t, 2], 0.0)
        matrix[:3, :3] *= actor.scale
        return matrix

    def project(self, points: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
        """World points (N, 3) to pixels (N, 2), integers at pixel centres, and their depths (N,) in metres."""
        seen = points @ self.view(t)[:3, :3].T + self.view(t)[:3, 3]
        focal = self.scene.camera.focal * self.size[1]
        depth = np.maximum(seen[:, 1], 1e-6)
        x = (self.size[1] - 1) / 2 + focal * seen[:, 0] / depth
        y = (self.size[0] - 1) / 2 - focal * seen[:, 2] / depth
        return np.stack([x, y], 1), seen[:, 1]

    def image(self, t: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of frame t, weather included."""
        self.set_time(t)
        clear = self._screen.image()
        haze = self._haze(t) if self.scene.weather == "fog" else None
        return weather.apply(clear, self.scene.weather, self.scene.sequence, t, haze)

    def _haze(self, t: int) -> np.ndarray:
        """(H, W) uint8, how much fog is in front of each pixel: every node is as foggy as its middle is far."""
        camera = self.scene.camera.track[t]
        codes = [(self._static_nodes[k], self._static_middles[k]) for k in range(len(self._static_nodes))]
        codes += [(self._actors[k][0], a.track[t, :2]) for k, a in enumerate(self.scene.actors)]
        for node, middle in codes:
            distance = float(np.hypot(*(middle - camera[:2])))
            node.setTag("fog", str(int(_fog(distance))))
        seen = self._screen.fog()
        rows = (np.arange(self.size[0]) - (self.size[0] - 1) / 2) / (self.scene.camera.focal * self.size[1])
        down = np.maximum(rows - self.scene.camera.pitch, 1e-3)
        ground = _fog(np.minimum(camera[2] / down, 1e4)).astype(np.uint8)
        return np.where(seen == 1, ground[:, None], seen)

    def ids(self, t: int) -> np.ndarray:
        """(W, H) uint8, the id of the instance that is seen in every pixel, 0 for none; transposed for RLEs."""
        self.set_time(t)
        return self._screen.ids()

    def alone(self, t: int, ids: list[int]) -> np.ndarray:
        """(W, H) uint8: instances drawn without anything else; they must not overlap each other."""
        self.set_time(t)
        for number in ids:
            self._actors[number - 1][0].show(self._screen.alone_bit)
        found = self._screen.alone()
        for number in ids:
            self._actors[number - 1][0].hide(self._screen.alone_bit)
        return found

    def set_time(self, t: int) -> None:
        """Move everything to frame t."""
        if t == self._t:
            return
        self._t = t
        self._screen.camera.setMat(_to_panda(self._core, self._camera_matrix(t)))
        x, y = self.scene.camera.track[t, :2]
        self._sky.setPos(float(x), float(y), 0.0)
        for actor, (node, shadow) in zip(self.scene.actors, self._actors, strict=True):
            node.setMat(_to_panda(self._core, self.actor_matrix(actor, t)))
            shadow.setMat(_to_panda(self._core, self.actor_matrix(actor, t)))
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
            self._poses[key] = _geom(self._core, mesh, _colour(mesh, colours, shades, glow))
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
            shadow.node().addGeom(_shadow(core, actor.body.length, actor.body.width))
        shadow.setTransparency(core.TransparencyAttrib.MAlpha)
        shadow.setDepthWrite(False)
        shadow.hide(self._screen.alone_bit | self._screen.id_bit | self._screen.fog_bit)
        return path, shadow

    def _static(self) -> None:
        core = self._core
        self._static_nodes, self._static_middles = [], []
        static = self._root.attachNewNode("street")
        static.hide(self._screen.alone_bit)
        for name, mesh in self.scene.street:
            node = core.GeomNode(name or "plain")
            colours = [
                tuple(int(m[-6 + i : len(m) - 4 + i] or m[-2:], 16) for i in (0, 2, 4)) for m in mesh.names
            ]
            glow = [m.startswith("*") for m in mesh.names]
            node.addGeom(_geom(core, mesh, _colour(mesh, colours, self._shades(mesh, 0.0), glow)))
            path = static.attachNewNode(node)
            middle = mesh.corners.reshape(-1, 3).mean(0)[:2]
            if name and name.split("-")[0] in ("asphalt", "pavement", "grass"):
                path.setTag("fog", "1")
            else:
                self._static_nodes.append(path)
                self._static_middles.append(middle)
            if name:
                path.setTexture(_texture(core, name))
        self._sky = self._root.attachNewNode(core.GeomNode("sky"))
        self._sky.node().addGeom(_dome(core))
        self._sky.setTexture(_texture(core, self.scene.sky))
        self._sky.setBin("fixed", 0)  # last: most of it is behind houses
        self._sky.setDepthWrite(False)
        self._sky.hide(self._screen.alone_bit | self._screen.id_bit)
        self._sky.setTag("fog", "240")


def _fog(distance):
    """Share of fog at a distance in metres, in 2..255 as 1 marks the ground; rounded to be the same everywhere."""
    return np.round(2 + 250 * (1 - np.exp(-np.asarray(distance) / 55.0)), 3) // 1


class Shades:
    """Sunlight and skylight on a surface, worked into the colours of its corners."""

    def __init__(self, sun: tuple[float, float, float]):
        self._sun = np.array(sun)

    def __call__(self, mesh: Mesh, heading: float) -> np.ndarray:
        """(N, 3) factors for the corners of a mesh that is turned by `heading`."""
        turn = np.array(
            [[math.cos(heading), math.sin(heading), 0], [-math.sin(heading), math.cos(heading), 0], [0, 0, 1]]
        )
        normals = mesh.normals @ turn
        return 0.6 + 0.12 * normals[..., 2] + 0.36 * np.maximum(normals @ self._sun, 0.0)


def _colour(mesh: Mesh, colours, shades: np.ndarray, glow: list[bool]) -> np.ndarray:
    """(N, 3, 4) uint8 of the corners."""
    base = np.array(colours, float)[mesh.materials][:, None]
    lit = np.minimum(np.floor(base * np.round(shades, 3)[..., None]), _BRIGHTEST)
    lit = np.where(np.array(glow)[mesh.materials][:, None, None], base, lit)
    return np.concatenate([lit, np.full(lit.shape[:2] + (1,), 255.0)], -1).astype(np.uint8)


def _pose_matrix(x: float, y: float, z: float, heading: float, pitch: float) -> np.ndarray:
    """Turn by pitch (up) and heading (left), then move; rounded, as sines differ in the last bit between machines."""
    c, s, cp, sp = math.cos(heading), math.sin(heading), math.cos(pitch), math.sin(pitch)
    turn = np.array([[c, -s * cp, s * sp, x], [s, c * cp, -c * sp, y], [0, sp, cp, z], [0, 0, 0, 1]])
    return np.round(turn, 6)


def _to_panda(core, matrix: np.ndarray):
    return core.LMatrix4f(*np.round(matrix, 6).T.ravel().tolist())


_LAYOUT = np.dtype([("vertex", "<f4", 3), ("colour", "u1", 4), ("uv", "<f4", 2)])


def _geom(core, mesh: Mesh, colour: np.ndarray):
    """Triangles with a colour per corner as Panda3D wants them."""
    rows = np.zeros(mesh.corners.shape[0] * 3, _LAYOUT)
    rows["vertex"] = mesh.corners.reshape(-1, 3)
    rows["colour"] = colour.reshape(-1, 4)
    rows["uv"] = mesh.uv.reshape(-1, 2)
    data = core.GeomVertexData("mesh", _format(core), core.Geom.UHStatic)
    data.uncleanSetNumRows(len(rows))
    memoryview(data.modifyArray(0)).cast("B")[:] = memoryview(rows.tobytes())
    triangles = core.GeomTriangles(core.Geom.UHStatic)
    triangles.addConsecutiveVertices(0, len(rows))
    geom = core.Geom(data)
    geom.addPrimitive(triangles)
    return geom


def _format(core):
    array = core.GeomVertexArrayFormat()
    array.addColumn(core.InternalName.getVertex(), 3, core.Geom.NTFloat32, core.Geom.CPoint)
    array.addColumn(core.InternalName.getColor(), 4, core.Geom.NTUint8, core.Geom.CColor)
    array.addColumn(core.InternalName.getTexcoord(), 2, core.Geom.NTFloat32, core.Geom.CTexcoord)
    return core.GeomVertexFormat.registerFormat(core.GeomVertexFormat(array))


def _shadow(core, length: float, width: float):
    """A dark patch on the road that fades at its rim."""
    ring = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]
    square = [(np.sign(c) * abs(c) ** 0.4, np.sign(s) * abs(s) ** 0.4) for c, s in ring]

    def rim(grow):
        return np.array([(x * (width / 2 + grow), y * (length / 2 + grow), 0.022) for x, y in square])

    inner, outer, corners, alphas = rim(-0.15), rim(0.35), [], []
    for k in range(16):
        j = (k + 1) % 16
        corners += [
            ((0, 0, 0.022), inner[k], inner[j]),
            (inner[k], outer[k], outer[j]),
            (inner[k], outer[j], inner[j]),
        ]
        alphas += [(150, 150, 150), (150, 0, 0), (150, 0, 150)]
    corners = np.round(np.array(corners, float), 5)
    count = len(corners)
    mesh = Mesh(corners, np.zeros((count, 3, 3)), np.zeros((count, 3, 2)), np.zeros(count, int), ("shadow",))
    colour = np.zeros((count, 3, 4), np.uint8)
    colour[..., :3], colour[..., 3] = 14, alphas
    return _geom(core, mesh, colour)


def _dome(core):
    """The sky as a cylinder with a lid, seen from inside."""
    corners, uv, radius, height = [], [], 330.0, 190.0
    for k in range(16):
        a, b = (k * math.pi / 8, (k + 1) * math.pi / 8)
        low = [(radius * math.cos(v), radius * math.sin(v), -2.0) for v in (a, b)]
        high = [(radius * math.cos(v), radius * math.sin(v), height) for v in (a, b)]
        corners += [(low[0], high[0], high[1]), (low[0], high[1], low[1])]
        u0, u1 = k / 4, (k + 1) / 4
        uv += [((u0, 0.01), (u0, 0.99), (u1, 0.99)), ((u0, 0.01), (u1, 0.99), (u1, 0.01))]
    corners, uv = np.round(np.array(corners), 4), np.array(uv)
    count = len(corners)
    mesh = Mesh(corners, np.zeros((count, 3, 3)), uv, np.zeros(count, int), ("sky",))
    return _geom(core, mesh, np.full((count, 3, 4), 255, np.uint8))


_TEXTURES: dict[str, object] = {}


def _texture(core, name: str):
    if name not in _TEXTURES:
        pixels = texture(name)
        made = core.Texture(name)
        made.setup2dTexture(pixels.shape[1], pixels.shape[0], core.Texture.TUnsignedByte, core.Texture.FRgb)
        made.setRamImage(np.ascontiguousarray(pixels[::-1, :, ::-1]).tobytes())
        made.setMinfilter(core.SamplerState.FTLinearMipmapNearest)
        made.setMagfilter(core.SamplerState.FTLinear)
        _TEXTURES[name] = made
    return _TEXTURES[name]


_SCREENS: dict[tuple[int, int], "_Screen"] = {}


def _screen(size: tuple[int, int]) -> "_Screen":
    if size not in _SCREENS:
        _SCREENS[size] = _Screen(size)
    return _SCREENS[size]


class _Screen:
    """The off-screen windows of a process, and the camera that moves from scene to scene."""

    def __init__(self, size: tuple[int, int]):
        self._core = core = _panda()
        core.loadPrcFileData("", "load-display p3tinydisplay\nwindow-type offscreen\nnotify-level error\n")
        core.CullBinManager.getGlobalPtr().setBinType("opaque", core.CullBinManager.BTFrontToBack)
        self._engine = core.GraphicsEngine.getGlobalPtr()
        self._pipe = core.GraphicsPipeSelection.getGlobalPtr().makePipe("TinyOffscreenGraphicsPipe")
        if self._pipe is None:
            self._pipe = core.GraphicsPipeSelection.getGlobalPtr().makeDefaultPipe()
        self.size = size
        self.id_bit, self.alone_bit, self.fog_bit = (core.BitMask32.bit(k) for k in (1, 2, 3))
        self._large = self._window(_OVERSAMPLE * size[0], _OVERSAMPLE * size[1])
        self._small = self._window(*size)
        self.camera = core.NodePath("camera")
        self._lens = core.MatrixLens()
        plain = self._camera(core.BitMask32.bit(0))
        flat = self._camera(self.id_bit, flat=True)
        lone = self._camera(self.alone_bit, flat=True)
        fog = self._camera(self.fog_bit, flat=True, tag="fog")
        self._views = [
            self._view(self._large, plain),
            self._view(self._small, flat),
            self._view(self._small, lone),
            self._view(self._small, fog),
        ]

    def _window(self, height: int, width: int):
        core = self._core
        wanted = core.FrameBufferProperties()
        wanted.setRgbColor(True)
        wanted.setRgbaBits(8, 8, 8, 8)
        wanted.setDepthBits(24)
        window = self._engine.makeOutput(
            self._pipe, f"{width}x{height}", 0, wanted, core.WindowProperties.size(width, height),
            core.GraphicsPipe.BFRefuseWindow,
        )  # fmt: skip
        copy = core.Texture()
        window.addRenderTexture(copy, core.GraphicsOutput.RTMCopyRam)
        window.setClearColor((0, 0, 0, 1))
        window.setActive(False)
        return window, copy

    def _camera(self, bit, flat: bool = False, tag: str = "id"):
        core = self._core
        camera = core.Camera(str(bit), self._lens)
        camera.setCameraMask(bit)
        if flat:
            camera.setInitialState(self._flat(0 if tag == "id" else 255, 1000))
            camera.setTagStateKey(tag)
            for number in range(1, 256):
                camera.setTagState(str(number), self._flat(number))
        return self.camera.attachNewNode(camera)

    def _flat(self, number: int, priority: int = 2000):
        core = self._core
        colour = core.ColorAttrib.makeFlat((0, 0, (number + 0.5) / 256, 1))
        return core.RenderState.make(colour, core.TextureAttrib.makeAllOff(), priority)

    def _view(self, window, camera):
        view = window[0].makeDisplayRegion()
        view.setCamera(camera)
        view.setActive(False)
        return window, view

    def focus(self, focal: float) -> None:
        """Set the lens; focal length as a share of the image width."""
        x, y = 2 * focal, 2 * focal * self.size[1] / self.size[0]
        a, b = (_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
        # OpenGL's clip space from x right, y ahead, z up; rows, as Panda3D multiplies them.
        self._lens.setUserMat(self._core.LMatrix4f(x, 0, 0, 0, 0, 0, a, 1, 0, y, 0, 0, 0, 0, b, 0))

    def _draw(self, which: int) -> np.ndarray:
        (window, copy), view = self._views[which]
        window.setActive(True)
        view.setActive(True)
        self._engine.renderFrame()
        view.setActive(False)
        window.setActive(False)
        return np.frombuffer(memoryview(copy.getRamImage()), np.uint8).reshape(
            copy.getYSize(), copy.getXSize(), 4
        )

    def image(self) -> Image.Image:
        """The clear image, averaged down to (H, W) RGB."""
        pixels = self._draw(0)
        large = Image.frombuffer("RGBX", (pixels.shape[1], pixels.shape[0]), pixels, "raw", "RGBX", 0, 1)
        blue, green, red, _ = large.reduce(_OVERSAMPLE).split()
        return Image.merge("RGB", (red, green, blue)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)

    def ids(self) -> np.ndarray:
        """(W, H) uint8."""
        return np.ascontiguousarray(self._draw(1)[::-1, :, 0].T)

    def alone(self) -> np.ndarray:
        """(W, H) uint8."""
        return np.ascontiguousarray(self._draw(2)[::-1, :, 0].T)

    def fog(self) -> np.ndarray:
        """(H, W) uint8."""
        return self._draw(3)[::-1, :, 0]
