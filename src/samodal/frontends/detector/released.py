"""Released weights of YOLOX (Megvii, Apache-2.0) to start from: its .pth files, and ncnn's .param and .bin.

ncnn's are taken as they are: those of release 0.1.0, which like ours expect normalised RGB.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from samodal.checkpoints.files import read_state_dict
from samodal.checkpoints.networks import build
from samodal.errors import InputError
from samodal.frontends.detector.config import DetectorConfig
from samodal.frontends.detector.model import Detector
from samodal.images import MEAN, STD

COCO = {"person": 0, "bicycle": 1, "car": 2, "motorcycle": 3, "bus": 5, "train": 6, "truck": 7}
"""Places of road users among COCO's 80 classes."""
LIKE = {"rider": "person", "other_vehicle": "car", "trailer": "truck", "caravan": "truck"}
"""Classes that COCO lacks start as others."""
CLASSES = 80
HALF = 0x01306B47
"""What a tensor of 16 bit begins with in ncnn's files."""
NORM = 1e-3
"""YOLOX's addend to variances."""


def read(path: str | Path, config: DetectorConfig) -> Detector:
    """A detector of a config from released weights of the same size; its classes are those of COCO that are like them.

    Args:
        path: yolox_nano.pth or yolox-nano.param, beside its .bin.

    Raises:
        InputError: for another or a damaged file, or a class that COCO has nothing like.
    """
    path = Path(path)
    whole = replace(config, classes=tuple(map(str, range(CLASSES))), unreported=(), curves=())
    state = _of_ncnn(path, whole) if path.suffix == ".param" else _of_torch(path)
    network = build(lambda: Detector(whole), state, str(path), f"YOLOX of width {config.width} and COCO's classes")
    rows = []
    for name in config.classes:
        if (place := COCO.get(LIKE.get(name, name))) is None:
            raise InputError(f"{path}: nothing among COCO's classes is like {name!r}; start from random weights")
        rows.append(place)
    state = network.state_dict()
    for name in state:
        if name.startswith("head.cls_preds."):
            state[name] = state[name][rows].clone()
    detector = Detector(config)
    detector.load_state_dict(state)
    return detector


def _of_torch(path: Path) -> dict[str, Tensor]:
    """A .pth of the released code, batch norms made part of the convolutions."""
    state = read_state_dict(path)
    fused = {}
    for name, value in state.items():
        if name.endswith(".conv.weight") and f"{name[:-11]}bn.weight" in state:
            norm = {part: state[f"{name[:-11]}bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
            factor = norm["weight"] / (norm["running_var"] + NORM).sqrt()
            fused[name] = value * factor[:, None, None, None]
            fused[f"{name[:-6]}bias"] = norm["bias"] - norm["running_mean"] * factor
        elif ".bn." not in name:
            fused[name] = value
    return _for_normalised(fused)


def _for_normalised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same for normalised RGB instead of BGR from 0 to 255, which the .pth files of 2021-08 and later are for.

    Only at the border is it not quite the same: beyond it, one has black, the other the mean colour.
    """
    first = "backbone.backbone.stem.conv.conv"
    if f"{first}.weight" not in state or state[f"{first}.weight"].shape[1] != 12:
        return state
    weight = state[f"{first}.weight"].unflatten(1, (4, 3)).flip(2)
    scale, offset = (weight.new_tensor(values).view(1, 1, 3, 1, 1) for values in (STD, MEAN))
    bias = state[f"{first}.bias"] + (weight * offset).sum((1, 2, 3, 4))
    return state | {f"{first}.weight": (weight * scale).flatten(1, 2), f"{first}.bias": bias}


def _of_ncnn(path: Path, config: DetectorConfig) -> dict[str, Tensor]:
    """The convolutions of a .bin, which come in the order in which the network runs."""
    network = Detector(config)
    convolutions: list[tuple[str, nn.Conv2d]] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name, module=module: convolutions.append((name, module)))
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    try:
        content, at, state = path.with_suffix(".bin").read_bytes(), 0, {}
    except OSError as error:
        raise InputError(f"{path}: its weights cannot be read ({error.strerror}); put the .bin beside it") from None
    for name, module in convolutions:
        count = module.weight.numel()
        kind, size = (np.float16, 2) if content[at : at + 4] == HALF.to_bytes(4, "little") else (np.float32, 4)
        end = at + 4 + (count * size + 3) // 4 * 4
        if len(content) < end + 4 * len(module.bias):
            raise InputError(f"{path}: its .bin ends within {name}; it was cut off, or is no YOLOX of this size")
        values = np.frombuffer(content, kind, count, at + 4).astype(np.float32)
        bias = np.frombuffer(content, np.float32, len(module.bias), end)
        state[f"{name}.weight"] = torch.from_numpy(values).view(module.weight.shape)
        state[f"{name}.bias"] = torch.from_numpy(bias.copy())
        at = end + 4 * len(module.bias)
    if at != len(content):
        raise InputError(f"{path}: its .bin has {len(content) - at} bytes more than YOLOX of this size; take another")
    return state
