"""The network that a training starts from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from samodal.errors import InputError
from samodal.suggest import nearest
from samodal.videomt import SIZES, Network, VideomtConfig, load

if TYPE_CHECKING:
    from samodal.commands.train_vis import VisSettings


def start(settings: VisSettings) -> Network:
    """Random weights of a size, or a checkpoint, with the settings' classes and input.

    Raises:
        InputError: for an unknown size, an input that is no multiple of the patch, or a wrong checkpoint.
    """
    classes = tuple(settings.classes.split(","))
    if settings.init:
        network = load(settings.init)
        return adapted(network, _config(network.config, classes, settings.input), settings.seed)
    if settings.size not in SIZES:
        raise InputError(f"unknown size of VidEoMT {settings.size!r}{nearest(settings.size, SIZES)}")
    return untrained(_config(SIZES[settings.size], classes, settings.input), settings.seed)


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
    found = re.fullmatch(r"(\d+)x(\d+)", size or f"{config.size[0]}x{config.size[1]}")
    if not found:
        raise InputError(f"input {size!r}: expected HEIGHTxWIDTH in pixels, as in 288x512")
    height, width = int(found[1]), int(found[2])
    if height % config.patch or width % config.patch:
        raise InputError(f"input {size}: height and width must be multiples of the patch, {config.patch} pixels")
    return config.replace(classes=classes, size=(height, width))
