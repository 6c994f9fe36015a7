"""Panda3D's software display: two off-screen windows and the cameras that draw into them."""

import numpy as np
from PIL import Image

from samodal.errors import missing_extra
from samodal.sim.surfaces import decode

_NEAR, _FAR = 0.4, 420.0
_OVERSAMPLE = 2


def panda():
    try:
        from panda3d import core
    except ImportError as error:
        raise missing_extra("StreetSim", "sim") from error
    return core


_SCREENS: dict[tuple[int, int], "Screen"] = {}


def screen(size: tuple[int, int]) -> "Screen":
    if size not in _SCREENS:
        _SCREENS[size] = Screen(size)
    return _SCREENS[size]


class Screen:
    """The off-screen windows of a process, and the camera that moves from scene to scene."""

    def __init__(self, size: tuple[int, int]):
        self._core = core = panda()
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
        surface = self._camera(core.BitMask32.bit(4))
        self._views = [
            self._view(self._large, plain),
            self._view(self._small, flat),
            self._view(self._small, lone),
            self._view(self._small, fog),
            self._view(self._small, surface),
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

    def enter(self, root, focal: float) -> bool:
        """Bring the camera into a scene; False if it was in another scene."""
        if not self.camera.isEmpty() and self.camera.getParent() == root:
            return True
        self.camera.reparentTo(root)
        self.focus(focal)
        return False

    def leave(self, root) -> None:
        """Take the camera out of a scene if it is there."""
        if self.camera.getParent() == root:
            self.camera.detachNode()

    def _draw(self, which: int) -> np.ndarray:
        (window, copy), view = self._views[which]
        window.setActive(True)
        view.setActive(True)
        self._engine.renderFrame()
        view.setActive(False)
        window.setActive(False)
        return np.frombuffer(memoryview(copy.getRamImage()), np.uint8).reshape(copy.getYSize(), copy.getXSize(), 4)

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

    def triangles(self, surfaces) -> np.ndarray:
        """(H, W) int32; draws only what is below `surfaces`, see `samodal.sim.surfaces`."""
        self._views[4][1].getCamera().node().setScene(surfaces)
        return decode(self._draw(4)[::-1])
