"""Meshes, lights and textures in the form that Panda3D draws; its module `core` is handed in."""

import math

import numpy as np

from samodal.sim.mesh import Mesh
from samodal.sim.textures import texture
from samodal.sim.weather import SHINES


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


def colour(mesh: Mesh, colours, shades: np.ndarray, glow: list[bool]) -> np.ndarray:
    """(N, 3, 4) uint8 of the corners."""
    base = np.array(colours, float)[mesh.materials][:, None]
    lit = np.minimum(np.floor(base * np.round(shades, 3)[..., None]), SHINES - 1)
    lit = np.where(np.array(glow)[mesh.materials][:, None, None], base, lit)
    return np.concatenate([lit, np.full(lit.shape[:2] + (1,), 255.0)], -1).astype(np.uint8)


def pose_matrix(x: float, y: float, z: float, heading: float, pitch: float) -> np.ndarray:
    """Turn by pitch (up) and heading (left), then move; rounded, as sines differ in the last bit between machines."""
    c, s, cp, sp = math.cos(heading), math.sin(heading), math.cos(pitch), math.sin(pitch)
    turn = np.array([[c, -s * cp, s * sp, x], [s, c * cp, -c * sp, y], [0, sp, cp, z], [0, 0, 0, 1]])
    return np.round(turn, 6)


def to_panda(core, matrix: np.ndarray):
    return core.LMatrix4f(*np.round(matrix, 6).T.ravel().tolist())


_LAYOUT = np.dtype([("vertex", "<f4", 3), ("colour", "u1", 4), ("uv", "<f4", 2)])


def geom(core, mesh: Mesh, colour: np.ndarray):
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


def contact_shadow(core, length: float, width: float):
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
    return geom(core, mesh, colour)


def dome(core):
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
    return geom(core, mesh, np.full((count, 3, 4), 255, np.uint8))


_TEXTURES: dict[str, object] = {}


def panda_texture(core, name: str):
    if name not in _TEXTURES:
        pixels = texture(name)
        made = core.Texture(name)
        made.setup2dTexture(pixels.shape[1], pixels.shape[0], core.Texture.TUnsignedByte, core.Texture.FRgb)
        made.setRamImage(np.ascontiguousarray(pixels[::-1, :, ::-1]).tobytes())
        made.setMinfilter(core.SamplerState.FTLinearMipmapNearest)
        made.setMagfilter(core.SamplerState.FTLinear)
        _TEXTURES[name] = made
    return _TEXTURES[name]
