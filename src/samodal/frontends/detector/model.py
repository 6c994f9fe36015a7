"""The network: YOLOX (Ge et al. 2021) of size nano, with depthwise convolutions; batch norms are part of the
convolutions.

Parameters have the names of the released code (github.com/Megvii-BaseDetection/YOLOX), so that its weights can be
loaded, see `samodal.frontends.detector.released`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.frontends.detector.config import STRIDES, DetectorConfig

REACH = 2
"""Cells around one on which its classes depend: two convolutions of 3 x 3 lie between."""
FEW_LENGTHS = 8
"""Cells of which the sides of a window are multiples."""
RARE = -4.6
"""Random weights start from a probability of 0.01, as nearly every cell holds nothing."""


class Raw(NamedTuple):
    """Of B inputs with A cells in all, grid by grid, row by row.

    Attributes:
        boxes: (B, A, 4) x0, y0, x1, y1 in pixels of the input, pixel edges.
        objectness: (B, A) logits of there being anything.
        classes: (B, A, K) logits of what it is then.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor

    @property
    def scores(self) -> Tensor:
        """(B, A, K) in [0, 1]."""
        return self.objectness.sigmoid()[..., None] * self.classes.sigmoid()


class Detector(nn.Module):
    """Boxes of road users.

    Args:
        config: see `DetectorConfig`.
    """

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.config = config
        self.backbone = _Pyramid(config)
        self.head = _Head(config)

    @classmethod
    def initialise(cls, config: DetectorConfig, seed: int) -> Self:
        """Random weights, which depend on nothing but the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    @property
    def exported(self) -> tuple[str, dict[str, Tensor], dict[str, tuple[int, ...]]]:
        """What `samodal.checkpoints.exported` is to export: `grids`, for inputs of any size."""
        free = dict.fromkeys(("pixels", *(f"stride_{stride}" for stride in STRIDES)), (0, 2, 3))
        return "grids", {"pixels": torch.zeros(1, 3, 64, 96)}, free

    @property
    def sparse(self) -> tuple[tuple[str, dict[str, Tensor], dict[str, tuple[int, ...]]], ...]:
        """The same of the two methods that `likely` calls."""
        features = {f"features_{stride}": torch.zeros(1, self.head.width, 5, 6) for stride in STRIDES}
        free = {name.format(stride): (0, 2, 3) for name in ("places_{}", "features_{}") for stride in STRIDES}
        kinds = dict.fromkeys((*features, *(f"kinds_{stride}" for stride in STRIDES)), (0, 2, 3))
        pixels = {"pixels": torch.zeros(1, 3, 64, 96)}
        return ("places", pixels, {"pixels": (0, 2, 3)} | free), ("kinds", features, kinds)

    def grids(self, pixels: Tensor) -> list[Tensor]:
        """(B, 5 + K, h, w) of each grid: box, objectness and classes of its cells, as the head gives them."""
        found = self.places(pixels)
        places, kinds = found[: len(STRIDES)], self.kinds(*found[len(STRIDES) :])
        return [torch.cat(both, 1) for both in zip(places, kinds, strict=True)]

    def places(self, pixels: Tensor) -> list[Tensor]:
        """(B, 5, h, w) of each grid: box and objectness of its cells; then (B, W, h, w) of each, what `kinds` takes."""
        return self.head.places(self.backbone(pixels))

    def kinds(self, *features: Tensor) -> list[Tensor]:
        """(B, K, h, w) of each grid, or of a window of it: classes of its cells. `REACH` cells around tell of them."""
        return self.head.kinds(features)

    def forward(self, pixels: Tensor) -> Raw:
        """(B, 3, H, W) float, normalised RGB (`samodal.images.normalise`), H and W multiples of 32."""
        grids = self.grids(pixels)
        flat = torch.cat([grid.flatten(2) for grid in grids], 2).transpose(1, 2).float()
        return _raw(flat, *cells(*pixels.shape[-2:], pixels.device))

    def likely(self, pixels: Tensor, least: float) -> Raw:
        """What `forward` gives of one input (1, 3, H, W), of the cells alone whose objectness is at least `least`.

        They lie together, at the horizon mostly: classes are reckoned in a window around them, a tenth of the grid.
        """
        found = self.places(pixels)
        places, features = found[: len(STRIDES)], found[len(STRIDES) :]
        rows = [(place[0, 4].sigmoid() >= least).nonzero() for place in places]
        corners = [_window(where, place.shape[-2:]) for where, place in zip(rows, places, strict=True)]
        windows = [part[..., y0:y1, x0:x1] for part, (y0, x0, y1, x1) in zip(features, corners, strict=True)]
        flat, middles, strides = [], [], []
        grids = zip(places, self.kinds(*windows), rows, corners, STRIDES, strict=True)
        for place, kinds, where, (top, left, _, _), stride in grids:
            y, x = where.unbind(1)
            flat.append(torch.cat([place[0, :, y, x], kinds[0, :, y - top, x - left]]).T.float())
            middles.append(where.flip(1).float())
            strides.append(torch.full((len(where), 1), float(stride), device=where.device))
        return _raw(torch.cat(flat)[None], torch.cat(middles), torch.cat(strides))


def _raw(flat: Tensor, place: Tensor, stride: Tensor) -> Raw:
    """Of (B, A, 5 + K) outputs of the head in cells at (A, 2) columns and rows of grids of (A, 1) strides."""
    middle = (place + flat[..., :2]) * stride
    half = flat[..., 2:4].clamp(max=10).exp() * stride / 2
    return Raw(torch.cat([middle - half, middle + half], -1), flat[..., 4], flat[..., 5:])


def _window(places: Tensor, size: torch.Size) -> tuple[int, int, int, int]:
    """First row and column, and those after the last, of a part of a grid that holds what the classes of (N, 2) cells
    depend on."""
    if not len(places):
        return 0, 0, 1, 1  # of something, as networks take no empty pictures
    ends = zip((places.amin(0) - REACH).tolist(), (places.amax(0) + REACH + 1).tolist(), size, strict=True)
    (y0, y1), (x0, x1) = (_stretched(max(low, 0), min(high, most), most) for low, high, most in ends)
    return y0, x0, y1, x1


def _stretched(low: int, high: int, most: int) -> tuple[int, int]:
    """A range of cells of some few lengths, within `most`, that holds another: code is made for each size anew."""
    length = min(-(-(high - low) // FEW_LENGTHS) * FEW_LENGTHS, most)
    low = min(low, most - length)
    return low, low + length


def cells(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(A, 2) columns and rows of the cells of an input of (height, width) pixels, and (A, 1) their strides."""
    places, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        places.append(torch.stack([x, y], -1).flatten(0, 1).float())
        strides.append(torch.full((len(places[-1]), 1), float(stride), device=device))
    return torch.cat(places), torch.cat(strides)


class _Conv(nn.Sequential):
    """A convolution and SiLU."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1, groups: int = 1):
        conv = nn.Conv2d(before, after, size, stride, (size - 1) // 2, groups=groups)
        super().__init__(OrderedDict(conv=conv, silu=nn.SiLU()))


class _Depthwise(nn.Module):
    """A convolution of each channel, then one across channels."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1):
        super().__init__()
        self.dconv = _Conv(before, before, size, stride, groups=before)
        self.pconv = _Conv(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pconv(self.dconv(x))


class _Bottleneck(nn.Module):
    def __init__(self, width: int, shortcut: bool):
        super().__init__()
        self.conv1, self.conv2, self.shortcut = _Conv(width, width, 1), _Depthwise(width, width, 3), shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class _Stage(nn.Module):
    """A cross stage partial layer (Wang et al. 2020)."""

    def __init__(self, before: int, after: int, count: int, shortcut: bool = True):
        super().__init__()
        half = after // 2
        self.conv1, self.conv2, self.conv3 = _Conv(before, half, 1), _Conv(before, half, 1), _Conv(2 * half, after, 1)
        self.m = nn.Sequential(*(_Bottleneck(half, shortcut) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        deep, direct = self.conv1(x), self.conv2(x)
        return self.conv3(torch.cat([self.m(deep), direct], 1))


class _Quarters(nn.Conv2d):
    """A convolution of 3 x 3 over four pictures of half the size, of every other row and column of x each: those of
    even columns first, of these the one of even rows. Calculated as one of x, as to copy the pictures takes as long.
    """

    def __init__(self, after: int):
        super().__init__(12, after, 3)

    def _kernel(self) -> Tensor:
        """(after, 3, 6, 6) weights of x itself."""
        return self.weight.unflatten(1, (2, 2, 3)).permute(0, 3, 4, 2, 5, 1).flatten(4, 5).flatten(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self._kernel(), self.bias, stride=2, padding=2)

    def plain(self) -> nn.Conv2d:
        """The same as a plain convolution of x."""
        conv = nn.Conv2d(3, self.out_channels, 6, 2, 2)
        conv.weight, conv.bias = nn.Parameter(self._kernel().detach()), self.bias
        return conv


class _Focus(nn.Module):
    """Half the size, four times the channels."""

    def __init__(self, after: int):
        super().__init__()
        self.conv = nn.Sequential(OrderedDict(conv=_Quarters(after), silu=nn.SiLU()))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _Pooled(nn.Module):
    """Spatial pyramid pooling."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = _Conv(width, width // 2, 1), _Conv(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x] + [F.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13)], 1))


class _Darknet(nn.Module):
    """What comes at 1/8, 1/16 and 1/32 of the size."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.stem = _Focus(width)
        self.dark2 = nn.Sequential(_Depthwise(width, 2 * width, 3, 2), _Stage(2 * width, 2 * width, depth))
        self.dark3 = nn.Sequential(_Depthwise(2 * width, 4 * width, 3, 2), _Stage(4 * width, 4 * width, 3 * depth))
        self.dark4 = nn.Sequential(_Depthwise(4 * width, 8 * width, 3, 2), _Stage(8 * width, 8 * width, 3 * depth))
        self.dark5 = nn.Sequential(
            _Depthwise(8 * width, 16 * width, 3, 2), _Pooled(16 * width), _Stage(16 * width, 16 * width, depth, False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth = self.dark3(self.dark2(self.stem(x)))
        sixteenth = self.dark4(eighth)
        return eighth, sixteenth, self.dark5(sixteenth)


class _Pyramid(nn.Module):
    """The backbone, and paths from coarse to fine and back (PAFPN, Liu et al. 2018)."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        width, depth = round(64 * config.width), max(1, round(3 * config.depth))
        four, eight, sixteen = 4 * width, 8 * width, 16 * width
        self.backbone = _Darknet(width, depth)
        self.lateral_conv0, self.C3_p4 = _Conv(sixteen, eight, 1), _Stage(sixteen, eight, depth, False)
        self.reduce_conv1, self.C3_p3 = _Conv(eight, four, 1), _Stage(eight, four, depth, False)
        self.bu_conv2, self.C3_n3 = _Depthwise(four, four, 3, 2), _Stage(eight, eight, depth, False)
        self.bu_conv1, self.C3_n4 = _Depthwise(eight, eight, 3, 2), _Stage(sixteen, sixteen, depth, False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, coarse = self.backbone(x)
        coarse = self.lateral_conv0(coarse)
        middle = self.reduce_conv1(self.C3_p4(torch.cat([F.interpolate(coarse, scale_factor=2), sixteenth], 1)))
        fine = self.C3_p3(torch.cat([F.interpolate(middle, scale_factor=2), eighth], 1))
        middle = self.C3_n3(torch.cat([self.bu_conv2(fine), middle], 1))
        return fine, middle, self.C3_n4(torch.cat([self.bu_conv1(middle), coarse], 1))


class _Head(nn.Module):
    """Of each grid boxes and objectness, and what its classes follow from."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.width = width = round(256 * config.width)
        count = len(config.classes)
        self.stems, self.cls_convs, self.reg_convs = (nn.ModuleList() for _ in range(3))
        self.cls_preds, self.reg_preds, self.obj_preds = (nn.ModuleList() for _ in range(3))
        for stride in STRIDES:
            self.stems.append(_Conv(round(stride * 32 * config.width), width, 1))
            self.cls_convs.append(nn.Sequential(_Depthwise(width, width, 3), _Depthwise(width, width, 3)))
            self.reg_convs.append(nn.Sequential(_Depthwise(width, width, 3), _Depthwise(width, width, 3)))
            self.cls_preds.append(nn.Conv2d(width, count, 1))
            self.reg_preds.append(nn.Conv2d(width, 4, 1))
            self.obj_preds.append(nn.Conv2d(width, 1, 1))
        for layer in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(layer.bias, RARE)

    def places(self, grids: Sequence[Tensor]) -> list[Tensor]:
        features = [stem(grid) for stem, grid in zip(self.stems, grids, strict=True)]
        near = [convs(part) for convs, part in zip(self.reg_convs, features, strict=True)]
        preds = zip(self.reg_preds, self.obj_preds, near, strict=True)
        return [torch.cat([box(part), objectness(part)], 1) for box, objectness, part in preds] + features

    def kinds(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [pred(convs(part)) for pred, convs, part in zip(self.cls_preds, self.cls_convs, features, strict=True)]
