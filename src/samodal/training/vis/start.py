"""The network that a training starts from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from samodal.checkpoints.files import has_key, shipped_path
from samodal.errors import InputError, nearest
from samodal.frontends.videomt import SIZES, Network, VideomtConfig, load
from samodal.segmenters.sam import AmodalSam

if TYPE_CHECKING:
    from samodal.training.vis.settings import VisSettings

ENCODER_NAMES = {
    "norm1": "layer_norm1", "attention.out_proj": "attn.proj", "norm2": "layer_norm2", "mlp.fc1": "mlp.lin1",
    "mlp.fc2": "mlp.lin2",
}  # fmt: skip
"""Parts of our layers, and what they are called in SAM's."""


def start(settings: VisSettings) -> Network:
    """Random weights of a size, the image encoder of an amodal SAM of ours, or a checkpoint, with the settings' classes
    and input.

    Raises:
        InputError: for an unknown size, an input that is no multiple of the patch, or a wrong checkpoint.
    """
    classes = tuple(settings.classes.split(","))
    if settings.init:
        network = from_encoder(settings) if _is_amodal_sam(settings.init) else load(settings.init)
        return adapted(network, _config(network.config, classes, settings.input), settings.seed)
    if settings.size not in SIZES:
        raise InputError(f"unknown size of VidEoMT {settings.size!r}{nearest(settings.size, SIZES)}")
    return untrained(_config(SIZES[settings.size], classes, settings.input), settings.seed)


def from_encoder(settings: VisSettings) -> Network:
    """Patches, places and layers of an amodal SAM's image encoder; what looks at queries and masks is random.

    SAM's relative places, its windows and the adapters have no counterpart and are left out, so that the layers have to
    be trained on, but they know road users already.
    """
    encoder = AmodalSam.from_checkpoint(settings.init)
    sam, state = encoder.config, encoder.vision_encoder.state_dict()
    config = VideomtConfig(
        size=sam.size, patch=sam.patch, stem="patch", hidden=sam.hidden, layers=sam.layers,
        heads=sam.heads,
    )  # fmt: skip
    network = untrained(config, settings.seed)
    lent = {
        f"embeddings.patch_embeddings.projection.{name}": state[f"patch_embed.projection.{name}"]
        for name in ("weight", "bias")
    }
    lent["embeddings.position_embeddings.weight"] = state["pos_embed"].flatten(0, 2)
    for n in range(config.layers):
        for part, name in ENCODER_NAMES.items():
            for kind in ("weight", "bias"):
                lent[f"layers.{n}.{part}.{kind}"] = state[f"layers.{n}.{name}.{kind}"]
        for kind in ("weight", "bias"):
            parts = state[f"layers.{n}.attn.qkv.{kind}"].chunk(3)
            for projection, weights in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                lent[f"layers.{n}.attention.{projection}.{kind}"] = weights
    network.load_state_dict(network.state_dict() | lent)
    return network


def _is_amodal_sam(name: str) -> bool:
    path = Path(name) if Path(name).is_file() else shipped_path(name)
    return path is not None and has_key(path, "samodal")


def untrained(config: VideomtConfig, seed: int) -> Network:
    """Random weights, which depend on nothing but the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(config)
        network.initialise()
    return network


def adapted(network: Network, config: VideomtConfig, seed: int) -> Network:
    """A network of another input or other classes: places are interpolated, classes of the same name kept."""
    if config == network.config:
        return network
    new, state = untrained(config, seed), network.state_dict()
    places = state["embeddings.position_embeddings.weight"].T.unflatten(1, network.config.grid)[None]
    places = F.interpolate(places, config.grid, mode="bicubic", align_corners=False)
    state["embeddings.position_embeddings.weight"] = places[0].flatten(1).T
    for name in ("class_predictor.weight", "class_predictor.bias"):
        values = new.state_dict()[name].clone()
        for n, label in enumerate(config.classes):
            if label in network.config.classes:
                values[n] = state[name][network.config.classes.index(label)]
        values[-1] = state[name][-1]
        state[name] = values
    new.load_state_dict(state)
    return new


def _config(config: VideomtConfig, classes: tuple[str, ...], size: str) -> VideomtConfig:
    match = re.fullmatch(r"(\d+)x(\d+)", size or f"{config.size[0]}x{config.size[1]}")
    if not match:
        raise InputError(f"input {size!r}: expected HEIGHTxWIDTH in pixels, as in 288x512")
    height, width = int(match[1]), int(match[2])
    if height % config.patch or width % config.patch:
        raise InputError(f"input {size}: height and width must be multiples of the patch, {config.patch} pixels")
    return config.replace(classes=classes, size=(height, width))
